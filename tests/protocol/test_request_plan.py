"""H1 and group B of the faults: what is refused before any socket is opened, what is planned."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpcore_core._exceptions import LocalProtocolError, UnsupportedProtocol
from httpcore_core._models import ByteStream, Headers, Origin, Request, SyncByteStream
from httpcore_core._protocol.request import origin_of, plan_request
from tests.protocol.wire import HOST, ORIGIN, plan, request


class Stream(SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"hello"


class Replayable(Stream):
    replayable = True


def refused(*args: Any, **kwargs: Any) -> LocalProtocolError:
    with pytest.raises(LocalProtocolError) as caught:
        plan_request(request(*args, **kwargs))
    assert caught.value.phase == "request"
    assert caught.value.message
    return caught.value


# Method, target


@pytest.mark.parametrize(
    "method",
    [
        b"",
        b"GET\r\n",
        b"GE\nT",
        b"GE\0T",
        b"GE T",
        b" GET",
        b"G\xcbT",
        b"G(T",
        b"GET:",
        "GET",
        None,
        5,
    ],
)
def test_h1_b01_illegal_method(method: Any) -> None:
    refused(method)


@pytest.mark.parametrize("method", [b"get", b"PROPFIND", b"M-SEARCH", b"!#$%&'*+-.^_`|~09azAZ"])
def test_unusual_methods(method: bytes) -> None:
    assert plan(method).method == method


ILLEGAL_TARGETS: list[Any] = [
    b"", b"/\r\n", b"/a\rb", b"/a\nb", b"/a\0b", b"/a b", b"/a\tb", b"/a ", b" /a", b"/\x7f",
    b"/\x01",
    b"/\xe9", b"/a#fragment", b"#", b"a", b"a/b", b"?a", b"*", b"example.com:80", b"//\r\n",
    b"ftp://example.com/", b"http:/example.com", b"http://", b"http:///a", b"http://a b/",
    b"http://user@example.com/", b"http://example.com/#a", b"http://example.com/\r\n",
    b"http://example.com:port/", b"http://[::1/", b"javascript:alert(1)", "/\u00e9", "/a b", 5,
]  # fmt: skip


@pytest.mark.parametrize("target", ILLEGAL_TARGETS)
def test_h1_b02_illegal_target(target: Any) -> None:
    """In the URL and in the `target` extension alike."""
    refused(b"GET", target)
    refused(b"GET", b"/", target=target)


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"/a/b?c=d&e=%20", b"//a", b"/?", b"/a|b^c`{}<>\"'\\", b"http://example.com",
        b"http://example.com/a?b", b"HTTPS://example.com:8443?a", b"http://[::1]:80/",
        b"http://a:1",
    ],
)  # fmt: skip
def test_legal_targets(target: bytes) -> None:
    assert plan(b"GET", target).target == target
    assert plan(b"GET", b"/", target=target).target == target
    assert plan(b"GET", b"/", target=target.decode()).target == target


def test_b02_asterisk_is_for_options_only() -> None:
    assert plan(b"OPTIONS", b"*").target == b"*"
    for method in (b"GET", b"POST", b"CONNECT"):
        refused(method, b"*")


@pytest.mark.parametrize("target", [b"example.com:443", b"[::1]:443", b"10.0.0.1:65535"])
def test_b12_connect_takes_an_authority(target: bytes) -> None:
    sent = plan(b"CONNECT", target)
    assert (sent.target, sent.connect) == (target, True)


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"example.com", b"example.com:", b"example.com:0", b"example.com:65536", b"::1:443",
        b"example.com:443\r\n", b"a b:443", b"http://example.com:443", b"u@example.com:443",
        b":443",
    ],
)  # fmt: skip
def test_b12_connect_refuses_other_targets(target: bytes) -> None:
    refused(b"CONNECT", target)


# Header fields


@pytest.mark.parametrize(
    "name",
    [
        b"", b"X\r\nY", b"X\n", b"X:", b"X Y", b" X", b"X ", b"X\0", b"X\xe9", b"X(", b"X\t",
        b":path",
        "X", None,
    ],
)  # fmt: skip
def test_h1_b03_illegal_name(name: Any) -> None:
    refused(headers=[(name, b"a")])


CONTROLS = [bytes([code]) for code in range(32) if code != 9] + [b"\x7f"]


@pytest.mark.parametrize("char", CONTROLS)
def test_h1_b04_control_characters_in_values(char: bytes) -> None:
    for value in (char, b"a" + char, char + b"a", b"a" + char + b"b"):
        error = refused(headers=[(b"X-Secret", value)])
        assert "X-Secret" in str(error)
        refused(headers=[(b"accept", value)])


@pytest.mark.parametrize(
    "value", [b"a\r\n", b"a\r\nX: y", b" a", b"a ", b"\ta", b"a\t", b" ", "a", None, 1]
)
def test_h1_b04_illegal_value(value: Any) -> None:
    refused(headers=[(b"X", value)])


def test_i9_values_stay_out_of_error_texts() -> None:
    error = refused(headers=[(b"Authorization", b"Basic c2VjcmV0\n")])
    assert "c2Vj" not in str(error)
    assert "c2Vj" not in repr(error)


@pytest.mark.parametrize("value", [b"", b"a", b"a b\tc", b"\xe9\x80", b'"quoted, value"; a=b'])
def test_legal_values(value: bytes) -> None:
    assert plan(headers=[(b"X", value)]).headers == [HOST, (b"X", value)]


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_header_rules_equal_the_grammar(name: bytes, value: bytes) -> None:
    """RFC 9110, sections 5.1 and 5.5, put another way."""
    tchar = frozenset(b"!#$%&'*+-.^_`|~" + (string.digits + string.ascii_letters).encode())
    legal_name = bool(name) and set(name) <= tchar
    legal_value = value == value.strip(b" \t") and all(
        char == 9 or (char >= 32 and char != 127) for char in value
    )
    try:
        plan(headers=[(name, value)])
    except LocalProtocolError:
        assert not (legal_name and legal_value)
    else:
        assert legal_name
        assert legal_value


@pytest.mark.parametrize(
    "value",
    [
        b"", b"a b", b"a/b", b"a@b", b"a\\b", b"a:port", b"a:1:2", b"::1", b"[::1", b"[a]b",
        b"a,b c",
        b"http://a", b"a%zz", b"a\r\n", b"\xe9", b"a?b", b"a#b", b"a:123456",
    ],
)  # fmt: skip
def test_h1_bad_host_header(value: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        plan_request(Request(b"GET", (*ORIGIN, b"/"), [(b"Host", value)], ByteStream(b""), {}))


@pytest.mark.parametrize(
    "value", [b"a", b"A.b-c_d:80", b"a:", b"[::1]:8080", b"127.0.0.1", b"a%20b"]
)
def test_legal_host_header(value: bytes) -> None:
    plan_request(Request(b"GET", (*ORIGIN, b"/"), [(b"hOST", value)], ByteStream(b""), {}))


def test_h1_exactly_one_host_header() -> None:
    with pytest.raises(LocalProtocolError, match="Host"):
        plan_request(Request(b"GET", (*ORIGIN, b"/"), [], ByteStream(b""), {}))
    refused(headers=[(b"host", b"example.com")])


# Origin


@pytest.mark.parametrize(
    "host",
    [
        b"", b".", b"a..b", b".a", b"a\r\n", b"a b", b"a\0b", b"a%00b", b"a/b", b"a\\b", b"a@b",
        b"a#b",
        b"a?b", b"x" * 64 + b".com", b".".join([b"x" * 49] * 6), b"\xe9.com", b"caf\xc3\xa9",
        b"a,b",
        b"[::1", b"::1]", b"[]", b"[example.com]", b"[::1%eth0]", b"fe80::1%1", b"1:2", b"127.1",
        b"0x7f000001", b"2130706433", b"1.2.3.256", b"1.2.3.4.5", b"0177.0.0.1", b"a.0x1",
        b"1.2.3.4.",
        "example.com", None, 5,
    ],
)  # fmt: skip
def test_h1_b06_illegal_host(host: Any) -> None:
    with pytest.raises(LocalProtocolError):
        origin_of((b"http", host, None, b"/"))
    with pytest.raises(LocalProtocolError):
        plan_request(Request(b"GET", (b"http", host, None, b"/"), [HOST], ByteStream(b""), {}))


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        (b"Example.COM", b"example.com"),
        (b"example.com.", b"example.com."),
        (b"a_b.c-d", b"a_b.c-d"),
        (b"xn--bcher-kva.example", b"xn--bcher-kva.example"),
        (b"x" * 63, b"x" * 63),
        (b".".join([b"x" * 62] * 4), b".".join([b"x" * 62] * 4)),
        (b"127.0.0.1", b"127.0.0.1"),
        (b"[::1]", b"::1"),
        (b"0:0:0::1", b"::1"),
        (b"[FE80::A]", b"fe80::a"),
        (b"[::ffff:a00:1]", b"::ffff:10.0.0.1"),
        (b"1.example", b"1.example"),
    ],
)
def test_canonical_hosts(host: bytes, canonical: bytes) -> None:
    assert origin_of((b"https", host, None, b"/")) == Origin(b"https", canonical, 443)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**9, True, "80", b"80", 80.5])
def test_illegal_port(port: Any) -> None:
    with pytest.raises(LocalProtocolError):
        origin_of((b"http", b"a", port, b"/"))


def test_ports_and_schemes() -> None:
    assert origin_of((b"HTTP", b"a", None, b"/")) == Origin(b"http", b"a", 80)
    assert origin_of((b"https", b"a", 65535, b"/")) == Origin(b"https", b"a", 65535)
    for scheme in (b"", b"ftp", b"ws", b"file", b"http\r\n"):
        with pytest.raises(UnsupportedProtocol):
            origin_of((scheme, b"a", None, b"/"))
    urls: list[Any] = [(), (b"http",), (b"http", [], None, b"/"), ("http", "a", None, "/"), None]
    for url in urls:
        with pytest.raises((LocalProtocolError, UnsupportedProtocol)):
            origin_of(url)


# Framing


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")],
        [(b"Content-Length", b"5"), (b"content-length", b"5")],
        [(b"Content-Length", b"5"), (b"Content-Length", b"6")],
        [(b"Content-Length", b"5, 5")],
        [(b"Content-Length", b"+5")],
        [(b"Content-Length", b"-5")],
        [(b"Content-Length", b"")],
        [(b"Content-Length", b"0x5")],
        [(b"Content-Length", b"5.0")],
        [(b"Content-Length", b"1" * 20)],
        [(b"Transfer-Encoding", b"gzip")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"identity")],
        [(b"Transfer-Encoding", b"")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
    ],
)
def test_h1_b08_framing_headers(headers: Headers) -> None:
    refused(b"POST", b"/", headers, ByteStream(b"hello"))
    refused(b"POST", b"/", headers, Stream())


@pytest.mark.parametrize("length", [b"4", b"6", b"0"])
def test_h8_b09_a_body_in_memory_is_measured_at_once(length: bytes) -> None:
    refused(b"POST", b"/", [(b"Content-Length", length)], ByteStream(b"hello"))


@pytest.mark.parametrize(
    ("method", "stream", "added", "length"),
    [
        (b"GET", ByteStream(b""), None, 0),
        (b"DELETE", ByteStream(b""), None, 0),
        (b"POST", ByteStream(b""), (b"Content-Length", b"0"), 0),
        (b"PUT", ByteStream(b""), (b"Content-Length", b"0"), 0),
        (b"PATCH", ByteStream(b""), (b"Content-Length", b"0"), 0),
        (b"GET", ByteStream(b"hello"), (b"Content-Length", b"5"), 5),
        (b"POST", ByteStream(b"hello"), (b"Content-Length", b"5"), 5),
        (b"GET", Stream(), (b"Transfer-Encoding", b"chunked"), None),
        (b"POST", [b"a", b"b"], (b"Transfer-Encoding", b"chunked"), None),
    ],
)
def test_b10_framing_is_added(
    method: bytes, stream: Any, added: tuple[bytes, bytes] | None, length: int | None
) -> None:
    given_headers = [HOST]
    sent = plan_request(Request(method, (*ORIGIN, b"/"), given_headers, stream, {}))
    assert sent.headers == [HOST, *([added] if added else [])]
    assert given_headers == [HOST]  # the caller's list is the caller's
    assert (sent.content_length, sent.chunked) == (length, length is None)


def test_given_framing_is_kept() -> None:
    sent = plan(b"POST", headers=[(b"content-LENGTH", b"5")], stream=Stream())
    assert (sent.content_length, sent.chunked, sent.body) == (5, False, None)
    sent = plan(b"POST", headers=[(b"TE", b"trailers"), (b"transfer-encoding", b"Chunked")])
    assert (sent.content_length, sent.chunked, sent.body) == (None, True, b"")


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
def test_methods_without_a_body(method: bytes) -> None:
    target = b"example.com:443" if method == b"CONNECT" else b"/"
    plan(method, target)
    plan(method, target, [(b"Content-Length", b"0")])
    refused(method, target, None, ByteStream(b"hello"))
    refused(method, target, None, Stream())
    refused(method, target, [(b"Transfer-Encoding", b"chunked")])


@pytest.mark.parametrize("stream", [b"hello", "hello", bytearray(b"x"), memoryview(b"x")])
def test_a_body_must_be_a_stream(stream: Any) -> None:
    """Iterated, bytes would give numbers."""
    with pytest.raises(LocalProtocolError, match="ByteStream"):
        plan_request(Request(b"POST", (*ORIGIN, b"/"), [HOST], stream, {}))


def test_bodies() -> None:
    sent = plan(b"POST", stream=ByteStream(b"hello"))
    assert (sent.body, sent.replayable) == (b"hello", True)
    assert (plan(b"POST", stream=Stream()).body, plan(stream=Stream()).replayable) == (None, False)
    assert plan(stream=Replayable()).replayable
    nothing = plan_request(Request(b"GET", (*ORIGIN, b"/"), [HOST], None, {}))
    assert (nothing.body, nothing.replayable, nothing.content_length) == (b"", True, 0)


# What else is known of a request


def test_method_facts() -> None:
    idempotent = {b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"}
    for method in (*idempotent, b"POST", b"PATCH", b"get", b"PROPFIND"):
        sent = plan(method)
        assert sent.idempotent == (method in idempotent)
        assert sent.head == (method == b"HEAD")
        assert not sent.connect
    assert not plan(b"CONNECT", b"a:1").idempotent


@pytest.mark.parametrize(
    ("value", "close"),
    [
        (b"close", True), (b"Close", True), (b"keep-alive, close", True), (b"x,\tCLOSE ,y", True),
        (b"keep-alive", False), (b"closed", False), (b"", False),
    ],
)  # fmt: skip
def test_connection_tokens(value: bytes, close: bool) -> None:
    assert plan(headers=[(b"connection", value)]).close == close
    assert plan(headers=[(b"CONNECTION", value), (b"Connection", b"x")]).close == close


def test_upgrade_is_noted() -> None:
    assert plan(headers=[(b"Connection", b"upgrade"), (b"upgrade", b"websocket")]).upgrade
    assert not plan(headers=[(b"Connection", b"upgrade")]).upgrade


def test_h5_expectations() -> None:
    expect = (b"expect", b"100-Continue")
    assert plan(b"POST", headers=[expect], stream=ByteStream(b"x")).expect_continue
    assert plan(b"POST", headers=[expect], stream=Stream()).expect_continue
    assert not plan(b"POST", stream=ByteStream(b"x")).expect_continue
    assert not plan(headers=[expect]).expect_continue  # no body: nothing would wait


def test_h5_the_extension_asks_for_the_header() -> None:
    expect = (b"Expect", b"100-continue")
    sent = plan(b"POST", stream=ByteStream(b"x"), expect_continue=0.5)
    assert sent.expect_continue
    assert sent.headers[-1] == expect
    sent = plan(b"POST", headers=[expect], stream=ByteStream(b"x"), expect_continue=0.5)
    assert sent.headers.count(expect) == 1
    sent = plan(b"POST", expect_continue=0.5)
    assert not sent.expect_continue
    assert expect not in sent.headers


def test_h7_trailers() -> None:
    trailers = [(b"X-Sum", b"1")]
    sent = plan(b"POST", stream=ByteStream(b"hello"), trailers=trailers)
    assert sent.trailers is trailers
    assert sent.chunked
    refused(b"POST", b"/", [(b"Content-Length", b"5")], ByteStream(b"hello"), trailers=trailers)
    bad: list[Any] = [[(b"X\n", b"y")], [(b"X", b"y\n")], [(b"Host", b"y")], [("X", "y")], 5, [5]]
    bad.append(iter([(b"X-Sum", b"1")]))  # nothing would be left of it when they are sent
    for trailers in bad:
        refused(b"POST", b"/", None, Stream(), trailers=trailers)


@pytest.mark.parametrize(
    "broken",
    [
        {"url": (b"http", b"a", None)},
        {"url": None},
        {"url": "http://a/"},
        {"headers": None},
        {"headers": {b"Host": b"a"}},
        {"headers": [(b"Host",)]},
        {"headers": [b"Host"]},
        {"headers": [([], b"a")]},
        {"extensions": 5},
    ],
)
def test_i2_wrong_types_are_our_errors(broken: dict[str, Any]) -> None:
    with pytest.raises((LocalProtocolError, UnsupportedProtocol)):
        plan_request(request()._replace(**broken))


def test_error_texts_are_readable() -> None:
    error = refused(b"GE T")
    assert re.fullmatch(r"request: illegal method b'GE T'", str(error))
