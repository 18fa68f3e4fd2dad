"""Many windows through one client: several at a time, halved where refused as too long, and not for ever."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from lakehouse.api import Client, Failure, Observer
from lakehouse.bronze import Response
from lakehouse.errors import ApiUnavailableError
from lakehouse.retries import RefusedError, TransientError
from lakehouse.windows import Window

SHORTEST_TO_HALVE = 49
"""Half-hours; a refused window of up to a day is refused for another reason than its length."""
QUEUE_SIZE = 10
"""Responses that may wait for the caller: two for each of five requests under way."""

Result = Response | Failure


async def fetch_all(client: Client, windows: Sequence[Window]) -> AsyncGenerator[Result, None]:
    """Every window's response or failure, as they come.

    After several failures in a row the windows left are not asked any more and come as failures too.
    """
    crew = _Crew(client, list(reversed(windows)))
    workers = [asyncio.create_task(crew.work()) for _ in range(client.settings.concurrency)]

    async def close() -> None:
        await asyncio.wait(workers)
        await crew.done.put(None)

    closing = asyncio.create_task(close())
    try:
        while (result := await crew.done.get()) is not None:
            yield result
        await asyncio.gather(*workers)  # a fault of ours in one of them comes out here
    finally:
        for task in (*workers, closing):
            task.cancel()
        await asyncio.gather(*workers, closing, return_exceptions=True)


@dataclass
class _Crew:
    """The workers' common ground: the windows that wait, next one last, and how it has gone lately.

    None in the queue says that all are done.
    """

    client: Client
    waiting: list[Window]
    done: "asyncio.Queue[Result | None]" = field(default_factory=lambda: asyncio.Queue(QUEUE_SIZE))
    failed_in_a_row: int = 0
    last_error: str = ""

    @property
    def observer(self) -> Observer | None:
        return self.client.observer

    async def work(self) -> None:
        """Take windows until there are none."""
        while self.waiting:
            window = self.waiting.pop()
            if self.failed_in_a_row >= self.client.settings.give_up_after:
                reason = f"not asked: {self.failed_in_a_row} windows in a row had failed, the last: {self.last_error}"
                await self.done.put(Failure(window, reason, asked=False))
            elif (result := await self.fetched(window)) is not None:
                await self.done.put(result)

    async def fetched(self, window: Window) -> Result | None:
        """The window's response or failure; None when its halves are asked instead."""
        try:
            response = await self.client.fetch(window)
        except RefusedError as error:
            if error.status == HTTPStatus.BAD_REQUEST and len(window.span()) >= SHORTEST_TO_HALVE:
                self.waiting += reversed(window.halves())
                if self.observer:
                    self.observer.split(window)
                return None
            return self.failure(window, error)
        except TransientError as error:
            return self.failure(window, error)
        self.failed_in_a_row = 0
        if self.observer:
            self.observer.received(response)
        return response

    def failure(self, window: Window, error: Exception) -> Failure:
        self.failed_in_a_row += 1
        self.last_error = str(error)
        failure = Failure(window, self.last_error)
        if self.observer:
            self.observer.failed(failure)
        return failure


def unreachable(failures: Sequence[Failure]) -> ApiUnavailableError:
    """The error of a run whose windows were not all received."""
    asked = [failure for failure in failures if failure.asked]
    return ApiUnavailableError(
        f"{len(failures)} window(s) could not be fetched, the last asked because of: {asked[-1].error}; "
        "what came is kept, run again later for the rest."
    )
