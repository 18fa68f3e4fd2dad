"""Events on their way: a thread of its own sends them, so that a slow or silent server holds up no stage."""

from queue import SimpleQueue
from threading import Thread

from openlineage.client.event_v2 import RunEvent
from openlineage.client.transport.transport import Transport

from lakehouse.messages.text import without_logins
from lakehouse.messages.wording import counted, in_one_line


class Delivery:
    """Sends events in the order in which they are given, one try each."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._waiting: SimpleQueue[RunEvent | None] = SimpleQueue()
        self._given = self._sent = 0
        self._reason: str | None = None
        self._is_over = False
        self._thread = Thread(target=self._work, name="lineage", daemon=True)  # one that hangs must not hold the exit
        self._thread.start()

    def send(self, event: RunEvent) -> None:
        """Hand an event over; returns at once."""
        self._given += 1
        self._waiting.put(event)

    def close(self, patience: float) -> str | None:
        """Wait at most ``patience`` seconds for what is on its way; a sentence says what was not sent, None if all was.

        What has not been sent by then is given up.
        """
        self._waiting.put(None)
        self._thread.join(patience)
        self._is_over = True
        missing = self._given - self._sent
        if not missing:
            return None
        reason = self._reason or f"no answer in {patience:g} s"
        return f"{missing} of {counted(self._given, 'lineage event')} could not be sent: {reason}"

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None and not self._is_over:
            try:
                self._transport.emit(event)
                self._sent += 1
            except Exception as error:  # noqa: BLE001 (whatever it is, the run is worth more than its events)
                self._reason = what(error)
        self._transport.close()


def what(error: Exception) -> str:
    """What an error of this package's says, without its full stop; ``endings`` would wait for a JVM that is well."""
    return without_logins(in_one_line(str(error)) or type(error).__name__).rstrip(".")
