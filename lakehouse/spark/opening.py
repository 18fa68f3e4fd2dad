"""A Spark session that opens beside other work: a JVM takes seconds to start, of which a fetch leaves one core idle."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from pyspark.sql import SparkSession

from lakehouse.spark import failures, session

log = logging.getLogger(__name__)


class SessionOpener:
    """Opens the session once, when somebody calls it or ahead of that (``begin``).

    A context manager: whatever ends the block, it waits for an opening that is under way, and a failure that nobody
    was told of is logged.
    """

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self._options = options
        self._pool = ThreadPoolExecutor(1)
        self._opening: Future[SparkSession] | None = None
        self._spark: SparkSession | None = None
        self._is_read = False

    def begin(self) -> Future[SparkSession]:
        """Begin to open the session in a thread, unless that was begun before."""
        if self._opening is None:
            session.reserve_variables()  # not in a thread beside others
            self._opening = self._pool.submit(session.open_session, self._options)
        return self._opening

    def __call__(self) -> SparkSession:
        """The session, active for this thread the first time.

        Raises:
            LakehouseError: it cannot be opened.
        """
        if self._spark is None:
            opening, self._is_read = self.begin(), True
            opening.result()
            self._spark = session.open_session(self._options)
        return self._spark

    def __enter__(self) -> "SessionOpener":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        failure = self._opening.exception() if self._opening is not None else None
        if failure is not None and not self._is_read:
            log.warning("Spark could not be opened, and nothing has needed it yet: %s", failures.reason(failure))
