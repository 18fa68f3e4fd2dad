"""Both drivers, libpq and pgjdbc, verify the server's certificate and its name."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from lakehouse.errors import PostgresError
from lakehouse.lake.tables import GOLD
from lakehouse.postgres import EmbeddedPostgres, PostgresTarget, cluster
from lakehouse.postgres.binaries import system_binaries
from lakehouse.publishing import export, mirror, staging
from tests.support.export_fixtures import settings_for
from tests.support.gold_rows import GoldLake
from tests.support.mirror_rows import published, query


def authority(folder: Path, name: str) -> Path:
    """A certificate authority of our own: NAME.crt and NAME.key."""
    made = folder / f"{name}.crt"
    openssl("req", "-x509", "-nodes", *EC, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", made)
    return made


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2")


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's certificate for `localhost`, signed by `ours`; beside it an authority that did not sign it."""
    folder = tmp_path_factory.mktemp("certificates")
    ours = authority(folder, "ours")
    authority(folder, "stranger")
    openssl("req", "-nodes", *EC, "-subj", "/CN=localhost", "-keyout", folder / "server.key", "-out", folder / "csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    signing = ("-CA", ours, "-CAkey", folder / "ours.key", "-CAcreateserial", "-extfile", folder / "names")
    openssl("x509", "-req", "-in", folder / "csr", *signing, "-days", "2", "-out", folder / "server.crt")
    return folder


@pytest.fixture(scope="module")
def tls_server(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresTarget]:
    """A server that speaks TLS; the embedded one is built without."""
    binaries = system_binaries()
    if binaries is None:
        pytest.skip("no system PostgreSQL of version 15 or later was found")
    server = EmbeddedPostgres(tmp_path_factory.mktemp("tls"), binaries=binaries)
    with server:
        pass
    owner = (server.home / "data").stat()
    for name in ("server.crt", "server.key"):
        place = server.home / "data" / name
        place.write_bytes((certificates / name).read_bytes())
        place.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(place, owner.st_uid, owner.st_gid)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(cluster.SETTINGS, "ssl", "on")
        with server as target:
            yield replace(target, sslmode="verify-full", host="localhost")


def test_exports_to_a_server_that_both_drivers_verified(
    tls_server: PostgresTarget, gold_lake: GoldLake, certificates: Path
):
    query_part = f"sslmode=verify-full&sslrootcert={certificates / 'ours.crt'}"
    export.publish(gold_lake.context, settings_for(tls_server, gold_lake.context.store.root, query=query_part))
    trusting = replace(tls_server, sslrootcert=str(certificates / "ours.crt"))
    assert len(published(trusting)) == 3
    assert query(trusting, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"sslrootcert": "stranger.crt"}, ("certificate verify failed", "PKIX path")),
        ({"host": "127.0.0.1", "sslrootcert": "ours.crt"}, ("does not match host name", "could not be verified")),
        ({"sslrootcert": "system"}, ("certificate verify failed", "PKIX path")),
    ],
)
def test_refuses_a_server_that_it_cannot_verify(
    tls_server: PostgresTarget,
    gold_lake: GoldLake,
    certificates: Path,
    change: dict[str, str],
    reasons: tuple[str, str],
):
    file = change["sslrootcert"]
    fields = {**change, "sslrootcert": file if file == "system" else str(certificates / file)}
    with pytest.raises(PostgresError) as by_libpq, mirror.export_lock(replace(tls_server, **fields)):
        pass
    rows = gold_lake.days().withColumn("is_deleted", F.lit(False))
    with pytest.raises(PostgresError) as by_jdbc:
        staging.stage_rows(rows, GOLD, "run", replace(tls_server, **fields), count=3)
    for refusal, reason in zip((by_libpq, by_jdbc), reasons, strict=True):
        assert reason in str(refusal.value)
        assert tls_server.password not in str(refusal.value)
