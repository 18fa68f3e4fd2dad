"""S3Proxy, another implementation of S3: fetched once, run in a process of its own.

python -m tests.support.s3proxy        # fetches it; tests themselves use no network
"""

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from lakehouse import settings
from lakehouse.spark import jars, java

VERSION = "4.1.0"
SHA256 = "a4d025969aaf796616ed4b1e2491d87d455ce84bb28cb9db086b2e6aaa68b48d"
NAME = f"s3proxy-{VERSION}-jar-with-dependencies.jar"
JAR = Path(__file__).resolve().parents[2] / ".cache" / "tests" / NAME


def fetch() -> None:
    """Fetch the jar unless it is here.

    Raises:
        SystemExit: it is not the pinned one.
    """
    if JAR.is_file():
        return
    repository = settings.environment().get(jars.MIRROR) or jars.MAVEN_CENTRAL
    with urlopen(f"{repository.rstrip('/')}/org/gaul/s3proxy/{VERSION}/{NAME}", timeout=60) as answer:
        found = answer.read()
    if hashlib.sha256(found).hexdigest() != SHA256:
        sys.exit(f"error: {NAME} is not the pinned jar: its SHA-256 is {hashlib.sha256(found).hexdigest()}")
    JAR.parent.mkdir(parents=True, exist_ok=True)
    part = JAR.with_suffix(".part")
    part.write_bytes(found)
    part.rename(JAR)


@contextmanager
def s3proxy(folder: Path) -> Iterator[str]:
    """The address of a store that keeps its objects in a folder, and asks for no credentials."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    (folder / "objects").mkdir()
    (folder / "s3proxy.conf").write_text(
        f"s3proxy.authorization=none\ns3proxy.endpoint={url}\njclouds.provider=filesystem-nio2\n"
        f"jclouds.filesystem.basedir={folder / 'objects'}\n"
    )
    command = [java.find(settings.environment()) / "bin" / "java", "-jar", JAR, "--properties", folder / "s3proxy.conf"]
    with (folder / "s3proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await(url, process)
            yield url
        finally:
            process.kill()
            process.wait()


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    host, port = url.removeprefix("http://").split(":")
    limit = time.monotonic() + 120
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    fetch()
