"""Two writers of one lake in an object store, of which one is stopped or killed again and again: no commit is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.lake import delta_log
from lakehouse.monitoring.writers import interleaved, overwritten
from lakehouse.settings import Settings, object_store
from tests.support.lease_writer import TABLE
from tests.support.object_stores import Bucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROUNDS = 100
TERM = 1.0
"""Seconds; one that is stopped for TERM + GRACE is taken over."""
STOPPED = (0.2, 0.6, 4.5)


class Writer:
    """A process that commits under the lease as long as it lives."""

    def __init__(self, root: str) -> None:
        command = [sys.executable, "-m", "tests.support.lease_writer", str(TERM), "1000000"]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "LAKEHOUSE_ROOT": root},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop_for(self, seconds: float) -> None:
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> list[dict[str, object]]:
        """The commits that it knows to have made."""
        self.process.kill()
        said, complaint = self.process.communicate()
        assert "Traceback" not in complaint, complaint
        return [json.loads(line) for line in said.splitlines() if line.endswith("}")]


def test_no_commit_is_lost_or_doubled(bucket: Bucket, settings_of: Callable[..., Settings]) -> None:
    chosen = settings_of(bucket.root)
    place = chosen.path(TABLE)
    write_deltalake(
        place.replace("s3a://", "s3://"),
        pa.table({"event": pa.array([], pa.string())}),
        storage_options=object_store.current().for_delta_rs,
    )
    chance = random.Random(20)
    writers, made = [Writer(bucket.root), Writer(bucket.root)], []
    for _ in range(ROUNDS):
        time.sleep(chance.uniform(0.1, 0.5))
        victim = chance.randrange(2)
        if chance.random() < 0.2:
            made += writers[victim].kill()
            writers[victim] = Writer(bucket.root)
        else:
            writers[victim].stop_for(chance.choices(STOPPED, (6, 3, 1))[0])
    for writer in writers:
        made += writer.kill()

    table = delta_log.open_table(place)
    assert table is not None
    history = table.history()
    there = [row["event"] for row in table.rows(["event"]).to_pylist()]
    assert len(there) == len(set(there)) == table.version  # none doubled, one a commit
    assert {str(one["event"]) for one in made} <= set(there)  # none lost; a killed one may not have said its last
    assert len(there) - len(made) <= ROUNDS
    assert list(overwritten(history, {int(str(one["version"])): str(one["event"]) for one in made})) == []
    generations = {event.split("-")[0] for event in there}
    assert len(generations) > ROUNDS / 10
    late = list(interleaved(history))
    print(f"{len(there)} commits under {len(generations)} leases; told of two writers at once: {late or 'none'}")
