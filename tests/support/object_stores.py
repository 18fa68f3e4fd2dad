"""An object store on this machine: moto behind a socket, one request at a time, with faults on demand."""

import io
import json
import logging
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from lakehouse.settings.object_store import ObjectStore

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
PROJECT = Path(__file__).resolve().parents[2]
ORDERS = ".orders"
CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
ERROR = "<?xml version='1.0'?><Error><Code>{0}</Code><Message>{0} by the test</Message><RequestId>1</RequestId></Error>"


@dataclass
class Fault:
    """An answer in place of the store's own. ``is_late``: the store does what was asked, only its answer is lost."""

    code: str
    status: int
    methods: str = "GET HEAD PUT POST DELETE"
    part: str = ""
    times: int | None = None
    is_late: bool = False

    def is_due(self, method: str, path: str) -> bool:
        """Whether it meets this request; it then counts as told."""
        if method not in self.methods.split() or self.part not in path or self.times == 0:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own in a store that answers at ``url``."""

    url: str
    name: str
    client: Any

    @property
    def root(self) -> str:
        return f"s3a://{self.name}/a-lake"

    @property
    def variables(self) -> dict[str, str]:
        """What a process of the product needs."""
        return {**CREDENTIALS, "LAKEHOUSE_S3__ENDPOINT": self.url}

    def names(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def fail(self, code: str, status: int, **how: Any) -> None:
        self._told({"fault": asdict(Fault(code, status, **how))})

    def ignore_conditions(self) -> None:
        self._told({"ignores_conditions": True})

    def heal(self) -> None:
        """No fault from now on."""
        self._told({"heals": True})

    def _told(self, order: dict[str, Any]) -> None:
        self.client.put_object(Bucket=self.name, Key=ORDERS, Body=json.dumps(order).encode())


class _Served:
    """moto's application, one request at a time; an object of the name ``ORDERS`` is an order of the test's."""

    def __init__(self) -> None:
        self.application = DomainDispatcherApplication(create_backend_app)
        self.faults: dict[str, list[Fault]] = {}
        self.ignore_conditions: set[str] = set()
        self.one_at_a_time = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "")
        body = environ["wsgi.input"].read(*(() if is_chunked else (int(length or 0),)))  # before anybody has to wait
        environ["wsgi.input"] = io.BytesIO(body)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        bucket = path.strip("/").split("/")[0]
        with self.one_at_a_time:
            if method == "PUT" and path.endswith(ORDERS):
                self._obey(bucket, json.loads(re.search(rb"\{.*\}", body)[0]))  # type: ignore[index]
                start("200 OK", [("ETag", '"0"')])
                return [b""]
            if bucket in self.ignore_conditions:
                for name in CONDITIONS:
                    environ.pop(name, None)
            fault = next((each for each in self.faults.get(bucket, ()) if each.is_due(method, path)), None)
            if fault is None:
                return self._asked(environ, start)
            if fault.is_late:
                self._asked(environ, lambda *_: None)
            start(f"{fault.status} {fault.code}", [("Content-Type", "application/xml")])
            return [b"" if method == "HEAD" else ERROR.format(fault.code).encode()]

    def _obey(self, bucket: str, order: dict[str, Any]) -> None:
        if "fault" in order:
            self.faults.setdefault(bucket, []).append(Fault(**order["fault"]))
        if "ignores_conditions" in order:
            self.ignore_conditions.add(bucket)
        if "heals" in order:
            self.faults.pop(bucket, None)
            self.ignore_conditions.discard(bucket)

    def _asked(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        found = self.application(environ, start)
        try:
            return list(found)
        finally:
            getattr(found, "close", lambda: None)()


def serve(certificate: Sequence[str] = ()) -> None:
    """Serve until the process is ended; prints the port first."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, _Served(), threaded=True)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # Hands are shaken by each connection's thread. werkzeug does it between two connections, so that a client
        # which is slow to begin keeps all others out, its own second connection too.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.ssl_context = context
    print(server.server_port, flush=True)
    server.serve_forever()


@contextmanager
def serving(certificate: tuple[Path, Path] | None = None) -> Iterator[Callable[[str], Bucket]]:
    """A store in a process of its own; the function given makes a bucket of a name in it.

    ``certificate``: its file and that of its key.
    """
    command = [sys.executable, "-m", __name__, *map(str, certificate or ())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert process.stdout is not None
    url = f"{'https' if certificate else 'http'}://127.0.0.1:{int(process.stdout.readline())}"

    try:
        yield lambda name: bucket_at(url, name)
    finally:
        process.kill()
        process.wait()


def bucket_at(url: str, name: str) -> Bucket:
    """A new bucket in the store at an address; of a certificate that nobody knows nothing is asked."""
    signed = {name.lower(): value for name, value in CREDENTIALS.items()}
    is_encrypted = url.startswith("https")
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", verify=not is_encrypted, **signed)
    client.create_bucket(Bucket=name)
    return Bucket(url, name, client)


@pytest.fixture(scope="session")
def object_store() -> Iterator[Callable[[str], Bucket]]:
    with serving() as made:
        yield made


@pytest.fixture
def bucket(
    object_store: Callable[[str], Bucket], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    """A bucket of the test's own; settings that this process loads meanwhile find it."""
    found = object_store(f"b{abs(hash(request.node.nodeid)):x}")
    for name, value in found.variables.items():
        monkeypatch.setenv(name, value)
    yield found
    ObjectStore.chosen = None


if __name__ == "__main__":
    serve(sys.argv[1:])
