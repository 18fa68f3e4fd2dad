"""Many windows through one client: several at a time, halved where refused as too long, and not for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from lakehouse.errors import ApiUnavailableError, LakehouseError
from lakehouse.ingestion.api import Client, Failure, Observer, UnusableError
from lakehouse.ingestion.bronze import Response
from lakehouse.ingestion.retries import RefusedError, TransientError
from lakehouse.messages.wording import counted
from lakehouse.windows import Window

SHORTEST_TO_HALVE = 49
"""Half-hours; a refused window of up to a day is refused for another reason than its length."""

Result = Response | Failure
Take = Callable[[Result], Awaitable[None]]


async def fetch_all(client: Client, windows: Sequence[Window], take: Take) -> None:
    """Hand every window's response or failure to ``take``, as they come; while it waits, its worker asks no more.

    After several failures in a row, or one that waiting does not cure, the windows left are not asked any more and are
    handed on as failures too. What has been received has been handed on, however this ends.
    """
    crew = _Crew(client, take, list(reversed(windows)))
    workers = [asyncio.create_task(crew.work()) for _ in range(client.settings.concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


@dataclass
class _Crew:
    """The workers' common ground: the windows that wait, next one last, and how it has gone lately."""

    client: Client
    take: Take
    waiting: list[Window]
    failed_in_a_row: int = 0
    last_error: str = ""
    is_hopeless: bool = False

    @property
    def observer(self) -> Observer | None:
        return self.client.observer

    async def work(self) -> None:
        """Take windows until there are none."""
        while self.waiting:
            window = self.waiting.pop()
            if (reason := self.why_no_more()) is not None:
                await self.take(Failure(window, f"not asked: {reason}", asked=False))
            elif (result := await self.fetched(window)) is not None:
                await self.take(result)

    def why_no_more(self) -> str | None:
        """Why no window is asked any more; None while they are."""
        if self.is_hopeless:  # a proxy may lock an account after some refused logins
            return f"another window had failed: {self.last_error}"
        if self.failed_in_a_row >= self.client.settings.give_up_after:
            return f"{self.failed_in_a_row} windows in a row had failed, the last: {self.last_error}"
        return None

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

    def failure(self, window: Window, error: TransientError | RefusedError) -> Failure:
        self.failed_in_a_row += 1
        lasting = isinstance(error, RefusedError) and error.lasting
        answer = error.response if isinstance(error, UnusableError) else None
        failure = Failure(window, str(error), lasting=lasting, response=answer)
        self.last_error, self.is_hopeless = failure.error, self.is_hopeless or failure.lasting
        if self.observer:
            self.observer.failed(failure)
        return failure


def unreachable(failures: Sequence[Failure]) -> LakehouseError:
    """The error of a run whose windows were not all received: by its class, whether to try again later."""
    what = f"{counted(len(failures), 'window')} could not be fetched"
    for failure in failures:
        if failure.lasting:
            return LakehouseError(
                f"{what} because of: {failure.error}; what came is kept, run again once that is mended."
            )
    asked = [failure for failure in failures if failure.asked]
    return ApiUnavailableError(
        f"{what}, the last asked because of: {asked[-1].error}; what came is kept, run again later for the rest."
    )
