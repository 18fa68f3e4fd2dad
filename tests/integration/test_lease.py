"""One writer at a time in an object store: the lease is taken, renewed, given back, and taken over when it expires."""

import json
import time
from collections.abc import Callable

import pytest

from lakehouse.errors import LakehouseError, LakeLockedError, UsageError
from lakehouse.lake.lease import FILE, GRACE, Lease
from lakehouse.lake.locking import locked
from lakehouse.pipeline import Run
from lakehouse.settings import Settings, object_store
from lakehouse.spark import jars, jvm
from tests.support.object_stores import Bucket

TERM = 60.0


@pytest.fixture
def chosen(bucket: Bucket, settings_of: Callable[..., Settings]) -> Settings:
    return settings_of(bucket.root)


def taken(settings: Settings, term: float = TERM) -> Lease:
    lease = Lease(settings.root, term)
    lease.take()
    return lease


def said(settings: Settings) -> dict[str, object]:
    found = object_store.read(settings.path(FILE))
    assert found is not None
    return dict(json.loads(found.body))


def test_one_of_two_writers_gets_it_and_each_taking_has_its_number(chosen: Settings) -> None:
    with locked(chosen) as first:
        assert first.generation == 1
        first.check()
        with (
            pytest.raises(LakeLockedError, match=r"holds its lease, for \d+ seconds unless it is renewed"),
            locked(chosen),
        ):
            pass
        assert said(chosen)["generation"] == 1
    with locked(chosen) as second:
        assert second.generation == 2


def test_one_that_was_not_renewed_is_taken_over_and_its_holder_commits_no_more(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Lease, "_keep", lambda _: None)  # as in a process that was stopped
        stopped = taken(chosen, 0.5)
    with pytest.raises(LakeLockedError):
        taken(chosen)
    time.sleep(0.5 + GRACE + 1)
    other = taken(chosen)
    assert other.generation == 2
    with pytest.raises(LakeLockedError, match="could not be renewed in time"):
        stopped.check()
    stopped.give_back()  # finds that it is another's, and leaves it
    with pytest.raises(LakeLockedError, match=r"has taken over the lake at s3a://.* held up for more than 0\.5"):
        stopped.check()
    other.check()
    assert said(chosen)["generation"] == 2
    other.give_back()


def test_is_renewed_while_it_is_held(chosen: Settings) -> None:
    lease = taken(chosen, 1.0)
    time.sleep(2.5)
    lease.check()
    assert int(str(said(chosen)["renewal"])) >= 5
    lease.give_back()
    assert said(chosen)["is_free"] is True


def test_allows_no_commit_once_it_cannot_be_renewed(chosen: Settings, bucket: Bucket) -> None:
    lease = taken(chosen, 2.0)
    bucket.fail("AccessDenied", 403, methods="PUT", part=FILE)
    time.sleep(1.7)
    with pytest.raises(LakeLockedError, match="could not be renewed in time, so another run may take it over"):
        lease.check()
    lease.give_back()
    bucket.heal()


@pytest.mark.parametrize("part", ["take", "renew"])
def test_a_write_whose_answer_was_lost_counts(part: str, chosen: Settings, bucket: Bucket) -> None:
    lease = Lease(chosen.root, 1.0 if part == "renew" else TERM)
    if part == "renew":
        lease.take()
    bucket.fail("InternalError", 500, methods="PUT", part=FILE, times=1, is_late=True)
    if part == "take":
        lease.take()
    else:
        time.sleep(1.5)
    lease.check()
    lease.give_back()


def test_a_store_that_ignores_conditions_is_not_written(chosen: Settings, bucket: Bucket) -> None:
    bucket.ignore_conditions()
    with (
        pytest.raises(
            UsageError, match=r"the condition of the write does not hold.* Take a store with conditional PUT\."
        ),
        locked(chosen),
    ):
        pytest.fail("it was written")
    assert bucket.names() == [f"{bucket.root.rpartition('/')[2]}/{FILE}"]


def test_of_two_that_begin_at_once_one_is_refused(chosen: Settings, bucket: Bucket) -> None:
    slow, quick = Lease(chosen.root, TERM), Lease(chosen.root, TERM)
    read = object_store.read

    def overtaken(place: str) -> object_store.Stored | None:
        found = read(place)
        monkey.undo()
        quick.take()
        return found

    with pytest.MonkeyPatch.context() as monkey:
        monkey.setattr(object_store, "read", overtaken)
        with pytest.raises(LakeLockedError, match="has just begun to write"):
            slow.take()
    quick.check()
    quick.give_back()


def test_something_else_in_its_place_is_named(chosen: Settings) -> None:
    object_store.write(chosen.path(FILE), b"[]")
    with pytest.raises(LakehouseError, match=r"\.lease\.json is not a lease; remove it when no run"), locked(chosen):
        pass


def test_a_release_is_not_written(chosen: Settings) -> None:
    object_store.write(chosen.path("release.json"), b"{}")
    with pytest.raises(UsageError, match="is a release and stays as it is"), locked(chosen):
        pass


def test_without_the_jars_for_it_nothing_is_written(
    chosen: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "local", lambda _name=jars.BASE: [])
    monkeypatch.setattr(jvm, "process", None)
    with pytest.raises(UsageError, match="make setup EXTRAS=s3"), Run(chosen, "run").recorded():
        pytest.fail("it began")
    assert bucket.names() == []
