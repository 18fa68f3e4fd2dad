"""The DAG in a real Airflow: how exit codes are taken, and a lake and a PostgreSQL that its runs fill."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from lakehouse.lake import delta_log
from lakehouse.lake.tables import BRONZE, GOLD, RUNS, SILVER, TABLES
from lakehouse.postgres import PostgresTarget
from lakehouse.settings import Settings
from lakehouse.simulator import Simulator, ThreadedSimulator, parse_script, run_in_thread
from tests.support import airflow_process
from tests.support.airflow_process import Airflow
from tests.support.mirror_rows import query
from tests.support.processes import LAKEHOUSE, PATIENCE_SECONDS, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not airflow_process.PYTHON.exists(), reason="needs `make setup-airflow`"),
]
STAGES = ["bronze", "silver", "gold", "export", "verify", "freshness"]
NOT_REACHED = "upstream_failed"
PAST = {**dict.fromkeys(STAGES, "success"), "freshness": "skipped"}
"""Of a run of days that were asked for: whether the newest half-hours are there is not its matter."""

STUB = """#!/bin/sh
# Says what it was asked, then ends with the next exit code of the command, which stands in a file of its name; a code
# "hangs" is one that a signal has to end.
cd "$(dirname "$0")"
echo "$*" >> calls
env | grep -E '^(LAKEHOUSE|AIRFLOW|OPENLINEAGE)' >> variables
case "$*" in *--verify*) name=verify ;; *--check*) name=freshness ;; *) name=$1 ;; esac
code=$(head -n 1 "$name" 2>/dev/null)
sed -i 1d "$name" 2>/dev/null
if [ "$code" = hangs ]; then
    trap 'echo TERM >> signals; exit 130' TERM
    for _ in $(seq 1000); do sleep 0.05; done
fi
if [ -n "$code" ] && [ "$code" != 0 ]; then
    echo "{\\"status\\": \\"failed\\", \\"error\\": \\"It is so.\\", \\"exit_code\\": $code}"
    exit "$code"
fi
echo '{"lake_version": 7, "run_id": "r", "stages": []}'
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    with airflow_process.running(tmp_path_factory.mktemp("airflow")) as started:
        yield started


@pytest.fixture
def stub(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """An Airflow connection to a command that ends with the exit codes given by stage: ``stub(silver=[4, 0])``."""

    def made(**codes: list[int | str]) -> dict[str, Any]:
        for name, stated in codes.items():
            (tmp_path / name).write_text("".join(f"{code}\n" for code in stated))
        command = tmp_path / "lakehouse"
        command.write_text(STUB)
        command.chmod(0o755)
        callback = tmp_path / "callback"
        callback.write_text(f"#!/bin/sh\ncat >> {tmp_path}/failures\necho >> {tmp_path}/failures\n")
        callback.chmod(0o755)
        return {
            **{"conn_type": "postgres", "host": "db", "login": "me", "password": "p@ss", "schema": "carbon"},
            "extra": {
                "command": str(command),
                "settings": {"LAKEHOUSE_ROOT": "/lake"},
                "on_failure": [str(callback)],
            },
        }

    return made


def states(outcome: dict[str, Any]) -> dict[str, str]:
    return {stage: outcome["tasks"][stage][0] for stage in STAGES}


def tries(outcome: dict[str, Any], stage: str) -> int:
    found: int = outcome["tasks"][stage][1]
    return found


def test_parses_fast_and_without_the_lakehouse(running: Airflow) -> None:
    found = running("parse")
    assert (found["errors"], found["dags"], found["foreign"]) == ({}, ["carbon_lakehouse"], [])
    assert found["seconds"] < 0.3
    writers = {"bronze", "silver", "gold", "export"}
    assert {stage for stage, pool in found["pools"].items() if pool == ["carbon_lakehouse", 1]} == writers
    assert set(found["retries"].values()) == {3}


def test_tries_again_what_may_pass_and_hands_on_the_settings(
    running: Airflow, stub: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    connection = stub(bronze=[4, 5, 0], verify=[1, 0])
    done = running("run", connection=connection, conf={"from": "2024-01-01", "to": "2024-01-08"}, retries=2)
    assert (done["state"], states(done)) == ("success", PAST)
    assert (tries(done, "bronze"), tries(done, "silver"), tries(done, "verify")) == (3, 1, 2)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[:4] == [*["bronze --from=2024-01-01 --to=2024-01-08 --json"] * 3, "silver --json"]
    assert calls[-1] == "export --verify --json"  # freshness is skipped
    variables = sorted({*(tmp_path / "variables").read_text().splitlines()})
    assert [line for line in variables if not line.startswith("OPENLINEAGE")] == [
        "LAKEHOUSE_POSTGRES__URL=postgresql://me:p%40ss@db:5432/carbon",
        "LAKEHOUSE_ROOT=/lake",
    ]
    (root,) = [line for line in variables if line.startswith("OPENLINEAGE_ROOT_PARENT_ID=")]
    above, uuid = root.removeprefix("OPENLINEAGE_ROOT_PARENT_ID=").rsplit("/", 1)
    assert (above, str(UUID(uuid))) == ("airflow/carbon_lakehouse", uuid)
    parents = {line.rpartition("/")[0] for line in variables if line.startswith("OPENLINEAGE_PARENT_ID=")}
    assert parents == {f"OPENLINEAGE_PARENT_ID=airflow/carbon_lakehouse.{stage}" for stage in STAGES[:5]}
    assert not (tmp_path / "failures").exists()


@pytest.mark.parametrize(("stage", "code"), [("silver", 3), ("bronze", 2), ("freshness", 3)])
def test_fails_at_once_where_no_retry_helps_and_halts_what_follows(
    running: Airflow, stub: Callable[..., dict[str, Any]], tmp_path: Path, stage: str, code: int
) -> None:
    done = running("run", connection=stub(**{stage: [code]}), conf={}, retries=2)
    assert done["state"] == "failed"
    after = STAGES[STAGES.index(stage) + 1 :]
    assert states(done) == {
        **dict.fromkeys(STAGES, "success"),
        stage: "failed",
        **dict.fromkeys(after, NOT_REACHED),
    }
    assert tries(done, stage) == 1
    asked = (tmp_path / "calls").read_text().splitlines()
    assert len(asked) == len(STAGES) - len(after)
    assert asked[0] == "bronze --json"
    assert stage != "freshness" or asked[-1] == "status --check --json"
    (failure,) = map(json.loads, (tmp_path / "failures").read_text().splitlines())
    assert (failure["task_id"], failure["try_number"]) == (stage, 1)
    assert failure["error"].startswith(f"It is so. (exit code {code}: ")


def test_a_task_that_is_killed_tells_its_command_to_end(
    running: Airflow, stub: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    done = running("run", connection=stub(bronze=["hangs"]), conf={}, retries=0, seconds=1)
    assert states(done)["bronze"] == "failed"
    until((tmp_path / "signals").exists)
    assert (tmp_path / "signals").read_text() == "TERM\n"


def test_backfills_each_day_by_itself(running: Airflow, stub: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    first, second = running(
        "backfill", connection=stub(), first="2024-01-01T00:00:00+00:00", last="2024-01-02T00:00:00+00:00"
    )
    assert {first["type"], second["type"]} == {"backfill"}
    assert [done["arguments"]["bronze"] for done in (first, second)] == [
        ["bronze", "--from=2024-01-01", "--to=2024-01-02"],
        ["bronze", "--from=2024-01-02", "--to=2024-01-03"],
    ]


@pytest.mark.parametrize(
    ("connection", "sentence"),
    [
        (None, "There is no Airflow connection 'carbon_lakehouse'; make it as docs/airflow.md says."),
        ({"extra": {"command": "/x"}}, "lacks 'LAKEHOUSE_ROOT'; docs/airflow.md shows it."),
        (
            {"extra": {"command": "/does/not/exist", "settings": {"LAKEHOUSE_ROOT": "/lake"}}},
            "/does/not/exist cannot be started (No such file or directory); the extra of the connection",
        ),
        (
            {"extra": {"command": "/bin/true", "settings": {"LAKEHOUSE_ROOT": "/lake"}}},
            "/bin/true printed no JSON document; is it the lakehouse's command?",
        ),
    ],
    ids=["missing", "rootless", "misnamed", "another"],
)
def test_says_what_a_connection_lacks(running: Airflow, connection: dict[str, Any] | None, sentence: str) -> None:
    told = connection and {"conn_type": "generic", **connection}
    done = running("run", connection=told, conf={}, retries=2)
    assert (states(done)["bronze"], tries(done, "bronze")) == ("failed", 1)
    assert any(sentence in line for line in running.log)


@pytest.fixture
def api() -> Iterator[ThreadedSimulator]:
    with run_in_thread(Simulator(seed=42, now=datetime(2024, 1, 9, 12, tzinfo=UTC))) as started:
        yield started


def versions(lake: Settings) -> dict[str, int]:
    found = {table.name: delta_log.open_table(lake.path(table.path)) for table in TABLES if table is not RUNS}
    return {name: snapshot.version for name, snapshot in found.items() if snapshot}


def keys(lake: Settings, table: Any) -> list[Any]:
    found = delta_log.open_table(lake.path(table.path))
    assert found is not None
    return [tuple(row.values()) for row in found.rows(list(table.key)).to_pylist()]


def kill_the_extract(running: Airflow, api: ThreadedSimulator) -> None:
    """Once the API holds an answer back: the process of the stage, as if memory had run out; then the API answers."""
    api.until_held(timeout_s=PATIENCE_SECONDS)
    found = [
        child
        for child in psutil.Process(running.process.pid).children(recursive=True)
        if (child.as_dict(["cmdline"])["cmdline"] or [])[1:3] == [str(LAKEHOUSE), "bronze"]
    ]
    assert len(found) == 1
    os.kill(found[0].pid, signal.SIGKILL)
    until(lambda: not found[0].is_running())
    api.clear_rules()
    api.release()


def test_fills_a_lake_and_postgresql(
    running: Airflow, api: ThreadedSimulator, database: PostgresTarget, into: Callable[..., Settings], tmp_path: Path
) -> None:
    lake = into(str(tmp_path / "lake"))
    settings = {"LAKEHOUSE_ROOT": lake.root, "LAKEHOUSE_API__URL": api.url, "LAKEHOUSE_API__REQUESTS_PER_SECOND": "0"}
    connection = {
        **{"conn_type": "postgres", "host": database.host, "port": database.port, "schema": database.database},
        **{"login": database.user, "password": database.password},
        "extra": {"command": str(LAKEHOUSE), "settings": settings},
    }

    def in_postgres() -> tuple[int, int]:
        (found,) = query(database, "SELECT count(*), sum(n_periods) FROM carbon_data.carbon_intensity_daily")
        return found

    # A week, with an extract that is killed: it is tried again.
    api.add_rules(parse_script([{"fault": "stall_headers", "times": None, "match": {"path_contains": "intensity"}}]))
    order = {"connection": connection, "conf": {"from": "2024-01-01", "to": "2024-01-08"}}
    first = running.meanwhile(lambda: kill_the_extract(running, api), "run", **order, retries=1)
    assert states(first) == PAST, "".join(running.log)
    assert [tries(first, stage) for stage in STAGES[:5]] == [2, 1, 1, 1, 1]
    assert in_postgres() == (7 * 18, 7 * 18 * 48)
    before = versions(lake)
    events = {event["asset"]: event for event in first["events"]}
    assert {BRONZE.name, SILVER.name, GOLD.name, "postgres.carbon_data"} <= {*events}
    assert events[SILVER.name]["table_version"] == before[SILVER.name]
    assert events[SILVER.name]["lake_version"] == first["documents"]["silver"]["lake_version"]

    # The same week an hour later: its last half day is fetched again, for it may be revised; nothing is there twice.
    api.now = datetime(2024, 1, 9, 13, tzinfo=UTC)
    second = running("run", **order, retries=0)
    assert states(second) == PAST, "".join(running.log)
    (bronze,) = second["documents"]["bronze"]["stages"]
    assert bronze["counts"]["inserted"] > 0
    assert versions(lake) == {**before, BRONZE.name: before[BRONZE.name] + 1}
    assert [event["asset"] for event in second["events"]] == [BRONZE.name]
    assert in_postgres() == (7 * 18, 7 * 18 * 48)
    assert len(keys(lake, SILVER)) == len({*keys(lake, SILVER)}) == 7 * 18 * 48

    # A day of it as Airflow's own backfill: nothing is written, and no asset has an event.
    before = versions(lake)
    day = "2024-01-02T00:00:00+00:00"
    (third,) = running("backfill", connection=connection, first=day, last=day)
    assert states(third) == PAST, "".join(running.log)
    assert (versions(lake), in_postgres(), third["events"]) == (before, (7 * 18, 7 * 18 * 48), [])

    # Settings that are wrong: the command's own sentence, no retry, and nothing after it.
    connection["extra"]["settings"]["LAKEHOUSE_API__ATTEMPTS"] = "0"
    fourth = running("run", connection=connection, conf={}, retries=2)
    assert [fourth["tasks"][stage] for stage in STAGES[:2]] == [["failed", 1], [NOT_REACHED, 0]]
    assert any("The setting api.attempts is wrong" in line and "exit code 2" in line for line in running.log)
