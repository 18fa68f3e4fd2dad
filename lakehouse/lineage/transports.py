"""Where OpenLineage events go: a file, or a server that gets one try each."""

from typing import Any

from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider
from openlineage.client.transport.transport import Transport

from lakehouse.errors import UsageError
from lakehouse.settings.sections import LineageSettings

NO_RETRY: dict[str, Any] = {"total": 0, "redirect": 3, "status_forcelist": []}
"""A server that is down must not slow a run."""


def transport_of(settings: LineageSettings) -> Transport:
    """The transport that the settings name; it reads no variable of OpenLineage's own.

    Raises:
        UsageError: the file with the server's key cannot be read, or the address is none.
    """
    if settings.transport == "file":
        return FileTransport(FileConfig(log_file_path=str(settings.file), append=True))
    url = f"{str(settings.url).rstrip('/')}/"  # so that a path of the server's is kept
    try:
        return HttpTransport(HttpConfig(url=url, timeout=settings.timeout_seconds, auth=_key(settings), retry=NO_RETRY))
    except ValueError:
        raise UsageError("lineage.url is not an address such as https://lineage.example.org; correct it.") from None


def _key(settings: LineageSettings) -> TokenProvider:
    if settings.api_key_file is None:
        return TokenProvider({})
    try:
        return ApiKeyTokenProvider({"apiKey": settings.api_key_file.read_text(encoding="utf-8").strip()})
    except (OSError, KeyError) as error:
        reason = getattr(error, "strerror", None) or "it is empty"
        raise UsageError(f"The key file {settings.api_key_file} of lineage cannot be used: {reason}.") from None
