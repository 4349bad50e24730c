"""CONNECT, from its request to the open tunnel or the refusal: X2, X3, F01 to F08, B12."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from itertools import count
from typing import Any

import pytest

from httpcore_core._exceptions import (
    ConnectTimeout,
    LocalProtocolError,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    TransportError,
    WriteError,
    WriteTimeout,
)
from httpcore_core._models import Headers, Origin
from httpcore_core._protocol.proxy_auth import MAX_ROUNDS, ProxyAuth
from httpcore_core._protocol.tunnel import MAX_REFUSAL, Tunnel
from httpcore_core._proxy import Proxy
from tests.protocol import wire
from tests.protocol.wire import CUTS, pieces, reply

pytestmark = pytest.mark.usefixtures("engine")

ORIGIN = Origin(b"https", b"example.com", 443)
ASKED = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n"
OK = reply(b"HTTP/1.1 200 Connection established")
EMPTY = b"Content-Length: 0"
CHALLENGE = reply(b"HTTP/1.1 407 Auth", b"Proxy-Authenticate: X one", EMPTY)
BASIC = b"Basic dXNlcjo1ZWNyZXQ="  # user:5ecret
CHUNKED = b"Transfer-Encoding: chunked"
MAX_HEAD, MAX_COUNT = 4096, 50


def new_tunnel(
    proxy: Proxy | None = None, origin: Origin = ORIGIN, fields: Headers | None = None
) -> Tunnel:
    parser = wire.PARSERS[wire._in_use[-1]]
    return Tunnel(
        proxy or Proxy("http://user:5ecret@p:3128"),
        origin,
        fields or [],
        parser,
        MAX_HEAD,
        MAX_COUNT,
    )


class Dialogue:
    """All that a tunnel wrote, one item for each CONNECT, and the connections that it took."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.sent: list[bytes] = []
        self.connections = 0
        self.leftover = b""

    def run(self, *answers: bytes, size: int = 10**9, eof: bool = False) -> Dialogue:
        """Give one answer to each CONNECT, in pieces of `size`; with `eof` the last is the end of
        the stream. Raises what the tunnel does."""
        for answer in answers:
            if self.tunnel.needs_connection:
                self.connections += 1
                self.sent.append(self.tunnel.begin())
            received = [*pieces(answer, size), *([b""] if eof and answer is answers[-1] else [])]
            for number, piece in enumerate(received):
                following = self.tunnel.receive(piece)
                if self.tunnel.is_open:
                    self.leftover = self.tunnel.leftover + b"".join(received[number + 1 :])
                elif following:
                    self.sent.append(following)
                if self.tunnel.is_open or self.tunnel.needs_connection or following:
                    break
        return self


def opened(answer: bytes, *, proxy: Proxy | None = None) -> Dialogue:
    """The tunnel is open after `answer`, whole or in pieces, and nothing more was written."""
    for size in CUTS:
        dialogue = Dialogue(new_tunnel(proxy)).run(answer, size=size)
        assert dialogue.tunnel.is_open
        assert not dialogue.tunnel.needs_connection
        assert len(dialogue.sent) == 1
    return dialogue


def refused(
    *answers: bytes, eof: bool = False, proxy: Proxy | None = None, cuts: Any = CUTS
) -> ProxyError:
    """The error that `answers` end in, the same under all cuts. It tells no secret."""
    errors: list[ProxyError] = []
    for size in cuts:
        with pytest.raises(ProxyError) as caught:
            Dialogue(new_tunnel(proxy)).run(*answers, size=size, eof=eof)
        errors.append(caught.value)
        assert type(caught.value) is ProxyError
        text = f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"
        assert "dXNlcjo1ZWNyZXQ" not in text
        assert "5ecret" not in text
    # Of what is no HTTP the text shows as much as had arrived.
    seen = [(e.status and str(e), e.headers, e.body, type(e.__cause__)) for e in errors]
    assert all(each == seen[0] for each in seen), seen
    return errors[0]


# What is asked


@pytest.mark.parametrize(
    ("origin", "target"),
    [
        (ORIGIN, b"example.com:443"),
        (Origin(b"http", b"example.com", 80), b"example.com:80"),
        (Origin(b"https", b"127.0.0.1", 8443), b"127.0.0.1:8443"),
        (Origin(b"https", b"2001:db8::1", 443), b"[2001:db8::1]:443"),  # urllib3 #3615
        (Origin(b"https", b"::ffff:1.2.3.4", 65535), b"[::ffff:1.2.3.4]:65535"),
    ],
)
def test_b12_the_target_is_an_authority(origin: Origin, target: bytes) -> None:
    """RFC 9112, section 3.2.3: always with its port; and Host says the same."""
    tunnel = new_tunnel(Proxy("http://p"), origin)
    assert tunnel.target == target
    assert tunnel.begin() == b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)


@pytest.mark.parametrize(
    "host", [b"a\r\nX: y", b"a\n", b"a b", b"a\x00", b"a/b", b"u@a", b"[::1", b"::1]", b"", b"\xff"]
)
def test_b12_hosts_that_would_break_out_of_the_request(host: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        new_tunnel(origin=Origin(b"https", host, 443))


def test_b12_ports_that_are_none() -> None:
    for port in (0, -1, 65536):
        with pytest.raises(LocalProtocolError):
            new_tunnel(origin=Origin(b"https", b"example.com", port))


def test_x3_the_proxy_is_sent_its_own_headers_and_credentials_and_nothing_else() -> None:
    tunnel = new_tunnel(fields=[(b"User-Agent", b"x"), (b"X-a", b"1"), (b"x-A", b"2")])
    expected = ASKED + b"User-Agent: x\r\nX-a: 1\r\nx-A: 2\r\nProxy-Authorization: "
    assert tunnel.begin() == expected + BASIC + b"\r\n\r\n"
    assert new_tunnel(Proxy("http://p")).begin() == ASKED + b"\r\n"


def test_x3_credentials_take_the_place_of_a_header_that_says_them() -> None:
    fields = [(b"proxy-AUTHORIZATION", b"old"), (b"X", b"1")]
    asked = new_tunnel(fields=fields).begin()
    assert asked == ASKED + b"X: 1\r\nProxy-Authorization: " + BASIC + b"\r\n\r\n"
    asked = new_tunnel(Proxy("http://p"), fields=fields).begin()
    assert asked == ASKED + b"proxy-AUTHORIZATION: old\r\nX: 1\r\n\r\n"


@pytest.mark.parametrize("field", [(b"X", b"a\r\nY: b"), (b"X\n", b"a"), (b"Host", b"b")])
def test_b13_illegal_headers_are_refused_before_anything_is_written(
    field: tuple[bytes, bytes],
) -> None:
    with pytest.raises(LocalProtocolError):
        new_tunnel(fields=[field])


# It opens


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 200 Established",
        b"HTTP/1.1 201 Created", b"HTTP/1.1 204 No Content", b"HTTP/1.1 299 x",
    ],
)  # fmt: skip
def test_x1_f02_any_2xx_opens_the_tunnel(line: bytes) -> None:
    tunnel = opened(reply(line, b"Via: 1.1 p")).tunnel
    assert tunnel.answer is not None
    assert (tunnel.answer.status, tunnel.answer.headers) == (int(line[9:12]), [(b"Via", b"1.1 p")])


@pytest.mark.parametrize(
    "fields",
    [
        [b"Content-Length: 5"], [EMPTY], [b"Content-Length: 99999999999"], [CHUNKED],
        [b"Connection: close"], [b"Proxy-Connection: close"], [b"Content-Length: 5", CHUNKED],
    ],
)  # fmt: skip
def test_f06_a_2xx_has_no_body_whatever_it_announces(fields: list[bytes]) -> None:
    """RFC 9110, section 9.3.6: what follows the head is the origin's."""
    head = reply(b"HTTP/1.1 200 OK", *fields)
    assert opened(head).leftover == b""
    assert opened(head + b"hello").leftover == b"hello"
    assert opened(head + b"5\r\nhello\r\n0\r\n\r\n").leftover == b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "extra", [b"\x16\x03\x03", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 999]
)
def test_f06_what_comes_behind_the_answer_is_kept(extra: bytes) -> None:
    assert opened(OK + extra).leftover == extra


@pytest.mark.parametrize("number", [1, 5, 100])
def test_f02_informational_answers_are_skipped(number: int) -> None:
    interim = [b"HTTP/1.1 100 Continue", b"HTTP/1.1 102 Processing", b"HTTP/1.1 103 Hints"]
    before = b"".join(reply(interim[i % 3], b"X: y") for i in range(number))
    assert opened(before + OK + b"rest").leftover == b"rest"
    assert refused(before + reply(b"HTTP/1.1 403 No", EMPTY)).status == 403


# It is refused


@pytest.mark.parametrize(
    "status", [300, 301, 302, 304, 307, 400, 401, 403, 404, 407, 429, 500, 502, 503, 504, 600, 999]
)
def test_x2_f01_f02_a_refusal_has_status_headers_and_body(status: int) -> None:
    """A redirect is one, too, and 407 where its credentials had been sent already."""
    body = b"" if status == 304 else b"<b>no</b>"
    fields = [b"Location: http://evil.example/", b"Proxy-Authenticate: Basic realm=x"]
    head = reply(b"HTTP/1.1 %d Not So" % status, *fields, b"Content-Length: %d" % len(body))
    error = refused(head + body)
    assert (error.status, error.body) == (status, body)
    assert (b"Location", b"http://evil.example/") in error.headers
    text = f"the proxy http://p:3128 refused to connect to example.com:443: {status} Not So"
    assert str(error) == text


@pytest.mark.parametrize(
    ("fields", "wire_body", "eof"),
    [
        ([b"Content-Length: 5"], b"hello", False),
        ([b"Content-Length: 5"], b"hello, world", False),
        ([b"Content-Length: 5", b"Connection: close"], b"hello", True),
        ([CHUNKED], b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX: y\r\n\r\n", False),
        ([], b"hello", True),
    ],
)
def test_x2_f01_the_body_however_it_is_framed(
    fields: list[bytes], wire_body: bytes, eof: bool
) -> None:
    for status in (b"HTTP/1.1 407 No", b"HTTP/1.1 403 No"):
        error = refused(reply(status, *fields, body=wire_body), eof=eof)
        assert (error.status, error.body) == (int(status[9:12]), b"hello")


@pytest.mark.parametrize("framing", ["length", "endless length", "chunked", "until eof"])
@pytest.mark.parametrize("size", [2, 7919, 10**9])
def test_x2_the_body_is_cut_off_and_no_more_of_it_is_waited_for(framing: str, size: int) -> None:
    """64 KiB are kept. The stream does not end here, and the rest may never come."""
    body = b"0123456789abcdef" * (MAX_REFUSAL // 16)
    fields = {
        "length": [b"Content-Length: %d" % (MAX_REFUSAL + 1)],
        "endless length": [b"Content-Length: 9223372036854775807"],
        "chunked": [CHUNKED],
        "until eof": [],
    }[framing]
    sent = b"1000000000\r\n" + body if framing == "chunked" else body
    error = refused(reply(b"HTTP/1.1 502 Bad", *fields, body=sent), cuts=[size])
    assert error.body == body
    error = refused(reply(b"HTTP/1.1 502 Bad", *fields, body=sent + b"x" * 99999), cuts=[size])
    assert error.body == body
    tunnel = new_tunnel()
    Dialogue(tunnel).run(reply(b"HTTP/1.1 502 Bad", *fields, body=sent[:-1]), size=size)
    assert not tunnel.is_open  # one byte less, and it is waited for


def test_f02_101_was_not_asked_for() -> None:
    head = reply(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: x", b"Connection: upgrade")
    assert isinstance(refused(head).__cause__, RemoteProtocolError)


@pytest.mark.parametrize("data", [b"r\xc3\xa9sum\xe9 \xff", b"tab\there", b"'quoted' \"x\" \\n"])
def test_reasons_are_shown_in_plain_text(data: bytes) -> None:
    text = str(refused(reply(b"HTTP/1.1 403 " + data, EMPTY)))
    assert text.isascii()
    assert text.isprintable()


def test_long_reasons_are_cut_short_and_empty_ones_left_out() -> None:
    assert len(str(refused(reply(b"HTTP/1.1 403 " + b"x" * 3000, EMPTY)))) < 400
    assert str(refused(reply(b"HTTP/1.1 403", EMPTY))).endswith(": 403")


# It is no answer


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n", b"<html>no</html>", b"\x00" * 64, b"\x15\x03\x01\x00\x02", b"\x05\xff",
        b"SSH-2.0-OpenSSH_9.9\r\n", b"\r\nHTTP/1.1 200 OK\r\n\r\n", b" HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n", b"HTTP/0.9 200 OK\r\n\r\n", b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n", b"HTTP/1.1200 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n",
        b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64",  # HTTP/2 SETTINGS
        OK[:-2] + b"X : y\r\n\r\n", OK[:-2] + b" folded\r\n\r\n", OK[:-2] + b"X: a\rb\r\n\r\n",
        OK[:-2] + b"X: \x00\r\n\r\n", OK[:-2] + b"Transfer-Encoding: gzip\r\n\r\n",
        OK[:-2] + b"X: y\n\r\n", OK[:-2] + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        reply(b"HTTP/1.1 403 No", b"Content-Length: 1", b"Content-Length: 1", body=b"x"),
        reply(b"HTTP/1.1 403 No", b"Content-Length: -1"), reply(b"HTTP/1.1 403 No", CHUNKED, EMPTY),
    ],
)  # fmt: skip
def test_x2_f04_garbage(data: bytes) -> None:
    """One category of error, with the one of HTTP as its cause, and no status."""
    error = refused(data, eof=True)
    assert error.status is None
    assert isinstance(error.__cause__, RemoteProtocolError)
    assert str(error).startswith("the proxy http://p:3128 failed: ")


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"a:\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Hints\r\nX: " + b"y" * 4000 + b"\r\n\r\n"),
        (b"", b"x"),
    ],
)
@pytest.mark.parametrize("size", [1, 997])
def test_f04_i8_floods_end(start: bytes, unit: bytes, size: int) -> None:
    """Headers or interim answers for ever: at a limit, not at the end of what there is."""
    tunnel = new_tunnel()
    tunnel.begin()
    used = 0
    with pytest.raises(ProxyError):
        for piece in pieces(start + unit * (200_000 // len(unit)), size):
            tunnel.receive(piece)
            used += len(piece)
    assert used <= 64 * 1024 + MAX_HEAD + size


def test_f04_more_fields_than_the_limit() -> None:
    fields = [b"a: b"] * MAX_COUNT
    opened(reply(b"HTTP/1.1 200 OK", *fields))
    assert refused(reply(b"HTTP/1.1 200 OK", *fields, b"a: b")).status is None


def test_x2_eof_anywhere_in_the_head() -> None:
    for end in range(len(OK)):
        error = refused(OK[:end], eof=True)
        assert (error.status, error.body) == (None, b"")
        assert isinstance(error.__cause__, ReadError)


@pytest.mark.parametrize(
    ("field", "body"), [(b"Content-Length: 5", b"hello"), (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")]
)
def test_x2_eof_anywhere_in_a_refusals_body(field: bytes, body: bytes) -> None:
    """What has arrived is told: it says why, mostly."""
    head = reply(b"HTTP/1.1 503 Busy", field)
    for end in range(len(body)):
        error = refused(head + body[:end], eof=True)
        assert error.status == 503
        assert b"hello".startswith(error.body)
        assert len(error.body) >= min(5, end - 3)


def test_x2_a_refusals_body_that_is_broken() -> None:
    assert refused(reply(b"HTTP/1.1 503 Busy", CHUNKED, body=b"xyz\r\n")).status == 503


def test_x2_time_is_that_of_connecting() -> None:
    for error in (ReadTimeout(limit=2.5), WriteTimeout(limit=2.5)):
        tunnel = new_tunnel()
        Dialogue(tunnel).run(OK[:-1])
        failure = tunnel.failed(error)
        assert type(failure) is ConnectTimeout
        assert failure.limit == 2.5


@pytest.mark.parametrize("error", [ReadError("reset"), WriteError("reset"), ReadTimeout()])
def test_x2_what_breaks_is_the_proxys_error_and_in_a_refusal_the_refusal(
    error: TransportError,
) -> None:
    tunnel = new_tunnel()
    tunnel.begin()
    if not isinstance(error, ReadTimeout):
        failure = tunnel.failed(error)
        assert type(failure) is ProxyError
        assert str(failure) == "the proxy http://p:3128 failed: reset"
    tunnel.receive(reply(b"HTTP/1.1 403 No", b"Content-Length: 9", body=b"half"))
    failure = tunnel.failed(error)
    assert isinstance(failure, ProxyError)
    assert (failure.status, failure.body) == (403, b"half")


def test_any_other_error_is_the_cause_and_never_its_own() -> None:
    closed = LocalProtocolError("closed")
    assert type(new_tunnel().failed(closed)) is ProxyError


# Challenges


class Numbered(ProxyAuth):
    """Credentials "0", "1" and so on; notes what it was asked and told."""

    def __init__(self, number: int = 10**9) -> None:
        self.number = number
        self.told: list[Any] = []

    def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
        self.told.append((method, target))
        for number in range(self.number):
            self.told.append((yield b"X 5ecret%d" % number))


def asked(number: int) -> bytes:
    return ASKED + b"Proxy-Authorization: X 5ecret%d\r\n\r\n" % number


SAME = [
    CHALLENGE,
    reply(b"HTTP/1.1 407 Auth", b"proxy-authenticate: X one", b"Content-Length: 5", body=b"hello"),
    reply(b"HTTP/1.1 407 Auth", b"Proxy-Authenticate: X one", CHUNKED, body=b"1\r\nx\r\n0\r\n\r\n"),
    reply(b"HTTP/1.1 100 Continue") + CHALLENGE,
    CHALLENGE.replace(b"HTTP/1.1", b"HTTP/1.0").replace(
        EMPTY, EMPTY + b"\r\nConnection: Keep-Alive"
    ),
]
OTHER = [
    CHALLENGE.replace(EMPTY, EMPTY + b"\r\nConnection: close"),
    CHALLENGE.replace(EMPTY, b"Connection: x, Close\r\nContent-Length: 1") + b"x",
    CHALLENGE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    CHALLENGE.replace(EMPTY, b"Content-Length: %d" % (MAX_REFUSAL * 2)) + b"x" * MAX_REFUSAL,
    CHALLENGE.replace(EMPTY, CHUNKED) + b"20000\r\n" + b"x" * MAX_REFUSAL,
]


@pytest.mark.parametrize("size", [1, 2, 7, 10**9])
@pytest.mark.parametrize("challenge", SAME)
def test_f01_rounds_on_one_connection(challenge: bytes, size: int) -> None:
    auth = Numbered()
    dialogue = Dialogue(new_tunnel(Proxy("http://p", auth=auth)))
    dialogue.run(challenge, challenge, OK + b"rest", size=size)
    assert dialogue.tunnel.is_open
    assert dialogue.sent == [asked(0), asked(1), asked(2)]
    assert (dialogue.connections, dialogue.leftover) == (1, b"rest")
    assert auth.told == [(b"CONNECT", b"example.com:443"), [b"X one"], [b"X one"]]


@pytest.mark.parametrize("size", [7, 10**9])
@pytest.mark.parametrize("challenge", OTHER)
def test_f01_rounds_on_connections_that_the_proxy_closes(challenge: bytes, size: int) -> None:
    """Each goes on where the last ended: `flow` is one for all of them."""
    auth = Numbered()
    dialogue = Dialogue(new_tunnel(Proxy("http://p", auth=auth)))
    dialogue.run(challenge, challenge, CHALLENGE, OK, size=size)
    assert dialogue.tunnel.is_open
    assert dialogue.sent == [asked(0), asked(1), asked(2), asked(3)]
    assert dialogue.connections == 3
    assert len(auth.told) == 4


def test_f01_a_challenge_that_ends_with_its_connection() -> None:
    dialogue = Dialogue(new_tunnel(Proxy("http://p", auth=Numbered())))
    endless = CHALLENGE.replace(EMPTY, b"X: y") + b"a body"
    dialogue.run(endless, eof=True)
    assert dialogue.tunnel.needs_connection
    assert dialogue.run(OK).sent == [asked(0), asked(1)]
    assert dialogue.tunnel.is_open


def test_h3_what_comes_behind_a_challenge_is_never_an_answer() -> None:
    dialogue = Dialogue(new_tunnel(Proxy("http://p", auth=Numbered()))).run(CHALLENGE + OK)
    assert not dialogue.tunnel.is_open
    assert dialogue.tunnel.needs_connection
    assert dialogue.run(OK).leftover == b""


def test_f01_rounds_end() -> None:
    for challenge in (SAME[1], OTHER[1]):
        for number in (0, 1, 2, MAX_ROUNDS, 10**9):
            attempts = min(max(number, 1), MAX_ROUNDS + 1)
            dialogue = Dialogue(new_tunnel(Proxy("http://p", auth=Numbered(number))))
            dialogue.run(*[challenge] * (attempts - 1))
            with pytest.raises(ProxyError) as caught:
                dialogue.run(challenge)
            assert len(dialogue.sent) == attempts
            assert caught.value.status == 407
            assert "5ecret" not in f"{caught.value}{caught.value!r}"


def test_the_refusal_is_the_last_answer_alone() -> None:
    last = reply(b"HTTP/1.1 403 No", b"X: 2", b"Content-Length: 3", body=b"two")
    error = refused(SAME[1], last, proxy=Proxy("http://p", auth=Numbered()))
    assert (error.status, error.body) == (403, b"two")
    assert error.headers[0] == (b"X", b"2")
    tunnel = new_tunnel(Proxy("http://p", auth=Numbered()))
    Dialogue(tunnel).run(SAME[1])
    assert isinstance(tunnel.failed(ReadTimeout()), ConnectTimeout)


@pytest.mark.parametrize("line", [b"HTTP/1.1 401 Auth", b"HTTP/1.1 403 No"])
def test_only_407_is_a_challenge(line: bytes) -> None:
    challenge = CHALLENGE.replace(b"HTTP/1.1 407 Auth", line)
    assert refused(challenge, proxy=Proxy("http://p", auth=Numbered())).status == int(line[9:12])


@pytest.mark.parametrize(
    "value", [b"X 5ecret\r\nY: z", b"5ecret\n", b" 5ecret", b"5ecret\x00", "5ecret"]
)
@pytest.mark.parametrize("late", [False, True])
def test_b13_credentials_that_no_header_can_hold(value: Any, late: bool) -> None:
    class Broken(ProxyAuth):
        def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
            for _ in count():
                yield value if self.told else None
                self.told = True

        told = not late

    dialogue = Dialogue(new_tunnel(Proxy("http://p", auth=Broken())))
    with pytest.raises(LocalProtocolError) as caught:
        dialogue.run(CHALLENGE)
    assert "5ecret" not in "".join(traceback.format_exception_only(caught.value))
