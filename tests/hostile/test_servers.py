"""The fault catalogue, groups A, B, E and G, row by row against the pool over real sockets."""

from __future__ import annotations

import random
import select
import ssl
import threading
import time
from typing import Any

import h11
import pytest

from httpcore_core import (
    ByteStream,
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    Request,
    UnsupportedProtocol,
    WriteError,
)
from httpcore_core._protocol import head as head_module
from httpcore_core._protocol import http11 as http11_module
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.certificates import Certificates
from tests.hostile.case import (
    HEALTHY,
    KINDS,
    LIMITS,
    SECRET,
    Body,
    Client,
    Log,
    answering,
    check_afterwards,
    check_error,
    done,
    drive,
    ending,
    healthy,
    outcome,
)
from tests.protocol.wire import PARSERS, Outcome, new_protocol, pieces, plan, receive

kinds = pytest.mark.parametrize("kind", KINDS)

NO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
RPE = RemoteProtocolError
NO_BODY = (200, b"")


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


def chunked(body: bytes, *lines: bytes) -> bytes:
    return head(b"Transfer-Encoding: chunked", *lines) + body


def sized(*lines: bytes, body: bytes = b"abcde") -> bytes:
    return head(*lines) + body


class Case:
    def __init__(
        self,
        name: str,
        data: bytes,
        expected: Any,
        *,
        end: str = "",
        method: str = "GET",
        reusable: bool = False,
    ) -> None:
        self.name = name
        self.data = data
        self.expected = expected
        self.end = end
        self.method = method
        self.reusable = reusable


def refused(row: str, *responses: bytes, end: str = "") -> list[Case]:
    return [Case(f"{row}-{n}", data, RPE, end=end) for n, data in enumerate(responses)]


GET_AND_MORE = [
    Case("a01", NO + EVIL, (200, b"no")),
    Case("a03-extra", NO + b"x", (200, b"no")),
    Case("a03-newline", NO + b"\r\n", (200, b"no")),
    Case("a03-chunked", chunked(b"2\r\nno\r\n0\r\n\r\n") + EVIL, (200, b"no")),
    Case("a04-head", NO, NO_BODY, method="HEAD"),
    Case("a04-head-chunked", chunked(b"2\r\nno\r\n0\r\n\r\n"), NO_BODY, method="HEAD"),
    Case("a04-head-evil", head(b"Content-Length: 2") + EVIL, NO_BODY, method="HEAD"),
    Case("a04-204", head(status=b"HTTP/1.1 204 No Content") + b"no", (204, b"")),
    Case("a04-204-length", NO.replace(b"200 OK", b"204 No"), (204, b"")),
    Case("a04-304", NO.replace(b"200 OK", b"304 No"), (304, b"")),
]
VALID = [
    Case("length", sized(b"Content-Length: 5"), (200, b"abcde"), reusable=True),
    Case("a08-zeros", sized(b"Content-Length: 0005"), (200, b"abcde"), reusable=True),
    Case("a04-head", head(b"Content-Length: 5"), NO_BODY, method="HEAD", reusable=True),
    Case("a04-head", head(b"Transfer-Encoding: chunked"), NO_BODY, method="HEAD", reusable=True),
    Case("a04-204", head(status=b"HTTP/1.1 204 No Content"), (204, b""), reusable=True),
    Case("a04-304", head(b"Content-Length: 9", status=b"HTTP/1.1 304 "), (304, b""), reusable=True),
    Case(
        "a10-upper", chunked(b"A\r\n0123456789\r\n00\r\n\r\n"), (200, b"0123456789"), reusable=True
    ),
    Case("a14", head(b"X: y") + b"to the end", (200, b"to the end"), end="fin"),
    Case(
        "a15-no-reason", head(b"Content-Length: 0", status=b"HTTP/1.1 200"), NO_BODY, reusable=True
    ),
    Case("a17-999", head(b"Content-Length: 0", status=b"HTTP/1.1 999 "), (999, b""), reusable=True),
    Case("a18", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", (200, b"ok"), reusable=True),
    Case("a22-three", head(status=b"HTTP/1.1 103 Hints") * 3 + NO, (200, b"no"), reusable=True),
    Case("a22-100", head(status=b"HTTP/1.1 100 ") * 100 + NO, (200, b"no"), reusable=True),
    Case("a24-close", sized(b"Content-Length: 5", b"Connection: close"), (200, b"abcde")),
    Case("a24-CLOSE", sized(b"Content-Length: 5", b"CONNECTION:\tCLOSE\t"), (200, b"abcde")),
    Case(
        "a24-both", sized(b"Content-Length: 5", b"Connection: keep-alive, close"), (200, b"abcde")
    ),
    Case(
        "a24-lines",
        sized(b"Connection: close", b"Content-Length: 5", b"Connection: keep-alive"),
        (200, b"abcde"),
    ),
    Case("a24-1.0", NO.replace(b"HTTP/1.1", b"HTTP/1.0"), (200, b"no")),
    Case(
        "a24-1.0-keep",
        head(b"Connection: Keep-Alive", b"Content-Length: 0", status=b"HTTP/1.0 200 OK"),
        NO_BODY,
        reusable=True,
    ),
    Case(
        "a26",
        chunked(b"2\r\nok\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nHost: y\r\n\r\n"),
        (200, b"ok"),
        reusable=True,
    ),
]
LENGTHS = [
    b"+5",
    b"-5",
    b"0x5",
    b"1_0",
    b"",
    b"5 5",
    b"\xd9\xa5",
    b"\xb2",
    b"5.0",
    b"5;",
    b"9" * 20,
]
LENGTHS += [b"9" * 5000, b"18446744073709551621", b"9223372036854775808", b"5, 6", b"5, 5", b"5,5"]
CODINGS = [b"gzip, chunked", b"identity", b"xchunked", b"chunked, chunked", b"chunked, gzip", b""]
CODINGS += [b"chunked;q=1", b'"chunked"', b"chunked\xa0", b"chunked,", b"chun\tked"]
CHUNK = b"5\r\nabcde\r\n0\r\n\r\n"
SIZES = [b"0x5", b"+5", b"-5", b"0_5", b" 5", b"", b";a", b"5g", b"\xd9\xa5", b"0" * 20 + b"5"]
SIZES += [b"f" * 40, b"5;a\nb", b"5;a\rb", b"5;a\0b", b"5\x0b", b"8000000000000005\0"]
LINES = [
    *(b"X: a%bb" % bytes([control]) for control in (*range(9), 11, 12, 13, *range(14, 32), 127)),
    *(b" folded", b"X: y\r\n folded", b"X: y\r\n\tfolded", b"Content-Length : 5", b"no colon"),
    *(b": empty name", b"X Y: z", b"X\t: z", b"X(: z", b"\xe9: z", b"X: y\nEvil: z", b"X: y\rZ: z"),
    *(b"Transfer-Encoding : chunked", b"Content-Length\xa0: 5", b"\x0bContent-Length: 5"),
]
STATUS_LINES = [b"HTTP/1.1 %b x" % code for code in (b"99", b"099", b"000", b"20", b"-20", b"1000")]
STATUS_LINES += [b"HTTP/1.1 +20 x", b"HTTP/1.1  200 x", b"HTTP/1.1 2OO x", b"HTTP/1.1\t200 x"]
STATUS_LINES += [
    b"HTTP/1.2 200 x",
    b"HTTP/2.0 200 x",
    b"HTTP/0.9 200 x",
    b"http/1.1 200 x",
    b"ICY 200",
]
STATUS_LINES += [b"HTTP/1.1 200\xa0x", b"HTTP/1.1 200x", b" HTTP/1.1 200 x", b"\r\nHTTP/1.1 200 x"]
STATUS_LINES += [
    b"HTTP/11 200 x",
    b"HTTP/1.10 200 x",
    b"SSH-2.0-x",
    b"<html>",
    b"HTTP/1.1 \xb2\xb20 x",
]
BOTH = [b"Content-Length: 5", b"Transfer-Encoding: chunked"]

REFUSED = [
    *refused(
        "a05", head(*BOTH) + CHUNK, head(*BOTH[::-1]) + CHUNK, head(BOTH[0], b"X: y", BOTH[1])
    ),
    *refused("a06", *(sized(b"Content-Length: 5", b"content-length:%b" % n) for n in (b"5", b"6"))),
    *refused("a08", *(sized(b"Content-Length: %b" % length) for length in LENGTHS)),
    *refused("a09", *(head(b"Transfer-Encoding: %b" % coding) + CHUNK for coding in CODINGS)),
    *refused("a09-two", head(BOTH[1], BOTH[1]) + CHUNK, head(BOTH[1], b"tRansfer-encoding: x")),
    *refused("a09-1.0", head(BOTH[1], status=b"HTTP/1.0 200 OK") + CHUNK),
    *refused("a10", *(chunked(b"%b\r\nabcde\r\n0\r\n\r\n" % size) for size in SIZES)),
    *refused("a10-lf", chunked(b"5\nabcde\r\n0\r\n\r\n"), chunked(b"5\r\nabcde\n0\r\n\r\n")),
    *refused("a10-end", chunked(b"5\r\nabcdefg\r\n0\r\n\r\n"), chunked(b"5\r\nabcde0\r\n\r\n")),
    *refused("a10-cr", chunked(b"5\rabcde\r\n0\r\n\r\n"), chunked(b"5\r\r\nabcde\r\n0\r\n\r\n")),
    *refused("a11-line", chunked(b"5;" + b"a" * 20_000), chunked(b"5" + b" " * 20_000)),
    *refused("a11-zeros", chunked(b"0" * 20_000)),
    *refused("a11-ratio", chunked((b"1;" + b"a" * 4000 + b"\r\nx\r\n") * 5)),
    *refused("a12-cut", *(chunked(CHUNK[:at]) for at in range(len(CHUNK))), end="fin"),
    *refused(
        "a13", *(sized(b"Content-Length: 6", body=b"abcde"[:at]) for at in range(6)), end="fin"
    ),
    *refused("a15", *(NO[:at] for at in (0, 1, 7, 9, 12, 17, 30, 36)), end="fin"),
    *refused("a17", *(head(b"Content-Length: 0", status=line) for line in STATUS_LINES)),
    *refused("a18-mixed", b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n"),
    *refused("a18-mixed", b"HTTP/1.1 200 OK\nX: y\r\nContent-Length: 0\n\n"),
    *refused("a18-cr", NO.replace(b"\r", b"\r\r"), NO.replace(b"\n", b""), end="fin"),
    *refused("a19-a20", *(head(b"Content-Length: 0", line) for line in LINES)),
    *refused("a20-first", *(head(line, b"Content-Length: 0") for line in LINES[-20:])),
    *refused("a21", head(b"X: " + b"y" * 200_000), b"HTTP/1.1 200 OK\r\nX: " + b"y" * 110_000),
    *refused("a21-count", head(*[b"a:b"] * 5000), b"HTTP/1.1 200 " + b"x" * 110_000),
    *refused("a22", head(status=b"HTTP/1.1 103 Hints") * 101 + NO),
    *refused("a22-bytes", head(b"X: " + b"y" * 30_000, status=b"HTTP/1.1 103 Hints") * 3 + NO),
    *refused("a22-101", head(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 x")),
    *refused("a22-then-bad", head(status=b"HTTP/1.1 100 Continue") + b"evil\r\n\r\n"),
    *refused("a26", chunked(b"0\r\n" + b"X: " + b"y" * 1_000_000), chunked(b"0\r\nX: y\0\r\n\r\n")),
    *refused("a26-count", chunked(b"0\r\n" + b"a:b\r\n" * 20_000), chunked(b"0\r\nX : y\r\n\r\n")),
    *refused("a26-fold", chunked(b"0\r\nX: y\r\n z\r\n\r\n"), chunked(b"0\r\nX: y\n\r\n")),
]
RESETS = [
    Case("a12", chunked(CHUNK[:6]), ReadError, end="rst"),
    Case("a13", sized(b"Content-Length: 6"), ReadError, end="rst"),
    Case("a14", head(b"X: y") + b"to the e", ReadError, end="rst"),
    Case("a15-nothing", b"", ReadError, end="rst"),
    Case("a15-half", b"HTTP/1.1 200 OK\r\nX: y", ReadError, end="rst"),
    Case("g02-after", NO, (200, b"no"), end="rst"),
]

# A server that writes in pieces, a client that reads in pieces, and neither.
CUTS: list[tuple[int | None, int | None]] = [(None, None), (1, None), (None, 1), (97, 13)]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "cases", [GET_AND_MORE, VALID, REFUSED, RESETS], ids=["extra", "valid", "refused", "resets"]
)
@kinds
def test_a_responses_one_after_the_other(
    kind: str, cases: list[Case], cut: tuple[int | None, int | None]
) -> None:
    """A01 to A26. Each case has a server and a pool of its own, and ends with all invariants."""
    write_size, read_size = cut
    if cases is GET_AND_MORE:
        write_size = None  # what comes after the next request was sent is its answer

    async def main() -> None:
        failures = []
        for case in cases:
            if len(case.data) > 10_000 and 1 in cut:
                continue  # as many system calls; the protocol tests have them
            if case.end == "rst" and write_size == 1:
                continue  # the reset overtakes what is still to be sent
            client = Client(kind, read_size=read_size)
            try:
                await check(client, case, write_size)
            except AssertionError as exc:
                failures.append(f"{case.name} {case.data[:100]!r}: {exc}")
            finally:
                await client.close()
        assert not failures, "\n".join(failures)

    drive(kind, main)


async def check(client: Client, case: Case, write_size: int | None) -> None:
    script = answering(case.data, end=case.end, size=write_size)
    scripts = [script, healthy]
    if case.reusable:
        scripts = [lambda peer: (script(peer), healthy(peer))]
    with ScriptedServer(*scripts) as server:
        result = await outcome(client.request(case.method, server.url))
        if isinstance(case.expected, tuple):
            assert result == case.expected, result
        else:
            assert type(result) is case.expected, result
            assert isinstance(result, RPE) or isinstance(result.__cause__, OSError)
        await check_afterwards(client, server, connections=1 if case.reusable else 2)


@kinds
def test_a22_informational_responses_without_end(kind: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        for _ in range(100_000):
            peer.send(head(b"Link: <x>", status=b"HTTP/1.1 103 Early Hints") * 10)

    async def main() -> None:
        with ScriptedServer(script, healthy) as server:
            client = Client(kind)
            assert type(await outcome(client.request("GET", server.url))) is RPE
            await check_afterwards(client, server, connections=2)

    drive(kind, main)


CONTINUE = head(status=b"HTTP/1.1 100 Continue")
REFUSAL = head(b"Content-Length: 2", status=b"HTTP/1.1 417 No") + b"no"


@pytest.mark.parametrize(
    ("answer", "expected", "body_is_sent"),
    [
        ([REFUSAL], (417, b"no"), False),
        ([head(status=b"HTTP/1.1 103 Hints"), REFUSAL], (417, b"no"), False),
        ([head(status=b"HTTP/1.1 103 Hints") + REFUSAL[:9], REFUSAL[9:]], (417, b"no"), False),
        ([CONTINUE + REFUSAL], (417, b"no"), False),
        ([NO], (200, b"no"), False),
        ([CONTINUE, b"wait", REFUSAL], (417, b"no"), True),
        ([CONTINUE * 2, b"wait", NO], (200, b"no"), True),
        ([b"", b"wait", NO], (200, b"no"), True),  # never answered: sent after `expect_continue`
        ([b"HTTP/1.1 1"], RPE, False),
        ([b""], RPE, False),
    ],
)
@pytest.mark.parametrize("size", [100, 200_000, None])
@kinds
def test_a27_expect_continue(
    kind: str, size: int | None, answer: list[bytes], expected: Any, body_is_sent: bool
) -> None:
    """`size` None is a chunked body from an iterator."""

    def script(peer: Peer) -> None:
        request = peer.read_head()
        assert request.header(b"expect") == b"100-continue"
        for part in answer:
            if part == b"wait":
                headers = [field for field in request.headers if field[0] != b"Expect"]
                peer.read_body(request._replace(headers=headers))
            else:
                peer.send(part)
                peer.pause(0.002)
        if expected is RPE:
            peer.half_close()

    async def main() -> None:
        with ScriptedServer(script, healthy) as server:
            client = Client(kind)
            content: Any = Body(b"one", b"two") if size is None else bytes(size)
            wait = {"expect_continue": 0.05 if answer[0] == b"" and body_is_sent else 30.0}
            call = client.request("POST", server.url, content=content, extensions=wait)
            result = await outcome(call)
            assert (result if expected is not RPE else type(result)) == expected, result
            is_whole = bool(server.connections[0].requests)
            assert is_whole == body_is_sent
            if not body_is_sent:
                assert server.connections[0].received.endswith(b"\r\n\r\n")
                assert size is not None or content.taken == 0
            if not is_whole:
                await check_afterwards(client, server, connections=2)
            else:
                await client.close()

    drive(kind, main)


SWITCHING = head(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 Switching")
TUNNELS = [
    ("GET", [SWITCHING]),
    ("GET", [head(status=b"HTTP/1.1 103 Hints"), SWITCHING]),
    ("GET", [SWITCHING.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n")]),
    ("CONNECT", [head(status=b"HTTP/1.1 200 Connected")]),
    ("CONNECT", [head(b"Content-Length: 3")]),
    ("CONNECT", [head(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 299 x")]),
    ("CONNECT", [head(*BOTH), b""]),
    ("CONNECT", [CONTINUE, head(b"Connection: close", status=b"HTTP/1.0 200 OK")]),
]


@pytest.mark.parametrize("early", [b"", EVIL])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("method", "answer"), TUNNELS)
@kinds
def test_a29_upgrades_and_tunnels(
    kind: str, method: str, answer: list[bytes], cut: tuple[int | None, int | None], early: bytes
) -> None:
    """What came with the head comes first, body rules do not hold, and closing is the end."""
    write_size, read_size = cut

    def script(peer: Peer) -> None:
        answering(*answer, early, size=write_size)(peer)
        peer.expect(b"ping")
        peer.send(b"pong")

    async def main() -> None:
        with ScriptedServer(script, healthy) as server:
            client = Client(kind, read_size=read_size)
            host = (b"Host", b"example.com:443")
            fields = [host, (b"Upgrade", b"x"), (b"Connection", b"upgrade")]
            target = b"example.com:443" if method == "CONNECT" else b"/"
            url = (b"http", b"127.0.0.1", server.port, target)
            fields = fields if method == "GET" else [host]
            limits = {"timeout": LIMITS}
            response = await client.send(
                Request(method.encode(), url, fields, ByteStream(b""), limits)
            )
            stream = response.extensions["network_stream"]
            await done(stream.write(b"ping", 4.0))
            received = b""
            while len(received) < len(early) + 4:
                received += await done(stream.read(3, 4.0))
            assert received == early + b"pong"
            assert await client.read(response) == b""
            await client.close(stream)
            await client.close(response.stream)
            await check_afterwards(client, server, connections=2)

    drive(kind, main)


@pytest.mark.parametrize(
    "data", [head(*BOTH) + CHUNK, head(BOTH[0], b"Content-Length: 6"), SWITCHING]
)
@kinds
def test_a29_a_refused_tunnel_is_a_response_like_any_other(kind: str, data: bytes) -> None:
    data = data.replace(b"HTTP/1.1 200", b"HTTP/1.1 407")

    async def main() -> None:
        with ScriptedServer(answering(data), healthy) as server:
            client = Client(kind)
            extensions = {"target": b"example.com:443"}
            call = client.request("CONNECT", server.url, extensions=extensions)
            assert type(await outcome(call)) is RPE
            await check_afterwards(client, server, connections=2)

    drive(kind, main)


@kinds
def test_an_upgrade_in_the_middle_of_an_upload_is_refused(kind: str) -> None:
    """RFC 9110, section 7.8: the request is whole before the protocol changes."""

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(SWITCHING)

        peer.hang()

    async def main() -> None:
        for content in (bytes(20_000_000), Body(*[bytes(1_000_000)] * 20)):
            with ScriptedServer(script, healthy) as server:
                client = Client(kind)
                headers = {"Upgrade": "x", "Connection": "upgrade"}
                call = client.request("POST", server.url, headers=headers, content=content)
                assert type(await outcome(call)) is RPE
                server.release()
                await check_afterwards(client, server, connections=2)

    drive(kind, main)


HOST = (b"Host", b"example.com")
BAD_NAMES = [b"", b" ", b"a b", b"a:", b":a", b"a\r\nb", b"a\0", b"\xe9", b"a\t", b"(a)", b"a\n"]
BAD_VALUES = [b"\r\n", b"a\r\nEvil: b", b"a\n", b"\ra", b"a\0", b" a", b"a ", b"\ta", b"a\x7f"]
BAD_VALUES += [b"a%bb" % bytes([control]) for control in range(32) if control != 9]
BAD_TARGETS = [
    b"",
    b"x",
    b"/a b",
    b"/\r\nX: y",
    b"/\n",
    b"/\0",
    b"/\t",
    b"/\xe9",
    b"/#f",
    b"*",
    b"//\x7f",
]
BAD_TARGETS += [b"example.com:443", b"http://", b"ftp://x/", b"http://u:hunter2@h/", b"\\evil"]
BAD_METHODS = [
    b"",
    b"G ET",
    b"GET\r\n",
    b"GET\0",
    b"G\xc9T",
    b"GET /evil HTTP/1.1\r\nX:",
    b"(",
    b"G\tT",
]
BAD_HOSTS = [
    b"",
    b"a\r\nb",
    b"a b",
    b"a\0b",
    b"127.0.0.1\0.evil",
    b"a%00b",
    b"a/b",
    b"a" * 64,
    b"a..b",
]
BAD_HOSTS += [
    b"a." * 127 + b"a",
    b"\xe9",
    b"u:hunter2@h",
    b"hunter2@h",
    b"a?b",
    b"a#b",
    b"[::1",
    b"::g",
]
BAD_HOSTS += [
    b"[fe80::1%lo]",
    b"0x7f.1",
    b"127.1",
    b"1.2.3.4.5",
    b"0177.0.0.1",
    b"a\\b",
    b".",
    b"-\n",
]


def unsendable(port: int) -> list[tuple[Any, ...]]:
    """What may not be sent: method, url, headers, body, extensions."""
    url = (b"http", b"127.0.0.1", port, b"/")
    get, post = b"GET", b"POST"
    cases: list[tuple[Any, ...]] = [(method, url, [HOST], b"") for method in BAD_METHODS]
    cases += [(get, (*url[:3], target), [HOST], b"") for target in BAD_TARGETS]
    cases += [(get, url, [HOST], b"", {"target": target}) for target in BAD_TARGETS]
    cases += [(get, url, [HOST, (name, b"x")], b"") for name in BAD_NAMES]
    cases += [(get, url, [HOST, (b"X-A", value)], b"") for value in BAD_VALUES]
    cases += [
        (get, url, [(b"Host", value)], b"") for value in (b"a b", b"a/b", b"u:hunter2@h", b"")
    ]
    cases += [(get, url, hosts, b"") for hosts in ([], [HOST, HOST], [HOST, (b"hOST", b"b")])]
    cases += [(get, (b"http", host, port, b"/"), [HOST], b"") for host in BAD_HOSTS]
    cases += [(get, (b"http", b"a", port, b"/"), [HOST], b"") for port in (0, -1, 65536, "80", 8.5)]
    length, coding = (b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked")
    cases += [(post, url, [HOST, *two], b"abc") for two in ([length, coding], [coding, length])]
    cases += [
        (post, url, [HOST, length, (b"content-LENGTH", value)], b"abc") for value in (b"3", b"4")
    ]
    cases += [
        (post, url, [HOST, (b"Content-Length", value)], b"abc")
        for value in (b"+3", b"-3", b"3,3", b"0x3", b"3_", b"\xb3", b"", b"4", b"2", b"9" * 400)
    ]
    cases += [
        (post, url, [HOST, (b"Transfer-Encoding", value)], b"abc")
        for value in (b"gzip", b"gzip, chunked", b"identity", b"chunked, chunked", b"")
    ]
    cases += [(post, url, [HOST, coding, coding], b"abc")]
    authorities = (
        b"/",
        b"a",
        b"a:0",
        b"a:65536",
        b"::1:443",
        b"[::1]",
        b"a:1\r\nX: y",
        b"u:hunter2@h:1",
    )
    cases += [(b"CONNECT", (*url[:3], target), [HOST], b"") for target in authorities]
    cases += [(b"CONNECT", (*url[:3], b"a:1"), [HOST], b"body"), (b"TRACE", url, [HOST], b"body")]
    cases += [
        (post, url, [HOST, coding], b"abc", {"trailers": [field]})
        for field in ((b"Content-Length", b"3"), (b"X", b"a\r\nb"), (b"a b", b""), (b"host", b"x"))
    ]
    cases += [(get, url, [HOST, (b"Authorization: Bearer hunter2", b"")], b"")]
    cases += [(get, url, [HOST, (memoryview(b"Accept"), b"x")], b"")]
    cases += [
        (get, url, headers, b"") for headers in (None, 5, [5], [b"ab"], [("Host", "a")], [()])
    ]
    cases += [(name, url, [HOST], b"") for name in ("GET", None, 5)]
    cases += [(get, parts, [HOST], b"") for parts in (None, (), url[:3], ("http", "a", None, "/"))]
    cases += [(get, url, [HOST], b"", extensions) for extensions in ([("a", 1)], "text", 5)]
    cases += [
        (get, url, [HOST], b"", {name: value})
        for name, value in [
            *(("target", 5), ("target", "/\xe9"), ("sni_hostname", 5), ("sni_hostname", "\xe9")),
            *(("timeout", 5), ("timeout", {"read": -1}), ("timeout", {"reed": 1})),
            *(("timeout", {"read": float("nan")}), ("timeout", {"read": True})),
            *(("trailers", 5), ("informational", 5), ("expect_continue", -1), ("trace", 5)),
        ]
    ]
    return cases


@kinds
def test_b01_to_b12_what_may_not_be_sent_costs_no_connection(kind: str) -> None:
    async def main() -> None:
        with ScriptedServer(healthy) as server:
            client = Client(kind)
            for method, url, headers, body, *extensions in unsendable(server.port):
                arguments = (method, url, headers, ByteStream(body), *(extensions or [{}]))
                with pytest.raises((LocalProtocolError, UnsupportedProtocol)) as caught:
                    await client.send(Request(*arguments))
                check_error(caught.value)
                assert not server.connections, arguments
            await check_afterwards(client, server, connections=1)

    drive(kind, main)


def test_b_limits_that_no_clock_can_add_are_no_limits() -> None:
    with ScriptedServer(healthy) as server:
        for kind in KINDS:

            async def main(kind: str = kind) -> None:
                client = Client(kind, max_connections=5)
                for limit in (1e300, float("inf"), 10**400):
                    limits = dict.fromkeys(("connect", "read", "write", "pool", "total"), limit)
                    extensions = {"timeout": limits, "expect_continue": limit}
                    response = await client.request(
                        "POST", server.url, content=b"a", extensions=extensions
                    )
                    assert response.status == 200
                await client.close()

            drive(kind, main)


@pytest.mark.parametrize("length", [None, 6])
@pytest.mark.parametrize(
    "chunks", [[b"abcd"], [b"abcd", b"efg"], [b"abcdef", b"g"], [b"abcdef", 5]]
)
@kinds
def test_b09_a_body_of_another_length_is_never_a_whole_request(
    kind: str, chunks: list[Any], length: int | None
) -> None:
    if length is None:
        chunks = [*chunks[:-1], "text"]

    async def main() -> None:
        with ScriptedServer(healthy) as server:
            client = Client(kind)
            headers = {} if length is None else {"Content-Length": str(length)}
            call = client.request("POST", server.url, headers=headers, content=Body(*chunks))
            assert type(await outcome(call)) is LocalProtocolError
            response = await client.request("GET", server.url)
            assert response.content == b"healthy"
            await client.close()
            server.wait_until_done()
            assert [request.method for request in server.requests] == [b"GET"]
            body = server.connections[0].received.partition(b"\r\n\r\n")[2]
            assert length is None or len(body) < length

    drive(kind, main)


BIG = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
HINTS = head(status=b"HTTP/1.1 102 Processing")
EARLY_ANSWERS: dict[str, list[bytes]] = {
    "whole": [BIG],
    "split": [BIG[:5], BIG[5:30], BIG[30:-2], BIG[-2:]],
    "after 1xx": [HINTS, HINTS + BIG],
    "chunked": [BIG.replace(b"Content-Length: 3", BOTH[1])[:-3] + b"3\r\nbig\r\n", b"0\r\n\r\n"],
}
ENDINGS = ["stops reading", "goes on reading", "fin", "rst"]
UPLOADS = ["length", "chunked", "memory", "small", "small iterator"]


@pytest.mark.parametrize("at_once", [False, True], ids=["after the head", "before reading"])
@pytest.mark.parametrize("ending_", ENDINGS)
@pytest.mark.parametrize("upload", UPLOADS)
@kinds
def test_g04_g05_g06_an_early_answer_is_returned(
    kind: str, upload: str, ending_: str, at_once: bool
) -> None:
    """H6: within half a second, whatever the server does next, and the upload stops."""

    def script_of(answer: list[bytes]) -> Any:
        def script(peer: Peer) -> None:
            if not at_once:
                peer.read_head()
            else:
                assert select.select([peer._socket], [], [], 4.0)[0]  # and left unread
            peer.drip(b"")  # for TCP_NODELAY: what waits to be sent when a reset comes is lost
            for number, part in enumerate(answer):
                if number:
                    peer.pause(0.003)
                peer.send(part)
            ending(peer, ending_)
            if ending_ == "stops reading":
                peer.hang()

        return script

    async def main() -> None:
        for name, answer in EARLY_ANSWERS.items():
            with ScriptedServer(script_of(answer), healthy) as server:
                client = Client(kind)
                content: Any = Body(*[bytes(500_000)] * 20)
                if upload.startswith("small"):
                    content = bytes(20_000) if upload == "small" else Body(b"a", b"b")
                elif upload == "memory":
                    content = bytes(10_000_000)
                headers = {"Content-Length": "10000000"} if upload == "length" else {}
                started = time.monotonic()
                call = client.request("POST", server.url, headers=headers, content=content)
                assert await outcome(call) == (413, b"big"), name
                assert time.monotonic() - started < 2.0, name
                server.release()
                whole = upload.startswith("small") or ending_ == "goes on reading"
                if not whole:
                    await check_afterwards(client, server, connections=2)
                await client.close()

    drive(kind, main)


@kinds
def test_g06_an_answer_between_two_chunks_is_seen_before_the_second(kind: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(BIG[:20])
        peer.pause(0.01)
        peer.send(BIG[20:])
        sent.set()
        peer.hang()

    async def main() -> None:
        with ScriptedServer(script, healthy) as server:
            client = Client(kind)
            content = Body(*[b"x" * 100] * 5, before=lambda: (sent.wait(4), time.sleep(0.01)))
            call = client.request("POST", server.url, content=content)
            assert await outcome(call) == (413, b"big")
            assert content.taken == 2
            assert bytes(server.connections[0].received).count(b"x" * 100) < 2
            server.release()
            await check_afterwards(client, server, connections=2)

    sent = threading.Event()
    drive(kind, main)


@pytest.mark.parametrize(
    "data",
    [
        NO[:40],
        sized(b"Content-Length: 90", body=b"x" * 80),
        chunked(b"1\r\nx\r\n" * 20),
        chunked(b"1;" + b"a" * 80),
        chunked(b"0\r\nX: " + b"a" * 80),
        head(status=b"HTTP/1.1 103 Hints") * 4,
    ],
)
@kinds
def test_g01_a_drip_ends_at_the_total(kind: str, data: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.drip(data, interval=0.01)
        peer.hang()

    async def main() -> None:
        with ScriptedServer(script, healthy) as server:
            client = Client(kind)
            limits = {"read": 2.0, "total": 0.15}
            started = time.monotonic()
            error = await outcome(client.request("GET", server.url, extensions={"timeout": limits}))
            assert type(error) is ReadTimeout, error
            assert error.limit == 0.15
            assert 0.13 < time.monotonic() - started < 1.65  # before `read` would have ended it
            server.release()
            await check_afterwards(client, server, connections=2)

    drive(kind, main)


@pytest.mark.parametrize("where", ["before the request", "in the request", "after it"])
@kinds
def test_g02_resets_without_an_answer(kind: str, where: str) -> None:
    def script(peer: Peer) -> None:
        if where == "in the request":
            peer.read_head()
        elif where == "after it":
            peer.read_request()
        peer.reset()

    async def main() -> None:
        with ScriptedServer(script, healthy) as server:
            client = Client(kind)
            size = 10_000_000 if where == "in the request" else 10
            error = await outcome(client.request("POST", server.url, content=bytes(size)))
            assert type(error) in (ReadError, WriteError, ConnectError), error
            assert isinstance(error.__cause__, OSError), repr(error.__cause__)
            await check_afterwards(client, server, connections=2)

    drive(kind, main)


@kinds
def test_i9_nothing_secret_is_logged(kind: str) -> None:
    answer = head(b"Set-Cookie: hunter2", b"Content-Length: 0")

    async def main() -> None:
        for data, end in ((answer, ""), (NO[:20], "fin"), (NO[:20], "rst"), (NO + b"\0", "")):
            with Log() as log, ScriptedServer(answering(data, end=end), healthy) as server:
                client = Client(kind, socket_options=[(6, 1, 1)])
                await outcome(client.request("POST", server.url, content=b"hunter2"))
                await client.close()
            assert "http11.send_request_headers" in log.text
            assert SECRET not in log.text
        with Log() as log:
            client = Client(kind, uds="/nowhere", socket_options=[(1, 2, 1)])
            assert type(await outcome(client.request("GET", "http://a/"))) is ConnectError
            await client.close()
        assert SECRET not in log.text

    drive(kind, main)


# E


def tls(context: ssl.SSLContext, then: Any) -> Any:
    def script(peer: Peer) -> None:
        peer.start_tls(context)
        then(peer)

    return script


async def check_tls(
    kind: str,
    certificates: Certificates,
    bad: Any,
    expected: Any,
    *,
    cause: Any = None,
    client_context: ssl.SSLContext | None = None,
    limits: dict[str, float] | None = None,
) -> None:
    good = tls(certificates.server_context(), healthy)
    with ScriptedServer(bad, good) as server:
        context = client_context or certificates.client_context()
        client = Client(kind, ssl_context=context)
        url = server.url.replace("http:", "https:")
        extensions = {"timeout": {**LIMITS, **(limits or {})}}
        result = await outcome(client.request("GET", url, extensions=extensions))
        assert isinstance(result, expected), result
        assert cause is None or isinstance(result.__cause__, cause)
        if expected is ConnectError:
            assert result.phase in ("connect", "tls")
        server.release()
        response = await client.request("GET", url)
        assert response.content == b"healthy"
        assert len(server.connections) == 2  # one attempt each: no storm of retries
        await client.close()
        server.wait_until_done()


@pytest.mark.parametrize("which", ["wrong_host", "expired", "self_signed"])
@kinds
def test_e01_to_e03_certificates(kind: str, which: str, certificates: Certificates) -> None:
    bad = tls(certificates.server_context(getattr(certificates, which)), healthy)
    cause = ssl.SSLCertVerificationError
    drive(kind, lambda: check_tls(kind, certificates, bad, ConnectError, cause=cause))


@kinds
def test_e01_an_address_that_is_no_subject(kind: str, certificates: Certificates) -> None:
    only_names = certificates.authority.issue_cert("localhost", "*.0.0.1")
    bad = tls(certificates.server_context(only_names), healthy)
    drive(kind, lambda: check_tls(kind, certificates, bad, ConnectError))


ALERT = b"\x15\x03\x01\x00\x02\x02\x28"  # fatal, handshake_failure
NOT_TLS = [
    b"",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"\0" * 100,
    ALERT,
    b"\x16\x03\x03",
]
NOT_TLS += [b"\x16\x03\x03\xff\xff" + b"x" * 70_000, b"\x15\x03\x03\x00\x02\x01\x00"]


@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize("is_read", [True, False])
@kinds
def test_e06_what_is_no_tls(kind: str, is_read: bool, end: str, certificates: Certificates) -> None:
    async def main() -> None:
        for data in NOT_TLS:

            def bad(peer: Peer, data: bytes = data) -> None:
                if is_read:
                    peer.receive()
                peer.send(data)
                ending(peer, end)

            await check_tls(kind, certificates, bad, ConnectError)

    drive(kind, main)


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x03\x40\x00" + b"\x02" * 200])
@kinds
def test_e07_a_handshake_that_stalls(kind: str, data: bytes, certificates: Certificates) -> None:
    def bad(peer: Peer) -> None:
        peer.receive()
        peer.drip(data, interval=0.01)
        peer.hang()

    async def main() -> None:
        started = time.monotonic()
        limits = {"connect": 0.15}
        await check_tls(kind, certificates, bad, ConnectTimeout, limits=limits)
        assert time.monotonic() - started < 2.0

    drive(kind, main)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@kinds
def test_e08_e09_ends_without_close_notify(
    kind: str, version: str, certificates: Certificates
) -> None:
    context = certificates.server_context()
    context.maximum_version = ssl.TLSVersion[version]

    async def main() -> None:
        answers = [
            NO,
            chunked(CHUNK),
            head(b"X: y") + b"cut",
            NO[:-1],
            chunked(CHUNK[:-2]),
            NO[:9],
            b"",
        ]
        for data in answers:

            def script(peer: Peer, data: bytes = data) -> None:
                peer.read_request()
                peer.send(data)
                peer.close(close_notify=False)

            expected = tuple if data in answers[:2] else (ReadError, RPE)
            await check_tls(kind, certificates, tls(context, script), expected)

    drive(kind, main)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@kinds
def test_e14_a_client_certificate_that_is_missing(
    kind: str, version: str, certificates: Certificates
) -> None:
    """With TLS 1.3 the client learns of it after the handshake, with TLS 1.2 in it."""
    context = certificates.server_context(client_certificate_required=True)
    context.maximum_version = ssl.TLSVersion[version]
    expected = (ConnectError, ReadError, WriteError)
    drive(kind, lambda: check_tls(kind, certificates, tls(context, healthy), expected))


@kinds
def test_e15_old_versions_are_refused(kind: str, certificates: Certificates) -> None:
    context = certificates.server_context()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    drive(kind, lambda: check_tls(kind, certificates, tls(context, healthy), ConnectError))


@kinds
def test_e16_a_huge_certificate(kind: str, certificates: Certificates) -> None:
    names = [f"name-{number}.{'x' * 50}.example" for number in range(4000)]
    huge = certificates.authority.issue_cert("127.0.0.1", *names)
    bad = tls(certificates.server_context(huge), healthy)
    drive(kind, lambda: check_tls(kind, certificates, bad, ConnectError))


@kinds
def test_e17_a_pool_that_verifies_nothing_does_not_spread(
    kind: str, certificates: Certificates
) -> None:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    server_context = certificates.server_context(certificates.self_signed)

    async def main() -> None:
        with ScriptedServer(tls(server_context, healthy)) as server:
            url = server.url.replace("http:", "https:")
            for context in (trusting, None, certificates.client_context(), trusting):
                client = Client(kind, ssl_context=context, max_keepalive_connections=0)
                for _ in range(2):
                    result = await outcome(client.request("GET", url))
                    assert isinstance(result, tuple if context is trusting else ConnectError)
                await client.close()

    drive(kind, main)
    # The same context, made strict: a session of the lenient time is not resumed.
    trusting.verify_mode = ssl.CERT_REQUIRED

    async def strict() -> None:
        with ScriptedServer(tls(server_context, healthy)) as server:
            client = Client(kind, ssl_context=trusting)
            result = await outcome(client.request("GET", server.url.replace("http:", "https:")))
            assert isinstance(result, ConnectError)
            await client.close()

    drive(kind, strict)


@kinds
def test_e11_a_certificate_asked_for_on_an_idle_connection(
    kind: str, certificates: Certificates
) -> None:
    context = certificates.server_context()
    certificates.authority.configure_trust(context)
    context.post_handshake_auth = True
    context.verify_mode = ssl.CERT_OPTIONAL
    client_context = certificates.client_context(client_certificate=True)
    client_context.post_handshake_auth = True
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(HEALTHY)
        context.verify_mode = ssl.CERT_REQUIRED
        assert isinstance(peer.ssl_object, ssl.SSLObject)
        peer.ssl_object.verify_client_post_handshake()
        peer._layer._run(peer.ssl_object.do_handshake)  # type: ignore[attr-defined]  # TLS
        asked.set()
        peer.read_request()
        peer.send(HEALTHY)

    async def main() -> None:
        with ScriptedServer(tls(context, script), tls(context, healthy)) as server:
            client = Client(kind, ssl_context=client_context)
            url = server.url.replace("http:", "https:")
            for _ in range(2):
                assert await outcome(client.request("GET", url)) == (200, b"healthy")
                assert asked.wait(4)
                time.sleep(0.01)
            await client.close()

    drive(kind, main)


# The protocol object alone


class Counted(bytearray):
    """A buffer that counts the bytes looked at or copied."""

    work = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(sub, start)
        Counted.work += (len(self) if found < 0 else found) - start
        return found

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, bytearray):
            Counted.work += len(part)
            return Counted(part)
        return part


@pytest.mark.parametrize(
    "data",
    [
        NO[:-6] + b"\r\nX: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\n" + b"X: yyyy\n" * 990 + b"X: " + b"y" * 90_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100 + b"\r\n" * 1,
        chunked(b"1;" + b"a" * 4090),
        chunked((b"400;" + b"a" * 2000 + b"\r\n" + b"x" * 1024 + b"\r\n") * 30),
        chunked(b"1\r\nx\r\n" * 20_000),
        chunked(b"0\r\n" + (b"X: " + b"y" * 100 + b"\r\n") * 900),
        chunked(b"0\r\nX: " + b"y" * 100_000),
        head(status=b"HTTP/1.1 103 x") * 100,
    ],
)
@pytest.mark.parametrize("cut", [1, 7, 10**9])
def test_g01_the_work_is_linear(data: bytes, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    search = head_module._find_blank_line

    def counted_search(buffer: Any, start: int) -> Any:
        Counted.work += len(buffer) - start
        return search(buffer, start)

    monkeypatch.setattr(Counted, "work", 0)
    monkeypatch.setattr(http11_module, "bytearray", Counted, raising=False)
    monkeypatch.setattr(head_module, "_find_blank_line", counted_search)
    protocol = new_protocol()
    protocol.start(plan())
    outcome_, error = receive(protocol, [data[:1], *pieces(data[1:], cut)])
    assert not error
    assert not outcome_.complete
    # A whole buffer of informational responses is copied once for each, of which there are 100.
    assert Counted.work < len(data) * (60 if data.startswith(b"HTTP/1.1 103") else 14)


SEEDS = [
    *(case.data for case in VALID if len(case.data) < 300),
    sized(b"Content-Length: 5", b"Connection: keep-alive"),
    chunked(b"5;a=b\r\nabcde\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", b"Server: x"),
    CONTINUE + NO,
]
TOKENS = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"0",
        b"5",
        b"\xff",
        b"+",
        b"-",
        b"_",
    ),
    *(b"Content-Length: 5\r\n", b"content-length:\t6 \r\n", b"Content-Length : 5\r\n", b"\r\n\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"\n\n",
        b"\r\n ",
    ),
    *(
        b"Connection: close\r\n",
        b"HTTP/1.0",
        b"HTTP/1.2",
        b" 204 ",
        b" 304 ",
        b" 099 ",
        b"0x",
        b"\x0b",
    ),
    *(b"1\r\nx\r\n", b"0\r\n\r\n", b"f" * 16, b"\x85", b"\xa0", b"\x7f", b"HTTP/1.1 100 x\r\n\r\n"),
]


def as_h11_reads(data: bytes) -> tuple[Any, ...] | None:
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=10**6)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    response, body = None, b""
    try:
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
    assert response is not None
    headers = [(name, value.lower()) for name, value in response.headers]
    return response.status_code, headers, body, event.headers.raw_items()


@pytest.mark.parametrize("parser", PARSERS)
def test_h2_what_is_accepted_h11_reads_the_same(parser: str) -> None:
    """We are laxer where RFC 9112, section 7.1.1, is: spaces before a semicolon, and trailers that
    mean nothing.
    """
    rng = random.Random(20)
    accepted = 0
    for _ in range(6000):
        data = rng.choice(SEEDS)
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(len(data) + 1)
            data = data[:at] + rng.choice(TOKENS) + data[at + rng.randrange(3) :]
        protocol = new_protocol(head_parser=PARSERS[parser])
        protocol.start(plan())
        ours: Outcome = receive(protocol, [data], eof=True)[0]
        if not ours.complete or ours.head is None:
            continue
        theirs = as_h11_reads(data)
        if theirs is None and (b" ;" in data or b"\t;" in data or ours.trailers):
            continue
        accepted += 1
        headers = [(name.lower(), value.lower()) for name, value in ours.head.headers]
        assert theirs == (ours.head.status, headers, ours.body, ours.trailers), data
    assert accepted > 1000


def test_b_what_is_sent_h11_reads_as_the_one_request_that_was_meant() -> None:
    rng = random.Random(21)
    names = [
        b"Content-Length",
        b"Transfer-Encoding",
        b"content-length",
        b"Connection",
        b"X",
        b"Expect",
    ]
    values = [b"5", b"chunked", b"close", b"0", b"", b"5, 5", b"100-continue", b"Chunked", b"\xff"]
    sent = 0
    for _ in range(4000):
        fields = [(rng.choice(names), rng.choice(values)) for _ in range(rng.randrange(3))]
        method = rng.choice((b"GET", b"POST", b"HEAD", b"OPTIONS", b"X-Y"))
        target = rng.choice((b"/", b"/?a=b&c", b"*", b"http://h/x", b"/%0d%0a", b"/\r\n"))
        body = rng.choice((b"", b"hello", b"0\r\n\r\n"))
        stream = ByteStream(body) if rng.random() < 0.5 else Body(body[:2], b"", body[2:])
        protocol = new_protocol()
        try:
            planned = plan(method, target, fields, stream)
            data = protocol.start(planned)
            protocol.give_up_waiting()
            for chunk in stream if planned.body is None else [planned.body]:
                data += protocol.send_data(chunk)
            data += protocol.end_of_body()
        except LocalProtocolError:
            continue
        sent += 1
        server = h11.Connection(h11.SERVER)
        server.receive_data(data)
        request = server.next_event()
        assert (request.method, request.target) == (method, target)
        received = b""
        while isinstance(event := server.next_event(), h11.Data):
            received += event.data
        assert isinstance(event, h11.EndOfMessage), data
        assert (received, server.trailing_data) == (body, (b"", False)), data
    assert sent > 800


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://u:hunter2@h/",
            "http://hunter2@h/",
            "http://u:hunter2/@h/",
            "http://u:hunter2#@h/",
        ),
        *("http://h\\@evil/", "http://h\t/", "http://h /", "http://h\r\nX: y/", "http://[::1]x/"),
        *(
            "http://[::1%25lo]/",
            "http://[v1.a]/",
            "http:///x",
            "http://?x",
            "//h/",
            "h",
            "http:h",
            "",
        ),
        *(
            "http://h:0/",
            "http://h:65536/",
            "http://h:8_0/",
            "http://h:+80/",
            "http://h:1:2/",
            "http://\xe9/",
        ),
        *(
            "http://127.1/",
            "http://0x7f000001/",
            "http://h%00/",
            "http://h%2f/",
            "http://h,i/",
            "http://a..b/",
        ),
        *(
            "ftp://h/",
            "javascript://h/%0a",
            "http://h/\ud800",
            "http://\u3002/",
            "http://h:\u0663/",
            5,
            None,
        ),
        *(
            b"http://\xff/",
            b"http://h\0/",
            ("http", "h", None, "/"),
            (b"http", b"u:hunter2@h", 1, b"/"),
        ),
    ],
)
def test_b02_b06_urls_that_parsers_read_differently(url: Any) -> None:
    async def main() -> None:
        client = Client("sync")
        with pytest.raises((LocalProtocolError, UnsupportedProtocol)) as caught:
            await client.request("GET", url)
        check_error(caught.value)
        await client.close()

    drive("sync", main)


@pytest.mark.parametrize("content", ["\ud800", {"a": 1}, 5, [5], ["text"], object()])
@pytest.mark.parametrize("headers", [{}, {"a": 1}, {1: "a"}, "ab", [("a",)], 5])
def test_b_arguments_of_other_types(content: Any, headers: Any) -> None:
    with ScriptedServer(healthy) as server:
        client = Client("sync")
        with pytest.raises(LocalProtocolError):
            client.pool.request("POST", server.url, headers=headers, content=content)
        with pytest.raises(LocalProtocolError):
            client.pool.request("POST", server.url, extensions=[("trace", print)])
        client.pool.close()
        assert all(not peer.requests for peer in server.connections)
