"""`status --check` as a monitor runs it: a process of its own, cold, without a JVM."""

from pathlib import Path

from tests.support.processes import lakehouse


def test_fails_with_3_where_there_is_no_data_and_starts_no_jvm(tmp_path: Path) -> None:
    done = lakehouse(str(tmp_path / "lake"), "status", "--check", JAVA_HOME="/nowhere")
    assert done.returncode == 3
    assert done.stderr.endswith("gold holds nothing yet.\n")
    assert "Traceback" not in done.stderr
