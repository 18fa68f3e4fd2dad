"""Certificates of the user's own that are trusted beside the machine's: one file, in the forms that clients take.

Python and delta-rs read PEM (``SSL_CERT_FILE``), the JVM a key store.
"""

import hashlib
import re
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

from lakehouse import resources
from lakehouse.errors import UsageError

VARIABLE = "SSL_CERT_FILE"
PASSWORD = "changeit"  # noqa: S105 (every JDK's; what it guards is public)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def bundle(added: Path) -> Path:
    """A file with the certificates trusted now (``SSL_CERT_FILE``, else the machine's) and those of ``added``."""
    standing = ssl.get_default_verify_paths().cafile
    trusted, certificates = Path(standing).read_text(encoding="utf-8") if standing else "", _certificates(added)
    if standing and all(certificate in trusted for certificate in certificates):
        return Path(standing)
    text = "\n".join([trusted, *certificates]) + "\n"
    file = _place(text, "pem")
    if not file.is_file():
        _written(file, text)
    return file


def key_store(java_home: Path, added: Path) -> Path:
    """A key store with the JDK's certificates and those of ``added``."""
    standing = java_home / "lib" / "security" / "cacerts"
    certificates = _certificates(added)
    file = _place(f"{standing} {standing.stat().st_mtime_ns} {certificates}", "jks")
    if file.is_file():
        return file
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        made, one = Path(folder) / file.name, Path(folder) / "one.pem"
        shutil.copyfile(standing, made)
        for number, certificate in enumerate(certificates):
            one.write_text(certificate, encoding="utf-8")
            keytool = [str(java_home / "bin" / "keytool"), "-importcert", "-noprompt", "-storepass", PASSWORD]
            named = ["-alias", f"lakehouse-{number}", "-keystore", str(made), "-file", str(one)]
            done = subprocess.run([*keytool, *named], capture_output=True, text=True, check=False)  # noqa: S603 (the JDK's own)
            if done.returncode:
                raise UsageError(f"The JDK does not take a certificate of {added}: {done.stdout.strip()}")
        made.rename(file)
    return file


def _certificates(file: Path) -> list[str]:
    try:
        found = _CERTIFICATE.findall(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"The certificates in {file} cannot be read: {error}.") from None
    if not found:
        raise UsageError(f"{file} holds no certificate; it is to be PEM text.")
    return list(found)


def _place(content: str, ending: str) -> Path:
    folder = resources.path("spark-defaults.conf").parent / ".cache" / "certificates"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.{ending}"


def _written(file: Path, text: str) -> None:
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        made = Path(folder) / file.name
        made.write_text(text, encoding="utf-8")
        made.rename(file)
