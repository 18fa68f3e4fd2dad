"""What systemd is told (sd_notify(3)): ready, what goes on, progress for its watchdog, stopping."""

import socket

from lakehouse.settings import take_variable


class Notifier:
    """Sends lines to the socket of a unit of ``Type=notify``; without one it does nothing.

    The variable is taken out of the environment: the JVM must not speak for us.
    """

    def __init__(self) -> None:
        place = take_variable("NOTIFY_SOCKET")
        self._socket: socket.socket | None = None
        if place:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.connect("\0" + place[1:] if place.startswith("@") else place)

    def tell(self, *lines: str) -> None:
        """Send lines such as ``READY=1``."""
        if self._socket is not None:
            self._socket.sendall("\n".join(lines).encode())

    def close(self) -> None:
        """Send no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
