"""A connection's life: reuse, 1xx, 100-continue, early responses, upgrades, tunnels, leftovers."""

from __future__ import annotations

import pytest

from httpcore_core._exceptions import LocalProtocolError, RemoteProtocolError
from httpcore_core._models import Headers
from httpcore_core._protocol.http11 import (
    END,
    NEED_DATA,
    HTTP11Protocol,
    Informational,
    ResponseHead,
)
from httpcore_core._protocol.request import RequestPlan
from tests.protocol.wire import (
    Stream,
    exchange,
    new_protocol,
    ok,
    pieces,
    plan,
    receive,
    refused,
    reply,
)

pytestmark = pytest.mark.usefixtures("engine")

UPGRADE = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
SWITCHING = (b"HTTP/1.1 101 Switching Protocols", b"Connection: upgrade", b"Upgrade: websocket")
CONTINUE = reply(b"HTTP/1.1 100 Continue")
HELLO = ok(b"Content-Length: 5", body=b"hello")


def begin(sent: RequestPlan | None = None) -> HTTP11Protocol:
    protocol = new_protocol()
    protocol.start(sent or plan())
    return protocol


def upload(*, expect: bool = False) -> HTTP11Protocol:
    headers = [(b"Content-Length", b"5")]
    if expect:
        headers.append((b"Expect", b"100-Continue"))
    return begin(plan(b"POST", headers=headers, stream=Stream()))


def connect() -> RequestPlan:
    return plan(b"CONNECT", b"example.com:443")


@pytest.mark.parametrize("cut", [1, 2, 7, 10**9])
def test_many_exchanges_on_one_connection(cut: int) -> None:
    protocol = new_protocol()
    bodies = [
        HELLO,
        ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"),
        reply(b"HTTP/1.1 103 Early Hints", body=HELLO),
        ok(b"Content-Length: 5", b"Keep-Alive: timeout=3", body=b"hello"),
        HELLO,
    ]
    trailers: list[Headers] = []
    timeouts: list[int | None] = []
    for response in bodies:
        assert protocol.keep_alive
        protocol.start(plan())
        assert not protocol.has_response_bytes
        assert not protocol.keep_alive
        outcome, _ = receive(protocol, pieces(response, cut))
        assert outcome.body == b"hello"
        assert protocol.has_response_bytes
        trailers.append(protocol.trailers)
        timeouts.append(protocol.keep_alive_timeout)
    assert protocol.keep_alive
    assert trailers == [[], [(b"X", b"y")], [], [], []]
    assert timeouts == [None, None, None, 3, None]


def test_events_come_one_by_one() -> None:
    protocol = begin()
    assert protocol.next_event() is NEED_DATA
    assert (protocol.remaining, protocol.response_complete) == (None, False)
    protocol.receive_data(HELLO)
    assert isinstance(protocol.next_event(), ResponseHead)
    assert (protocol.remaining, protocol.response_complete) == (5, False)
    assert protocol.next_event() == b"hello"
    assert (protocol.remaining, protocol.response_complete) == (0, True)
    assert protocol.next_event() is END


def test_h3_bytes_while_idle_end_the_connection() -> None:
    protocol = begin()
    receive(protocol, [HELLO])
    assert protocol.keep_alive
    protocol.receive_data(HELLO)
    assert not protocol.keep_alive
    with pytest.raises(LocalProtocolError):
        protocol.start(plan())


def test_end_of_stream_while_idle_ends_the_connection() -> None:
    protocol = begin()
    receive(protocol, [HELLO])
    protocol.receive_data(b"")
    assert not protocol.keep_alive


@pytest.mark.parametrize(
    ("value", "timeout"),
    [
        (b"timeout=5", 5), (b"max=100, timeout=15", 15), (b"Timeout = 0", 0), (b"max=100", None),
        (b"timeout=", None), (b"timeout=-1", None), (b"timeout=x", None), (b"xtimeout=5", None),
        (b"timeout=99999999999999999999", None), (b"", None),
    ],
)  # fmt: skip
def test_p8_keep_alive_timeout(value: bytes, timeout: int | None) -> None:
    protocol = begin()
    receive(protocol, [ok(b"Content-Length: 0", b"Keep-Alive: " + value)])
    assert protocol.keep_alive_timeout == timeout


def test_p9_what_may_be_drained() -> None:
    protocol = begin()
    protocol.receive_data(ok(b"Content-Length: 100", body=b"x"))
    protocol.next_event()
    assert protocol.may_drain(100)
    assert not protocol.may_drain(99)
    protocol = begin()
    protocol.receive_data(ok(b"Transfer-Encoding: chunked"))
    protocol.next_event()
    assert protocol.may_drain(0)
    assert not protocol.may_drain(-1)
    for lines in ((b"X: until the end",), (b"Content-Length: 1", b"Connection: close")):
        protocol = begin()
        protocol.receive_data(ok(*lines))
        protocol.next_event()
        assert not protocol.may_drain(100)


def test_reads_grow_with_the_body() -> None:
    protocol = begin()
    small = protocol.read_size
    protocol.receive_data(ok(b"Content-Length: 100000000"))
    protocol.next_event()
    assert protocol.read_size > small


def test_long_bodies_are_not_copied() -> None:
    protocol = begin()
    protocol.receive_data(ok(b"Content-Length: 100000"))
    protocol.next_event()
    piece = b"x" * 50000
    protocol.receive_data(piece)
    assert protocol.next_event() is piece


# Informational responses


def test_h4_a22_informational_responses() -> None:
    hints = reply(b"HTTP/1.1 103 Early Hints", b"Link: </a>", b"link: </b>")
    outcome = exchange(CONTINUE + hints + reply(b"HTTP/1.1 199") + HELLO)
    assert outcome.interim == [
        Informational(100, b"Continue", []),
        Informational(103, b"Early Hints", [(b"Link", b"</a>"), (b"link", b"</b>")]),
        Informational(199, b"", []),
    ]
    assert (outcome.body, outcome.keep_alive) == (b"hello", True)


def test_h4_1xx_have_no_body_and_decide_nothing() -> None:
    hints = reply(b"HTTP/1.1 103 Early Hints", b"Content-Length: 5", b"Connection: close")
    assert exchange(hints + HELLO).keep_alive
    hints = reply(b"HTTP/1.1 103 Early Hints", b"Transfer-Encoding: chunked")
    assert exchange(hints + HELLO).keep_alive


def test_h4_too_many_informational_responses() -> None:
    hint = reply(b"HTTP/1.1 103 Early Hints")
    assert len(exchange(hint * 100 + HELLO).interim) == 100
    refused(hint * 101 + HELLO)
    big = reply(b"HTTP/1.1 103 Early Hints", b"X: " + b"y" * 8150)
    assert 8 * len(big) <= 65536 < 9 * len(big)
    assert exchange(big * 8 + HELLO, cuts=(97, 10**9)).complete
    refused(big * 9 + HELLO, cuts=(97, 10**9))


def test_a_stream_that_ends_after_a_1xx() -> None:
    refused(CONTINUE, eof=True)


# Expect: 100-continue


def test_h5_the_body_waits_for_100() -> None:
    protocol = upload(expect=True)
    assert protocol.awaiting_continue
    assert not protocol.may_send_body
    protocol.receive_data(reply(b"HTTP/1.1 103 Early Hints"))
    assert isinstance(protocol.next_event(), Informational)
    assert protocol.awaiting_continue
    protocol.receive_data(CONTINUE)
    assert isinstance(protocol.next_event(), Informational)
    assert not protocol.awaiting_continue
    assert protocol.may_send_body
    assert protocol.send_data(b"hello") + protocol.end_of_body() == b"hello"
    assert not protocol.may_send_body
    outcome, _ = receive(protocol, [HELLO])
    assert outcome.keep_alive


@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"200 OK", b"413 Too Large"])
def test_h5_a27_a_final_status_forbids_the_body(status: bytes) -> None:
    protocol = upload(expect=True)
    outcome, _ = receive(protocol, [reply(b"HTTP/1.1 " + status, b"Content-Length: 0")])
    assert outcome.complete
    assert not protocol.awaiting_continue
    assert not protocol.may_send_body
    assert not outcome.keep_alive


def test_h5_waiting_can_be_given_up() -> None:
    protocol = upload(expect=True)
    protocol.give_up_waiting()
    assert protocol.may_send_body
    assert protocol.send_data(b"hello") + protocol.end_of_body() == b"hello"
    outcome, _ = receive(protocol, [CONTINUE + HELLO])
    assert outcome.keep_alive


def test_h5_sending_while_waiting_is_a_mistake() -> None:
    for misuse in (lambda p: p.send_data(b"hello"), lambda p: p.end_of_body()):
        with pytest.raises(LocalProtocolError, match="100 Continue"):
            misuse(upload(expect=True))


# Early responses


def test_h6_response_before_the_request_was_complete() -> None:
    protocol = upload()
    assert protocol.may_send_body
    protocol.receive_data(reply(b"HTTP/1.1 413 Too Large", b"Content-Length: 5", body=b"hello"))
    head = protocol.next_event()
    assert isinstance(head, ResponseHead)
    assert head.status == 413
    assert not protocol.may_send_body
    assert protocol.next_event() == b"hello"
    assert protocol.next_event() is END
    assert not protocol.keep_alive


def test_h6_completing_the_request_afterwards_does_not_help() -> None:
    protocol = upload()
    protocol.receive_data(HELLO)
    protocol.next_event()
    protocol.send_data(b"hello")
    protocol.end_of_body()
    assert not receive(protocol, [])[0].keep_alive
    assert not protocol.keep_alive


# Leaving HTTP


@pytest.mark.parametrize("extra", [b"", b"frame", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_h4_upgrade(extra: bytes) -> None:
    for cut in (1, 2, 7, 10**9):
        protocol = begin(plan(headers=UPGRADE))
        outcome, _ = receive(protocol, pieces(CONTINUE + reply(*SWITCHING) + extra, cut))
        assert outcome.head is not None
        assert outcome.head.status == 101
        assert (outcome.complete, outcome.switched, outcome.keep_alive) == (True, True, False)
        assert protocol.leftover() == extra
        assert protocol.leftover() == b""
        assert not protocol.response_complete


def test_h4_upgrade_refused_by_the_server() -> None:
    outcome = exchange(HELLO, sent=plan(headers=UPGRADE))
    assert (outcome.body, outcome.switched, outcome.keep_alive) == (b"hello", False, True)


def test_h4_upgrade_nobody_asked_for() -> None:
    refused(reply(*SWITCHING))
    refused(reply(*SWITCHING), sent=connect())


def test_h4_upgrade_before_the_end_of_the_request() -> None:
    protocol = begin(plan(b"POST", headers=UPGRADE, stream=Stream()))
    protocol.receive_data(reply(*SWITCHING))
    with pytest.raises(RemoteProtocolError):
        protocol.next_event()


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content", b"299 Whatever"])
@pytest.mark.parametrize(
    "fields",
    [
        (),
        (b"Content-Length: 5",),
        (b"Transfer-Encoding: chunked",),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Connection: close",),
    ],
)
def test_h3_a29_connect(status: bytes, fields: tuple[bytes, ...]) -> None:
    """RFC 9110, section 9.3.6: framing fields are ignored, and what follows is the tunnel's."""
    for cut in (1, 2, 7, 10**9):
        protocol = begin(connect())
        response = reply(b"HTTP/1.1 " + status, *fields, body=b"\x16\x03")
        outcome, _ = receive(protocol, pieces(response, cut))
        assert (outcome.complete, outcome.switched, outcome.body) == (True, True, b"")
        assert protocol.leftover() == b"\x16\x03"
        assert not protocol.keep_alive


def test_h3_connect_refused() -> None:
    response = reply(b"HTTP/1.1 407 Proxy Authentication Required", b"Content-Length: 5")
    outcome = exchange(response + b"hello", sent=connect())
    assert (outcome.body, outcome.switched, outcome.keep_alive) == (b"hello", False, True)
