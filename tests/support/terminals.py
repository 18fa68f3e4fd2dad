"""Terminals that keep what is written to them, and what a person sees of it in the end."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import LAKEHOUSE, PATIENCE_SECONDS, environment

CONTROL = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
"""What we and rich tell a terminal beside text: colours, cursor up, clear the line, cursor on and off."""


class Terminal(io.StringIO):
    """Text, of a stream that says it is a terminal; how wide it is says the variable ``COLUMNS``."""

    def isatty(self) -> bool:
        return True


def seen(written: str) -> list[str]:
    """The lines that stand on a terminal of unlimited size at the end, without colours."""
    lines, row, column, place = [""], 0, 0, 0
    while place < len(written):
        control = CONTROL.match(written, place)
        if control is not None:
            place = control.end()
            if control[2] == "A":
                row = max(0, row - int(control[1] or 1))
            elif control[2] == "K":
                lines[row] = ""
            else:
                assert control[2] in "mhl", control[0]
            continue
        character, place = written[place], place + 1
        if character == "\r":
            column = 0
        elif character == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1 :]
            column += 1
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip() for line in lines]


def on_terminal(
    root: str, *arguments: str, columns: int, program: Path = LAKEHOUSE, **variables: str
) -> tuple[int, str]:
    """Run a command to its end at a real terminal: its exit code, and all that it wrote there."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [program, *arguments],
        env=_plain({**environment(root), "TERM": "xterm-256color", **variables}),
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    written = bytearray()
    with open(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                part = terminal.read(65536)
            except OSError:  # how Linux says that the last one at the other end has gone
                break
            if not part:
                break
            written += part
    return process.wait(PATIENCE_SECONDS), written.decode().replace("\r\n", "\n")


def _plain(variables: Mapping[str, str]) -> dict[str, str]:
    """Without what would overrule the terminal's size and colours."""
    overruling = {"COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
    return {name: value for name, value in variables.items() if name not in overruling}
