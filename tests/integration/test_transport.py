"""Answers whose bytes no HTTP library would send: what is good in them is kept, the rest has a sentence."""

import gzip
import ssl
import subprocess
import zlib
from http.client import responses
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.errors import ApiUnavailableError, LakehouseError, UsageError
from lakehouse.ingestion.access import Access, Proxy
from lakehouse.ingestion.api import Client, Failure
from lakehouse.ingestion.bronze import Response
from lakehouse.ingestion.fetching import unreachable
from lakehouse.ingestion.ingest import ARROW
from lakehouse.ingestion.retries import RefusedError, TransientError, check_status, proxy_refusal, retry_after
from lakehouse.ingestion.source import check_source, clock_of
from lakehouse.ingestion.unpacking import Body
from lakehouse.settings.sections import ApiSettings
from lakehouse.windows import Span, plan
from tests.support.api_fixtures import NOW, WINDOW, collected
from tests.support.raw_server import answering, message
from tests.support.times import at

GOOD = b'{"data":[{"from":"2024-01-02T00:30Z","to":"2024-01-02T01:00Z","regions":[]}]}'
HALF = len(GOOD) // 2
PUBLIC = "https://api.example.org"


async def asked(reply: bytes, **settings: object) -> Response:
    """The response to one attempt at a server that always answers so."""
    async with answering(lambda _: reply) as port, client_of(f"http://127.0.0.1:{port}", **settings) as client:
        return await client.fetch(WINDOW)


def client_of(url: str, **settings: object) -> Client:
    return Client(ApiSettings(**{"url": url, "requests_per_second": 0, "attempts": 1, **settings}), lambda: NOW)


@pytest.fixture(autouse=True)
def no_proxy_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# --- good answers in strange wrappings


@pytest.mark.parametrize(
    ("reply", "header"),
    [
        (message(GOOD, b"Via: 1.1 b\xfcro (squid)"), ("via", "1.1 büro (squid)")),
        (message(GOOD, "Via: 1.1 büro".encode()), ("via", "1.1 büro")),
        (message(GOOD, b"Set-Cookie: a=\xff\xfe; Domain=.example"), ("set-cookie", "a=ÿþ; Domain=.example")),
        (message(GOOD, b"X-Debug: " + b"a" * 20_000), ("x-debug", "a" * 20_000)),
        (message(GOOD, b"X-Simulator-Now: 0001-01-01T00:00+14:00"), ("x-simulator-now", "0001-01-01T00:00+14:00")),
        (message(GOOD, status=b"200 D'accord \xe9"), ("connection", "close")),
        (message(GOOD, b"Content-Encoding: none"), ("content-encoding", "none")),
        (message(gzip.compress(GOOD), b"Content-Encoding: gzip, identity"), ("content-encoding", "gzip, identity")),
        (message(zlib.compress(GOOD), b"Content-Encoding: deflate"), ("content-encoding", "deflate")),
        (
            message(gzip.compress(GOOD[:HALF]) + gzip.compress(GOOD[HALF:]), b"Content-Encoding: gzip"),
            ("content-encoding", "gzip"),
        ),
        (message(gzip.compress(GOOD) + b"\0" * 9, b"Content-Encoding: gzip"), ("content-encoding", "gzip")),
    ],
    ids=range(11),
)
async def test_keeps_a_good_answer_whatever_stands_around_it(reply: bytes, header: tuple[str, str]) -> None:
    response = await asked(reply)
    assert response.body == GOOD
    row = response.row(source="s", landing=1, run_id="r")
    assert header in pa.Table.from_pylist([row], ARROW).column("headers").to_pylist()[0]


# --- and bad ones


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (message(b"oops", status=b"503 Dienst nicht verf\xfcgbar"), "HTTP 503 Dienst nicht verfügbar"),
        (message(b"oops", status="503 停止".encode()), "HTTP 503 停止"),
        (message(b"oops", status=b"403 Acc\xe8s refus\xe9"), "HTTP 403 Accès refusé"),
        (
            message(b"", b"Location: http://jo:s3cret@portal.example/caf\xe9?token=s3cret", status=b"302 Found"),
            "HTTP 302 Found: it redirects to http://***@portal.example/café",
        ),
        (message(b"", status=b"302 Found"), "HTTP 302 Found: it redirects to nowhere"),
        (message(b"", status=b"503 " + b"a" * 9_000), f"HTTP 503 {'a' * 200}…"),
        (b"\x00\x01 no http\r\n\r\n", "the answer is not valid HTTP (Bad status line)"),
        (b"", "the connection ended before an answer came"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12x\r\n\r\n{}", "the answer is not valid HTTP (Invalid character in C"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{", "the answer broke off (Not enough data to satisfy content"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n" + GOOD,
            "the answer is not valid HTTP (Data after `Connection: close`)",
        ),
        (message(GOOD, b"Content-Encoding: b\xfc"), "the answer is packed as 'bü', which was not asked for"),
        (message(GOOD, b"Content-Encoding: gzip, gzip"), "the answer is packed as 'gzip, gzip', which was"),
        (message(GOOD, b"Content-Encoding: gzip"), "the answer cannot be unpacked (Error -3"),
        (message(gzip.compress(GOOD) + b"rest", b"Content-Encoding: gzip"), "the answer cannot be unpacked (Error -3"),
        (
            message(gzip.compress(GOOD) + gzip.compress(GOOD)[:9], b"Content-Encoding: gzip"),
            "the packed answer does not end where it should",
        ),
    ],
    ids=range(16),
)
async def test_has_a_sentence_for_a_bad_answer(reply: bytes, sentence: str) -> None:
    with pytest.raises((TransientError, RefusedError)) as caught:
        await asked(reply)
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    assert "s3cret" not in str(caught.value)


def test_bounds_what_many_members_unpack_to() -> None:
    with pytest.raises(RefusedError, match="larger than"):
        Body("gzip", 1000).add(gzip.compress(b"0" * 400) * 3)
    with pytest.raises(RefusedError, match="larger than"):
        Body("gzip", 1000).add(gzip.compress(b"") * 100)


@pytest.mark.parametrize(
    "date", [f"Wed, 01 Jan {'9' * 20} 00:00:00 GMT", f"Wed, 01 Jan 2026 00:00:00 +{'9' * 20}", "\udcff"]
)
def test_reads_no_date_out_of_nonsense(date: str) -> None:
    assert retry_after({"Retry-After": date}, NOW) is None
    assert retry_after({"Retry-After": "Fri, 05 Jan 2024 00:00:30 GMT", "Date": date}, NOW) == 30


def test_takes_the_machines_clock_where_a_simulators_cannot_be() -> None:
    assert clock_of({"X-Simulator-Now": "9999-12-31T23:59-14:00"}, lambda: NOW) == NOW


# --- what waiting does not cure


@pytest.mark.parametrize(
    ("status", "is_lasting"),
    [(301, True), (302, False), (308, True), (401, True), (403, False), (404, False), (407, True), (511, True)],
)
def test_tells_apart_what_waiting_does_not_cure(status: int, is_lasting: bool) -> None:
    with pytest.raises(RefusedError) as caught:
        check_status(status, responses[status], {}, NOW)
    assert caught.value.lasting is is_lasting


@pytest.mark.parametrize(("status", "kind"), [(403, RefusedError), (407, RefusedError), (429, TransientError)])
def test_tells_apart_what_a_proxy_says(status: int, kind: type[Exception]) -> None:
    assert type(proxy_refusal(status, "b\udcfcro")) is kind
    assert "büro" in str(proxy_refusal(status, "b\udcfcro"))
    assert type(proxy_refusal(502, None)) is TransientError


@pytest.mark.parametrize(
    ("reply", "code", "sentence"),
    [
        (
            b"HTTP/1.1 407 Login, s'il vous pla\xeet\r\n\r\n",
            1,
            "the proxy said HTTP 407 Login, s'il vous plaît: a proxy",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", 1, "the proxy said HTTP 403 Forbidden: it does not let this machine"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", 4, "the proxy said HTTP 502 Bad Gateway"),
        (b"", 4, "the connection ended before an answer came"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_asks_through_a_proxy_and_names_no_login(
    monkeypatch: pytest.MonkeyPatch, variable: str, reply: bytes, code: int, sentence: str
) -> None:
    heads: list[bytes] = []
    async with answering(lambda head: heads.append(head) or reply) as port:  # type: ignore[func-returns-value]
        monkeypatch.setenv(variable, f"jo:s3%40cret@127.0.0.1:{port}")
        async with client_of(PUBLIC, concurrency=1) as client:
            windows = plan([Span(at("2024-01-02T00:00"), at("2024-01-02T02:00"))], 1)
            failures = [lost for lost in await collected(client, windows) if isinstance(lost, Failure)]
            with pytest.raises(LakehouseError) as caught:
                await client.identify()
    assert heads[0].startswith(b"CONNECT api.example.org:443 ")
    assert b"Proxy-Authorization: Basic am86czNAY3JldA==" in heads[0]  # jo:s3@cret
    assert len(heads) == (2 if code == 1 else 5)  # a login that is wrong is not tried for every window
    error = unreachable(failures)
    assert (error.exit_code, caught.value.exit_code, type(error) is type(caught.value)) == (code, code, True)
    assert sentence in str(error)
    assert ("try again later" in str(caught.value), "run again later" in str(error)) == (code == 4, code == 4)
    for told in (str(error), str(caught.value), repr(client), *(repr(lost) for lost in failures)):
        assert not {"s3", "am86", "jo:"} & {part for part in ("s3", "am86", "jo:") if part in told}


async def test_names_the_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "jo:s3cret@127.0.0.1:9")
    async with client_of(PUBLIC) as client:
        with pytest.raises(ApiUnavailableError, match=r"no connection to the proxy 127\.0\.0\.1:9") as caught:
            await client.identify()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("stated", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("http://proxy.example:3128")),
        ("proxy.example:3128/", Proxy("http://proxy.example:3128")),
        ("jo:s3cret@proxy.example:3128", Proxy("http://proxy.example:3128", "jo", "s3cret")),
        ("https://jo@[::1]:3128", Proxy("https://[::1]:3128", "jo")),
        ("http://jo:%E2%82%AC%40@proxy.example", Proxy("http://proxy.example", "jo", "€@")),
    ],
)
def test_reads_a_proxy_as_curl_does(monkeypatch: pytest.MonkeyPatch, stated: str, proxy: Proxy) -> None:
    monkeypatch.setenv("HTTPS_PROXY", stated)
    assert Access.of(ApiSettings(url=PUBLIC)).proxy == proxy
    assert "s3cret" not in repr(Access.of(ApiSettings(url=PUBLIC)))
    assert Access.of(ApiSettings(url="https://localhost:1")).proxy is None
    monkeypatch.setenv("NO_PROXY", "example.org")
    assert Access.of(ApiSettings(url=PUBLIC)).proxy is None


@pytest.mark.parametrize(
    "stated",
    [
        "socks5://jo:s3cret@proxy.example:1080",
        "jo:s3#cret@proxy.example:3128",
        "jo:s3/cret@proxy.example:3128",
        "http://jo:s3cret@proxy.example:s3cret",
        "http://jo:s3cret@proxy.example:0",
        "http://jo:s3cret@pro..xy",
        "http://j%3Ao:s3cret@proxy.example",
        "http://jo:s3cret\udcff@proxy.example",
        "jo:s3cret@",
        "http://",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_refuses_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, variable: str, stated: str) -> None:
    monkeypatch.setenv(variable, stated)
    with pytest.raises(UsageError, match=f"{variable.upper()} is not the address of an HTTP proxy") as caught:
        Access.of(ApiSettings(url=PUBLIC))
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("https://a..b", "https://.org", f"https://{'x' * 64}.org", f"https://{'é' * 64}.org", "https://ho st"),
        *("https://h:0", "https://h:65536", "https://h:port", "https://h:1:2", "https://[::1", "https://", ""),
        *("https://h\x00", "https://h\x1b[31m", "https://h\udcff", "https://h/\udcff", "https://xn--a..b"),
        *("jo:s3cret@h", "ftp://jo:s3cret@h", "http://jo:s3cret@h", "https://jo:s3cret@h:port", "https://h/?k=s3cret"),
    ],
)
def test_refuses_an_address_and_quotes_nothing_of_it(url: str) -> None:
    with pytest.raises(UsageError, match="LAKEHOUSE_API__URL") as caught:
        Access.of(ApiSettings(url=url))
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("contact", ["a\nb", "a\x1b", "\udcff"])
def test_refuses_a_contact_that_no_header_holds(contact: str) -> None:
    with pytest.raises(UsageError, match="LAKEHOUSE_API__CONTACT"):
        Access.of(ApiSettings(url=PUBLIC, contact=contact))


@pytest.mark.parametrize("source", ["https://jo:s3cret@api.example.org", "https://api.example.org/?key=s3cret"])
def test_keeps_no_login_as_the_source_of_a_lake(source: str) -> None:
    with pytest.raises(UsageError, match="plain address") as caught:
        check_source(None, source, "lake")
    assert "s3cret" not in str(caught.value)


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's certificate for `localhost` that no authority has signed."""
    made = ("-keyout", tmp_path / "key", "-out", tmp_path / "crt", "-subj", "/CN=localhost")
    kind = ("-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2")
    subprocess.run(["openssl", "req", *kind, *map(str, made)], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    return tls


async def test_says_that_a_certificate_is_not_trusted(self_signed: ssl.SSLContext) -> None:
    async with (
        answering(lambda _: message(b"{}"), self_signed) as port,
        client_of(f"https://localhost:{port}") as client,
    ):
        with pytest.raises(LakehouseError, match=r"certificate that localhost shows is not trusted .*self") as caught:
            await client.identify()
        with pytest.raises(RefusedError) as refused:
            await client.fetch(WINDOW)
    assert (caught.value.exit_code, refused.value.lasting) == (1, True)
    assert "SSL_CERT_FILE" in str(caught.value)


def test_says_later_only_where_waiting_helps() -> None:
    passing, lasting = Failure(WINDOW, "HTTP 503"), Failure(WINDOW, "HTTP 407", lasting=True)
    assert [unreachable(some).exit_code for some in ([passing], [lasting], [lasting, passing])] == [4, 1, 1]
