"""Running the page: Streamlit in this process, on loopback alone, until it is told to stop."""

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from lakehouse.dashboard import session
from lakehouse.errors import UsageError
from lakehouse.postgres import PostgresTarget, probe
from lakehouse.publishing.database import database
from lakehouse.settings import Settings

ADDRESS = "127.0.0.1"
SECRET = "postgres"  # noqa: S105 (a key of st.secrets)
PAGE = Path(__file__).with_name("app.py")
PAUSE_SECONDS = 0.05
OPTIONS = {
    "server.address": ADDRESS,
    "server.headless": True,
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.hideWelcomeMessage": True,
    "logger.level": "warning",
    "runner.magicEnabled": False,
}
"""Whatever a user's own Streamlit configuration says: no other machine gets in, nothing is reported or opened."""


def serve(settings: Settings, port: int, *, on_ready: Callable[[str], None]) -> None:
    """Serve the dashboard until SIGINT or SIGTERM; ``on_ready`` gets its URL once it answers. For the main thread.

    The embedded server runs meanwhile. Port 0 picks a free one.

    Raises:
        UsageError: Streamlit is not installed, the port is not to be had, or no export has made the embedded database.
        PostgresError: the database cannot be reached or read.
        LakehouseError: it holds no published tables.
    """
    if find_spec("streamlit") is None:
        raise UsageError(
            "The dashboard needs Streamlit, which is not installed: run `make setup EXTRAS=dashboard`, "
            "or `pip install '.[dashboard]'` in an environment of your own."
        )
    chosen = _free(port)
    with database(settings, must_exist=True) as at:
        target = probe(at.target)
        with session.reading(target):
            pass  # what is wrong with the database is said now, not in the browser

        import streamlit  # two seconds, which no refusal has to take

        @asynccontextmanager
        async def announced(_: object) -> AsyncIterator[None]:
            announcing = asyncio.create_task(_announce(chosen, on_ready))
            yield
            announcing.cancel()

        app = streamlit.App(PAGE, secrets={SECRET: as_secret(target)}, lifespan=announced)
        with suppress(KeyboardInterrupt):  # that is how it is stopped
            app.run(config={**OPTIONS, "server.port": chosen})


def as_secret(target: PostgresTarget) -> dict[str, str | int | bool]:
    """A login as ``st.secrets`` takes it, which knows no null."""
    return {name: value for name, value in dataclasses.asdict(target).items() if value is not None}


async def _announce(port: int, on_ready: Callable[[str], None]) -> None:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(ADDRESS, port)
            writer.close()
            break
        await asyncio.sleep(PAUSE_SECONDS)
    on_ready(f"http://{ADDRESS}:{port}")


def _free(port: int) -> int:
    """The port, or a free one for 0."""
    with socket.socket() as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((ADDRESS, port))
        except OSError as error:
            raise UsageError(
                f"The dashboard cannot listen on {ADDRESS}:{port} ({error.strerror}); choose another --port."
            ) from None
        return int(probing.getsockname()[1])
