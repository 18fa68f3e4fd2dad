"""A lake in an object store, each command a process of its own: all that works on a disk works there."""

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.lake.lease import FILE
from lakehouse.postgres import PostgresTarget
from lakehouse.simulator import Simulator, ThreadedSimulator, run_in_thread
from lakehouse.spark import jars
from tests.support import s3proxy
from tests.support.export_fixtures import url_of
from tests.support.object_stores import CREDENTIALS, Bucket, bucket_at, serving
from tests.support.processes import lakehouse, started, submit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not jars.local(jars.S3), reason="needs what `make setup EXTRAS=s3` fetches"),
]
NOW = datetime(2024, 1, 4, tzinfo=UTC)
DAYS = ("--from", "2024-01-02", "--to", "2024-01-04")
NO_EXPORT = ("--stages", "bronze,silver,gold")


@pytest.fixture
def api() -> Iterator[ThreadedSimulator]:
    with run_in_thread(Simulator(seed=42, now=NOW)) as running:
        yield running


class Lake:
    """The commands on a lake in a bucket; each is to end with 0 unless told."""

    def __init__(self, bucket: Bucket, api: ThreadedSimulator, **variables: str) -> None:
        self.bucket = bucket
        asked = {"LAKEHOUSE_API__URL": api.url, "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0"}
        self.variables = {**bucket.variables, **asked, **variables}

    def says(self, *arguments: str, code: int = 0) -> str:
        """All that a command prints."""
        done = self._done(*arguments, code=code)
        return done.stdout + done.stderr

    def document(self, *arguments: str) -> Any:
        return json.loads(self._done(*arguments, "--json").stdout)

    def _done(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = lakehouse(self.bucket.root, *arguments, **self.variables)
        assert done.returncode == code, done.stderr
        return done

    def versions(self) -> dict[str, int]:
        return {table["table"]: table["version"] for table in self.document("status")["tables"]}


def test_everything_works_as_on_a_disk(
    bucket: Bucket, api: ThreadedSimulator, database: PostgresTarget, tmp_path: Path
) -> None:
    lake = Lake(bucket, api, LAKEHOUSE_POSTGRES__URL=url_of(database))
    on_disk = str(tmp_path / "lake")
    lake.says("run", *DAYS)
    first = lake.versions()
    assert first["gold.carbon_intensity_daily"] == 1

    lake.says("run", *DAYS)  # a second run writes nothing but its own row
    assert lake.versions() == {**first, "ops.runs": first["ops.runs"] + 1}

    lake.says("release", "create", "before", "--note", "the first answers")
    api.now = NOW + timedelta(days=1)
    lake.says("run", "--to", "2024-01-05")  # revisions of the last days, and a new one
    corrected = lake.versions()
    assert corrected["silver.regional_half_hourly"] > first["silver.regional_half_hourly"]
    assert "PostgreSQL equals Gold" in lake.says("export", "--verify")
    query = "SELECT count(*) AS n FROM gold.carbon_intensity_daily"
    assert lake.document("sql", f"{query} VERSION AS OF 1") == [{"n": 36}]
    assert lake.document("sql", query) == [{"n": 54}]
    assert lake.document("gaps")["gaps"] == []
    assert "Gold is what its half-hours give" in lake.says("explain", "--region", "13", "--date", "2024-01-03")

    assert lake.document("reproduce", "before")["is_identical"] is True
    assert lake.says("release", "verify", "before").count("as released") == 8
    assert f"LOCATION '{bucket.root}/gold/dim_region';" in lake.says("catalog")
    lake.says("maintain")
    lake.says("report", "--out", str(tmp_path / "page.html"))
    assert (tmp_path / "page.html").stat().st_size > 10_000
    lake.says("restore", "before")
    assert lake.document("sql", query) == [{"n": 36}]
    lake.says("run", "--to", "2024-01-05")  # rolls forward from Bronze
    assert lake.document("sql", query) == [{"n": 54}]
    lake.says("release", "delete", "before", "--yes")
    assert not [key for key in bucket.names() if "/releases/" in key]

    here = lakehouse(on_disk, "run", "--from", "2024-01-02", "--to", "2024-01-05", *NO_EXPORT, **lake.variables)
    assert here.returncode == 0, here.stderr
    everything = "SELECT * FROM gold.carbon_intensity_daily ORDER BY regionid, date_recorded"
    of_disk = lakehouse(on_disk, "sql", everything, "--json", **lake.variables)
    assert lake.document("sql", everything) == json.loads(of_disk.stdout)
    assert json.loads(bucket.client.get_object(Bucket=bucket.name, Key=f"a-lake/{FILE}")["Body"].read())["is_free"]


def test_a_job_finds_the_store_by_the_same_settings(bucket: Bucket, api: ThreadedSimulator) -> None:
    lake = Lake(bucket, api)
    without = submit(bucket.root, "bronze", *DAYS, **lake.variables)
    assert without.returncode == 1
    assert "Spark lacks the jars for an object store; give spark-submit `--jars`" in without.stderr
    listed = ",".join(map(str, jars.local(jars.S3)))
    properties = ("--properties-file", "spark-defaults.conf", "--jars", listed)
    done = submit(bucket.root, "bronze", *DAYS, properties=properties, **lake.variables)
    assert done.returncode == 0, done.stderr
    assert lake.versions()["bronze.regional_intensity"] == 1


def test_certificates_of_ones_own_are_trusted_by_all(api: ThreadedSimulator, tmp_path: Path) -> None:
    authority, certificate = _certificates(tmp_path)
    with serving(certificate) as made:
        bucket = made("encrypted")
        lake = Lake(bucket, api)
        assert "The object store cannot be reached; are LAKEHOUSE_S3__ENDPOINT and" in lake.says("status", code=1)
        lake.variables["LAKEHOUSE_S3__CA_FILE"] = str(authority)
        host, port = bucket.url.removeprefix("https://").split(":")
        with socket.create_connection((host, int(port))):  # one that says nothing keeps nobody out
            lake.says("run", *DAYS, *NO_EXPORT)
        assert lake.versions()["gold.carbon_intensity_daily"] == 1


def _certificates(folder: Path) -> tuple[Path, tuple[Path, Path]]:
    """An authority's certificate, and one of its for this machine with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which makes the certificates")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    of_authority = "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"
    for command in (
        f"{of_authority} -addext basicConstraints=critical,CA:TRUE",
        "req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=127.0.0.1",
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2 -extfile names",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder / "ca.pem", (folder / "own.pem", folder / "own.key")


@pytest.mark.skipif(not s3proxy.JAR.is_file(), reason="needs `python -m tests.support.s3proxy`")
def test_another_implementation_of_s3(api: ThreadedSimulator, tmp_path: Path) -> None:
    with s3proxy.s3proxy(tmp_path) as url:
        bucket = bucket_at(url, "another")
        lake = Lake(bucket, api)
        lake.says("run", *DAYS, *NO_EXPORT)
        first = lake.versions()
        lake.says("run", *DAYS, *NO_EXPORT)
        assert lake.versions() == {**first, "ops.runs": first["ops.runs"] + 1}
        assert lake.document("gaps")["gaps"] == []
        assert sorted((tmp_path / "objects" / "another" / "a-lake").iterdir())  # it is there that they are kept


def test_what_goes_wrong_with_the_store_is_a_sentence_and_the_next_run_heals(
    bucket: Bucket, api: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(bucket, api)
    nowhere = lakehouse("s3a://not-there/lake", "run", *DAYS, **lake.variables)
    assert nowhere.returncode == 2
    assert "The bucket that the root names is not there; make it, or correct LAKEHOUSE_ROOT" in nowhere.stderr
    with monkeypatch.context() as meanwhile:
        for name in CREDENTIALS:
            meanwhile.delenv(name)
        unsigned = {name: value for name, value in lake.variables.items() if name not in CREDENTIALS}
        found = lakehouse(bucket.root, "run", *DAYS, AWS_EC2_METADATA_DISABLED="true", HOME="/nonexistent", **unsigned)
    assert found.returncode == 2
    assert "There are no credentials for the object store" in found.stderr
    assert bucket.names() == []
    bucket.fail("InvalidAccessKeyId", 403)
    assert "The object store does not take the credentials" in lake.says("run", *DAYS, code=2)
    bucket.heal()

    bucket.fail("ExpiredToken", 400, methods="PUT", part="silver/regional_half_hourly/part-")
    assert "The credentials for the object store have expired; renew them" in lake.says(
        "run", *DAYS, *NO_EXPORT, code=1
    )
    assert lake.versions()["silver.regional_half_hourly"] == 0  # made, and nothing half-written
    bucket.heal()
    bucket.fail("SlowDown", 503, times=4)
    lake.says("run", *DAYS, *NO_EXPORT)  # it was asked again until it answered
    assert lake.versions()["gold.carbon_intensity_daily"] == 1
    with run_in_thread(Simulator(seed=7, now=NOW)) as other:
        said = lakehouse(bucket.root, "run", *DAYS, **{**lake.variables, "LAKEHOUSE_API__URL": other.url})
    assert said.returncode == 2
    assert "simulator:seed=42" in said.stderr  # a prefix with another lake is left alone
    bucket.fail("RequestTimeTooSkewed", 403)
    assert "The clock of this machine is off" in lake.says("status", code=1)


def test_a_run_that_was_stopped_is_taken_over_and_commits_no_more(bucket: Bucket, api: ThreadedSimulator) -> None:
    lake = Lake(bucket, api, LAKEHOUSE_S3__LEASE_SECONDS="5")
    with started(bucket.root, "run", *DAYS, *NO_EXPORT, **lake.variables) as stopped:
        _await(lambda: any(key.endswith(FILE) for key in bucket.names()), stopped)
        assert "Another run is writing to the lake" in lake.says("run", *DAYS, code=5)
        stopped.send_signal(signal.SIGSTOP)  # Python alone: its JVM goes on with what it does
        time.sleep(9)
        lake.says("run", *DAYS, *NO_EXPORT)
        stopped.send_signal(signal.SIGCONT)
        said = stopped.communicate(timeout=120)[1]
        assert stopped.returncode == 5, said
        # which of the two it meets first: its next commit, or the renewal that finds another's lease
        assert re.search("error: (Another run has taken over the lake|The lease .* could not be renewed in time)", said)
    assert "two runs" not in lake.says("status")
    lake.says("run", *DAYS, *NO_EXPORT)
    assert lake.document("sql", "SELECT count(*) AS n FROM gold.carbon_intensity_daily") == [{"n": 36}]


def _await(is_so: Any, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.2)
