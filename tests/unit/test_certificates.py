"""Certificates of the user's own are trusted beside those that were trusted before, and not in their place."""

import ssl
from pathlib import Path

import pytest

from lakehouse import resources
from lakehouse.errors import UsageError
from lakehouse.settings import certificates

ONE, TWO = (f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----" for text in ("b25l", "dHdv"))


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resources, "path", lambda name: tmp_path / name)
    file = tmp_path / "standing.pem"
    file.write_text(ONE + "\n")
    monkeypatch.setenv(certificates.VARIABLE, str(file))
    return file


def test_both_are_in_the_bundle_and_a_second_one_changes_nothing(
    standing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (added := tmp_path / "added.pem").write_text(f"what it is\n{TWO}\n")
    made = certificates.bundle(added)
    assert made != standing
    assert [ONE in made.read_text(), TWO in made.read_text()] == [True, True]
    assert certificates.bundle(added) == made
    monkeypatch.setenv(certificates.VARIABLE, str(made))
    assert certificates.bundle(added) == made
    assert ssl.get_default_verify_paths().cafile == str(made)


def test_a_file_without_a_certificate_is_refused(standing: Path, tmp_path: Path) -> None:
    (added := tmp_path / "added.pem").write_text("no certificate")
    with pytest.raises(UsageError, match=r"added\.pem holds no certificate; it is to be PEM text\."):
        certificates.bundle(added)
    with pytest.raises(UsageError, match=r"The certificates in .*gone\.pem cannot be read"):
        certificates.bundle(tmp_path / "gone.pem")
