"""What a hostile server, or a careless caller, may hand to the client: L1, L4, H06, H09, H15, H17,
H19 and the invariants I2 (only our errors), I8 (no time or memory without bound) and I9 (secrets).
"""

from __future__ import annotations

import datetime
import decimal
import gzip
import ipaddress
import json
import re
import string
import uuid
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import httpclient as httpx
from httpclient._decoding import LineStep, TextStep, charset_of
from httpcore_core import MockBackend
from httpcore_core.testing.cancel import InterruptStep, interrupt_at_every_operation

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TOKENS = (
    "http:", "https:", "ftp:", "file:", "//", "/", "\\", "@", ":", "?", "#", "%", "%2f", "%00", "[",
    "]", "::1", "h", "a.b", "xn--", "80", "..", ".", " ", "\t", "\n", "\r", "\x00", "ü", "\u2024",
    "\uff0f", "\u3002", "\ud800", "\u200d", "1", "0x1", "=", "&", "+", ";",
)  # fmt: skip
PIECES = st.lists(st.sampled_from(TOKENS), max_size=12).map("".join)
TEXT = st.one_of(PIECES, st.text(max_size=20))

LEGAL_HOST = re.compile(r"[a-z0-9_.-]*|[0-9a-f:.]+")


# URLs: L4


@given(TEXT, st.sampled_from(["", "http://", "https://h/", "http://h:1/?", "//", "mailto:"]))
@example("h#\\@evil.test/", "http://")
@example("[::ffff:1.2.3.4]", "http://")
def test_l4_a_text_is_a_url_that_reads_back_as_itself_or_is_refused(text: str, start: str) -> None:
    try:
        url = httpx.URL(start + text)
    except httpx.InvalidURL:
        return
    again = httpx.URL(str(url))
    assert again == url
    assert str(again) == str(url)
    assert again.raw == url.raw
    assert LEGAL_HOST.fullmatch(url.host)
    assert url.raw_host == url.host.encode("ascii")
    assert re.fullmatch(rb"[!-~]*", url.raw_path)
    assert b"#" not in url.raw_path
    assert httpx.URL("https://h/").join(url).scheme


PARTS = ("scheme", "userinfo", "host", "port", "raw_path", "fragment")
OF = {
    "scheme": {"scheme"},
    "userinfo": {"userinfo"},
    "username": {"userinfo"},
    "password": {"userinfo"},
    "host": {"host"},
    "netloc": {"host", "port"},
    "path": {"raw_path"},
    "query": {"raw_path"},
    "raw_path": {"raw_path"},
    "params": {"raw_path"},
    "fragment": {"fragment"},
}
BASES = ("http://u:p@h:81/a?b#c", "http://u:@h:81", "https://h/", "/x?y", "file:///a", "mailto:a@b")


@given(st.sampled_from(BASES), st.sampled_from(sorted(OF)), TEXT)
@example("http://u:p@h:81/a?b#c", "userinfo", "evil.test/x")
@example("http://u:p@h:81/a?b#c", "userinfo", "evil.test#")
@example("http://u:p@h:81/a?b#c", "username", "\ud800")
@example("http://u:p@h:81/a?b#c", "username", "%41:@%")
@example("http://u:@h:81", "path", "/a")
def test_l4_a_part_never_changes_another(base: str, part: str, text: str) -> None:
    url = httpx.URL(base)
    value: Any = {"a": text} if part == "params" else text
    try:
        changed = url.copy_with(**{part: value})
    except httpx.InvalidURL:
        return
    assert httpx.URL(str(changed)).raw == changed.raw
    assert str(httpx.URL(str(changed))) == str(changed)
    differing = {name for name in PARTS if getattr(changed, name) != getattr(url, name)}
    if part in ("scheme", "host", "netloc") and changed.path == f"/{url.path}":
        differing -= {"raw_path"}  # behind a host it begins with a slash
    assert differing <= OF[part]
    if part in ("path", "fragment", "username", "password", "userinfo", "host"):
        assert changed.query == url.query
    if part in ("username", "password"):
        assert getattr(changed, part) == text


@pytest.mark.parametrize("value", [b"\xff", b"\x80="])
@pytest.mark.parametrize("part", ["query", "userinfo", "netloc", "raw_path", "fragment"])
def test_l4_bytes_of_a_url_are_ascii(part: str, value: bytes) -> None:
    with pytest.raises(httpx.InvalidURL):
        httpx.URL("http://h/").copy_with(**{part: value})


@given(TEXT)
def test_l4_base_url_stays_the_host(text: str) -> None:
    with httpx.Client(base_url="https://h/v1", transport=httpx.MockTransport(ok)) as client:
        try:
            url = client.build_request("GET", text).url
        except httpx.InvalidURL:
            return
    if not httpx.URL(text).scheme:
        assert (url.scheme, url.host, url.port, url.userinfo) == ("https", "h", None, b"")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (ipaddress.ip_address("::1"), "%3A%3A1"),
        (httpx.URL("http://h/"), "http%3A%2F%2Fh%2F"),
    ],
)
def test_values_that_say_what_they_are(value: Any, text: str) -> None:
    assert str(httpx.QueryParams({"a": value})) == f"a={text}"
    assert httpx.Request("POST", "http://h/", data={"a": value}).content == f"a={text}".encode()


# What the caller sends: only our errors


def ok(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"ok")


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"a": "\ud800"}},
        {"params": "a=\ud800"},
        {"params": b"a=\xff"},
        {"content": "\ud800"},
        {"data": {"a": "\ud800"}},
        {"data": {"\ud800": "a"}},
        {"files": {"\ud800": b"a"}},
        {"files": {"a": "\ud800"}},
        {"files": {"a": ("\ud800", b"a")}},
        {"cookies": {"a": "\ud800"}},
        {"headers": {"a": "\ud800"}},
        {"headers": {"\ud800": "a"}},
    ],
)
def test_i2_text_that_is_no_text(options: dict[str, Any]) -> None:
    with httpx.Client(transport=httpx.MockTransport(ok)) as client:
        with pytest.raises(httpx.LocalProtocolError):
            client.post("http://h/", **options)


def test_a_lone_surrogate_in_json_is_escaped() -> None:
    request = httpx.Request("POST", "http://h/", json=["ü", "\ud800"])
    assert request.content == b'["\\u00fc","\\ud800"]'
    assert json.loads(request.content) == ["ü", "\ud800"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("method", method) for method in ("G ET", "", "GET\r\nX: y", "G\x00T")],
        *[("name", name) for name in ("", "a b", "a:", "a\r\nb", "\x00")],
        *[("value", value) for value in ("a\r\nb", "a\nb", "\x00", "\x01", "\x7f")],
        *[("target", target) for target in (b"", b"/a b", b"/\r\n", b"/\xff", b"x")],
    ],
)
def test_b_what_is_illegal_opens_no_connection(name: str, value: Any) -> None:
    backend = MockBackend([OK])
    transport = httpx.HTTPTransport(network_backend=backend)
    method = value if name == "method" else "GET"
    headers = {"name": {value: "x"}, "value": {"x": value}}.get(name, {})
    extensions = {"target": value} if name == "target" else {}
    with httpx.Client(transport=transport) as client:
        with pytest.raises(httpx.LocalProtocolError) as caught:
            client.request(method, "http://h/", headers=headers, extensions=extensions)
        assert caught.value.request.url == "http://h/"
    assert backend.connects == []


@pytest.mark.parametrize("change", ["longer", "shorter", "gone"])
def test_h19_a_file_that_changes_after_its_length_was_said(change: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(200_000))
    backend = MockBackend([OK] * 3)
    transport = httpx.HTTPTransport(network_backend=backend, max_connections=1)
    with httpx.Client(transport=transport) as client, open(path, "rb") as file:
        request = client.build_request("POST", "http://h/", content=file)
        assert request.headers["Content-Length"] == "200000"
        if change == "gone":
            path.unlink()  # the file is still there for who has it open
            assert client.send(request).text == "ok"
            return
        with open(path, "r+b") as other:
            other.truncate(150_000 if change == "shorter" else 250_000)
        with pytest.raises(httpx.LocalProtocolError, match=change):
            client.send(request)
        assert bytes(backend.streams[0].written).count(b"\x00") < 200_000
        assert backend.streams[0].is_closed
        assert client.get("http://h/").text == "ok"
    transport.close()


def test_h19_a_file_is_sent_from_where_it_stands_and_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(307 if len(seen) == 1 else 200, headers={"Location": "/again"})

    with open(path, "rb") as file, httpx.Client(transport=httpx.MockTransport(handler)) as client:
        file.seek(4)
        assert client.post("http://h/", content=file, follow_redirects=True).is_success
    assert seen == [b"456789", b"456789"]
    with open(path, encoding="ascii") as text, pytest.raises(TypeError, match="open as text"):
        httpx.Request("POST", "http://h/", content=text)


# What servers answer


BYTES = st.one_of(st.binary(max_size=40), st.text(string.printable, max_size=40).map(str.encode))
NAMES = (
    b"Content-Type", b"Content-Encoding", b"Location", b"Link", b"Set-Cookie", b"WWW-Authenticate",
    b"Content-Length", b"X",
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(NAMES), BYTES), max_size=6), BYTES, st.integers(100, 999))
def test_i2_h15_no_header_and_no_body_gets_out_as_another_error(
    fields: list[tuple[bytes, bytes]], body: bytes, status: int
) -> None:
    class Transport(httpx.BaseTransport):
        def handle_request(self, *request: Any) -> Any:
            return status, list(fields), httpx.ByteStream(body), {"reason_phrase": body}

    with httpx.Client(transport=Transport(), auth=httpx.DigestAuth("u", "p")) as client:
        try:
            response = client.get("http://h/a", follow_redirects=bool(status % 2))
        except httpx.RequestError:
            return
    assert isinstance(response.text, str)
    assert response.text == "".join(response.iter_text())
    assert isinstance(list(response.iter_lines()), list)
    assert isinstance(repr(response) + repr(response.headers) + repr(response.cookies), str)
    assert isinstance(response.links, dict)
    assert isinstance([response.encoding, response.charset_encoding, response.reason_phrase], list)
    assert dict(response.headers) == dict(response.headers.items())
    try:
        response.json()
    except json.JSONDecodeError:
        pass
    try:
        response.raise_for_status()
    except httpx.HTTPStatusError as exc:
        assert exc.response is response


@given(st.one_of(BYTES, PIECES.map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example(b"http://u:p@h/b")
@example(b"//evil.test\\@h/")
@example(b"https:evil.test")
def test_l1_no_location_takes_a_secret_elsewhere(location: bytes) -> None:
    seen: list[tuple[Any, httpx.Headers]] = []

    class Transport(httpx.BaseTransport):
        def handle_request(
            self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
        ) -> Any:
            seen.append((url, httpx.Headers(headers)))
            answer = (302, [(b"Location", location)]) if len(seen) == 1 else (200, [])
            return *answer, httpx.ByteStream(), {}

    with httpx.Client(transport=Transport(), follow_redirects=True) as client:
        try:
            client.get("http://h/a", headers={"Authorization": "secret", "Cookie": "a=secret"})
        except httpx.RequestError:
            assert len(seen) == 1
            return
    for url, headers in seen[1:]:
        assert url[0] in (b"http", b"https")
        assert LEGAL_HOST.fullmatch(url[1].decode("ascii"))
        if url[:3] != (b"http", b"h", None):
            assert not {"Authorization", "Cookie"} & {name.title() for name in headers}


@pytest.mark.parametrize("number", [1_000, 30_000])
def test_i8_any_number_of_headers_and_cookies(number: int) -> None:
    """The core lets 1,000 pass; other transports may let more."""
    fields = [(b"X-%d" % i, b"v") for i in range(number)]
    fields += [(b"Set-Cookie", b"c%d=v" % i) for i in range(1_000)]
    fields += [(b"Link", b"<http://h/%d>; rel=r%d" % (i, i)) for i in range(1_000)]
    fields += [(b"Vary", b"v")] * 10_000

    class Transport(httpx.BaseTransport):
        def handle_request(self, *request: Any) -> Any:
            return 200, fields, httpx.ByteStream(b"ok"), {}

    with httpx.Client(transport=Transport()) as client:
        response = client.get("http://h/")
        assert len(response.headers) == number + 3
        assert len(dict(response.headers.items())) == number + 3
        assert len(response.links) == 1_000
        assert 0 < len(response.cookies) <= 1_000
        assert client.get("http://h/").is_success


@pytest.mark.parametrize(
    "value",
    [
        "<a>;" * 100_000,
        "<" * 100_000,
        ", " * 100_000,
        '<a>; b="' + "\\" * 100_000,
        "<a>;b=" + " " * 100_000 + '"',
        '<a>;b="' * 20_000,
        "<a>" + ";b" * 100_000,
    ],
)
def test_i8_links_take_time_as_they_are_long(value: str) -> None:
    response = httpx.Response(200, headers={"Link": value})
    assert isinstance(response.links, dict)


@pytest.mark.parametrize(
    "kind", ["; charset=" * 50_000, ";" + " " * 100_000, ";charset= " + '"' * 50_000]
)
def test_i8_a_content_type_takes_time_as_it_is_long(kind: str) -> None:
    assert charset_of("a/b" + kind) is None


def test_i8_text_takes_time_as_it_is_long_in_every_charset() -> None:
    """UTF-7, where a run without an end is read anew each time, is no charset of ours."""
    assert charset_of("a/b; charset=utf-7") is None
    for step in (TextStep("utf-8", 10**9), TextStep("utf-8"), LineStep("utf-8")):
        for _ in range(20_000):
            step.feed(b"+" + b"A" * 1_000)
        assert sum(map(len, step.flush())) in (20_020_000, 0)


# Bombs: L2, H09


def bomb(size: int, layers: int = 1) -> bytes:
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = packed.compress(bytes(size)) + packed.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


WAYS = ("read", "iter_bytes", "iter_text", "iter_lines", "get", "redirect", "close", "iter_raw")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layers", [1, 3])
def test_l2_h09_a_bomb_is_bounded_by_every_way_to_read(way: str, layers: int) -> None:
    data = bomb(30_000_000, layers)
    coding = ", ".join(["gzip"] * layers)
    closed = []

    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            return iter([data])

        def close(self) -> None:
            closed.append(True)

    class Transport(httpx.BaseTransport):
        def handle_request(self, method: bytes, url: Any, *rest: Any) -> Any:
            if url[3] == b"/end":
                return 200, [], httpx.ByteStream(b"end"), {}
            status = 302 if way == "redirect" else 200
            fields = [(b"Content-Encoding", coding.encode()), (b"Location", b"/end")]
            return status, fields, Stream(), {}

    with httpx.Client(transport=Transport(), max_decoded=1_000_000) as client:
        if way == "redirect":  # whose body is not looked at
            assert client.get("http://h/", follow_redirects=True).text == "end"
        elif way in ("close", "iter_raw"):
            with client.stream("GET", "http://h/") as response:
                if way == "iter_raw":
                    assert b"".join(response.iter_raw()) == data
        else:
            with pytest.raises(httpx.DecodingError, match="limit") as caught:
                if way == "get":
                    client.get("http://h/")
                with client.stream("GET", "http://h/") as response:
                    if way == "read":
                        response.read()
                    for _ in getattr(response, way)():
                        pass
            assert caught.value.request.url == "http://h/"
    assert closed == [True]


@pytest.mark.parametrize("way", ["read", "iter_bytes"])
def test_l2_too_many_codings(way: str) -> None:
    closed = []

    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            return iter([b"x"])

        def close(self) -> None:
            closed.append(True)

    class Transport(httpx.BaseTransport):
        def handle_request(self, *request: Any) -> Any:
            return 200, [(b"Content-Encoding", b"gzip, " * 100)], Stream(), {}

    with httpx.Client(transport=Transport()) as client:
        with pytest.raises(httpx.DecodingError, match="100 content codings"):
            with client.stream("GET", "http://h/") as response:
                getattr(response, way)()
    assert closed == [True]


# Secrets: I9


def test_i9_no_text_shows_a_password() -> None:
    url = "http://user:hunter2@127.0.0.1:1/"
    with httpx.Client(auth=("user", "hunter2"), cookies={"a": "hunter2"}) as client:
        request = client.build_request("GET", url, headers={"Authorization": "Bearer hunter2"})
        with pytest.raises(httpx.ConnectError) as caught:
            client.send(request)
        response = httpx.Response(404, request=request, headers={"Set-Cookie": "a=hunter2"})
        with pytest.raises(httpx.HTTPStatusError) as failed:
            response.raise_for_status()
        things = [request, request.url, request.headers, response, response.headers, client.auth]
        things += [client.headers, client.cookies, caught.value, failed.value, httpx.Proxy(url)]
        shown = [repr(it) for it in things] + [str(caught.value), str(failed.value)]
    assert [text for text in shown if "hunter2" in text] == []


# Interrupts: D21


@pytest.mark.parametrize("work", ["get", "redirect", "auth", "stream", "upload"])
def test_d21_an_interrupt_leaves_the_place_free(work: str) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    challenge = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n"\r\n'
    challenge += b"Content-Length: 0\r\n\r\n"
    first = {"redirect": [redirect], "auth": [challenge]}.get(work, [])

    def use(client: httpx.Client) -> None:
        if work == "stream":
            with client.stream("GET", "http://h/") as response:
                assert list(response.iter_lines()) == ["ok"]
        elif work == "upload":
            assert client.post("http://h/", content=iter([b"a", b"b"])).text == "ok"
        else:
            auth = httpx.DigestAuth("u", "p") if work == "auth" else None
            assert client.get("http://h/", follow_redirects=True, auth=auth).text == "ok"

    def scenario(step: InterruptStep) -> None:
        inner = MockBackend.scripted([[*first, OK, OK], [OK], [OK]])
        options: Any = {"network_backend": step.wrap(inner), "max_connections": 1}
        with httpx.HTTPTransport(**options) as transport:
            client = httpx.Client(transport=transport)
            step.run(use, client)
            stats = transport._pool.stats()
            assert (stats.active, stats.connecting, stats.queued) == (0, 0, 0)
            assert step.interrupted or step.error is None
        assert inner.open_streams == 0

    assert interrupt_at_every_operation(scenario) >= 4
