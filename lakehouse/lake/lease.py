"""A lease on a lake in an object store, where no lock of an operating system reaches: one writer at a time.

An object beside the tables says who writes. It is taken, renewed and given back by conditional PUTs, so of two who try
at once one gets it; one that was not renewed for its term is taken over. How old it is says the store's own clock, so
those of the writers may differ. Each taking has a number, the *generation*, which all commits made under it carry.

What a lease cannot do: stop a commit that is already on its way when its writer is held up for longer than the term.
Such a commit is found afterwards (``writers``).
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from lakehouse.errors import LakehouseError, LakeLockedError, UsageError
from lakehouse.settings import object_store
from lakehouse.settings.object_store import NotAsExpectedError, Stored

FILE = ".lease.json"
TICKS = 4
"""Renewals in a term."""
LAST_RENEWAL = 10.0
"""Seconds that the end of a run waits for a renewal that is under way, at a store that does not answer."""
GRACE = 2.0
"""Seconds: the store tells times in whole ones."""

log = logging.getLogger(__name__)


def now() -> float:
    """Seconds of a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True)
class State:
    """What the object says.

    ``token`` is of one taking: containers may share a name and a process id. ``renewal`` counts, so that no two
    writings have the same ETag.
    """

    owner: str
    token: str
    generation: int
    renewal: int
    term_seconds: float
    is_free: bool = False

    def to_json(self) -> bytes:
        """The object's bytes."""
        return json.dumps(asdict(self), sort_keys=True).encode() + b"\n"


class Lease:
    """A lease on the lake at ``root``, held from :meth:`take` to :meth:`give_back`; a thread renews it meanwhile."""

    def __init__(self, root: str, term: float, clock: Callable[[], float] = now) -> None:
        self._root = root
        self._place = f"{root.rstrip('/')}/{FILE}"
        self._state = State(f"{socket.gethostname()}:{os.getpid()}", secrets.token_hex(8), 0, 0, term)
        self._clock = clock
        self._etag = ""
        self._lasts_until = 0.0
        self._is_lost = False
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._keep, name="renews the lease", daemon=True)

    @property
    def generation(self) -> int:
        """The number of this taking, one more than that of the one before."""
        return self._state.generation

    def take(self) -> None:
        """Take the lease: there is none, it was given back, or its holder has not renewed it for its term.

        Raises:
            LakeLockedError: somebody holds it.
            UsageError: the store does not keep to the conditions of writes.
        """
        found = object_store.read(self._place)
        before = self._read(found)
        if found is not None and before is not None and not before.is_free:
            left = before.term_seconds + GRACE - found.age
            if left > 0:
                raise LakeLockedError(
                    f"Another run is writing to the lake at {self._root}: {before.owner} holds its lease, for "
                    f"{left:.0f} seconds unless it is renewed; try again when it is done."
                )
            log.warning("The lease of %s has expired; this run takes it over.", before.owner)
        self._state = replace(self._state, generation=(before.generation if before else 0) + 1)
        try:
            self._write(self._state, found.etag if found else "*")
        except NotAsExpectedError:
            raise LakeLockedError(
                f"Another run has just begun to write to the lake at {self._root}; try again when it is done."
            ) from None
        self._probe()
        self._renewer.start()

    def check(self) -> None:
        """Before a commit: the lease must outlast it.

        Raises:
            LakeLockedError: less than half of its term is left, for it could not be renewed, or it was taken over.
        """
        if self._is_lost:
            raise LakeLockedError(
                f"Another run has taken over the lake at {self._root} while this one was held up for more than "
                f"{self._state.term_seconds:g} seconds; what was committed stays. Run the same command again later."
            )
        if self._lasts_until - self._clock() < self._state.term_seconds / 2:
            raise LakeLockedError(
                f"The lease on the lake at {self._root} could not be renewed in time, so another run may take it over; "
                "what was committed stays. Run the same command again."
            )

    def give_back(self) -> None:
        """Let the next writer in at once; where that fails, it waits for the term to pass."""
        self._ended.set()
        self._renewer.join(LAST_RENEWAL)
        if not self._is_lost and not self._renewer.is_alive():
            self._renew(replace(self._state, is_free=True))

    def _read(self, found: Stored | None) -> State | None:
        if found is None:
            return None
        try:
            return State(**json.loads(found.body))
        except (ValueError, TypeError):
            raise LakehouseError(
                f"{self._place} is not a lease; remove it when no run is writing to this lake."
            ) from None

    def _write(self, state: State, condition: str) -> None:
        """Write the object; a write whose answer was lost has succeeded where the object is ours.

        Raises:
            NotAsExpectedError: it is somebody else's.
        """
        began = self._clock()
        try:
            self._etag = object_store.write(self._place, state.to_json(), only_if=condition)
        except NotAsExpectedError:
            found = object_store.read(self._place)
            if found is None or found.body != state.to_json():
                raise
            self._etag = found.etag
        self._state, self._lasts_until = state, began + state.term_seconds

    def _probe(self) -> None:
        """Make sure that the store refuses a write whose condition does not hold, and not only says that it can."""
        for condition in ("*", '"0"'):
            try:
                self._etag = object_store.write(self._place, self._state.to_json(), only_if=condition)
            except NotAsExpectedError:
                continue
            object_store.write(self._place, replace(self._state, is_free=True).to_json())
            raise UsageError(
                f"The store of {self._root} writes an object although the condition of the write does not hold, so two "
                "runs at once could undo each other's commits; nothing was written. Take a store with conditional PUT."
            )

    def _keep(self) -> None:
        while not self._ended.wait(self._state.term_seconds / TICKS) and not self._is_lost:
            self._renew(self._state)

    def _renew(self, state: State) -> None:
        try:
            self._write(replace(state, renewal=self._state.renewal + 1), self._etag)
        except NotAsExpectedError:
            self._is_lost = True
            log.warning("The lease on %s was taken over by another run.", self._root)
        except Exception as error:  # noqa: BLE001 (whatever it is: `check` refuses commits once the term runs out)
            log.warning("The lease on %s could not be renewed: %s", self._root, error)
