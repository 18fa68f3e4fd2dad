"""The way to the API: its address, and the proxy between, as the environment names it. No login shows anywhere."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

from lakehouse.errors import UsageError
from lakehouse.ingestion.source import checked_url, is_host, is_loopback
from lakehouse.messages.text import is_storable
from lakehouse.settings.sections import ApiSettings

if TYPE_CHECKING:
    from yarl import URL

_FORM = "http://USER:PASSWORD@HOST:PORT, with an @ in the password as %40"


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and its login if it has one; ``repr`` shows neither user nor password."""

    address: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Access:
    """The API's address, checked, and the proxy on the way to it."""

    url: "URL"
    proxy: Proxy | None

    @classmethod
    def of(cls, settings: ApiSettings) -> "Access":
        """By the settings and the environment; asks nobody.

        Raises:
            UsageError: one of them cannot be used.
        """
        if not settings.user_agent.isprintable():
            raise UsageError(
                "LAKEHOUSE_API__CONTACT holds a character that no header can: write an address to mail to."
            )
        url = checked_url(settings.url)
        return cls(url, None if is_loopback(url.host or "") else proxy_for(url))


def proxy_for(url: "URL") -> Proxy | None:
    """The proxy for an address, None for none: ``HTTPS_PROXY`` or else ``ALL_PROXY``, unless ``NO_PROXY`` names it.

    As for curl, an address without a scheme is one with ``http://``.

    Raises:
        UsageError: it is no address of an HTTP proxy; nothing of it is quoted, as any part may be a password.
    """
    stated = getproxies()
    name = next((name for name in (url.scheme, "all") if stated.get(name)), None)
    if name is None or proxy_bypass(url.host or ""):
        return None
    from yarl import URL  # with what it needs 10 ms, which commands that ask nobody save

    wrong = UsageError(f"{name.upper()}_PROXY is not the address of an HTTP proxy: write {_FORM}, or unset it.")
    text = stated[name]
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
        user, password = proxy.user or "", proxy.password or ""
    except ValueError:
        raise wrong from None
    if proxy.scheme not in ("http", "https") or not is_host(proxy) or ":" in user or not is_storable(text):
        raise wrong
    return Proxy(str(proxy.origin()), user or None, password or None)
