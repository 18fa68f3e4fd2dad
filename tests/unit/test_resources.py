"""Files that are not Python, where the package is imported from a wheel that is not installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
ASKED = """
from lakehouse import resources
conf = resources.path("conf")
print(conf, (conf / "base.toml").read_text(), resources.path("spark-defaults.conf").read_text(), sep="|", end="")
"""


def test_are_unpacked_while_the_process_lives(tmp_path: Path) -> None:
    wheel = tmp_path / "lakehouse-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for name in ("lakehouse/__init__.py", "lakehouse/resources.py"):
            file.write(PROJECT / name, name)
        file.writestr("lakehouse/resources/spark-defaults.conf", "spark.x 1")
        file.writestr("lakehouse/resources/conf/base.toml", "root = 'here'")
    variables = {**os.environ, "PYTHONPATH": str(wheel), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
    )
    place, *texts = done.stdout.split("|")
    assert texts == ["root = 'here'", "spark.x 1"]
    assert Path(place).is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == [wheel]
