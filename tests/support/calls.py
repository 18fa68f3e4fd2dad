"""The command line called in this process."""

from collections.abc import Callable

import pytest

from lakehouse import cli

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command in this process: ``(exit code, stdout, stderr)``."""

    def made(*arguments: str, **variables: str) -> tuple[int, str, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = cli.exit_code(list(arguments))
        said = capfd.readouterr()
        return code, said.out, said.err

    return made
