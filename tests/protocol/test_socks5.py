"""SOCKS5, message by message (RFC 1928, RFC 1929): X1, X2, F11, F12, F16."""

from __future__ import annotations

from collections.abc import Sequence
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
)
from httpcore_core._protocol.socks5 import SOCKS5Tunnel, may_try_another
from httpcore_core._proxy import Proxy
from tests.protocol.wire import CUTS, pieces

OPEN = Proxy("socks5://p")
LOCKED = Proxy("socks5h://user:5ecret@p:1081")

NO_AUTH, PASSWORD, GOOD = b"\x05\x00", b"\x05\x02", b"\x01\x00"
BOUND = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"  # 127.0.0.1:8080
OFFER = {OPEN: b"\x05\x01\x00", LOCKED: b"\x05\x02\x00\x02"}
VERIFY = b"\x01\x04user\x065ecret"
CONNECT = b"\x05\x01\x00\x03\x0bexample.com\x01\xbb"


def new_tunnel(proxy: Proxy = OPEN, host: str = "example.com", port: int = 443) -> SOCKS5Tunnel:
    return SOCKS5Tunnel(proxy, host, port)


def talk(tunnel: SOCKS5Tunnel, messages: Sequence[bytes], size: int = 10**9) -> list[bytes]:
    """Give the tunnel one message after the other, each in pieces; returns what it wrote. It only
    ever writes once a message is whole, and is open after the last, if at all."""
    written = [tunnel.begin()]
    for message in messages:
        *early, last = pieces(message, size)
        for piece in early:
            assert tunnel.receive(piece) == b""
            assert not tunnel.is_open
        written.append(tunnel.receive(last))
    return written


def opened(messages: Sequence[bytes], proxy: Proxy = OPEN, **place: Any) -> tuple[str, list[bytes]]:
    """The address that the tunnel was told, and what it wrote: the same however it was cut up."""
    seen = []
    for size in CUTS:
        tunnel = new_tunnel(proxy, **place)
        written = talk(tunnel, messages, size)
        assert tunnel.is_open
        assert tunnel.leftover == b""
        assert tunnel.answer is not None
        seen.append((tunnel.answer, written))
    assert all(each == seen[0] for each in seen)
    return seen[0]


def refused(messages: Sequence[bytes], proxy: Proxy = OPEN, *, eof: bool = False) -> ProxyError:
    """The error that `messages` end in, the same however they were cut up. It tells no secret."""
    errors: list[ProxyError] = []
    for size in CUTS:
        tunnel = new_tunnel(proxy)
        with pytest.raises(ProxyError) as caught:
            talk(tunnel, messages, size)
            if eof:
                tunnel.receive(b"")
        error = caught.value
        assert not tunnel.is_open
        assert (error.status, error.headers, error.body) == (None, [], b"")
        assert "5ecret" not in f"{error}{error!r}{error.__cause__!r}"
        errors.append(error)
    assert len({(str(error), error.socks_reply) for error in errors}) == 1
    assert str(errors[0]).startswith(f"the proxy {proxy} did not connect to example.com:443: ")
    return errors[0]


def reply(code: int, kind: int = 1, address: bytes = b"\x00" * 4, port: int = 0) -> bytes:
    return bytes([5, code, 0, kind]) + address + port.to_bytes(2, "big")


# What is asked


def test_x1_without_authentication() -> None:
    assert opened([NO_AUTH, BOUND]) == ("127.0.0.1:8080", [OFFER[OPEN], CONNECT, b""])


def test_x1_with_user_and_password() -> None:
    """RFC 1929. They are only sent to a proxy that asks for them."""
    written = [OFFER[LOCKED], VERIFY, CONNECT, b""]
    assert opened([PASSWORD, GOOD, BOUND], LOCKED) == ("127.0.0.1:8080", written)
    written = [OFFER[LOCKED], CONNECT, b""]
    assert opened([NO_AUTH, BOUND], LOCKED) == ("127.0.0.1:8080", written)


def test_rfc_1929_the_longest_user_and_password_and_any_bytes() -> None:
    user, password = b"\x80" * 255, bytes(range(128, 256)) + b":@" * 63 + b"!"
    assert len(password) == 255
    tunnel = new_tunnel(Proxy("socks5://p", auth=(user, password)))
    written = talk(tunnel, [PASSWORD, GOOD])
    assert written[1] == b"\x01\xff" + user + b"\xff" + password
    assert written[2] == CONNECT


LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    ("host", "port", "packed"),
    [
        ("example.com", 80, b"\x03\x0bexample.com\x00\x50"),
        ("example.com.", 443, b"\x03\x0cexample.com.\x01\xbb"),
        ("a", 1, b"\x03\x01a\x00\x01"),
        (LONGEST, 65535, b"\x03\xfd" + LONGEST.encode() + b"\xff\xff"),
        ("127.0.0.1", 256, b"\x01\x7f\x00\x00\x01\x01\x00"),
        ("255.255.255.255", 80, b"\x01\xff\xff\xff\xff\x00\x50"),
        ("::1", 443, b"\x04" + b"\x00" * 15 + b"\x01\x01\xbb"),
        ("2001:db8::ff", 443, b"\x04\x20\x01\x0d\xb8" + b"\x00" * 11 + b"\xff\x01\xbb"),
        ("::ffff:1.2.3.4", 443, b"\x04" + b"\x00" * 10 + b"\xff\xff\x01\x02\x03\x04\x01\xbb"),
    ],
)
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_f16_requests_are_exact(scheme: str, host: str, port: int, packed: bytes) -> None:
    """RFC 1928, sections 4 and 5: what is an address goes as one, never as a name."""
    _, written = opened([NO_AUTH, BOUND], Proxy(f"{scheme}://p"), host=host, port=port)
    assert written[1] == b"\x05\x01\x00" + packed


@pytest.mark.parametrize(
    ("host", "target"), [("example.com", b"example.com:443"), ("::1", b"[::1]:443")]
)
def test_the_target_is_shown_as_an_authority(host: str, target: bytes) -> None:
    tunnel = new_tunnel(host=host)
    assert tunnel.target == target
    assert (tunnel.is_open, tunnel.needs_connection, tunnel.answer) == (False, False, None)


# It opens


@pytest.mark.parametrize(
    ("kind", "address", "shown"),
    [
        (1, b"\x00" * 4, "0.0.0.0:0"),
        (1, b"\xc0\x00\x02\x01", "192.0.2.1:0"),
        (4, b"\x00" * 15 + b"\x01", "[::1]:0"),
        (4, b"\xff" * 16, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:0"),
        (3, b"\x00", ":0"),
        (3, b"\x01x", "x:0"),
        (3, b"\xff" + b"x" * 255, "x" * 255 + ":0"),
        (3, b"\x04a\r\n\xff", "a\\r\\n\\xff:0"),
    ],
)
def test_f12_whatever_address_it_is_bound_to(kind: int, address: bytes, shown: str) -> None:
    """Also where an IPv6 address is of no use here, and 255 bytes a name of nothing."""
    assert opened([NO_AUTH, reply(0, kind, address)])[0] == shown
    assert opened([PASSWORD, GOOD, reply(0, kind, address)], LOCKED)[0] == shown


@pytest.mark.parametrize("reserved", [b"\x01", b"\xff"])
def test_the_reserved_byte_is_not_looked_at(reserved: bytes) -> None:
    opened([NO_AUTH, BOUND[:2] + reserved + BOUND[3:]])


@pytest.mark.parametrize(
    "extra", [b"\x16\x03\x03", b"\x05", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096]
)
@pytest.mark.parametrize("answer", [BOUND, reply(0, 3, b"\x05bound"), reply(0, 4, b"\x00" * 16)])
def test_f12_what_comes_behind_the_answer_is_kept(answer: bytes, extra: bytes) -> None:
    for size in range(1, len(answer)):
        tunnel = new_tunnel()
        talk(tunnel, [NO_AUTH, answer[:size]])
        assert tunnel.receive(answer[size:] + extra) == b""
        assert tunnel.is_open
        assert tunnel.leftover == extra


# It is refused


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "general failure"),
        (2, "not allowed by its rules"),
        (3, "network unreachable"),
        (4, "host unreachable"),
        (5, "connection refused"),
        (6, "TTL expired"),
        (7, "command not supported"),
        (8, "address type not supported"),
        (9, "unknown reply 9"),
        (0x5B, "unknown reply 91"),  # what SOCKS4 says
        (255, "unknown reply 255"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "address"),
    [(1, b"\x00" * 4), (3, b"\x00"), (3, b"\xff" + b"x" * 255), (4, b"\x00" * 16)],
)
def test_x2_f11_every_reply(code: int, text: str, kind: int, address: bytes) -> None:
    error = refused([NO_AUTH, reply(code, kind, address)])
    assert error.socks_reply == code
    assert str(error).endswith(f": {text}")
    assert refused([PASSWORD, GOOD, reply(code, kind, address)], LOCKED).socks_reply == code
    assert refused([NO_AUTH, reply(code, kind, address) + b"more"]).socks_reply == code


def test_f11_no_acceptable_method() -> None:
    assert str(refused([b"\x05\xff"])).endswith("a client without user and password")
    assert str(refused([b"\x05\xff"], LOCKED)).endswith("user and password")


@pytest.mark.parametrize("method", [b"\x01", b"\x03", b"\x80", b"\xfe"])
def test_f11_methods_that_were_not_offered(method: bytes) -> None:
    """GSSAPI, CHAP, private ones."""
    for proxy in (OPEN, LOCKED):
        refused([b"\x05" + method], proxy)


def test_f11_credentials_that_it_does_not_have_are_not_asked_for() -> None:
    refused([PASSWORD])
    tunnel = new_tunnel()
    tunnel.begin()
    with pytest.raises(ProxyError):
        tunnel.receive(PASSWORD)


@pytest.mark.parametrize("status", [1, 2, 255])
def test_f11_wrong_password(status: int) -> None:
    """RFC 1929: every status but zero is a failure."""
    error = refused([PASSWORD, b"\x01" + bytes([status])], LOCKED)
    assert str(error).endswith("it does not accept the user and password")
    assert error.socks_reply is None


@pytest.mark.parametrize("version", [0, 2, 4, 5, 6, 255])
def test_f11_wrong_version_of_the_verdict(version: int) -> None:
    refused([PASSWORD, bytes([version]) + b"\x00"], LOCKED)


@pytest.mark.parametrize("version", [0, 1, 4, 6, 0x48, 255])
def test_f11_wrong_version(version: int) -> None:
    refused([bytes([version]) + NO_AUTH[1:]])
    refused([NO_AUTH, bytes([version]) + BOUND[1:]])
    refused([PASSWORD, GOOD, bytes([version]) + BOUND[1:]], LOCKED)


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"<html>", b"\x15\x03\x01\x00\x02", b"\r", b"\x00" * 99],
)
def test_f11_what_is_no_socks_is_known_by_its_first_byte(data: bytes) -> None:
    """Nothing more is waited for: it may never come."""
    for before in ([], [NO_AUTH]):
        tunnel = new_tunnel()
        talk(tunnel, before)
        with pytest.raises(ProxyError) as caught:
            tunnel.receive(data[:1])
        assert str(refused([*before, data])) == str(caught.value)


@pytest.mark.parametrize("kind", [0, 2, 5, 255])
def test_f11_unknown_type_of_address(kind: int) -> None:
    """Where the answer ends cannot be told then."""
    assert f"({kind})" in str(refused([NO_AUTH, reply(0, kind)]))


@pytest.mark.parametrize(
    ("proxy", "before", "last"),
    [
        (OPEN, [], NO_AUTH),
        (LOCKED, [], PASSWORD),
        (LOCKED, [PASSWORD], GOOD),
        (OPEN, [NO_AUTH], BOUND),
        (OPEN, [NO_AUTH], reply(0, 3, b"\x03abc")),
        (OPEN, [NO_AUTH], reply(0, 4, b"\x00" * 16)),
        (LOCKED, [PASSWORD, GOOD], BOUND),
    ],
)
def test_f11_eof_at_every_point(proxy: Proxy, before: list[bytes], last: bytes) -> None:
    for end in range(len(last)):
        error = refused([*before, last[:end]] if end else before, proxy, eof=True)
        assert str(error).endswith("it closed the connection in the middle of the handshake")
        assert error.socks_reply is None


@pytest.mark.parametrize(
    ("proxy", "before", "early"),
    [
        (OPEN, [], NO_AUTH + BOUND),
        (OPEN, [], NO_AUTH + b"\x05"),
        (LOCKED, [], PASSWORD + GOOD),
        (LOCKED, [PASSWORD], GOOD + BOUND),
    ],
)
def test_x2_answers_to_what_has_not_been_asked(
    proxy: Proxy, before: list[bytes], early: bytes
) -> None:
    """Bytes that it sends before ours are no answer to them."""
    tunnel = new_tunnel(proxy)
    talk(tunnel, before)
    with pytest.raises(ProxyError):
        tunnel.receive(early)


# Afterwards


def test_x2_time_is_that_of_connecting() -> None:
    failure = new_tunnel(LOCKED).failed(ReadTimeout(limit=2.5))
    assert type(failure) is ConnectTimeout
    assert failure.limit == 2.5
    assert "5ecret" not in str(failure)


@pytest.mark.parametrize(
    "error", [ReadError("reset"), WriteError("reset"), RemoteProtocolError("reset")]
)
def test_x2_a_connection_that_breaks(error: TransportError) -> None:
    failure = new_tunnel(LOCKED).failed(error)
    assert type(failure) is ProxyError
    assert str(failure) == "the proxy socks5h://p:1081 failed: reset"


def test_any_other_error_is_the_cause_and_never_its_own() -> None:
    error = LocalProtocolError("closed")
    assert type(new_tunnel().failed(error)) is ProxyError


@pytest.mark.parametrize("code", [1, 5, 255])
@pytest.mark.parametrize("rest", [b"", b"\x00", b"\x00\x00", b"\x00\x09" + bytes(6)])
def test_f11_a_refusal_needs_no_address(code: int, rest: bytes) -> None:
    """Some proxies cut it short, or fill in what is none: the code has said everything."""
    tunnel = new_tunnel()
    tunnel.begin()
    tunnel.receive(NO_AUTH)
    with pytest.raises(ProxyError) as caught:
        tunnel.receive(bytes([5, code]) + rest)
    assert caught.value.socks_reply == code


@pytest.mark.parametrize("host", ["a" * 256, "a b", "b\xfccher", "", "a\0b", "1.2.3"])
def test_f16_what_a_resolver_says_is_checked(host: str) -> None:
    with pytest.raises(LocalProtocolError, match="host"):
        new_tunnel(host=host)


@pytest.mark.parametrize("code", range(12))
def test_other_addresses_are_tried_where_it_was_this_one_that_failed(code: int) -> None:
    """Not after what the proxy forbids or does not know, nor after what is no reply."""
    assert may_try_another(ProxyError(socks_reply=code)) is (code in (1, 3, 4, 5, 6, 8))
    assert not may_try_another(ProxyError())
    assert not may_try_another(ProxyError(status=502))
