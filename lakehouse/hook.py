"""Tells a program or a webhook when runs fail or data is late, and when that is over: once per state, not per run.

What was told last stands in a small file beside the root. A hook that hangs or fails is one warning, and the same
event is tried again after the next run; it never changes how a command ends.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lakehouse import __version__
from lakehouse.clock import machine_clock
from lakehouse.errors import ExitCode, LakehouseError
from lakehouse.messages.endings import INTERRUPTED
from lakehouse.messages.text import brief, without_logins
from lakehouse.messages.wording import counted
from lakehouse.settings import Settings
from lakehouse.settings.sections import HookSettings

log = logging.getLogger(__name__)

NO_STATE = frozenset({ExitCode.USAGE, ExitCode.LOCKED, INTERRUPTED})
"""Exit codes that say nothing about the lake: a wrong call, another writer, somebody's Ctrl-C."""
LONGEST_WAIT = 4.0
"""Seconds between two attempts at most; they begin with one."""
WAIT_FOR_OTHERS = 30.0
"""Seconds that a command waits while another one tells something."""


class HookError(LakehouseError):
    """The program or the webhook could not be told."""


@dataclass(frozen=True)
class Told:
    """What the hook was told last: the commands that fail, each with the time of its first failure, and what of the
    lake is broken by its name (a layer, a table).
    """

    failing: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[str, ...] = ()


Event = Mapping[str, Any]
Decision = tuple[Event | None, Told]


def command_ended(settings: Settings, command: str, code: int, error: str | None) -> None:
    """Tell that a command has begun to fail, or ends well again; ``error`` is its sentence."""

    def decide(told: Told) -> Decision:
        was_failing = command in told.failing
        if code in NO_STATE or was_failing == (code != ExitCode.OK):
            return None, told
        others = {name: since for name, since in told.failing.items() if name != command}
        if code == ExitCode.OK:
            since = told.failing[command]
            text = f"`lakehouse {command}` ends well again; it had failed since {since}."
            return _event(settings, "run_recovered", text, command=command, since=since), Told(others, told.broken)
        now = _now()
        text = f"`lakehouse {command}` failed ({code}): {error}"
        event = _event(settings, "run_failed", text, command=command, exit_code=code, error=error)
        return event, Told({**others, command: now}, told.broken)

    _tell(settings, decide)


def checked(settings: Settings, broken: Mapping[str, str]) -> None:
    """Tell that something of the lake has begun to be broken (a target of freshness, a table), or that nothing is.

    ``broken``: a sentence by the name of each.
    """

    def decide(told: Told) -> Decision:
        now = Told(told.failing, tuple(sorted(broken)))
        if set(broken) - set(told.broken):
            text = "; ".join(broken.values())
            return _event(settings, "check_failed", f"{text}.", broken=dict(broken)), now
        if told.broken and not broken:
            text = f"All is well again with {', '.join(told.broken)}."
            return _event(settings, "check_recovered", text, recovered=list(told.broken)), now
        return None, now

    _tell(settings, decide)


def _event(settings: Settings, name: str, text: str, **more: Any) -> Event:
    """The document that is sent; ``text`` is what chat services show."""
    root, host = without_logins(settings.root), socket.gethostname()
    said = {"text": without_logins(f"Lake {root} on {host}: {text}"), "event": name, "at": _now()}
    return {**said, "root": root, "host": host, "version": __version__, **more}


def _now() -> str:
    return f"{machine_clock():%Y-%m-%dT%H:%M:%SZ}"


def _tell(settings: Settings, decide: Callable[[Told], Decision]) -> None:
    if not settings.hook.is_set:
        return
    place = settings.beside(".hook.json")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock", timeout=WAIT_FOR_OTHERS):
            told = _read(place)
            event, now = decide(told)
            if event is not None:
                _deliver(settings.hook, event)
                log.info("hook told: %s", event["text"])
            if now != told:
                _write(place, now)
    except (HookError, OSError, Timeout) as error:
        why = "another command is telling something" if isinstance(error, Timeout) else str(error).rstrip(".")
        log.warning("The hook could not be told: %s; the next run tries again.", without_logins(why))


def _read(place: Path) -> Told:
    try:
        found = json.loads(place.read_bytes())
        return Told(dict(found["failing"]), tuple(found["broken"]))
    except FileNotFoundError:
        return Told()
    except (ValueError, KeyError, TypeError):
        raise HookError(f"{place} does not hold what the hook was told last; remove it") from None


def _write(place: Path, told: Told) -> None:
    fresh = place.with_name(place.name + ".new")
    fresh.write_text(json.dumps(asdict(told)))
    os.replace(fresh, place)


def _deliver(chosen: HookSettings, event: Event) -> None:
    """Send the event, with as many attempts as are set.

    Raises:
        HookError: none of them succeeded.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

    send = _call if chosen.command else _post
    attempts = Retrying(
        stop=stop_after_attempt(chosen.attempts),
        wait=wait_exponential(max=LONGEST_WAIT),
        retry=retry_if_exception_type(HookError),
        reraise=True,
    )
    try:
        attempts(send, chosen, json.dumps(event).encode())
    except HookError as error:
        raise HookError(f"{error} ({counted(chosen.attempts, 'attempt')})") from error


def _call(chosen: HookSettings, body: bytes) -> None:
    """Start the program in a process group of its own, which is ended with it when it takes too long."""
    program = chosen.command[0]
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(  # noqa: S603 (the user's own)
                chosen.command, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True
            )
        except OSError as error:
            raise HookError(f"hook.command cannot start {program!r}: {error.strerror}") from None
        try:
            process.communicate(body, timeout=chosen.timeout_seconds)
        except subprocess.TimeoutExpired:
            raise HookError(f"{program!r} did not end within {chosen.timeout_seconds:g} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode != 0:
            said.seek(0)
            words = brief(said.read(4096).decode("utf-8", "replace"))
            raise HookError(f"{program!r} ended with {process.returncode}{f': {words}' if words else ''}")


def _post(chosen: HookSettings, body: bytes) -> None:
    """Post it. Where a webhook sends one elsewhere is not followed: the token is for the address that is set."""
    import asyncio

    asyncio.run(_posted(_address(chosen), _headers(chosen), body, chosen.timeout_seconds))


async def _posted(address: str, headers: Mapping[str, str], body: bytes, seconds: float) -> None:
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.post(address, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status >= 300:
                raise HookError(f"The webhook answered {answer.status}")
    except TimeoutError:
        raise HookError(f"The webhook did not answer within {seconds:g} s") from None
    except (aiohttp.InvalidURL, ValueError):  # whose text is the address, which may be a secret
        raise HookError("The webhook's address is no address; correct hook.url or hook.url_file") from None
    except aiohttp.ClientError as error:
        raise HookError(f"The webhook cannot be reached: {error}") from None


def _address(chosen: HookSettings) -> str:
    if chosen.url_file is not None:
        return _secret(chosen.url_file, "hook.url_file")
    return chosen.url.get_secret_value() if chosen.url else ""


def _headers(chosen: HookSettings) -> dict[str, str]:
    token = {} if chosen.token_file is None else {"Authorization": f"Bearer {_secret(chosen.token_file, 'token_file')}"}
    return {"Content-Type": "application/json", "User-Agent": f"lakehouse/{__version__}", **token}


def _secret(file: Path, name: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise HookError(f"{name} {file} cannot be read: {getattr(error, 'strerror', None) or 'no UTF-8'}") from None
