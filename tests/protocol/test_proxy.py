"""What a proxy is (F08, F09, B13), its errors (X2), and which of them are dialled again."""

from __future__ import annotations

import copy
import pickle
import ssl
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from httpcore_core._exceptions import (
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TransportError,
    WriteError,
)
from httpcore_core._models import Origin
from httpcore_core._protocol.proxy_auth import BasicProxyAuth, DigestProxyAuth, ProxyAuth
from httpcore_core._protocol.retry import may_redial
from httpcore_core._proxy import Proxy, as_proxy, proxy_extension, proxy_fields

SECRET = "5ecret"  # stands in every credential below, and in no text
BASIC = b"Basic dXNlcjo1ZWNyZXQ="  # user:5ecret


def basic_of(proxy: Proxy) -> bytes | None:
    """What an HTTP proxy is sent unasked."""
    assert isinstance(proxy.auth, ProxyAuth)
    return next(proxy.auth.flow(b"CONNECT", b"example.com:443"))


def refused(make: Callable[[], object], kind: type[Exception] = ValueError) -> str:
    """The text of the error that `make` raises; neither it nor its causes tell a secret."""
    with pytest.raises(kind) as caught:
        make()
    assert type(caught.value) is kind
    everything = "".join(traceback.format_exception_only(caught.value))
    error: BaseException | None = caught.value
    while error is not None:
        everything += f"{error}{error!r}"
        error = error.__cause__ or error.__context__
    assert SECRET not in everything
    assert str(caught.value)
    return str(caught.value)


# The URL


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://proxy.example", (b"http", b"proxy.example", 80)),
        ("https://proxy.example", (b"https", b"proxy.example", 443)),
        ("socks5://proxy.example", (b"socks5", b"proxy.example", 1080)),
        ("socks5h://proxy.example", (b"socks5h", b"proxy.example", 1080)),
        ("http://proxy.example:3128", (b"http", b"proxy.example", 3128)),
        ("http://proxy.example:3128/", (b"http", b"proxy.example", 3128)),
        ("HTTP://Proxy.EXAMPLE:3128", (b"http", b"proxy.example", 3128)),
        (b"http://127.0.0.1:65535", (b"http", b"127.0.0.1", 65535)),
        ("https://[::1]", (b"https", b"::1", 443)),
        ("socks5://[2001:DB8:0::1]:1", (b"socks5", b"2001:db8::1", 1)),
        ("http://user:5ecret@[::1]:8080", (b"http", b"::1", 8080)),
    ],
)
def test_x1_url_and_default_ports(url: str | bytes, origin: tuple[bytes, bytes, int]) -> None:
    assert Proxy(url).origin == Origin(*origin)


@pytest.mark.parametrize(
    "url",
    [
        "", "proxy.example", "proxy.example:3128", "//proxy.example", "http:proxy.example",
        "http://", "http://:3128", "http:///", "http://user:5ecret@", "http://user:5ecret@:80",
        "ftp://user:5ecret@proxy.example", "socks4://proxy.example", "socks://proxy.example",
        "http+unix://proxy.example", "://proxy.example",
        "http://proxy.example/path", "http://proxy.example?query", "http://proxy.example#5ecret",
        "http://proxy.example//", "http://user:5ecret@proxy.example/path",
        "http://proxy.example:", "http://proxy.example:0", "http://proxy.example:65536",
        "http://proxy.example:-1", "http://proxy.example:+80", "http://proxy.example:8 0",
        "http://proxy.example:808080", "http://proxy.example:5ecret",
        "http://user:5ecret", "http://user:5ecret@proxy.example:x", "http://u%3A5ecret%40p:80",
        " http://proxy.example", "http://proxy.example ", "http://proxy.example\n",
        "http://proxy example", "http://proxy.example\x00", "http://proxy.example\r\nX: y",
        "http://-proxy..example", "http://[::1", "http://::1", "http://[::1]x", "http://[]",
        "http://[fe80::1%25eth0]:3128", "http://[proxy.example]", "http://127.1", "http://0x7f.1",
        "http://us\xe9r:5ecret@proxy.example", "http://pr\xf6xy.example",
        b"http://pr\xc3\xb6xy.example", b"http://pr\xffxy.example", "http://pr%6fxy.example",
    ],
)  # fmt: skip
def test_f08_illegal_urls(url: str | bytes) -> None:
    """An error shows up where the proxy is made, and never what may be a secret."""
    refused(lambda: Proxy(url))


@pytest.mark.parametrize("value", [False, 3128, ("http", "proxy.example"), bytearray(b"http://p")])
def test_what_is_no_url(value: Any) -> None:
    refused(lambda: Proxy(value), TypeError)
    refused(lambda: as_proxy(value), TypeError)
    refused(lambda: proxy_extension(value), LocalProtocolError)


def test_the_option_and_the_extension_take_a_url_a_proxy_or_none() -> None:
    proxy = Proxy("http://proxy.example")
    for read in (as_proxy, proxy_extension):
        assert read(None) is None
        assert read(proxy) is proxy
        assert read("http://proxy.example") == read(b"http://proxy.example") == proxy
    refused(lambda: proxy_extension("http://user:5ecret@proxy.example/x"), LocalProtocolError)
    refused(lambda: proxy_extension(""), LocalProtocolError)


def test_f16_who_resolves_names() -> None:
    names = {scheme: Proxy(f"{scheme}://p").resolves_names for scheme in ("http", "https")}
    assert names == {"http": True, "https": True}
    assert Proxy("socks5h://p").resolves_names
    assert not Proxy("socks5://p").resolves_names
    assert Proxy("socks5://p").is_socks
    assert Proxy("socks5h://p").is_socks
    assert not Proxy("https://p").is_socks


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks_needs_its_extra(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused(lambda: Proxy(f"{scheme}://user:5ecret@p"), ImportError)
    refused(lambda: proxy_extension(f"{scheme}://user:5ecret@p"), LocalProtocolError)
    assert Proxy("http://p").auth is None


def test_an_ssl_context_is_for_https_only() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert Proxy("https://p", ssl_context=context).ssl_context is context
    for url in ("http://p", "socks5://p"):
        refused(lambda url=url: Proxy(url, ssl_context=context))  # type: ignore[misc]


# Credentials


@pytest.mark.parametrize(
    ("info", "pair"),
    [
        ("user:5ecret", (b"user", b"5ecret")),
        ("u%73er:%35ecret", (b"user", b"5ecret")),
        ("user:a%3Ab%40c%2fd%25", (b"user", b"a:b@c/d%")),
        ("user:a:b@c/d?e#f", (b"user", b"a:b@c/d?e#f")),
        ("user:%C3%A9%FF", (b"user", b"\xc3\xa9\xff")),
        ("user%20x:y%20z", (b"user x", b"y z")),
        ("user:a+b", (b"user", b"a+b")),  # a form's plus sign is none here
        ("user:100%", (b"user", b"100%")),
    ],
)
def test_f08_credentials_in_the_url_are_percent_decoded(
    info: str, pair: tuple[bytes, bytes]
) -> None:
    """The user name ends at the first colon, the userinfo at the last "@"."""
    assert Proxy(f"socks5://{info}@p").auth == pair
    assert Proxy(f"http://{info}@p").auth == BasicProxyAuth(*pair)


def test_f08_a_user_may_have_no_password_but_not_in_socks() -> None:
    for url in ("http://user@p", "http://user:@p"):
        assert basic_of(Proxy(url)) == b"Basic dXNlcjo="
    assert basic_of(Proxy("http://@p")) == b"Basic Og=="
    for url in ("socks5://user@p", "socks5h://user:@p", "socks5://:5ecret@p", "socks5://@p"):
        refused(lambda url=url: Proxy(url))  # type: ignore[misc]


def test_credentials_as_a_pair() -> None:
    for pair in (("user", SECRET), (b"user", SECRET.encode())):
        assert basic_of(Proxy("http://p", auth=pair)) == BASIC
        assert Proxy("socks5://p", auth=pair).auth == (b"user", b"5ecret")
    assert basic_of(Proxy("http://p", auth=(b"\xff", b"\xfe"))) == b"Basic /zr+"


def test_credentials_of_another_scheme() -> None:
    digest = DigestProxyAuth("user", SECRET)
    assert Proxy("https://p", auth=digest).auth is digest
    refused(lambda: Proxy("socks5://p", auth=digest), TypeError)


@pytest.mark.parametrize("url", ["http://user:5ecret@p", "socks5://user:5ecret@p", "http://@p"])
def test_credentials_are_given_once(url: str) -> None:
    refused(lambda: Proxy(url, auth=("user", SECRET)))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("control", ["\r", "\n", "\x00", "\t", "\x1f", "\x7f"])
def test_b13_controls_in_credentials(scheme: str, control: str) -> None:
    for user, password in ((f"u{control}", SECRET), ("user", f"{SECRET}{control}")):
        refused(lambda pair=(user, password): Proxy(f"{scheme}://p", auth=pair))  # type: ignore[misc]
        encoded = f"{user}:{password}".replace(control, f"%{ord(control):02x}")
        refused(lambda info=encoded: Proxy(f"{scheme}://{info}@p"))  # type: ignore[misc]


def test_b13_a_colon_in_the_user_name() -> None:
    """RFC 7617, section 2: the proxy would take another user. In SOCKS each has its length."""
    refused(lambda: Proxy("http://p", auth=("us:er", SECRET)))
    refused(lambda: Proxy("https://us%3Aer:5ecret@p"))
    assert Proxy("socks5://us%3Aer:5ecret@p").auth == (b"us:er", b"5ecret")


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_b13_text_that_is_not_ascii_has_no_one_encoding(scheme: str) -> None:
    for pair in (("us\xe9r", SECRET), ("user", f"{SECRET}\u20ac")):
        refused(lambda pair=pair: Proxy(f"{scheme}://p", auth=pair))  # type: ignore[misc]


@pytest.mark.parametrize("auth", ["user:5ecret", ["user", SECRET], ("user",), (1, 2), 5, ()])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_what_are_no_credentials(scheme: str, auth: Any) -> None:
    refused(lambda: Proxy(f"{scheme}://p", auth=auth), TypeError)


def test_rfc_1929_sizes() -> None:
    longest = b"x" * 255
    assert Proxy("socks5://p", auth=(longest, longest)).auth == (longest, longest)
    for pair in ((b"x" * 256, b"y"), (b"x", b"y" * 256), (b"", b"y"), (b"x", b"")):
        refused(lambda pair=pair: Proxy("socks5://p", auth=pair))  # type: ignore[misc]
    assert Proxy("http://p", auth=(b"x" * 256, b"y" * 256)).auth is not None


# Headers


def pairs() -> Iterator[tuple[str, bytes]]:
    yield "X-Token", b"5ecret"


@pytest.mark.parametrize(
    "headers", [{"X-Token": "5ecret"}, {b"X-Token": b"5ecret"}, [("X-Token", "5ecret")], pairs()]
)
def test_headers_are_a_mapping_or_pairs(headers: Any) -> None:
    assert Proxy("http://p", headers=headers).headers == ((b"X-Token", b"5ecret"),)


def test_headers_keep_order_case_and_repetitions_and_are_a_copy() -> None:
    given = [(b"x-B", b"1"), (b"X-a", b"\xff"), (b"x-b", b"")]
    proxy = Proxy("http://p", headers=given)
    given.clear()
    assert proxy.headers == ((b"x-B", b"1"), (b"X-a", b"\xff"), (b"x-b", b""))
    assert Proxy("http://p").headers == ()


def test_x3_a_callable_is_kept_and_what_it_returns_is_checked_later() -> None:
    def headers(origin: Origin) -> Any:
        raise AssertionError("there is no target yet")

    assert Proxy("http://p", headers=headers).headers is headers


ILLEGAL_HEADERS = [
    *([(b"X-Token", value)] for value in (
        b"5ecret\r\nHost: evil", b"5ecret\n", b"\r5ecret", b"5ecret\x00", b" 5ecret", b"5ecret\t",
        b"\x7f5ecret", "5ecret\u20ac", None, 5, [b"5ecret"],
    )),
    *([(name, b"5ecret")] for name in (
        b"X Token", b"X-Token:", b"", b"X-Token\r\n", b"X-Token: 5ecret", b"X-T\xf6ken",
        "X-T\xf6ken", None,
    )),
    [(b"X-Token", b"5ecret", b"")], [(b"X-Token",)], [5], 5, "X-Token: 5ecret", {b"X-Token": 5},
]  # fmt: skip


@pytest.mark.parametrize("headers", ILLEGAL_HEADERS)
def test_b13_illegal_headers(headers: Any) -> None:
    """Those that are given are refused at once, those of a callable when they are asked for."""
    refused(lambda: Proxy("http://p", headers=headers))
    refused(lambda: proxy_fields(headers), LocalProtocolError)


@pytest.mark.parametrize(
    "name",
    [
        "Host", "host", "Content-Length", "Transfer-Encoding", "TRANSFER-ENCODING", "Connection",
        "Keep-Alive", "TE", "Trailer", "Upgrade", "Expect",
    ],
)  # fmt: skip
def test_headers_that_frame_or_route_are_not_the_proxys(name: str) -> None:
    refused(lambda: Proxy("http://p", headers={name: "5ecret"}))
    refused(lambda: proxy_fields({name: "5ecret"}), LocalProtocolError)


def test_a_socks_proxy_takes_no_headers() -> None:
    given: list[Any] = [{"X-Token": SECRET}, [], lookup]
    for headers in given:
        refused(lambda headers=headers: Proxy("socks5://p", headers=headers))  # type: ignore[misc]


# One proxy or two


def lookup(origin: Origin) -> Any:
    return []


DIGEST = DigestProxyAuth("user", SECRET)
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
DISTINCT: list[Callable[[], Proxy]] = [
    lambda: Proxy("http://p"),
    lambda: Proxy("https://p"),
    lambda: Proxy("http://p:8080"),
    lambda: Proxy("http://q"),
    lambda: Proxy("http://user:5ecret@p"),
    lambda: Proxy("http://user:other@p"),
    lambda: Proxy("http://p", auth=DIGEST),
    lambda: Proxy("http://p", headers={"X": "1"}),
    lambda: Proxy("http://p", headers={"X": "2"}),
    lambda: Proxy("http://p", headers=lookup),
    lambda: Proxy("https://p", ssl_context=CONTEXT),
    lambda: Proxy("socks5://p"),
    lambda: Proxy("socks5h://p"),
    lambda: Proxy("socks5://user:5ecret@p"),
    lambda: Proxy("socks5://user:other@p"),
]


def test_f09_no_connection_is_shared_by_what_differs() -> None:
    """Above all not by different credentials. What is the same is one proxy, made anew or not."""
    assert len({make() for make in DISTINCT}) == len(DISTINCT)
    for make in DISTINCT:
        assert make() == make()
        assert hash(make()) == hash(make())
        assert make() != str(make())
    assert Proxy("http://user:5ecret@p") == Proxy("http://P:80/", auth=("user", b"5ecret"))


def test_a_proxy_does_not_change() -> None:
    """It is the key of connections."""
    proxy = Proxy("http://user:5ecret@p")
    for name in ("origin", "auth", "headers", "ssl_context", "anything"):
        with pytest.raises(AttributeError) as caught:
            setattr(proxy, name, SECRET)
        assert SECRET not in str(caught.value)
    with pytest.raises(AttributeError):
        del proxy.auth
    assert basic_of(proxy) == BASIC


def test_a_proxy_is_copied_with_the_options_that_hold_it() -> None:
    proxy = Proxy("http://user:5ecret@p", headers={"X-Token": SECRET})
    assert copy.copy(proxy) == copy.deepcopy(proxy) == proxy


@pytest.mark.parametrize("make", DISTINCT)
def test_f08_i9_no_secrets_in_repr_or_str(make: Callable[[], Proxy]) -> None:
    proxy = make()
    assert str(proxy) == str(proxy.origin)
    assert repr(proxy) == f"<Proxy ['{proxy.origin}']>"
    if isinstance(proxy.auth, ProxyAuth):
        assert SECRET not in repr(proxy.auth)
        assert "dXNlcjo1ZWNyZXQ" not in repr(proxy.auth)


# What a proxy's errors are


def test_x2_l6_the_error_is_copied_and_pickled_whole() -> None:
    headers = [(b"Via", b"1.1 p")]
    whole = {"status": 407, "headers": headers, "body": b"no", "origin": "https://o:443"}
    error = ProxyError("refused", socks_reply=5, phase="proxy", limit=1.5, **whole)  # type: ignore[arg-type]
    assert isinstance(error, TransportError)
    for other in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is ProxyError
        assert vars(other) == vars(error)
        assert str(other) == str(error) == "https://o:443: proxy: refused (limit 1.5 s)"


def test_x2_the_error_says_where_there_was_no_answer() -> None:
    error = ProxyError("broken")
    assert (error.status, error.headers, error.body, error.socks_reply) == (None, [], b"", None)
    assert error.headers is not ProxyError("broken").headers
    assert str(error.located("https://o:443", "proxy")) == "https://o:443: proxy: broken"
    assert str(ProxyError()) == "ProxyError"


def caused(by: BaseException) -> ProxyError:
    error = ProxyError("the proxy failed")
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([ProxyError(status=status) for status in (502, 503, 504)], True),
        ([ProxyError(status=status) for status in (301, 400, 403, 407, 429, 500, 501, 505)], False),
        ([ProxyError(socks_reply=code) for code in (1, 3, 4, 5, 6)], True),
        ([ProxyError(socks_reply=code) for code in (2, 7, 8, 9, 255)], False),
        ([caused(ReadError()), caused(WriteError()), ConnectError(), ConnectTimeout()], True),
        ([caused(RemoteProtocolError()), ProxyError("garbage"), ReadError()], False),
        ([ReadTimeout(), LocalProtocolError(), KeyboardInterrupt()], False),
    ],
)
def test_which_failed_dials_are_repeated(errors: list[BaseException], expected: bool) -> None:
    """Those that did not reach the origin; not those that were forbidden or misunderstood."""
    assert [may_redial(error) for error in errors] == [expected] * len(errors)
