"""An object store on this machine: moto behind a socket, one request at a time, with faults on demand."""

import io
import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from lakehouse.object_store import ObjectStore

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not a secret"}
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


@dataclass
class Bucket:
    """A bucket of its own in a store that answers at ``url``."""

    url: str
    name: str
    client: Any
    faults: list[Fault] = field(default_factory=list)
    ignores_conditions: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def root(self) -> str:
        return f"s3a://{self.name}/a lake".replace(" ", "-")

    @property
    def variables(self) -> dict[str, str]:
        """What a process of the product needs."""
        return {**CREDENTIALS, "LAKEHOUSE_S3__ENDPOINT": self.url}

    def names(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def fail(self, code: str, status: int, **how: Any) -> Fault:
        self.faults.append(fault := Fault(code, status, **how))
        return fault


class _Served:
    """moto's application, for buckets that have faults of their own."""

    def __init__(self) -> None:
        self.application = DomainDispatcherApplication(create_backend_app)
        self.buckets: dict[str, Bucket] = {}
        self.one_at_a_time = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))  # before anybody has to wait
        environ["wsgi.input"] = io.BytesIO(body)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        bucket = self.buckets.get(path.strip("/").split("/")[0])
        with self.one_at_a_time:
            if bucket is None:
                return self._asked(environ, start)
            bucket.asked.append((method, path))
            if bucket.ignores_conditions:
                for name in CONDITIONS:
                    environ.pop(name, None)
            fault = self._due(bucket, method, path)
            if fault is None:
                return self._asked(environ, start)
            if fault.is_late:
                self._asked(environ, lambda *_: None)
            start(f"{fault.status} {fault.code}", [("Content-Type", "application/xml")])
            return [b"" if method == "HEAD" else ERROR.format(fault.code).encode()]

    def _asked(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        found = self.application(environ, start)
        try:
            return list(found)
        finally:
            getattr(found, "close", lambda: None)()

    @staticmethod
    def _due(bucket: Bucket, method: str, path: str) -> Fault | None:
        for fault in bucket.faults:
            if method in fault.methods.split() and fault.part in path and fault.times != 0:
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None


@contextmanager
def serving(certificate: tuple[Path, Path] | None = None) -> Iterator[Callable[[str], Bucket]]:
    """A store; the function given makes a bucket of a name in it. ``certificate``: its file and that of its key."""
    application, context = _Served(), None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"

    def made(name: str) -> Bucket:
        signed = {name.lower(): value for name, value in CREDENTIALS.items()}
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", verify=certificate is None, **signed)
        client.create_bucket(Bucket=name)
        application.buckets[name] = Bucket(url, name, client)
        return application.buckets[name]

    try:
        yield made
    finally:
        server.shutdown()
        thread.join()


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
