"""What a SOCKS proxy does wrong, at each step of its handshake (contract X2; faults F11, F14)."""

from __future__ import annotations

from typing import Any

import pytest

from httpcore_core import (
    AsyncConnectionPool,
    ConnectError,
    ConnectTimeout,
    Proxy,
    ProxyError,
    ReadError,
)
from httpcore_core.testing.http_server import pattern
from httpcore_core.testing.peer import Peer
from tests._async.http2 import get, until
from tests._async.proxies import (
    GRANTED,
    LONG,
    PASSWORD,
    SHORT,
    USER,
    ProxyServer,
    Socks5,
    Step,
    failure,
    sends,
)
from tests.certificates import Certificates

URL = "http://localhost:8001/bytes/5"
REQUEST = len(b"\x05\x01\x00\x03\x09localhost\x1f\x41")
CREDENTIALS = 3 + len(USER) + len(PASSWORD)


def after_methods(*steps: Step) -> Step:
    return stages([4], [], steps)


def after_credentials(*steps: Step) -> Step:
    return stages([4, CREDENTIALS], [b"\x05\x02"], steps)


def after_request(*steps: Step) -> Step:
    return stages([4, CREDENTIALS, REQUEST], [b"\x05\x02", b"\x01\x00"], steps)


def stages(sizes: list[int], answers: list[bytes], steps: tuple[Step, ...]) -> Step:
    def script(peer: Peer) -> None:
        for number, size in enumerate(sizes):
            peer.read_exactly(size)
            if number < len(answers):
                peer.send(answers[number])
        for step in steps:
            step(peer)

    return script


REFUSALS = {
    "no-method": (after_methods, b"\x05\xff", "user and password"),
    "gssapi": (after_methods, b"\x05\x01", "not offered"),
    "unknown-method": (after_methods, b"\x05\x80", "did not connect"),
    "socks4": (after_methods, b"\x00\x5a", "SOCKS5"),
    "http": (after_methods, b"HTTP/1.1 400 Bad Request\r\n\r\n", "SOCKS5"),
    "one-byte": (after_methods, b"H", "SOCKS5"),
    "in-advance": (after_methods, b"\x05\x00" + GRANTED, ""),
    "wrong-password": (after_credentials, b"\x01\x01", "user and password"),
    "wrong-password-255": (after_credentials, b"\x01\xff", "user and password"),
    "auth-version": (after_credentials, b"\x05\x00", "SOCKS5"),
    "reply-version": (after_request, b"\x04" + GRANTED[1:], "SOCKS5"),
    "reply-http": (after_request, b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "SOCKS5"),
    "address-type": (after_request, b"\x05\x00\x00\x02\x7f\x00\x00\x01\x00\x50", "address"),
    "address-type-0": (after_request, b"\x05\x00\x00\x00" + bytes(6), "address"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_x2_f11_every_step_of_the_handshake(
    name: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    after, data, text = REFUSALS[name]
    script = after(sends(data))
    error = await failure(script, "socks5h", certificates, settled, caplog, LONG, URL)
    assert isinstance(error, ProxyError)
    assert (error.status, error.body, error.phase) == (None, b"", "proxy")
    assert text in str(error)


@pytest.mark.parametrize("code", [*range(1, 10), 90, 255])
async def test_x2_f11_every_reply_has_a_text(
    code: int, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    data = b"\x05" + bytes([code]) + GRANTED[2:]
    script = after_request(sends(data))
    error = await failure(script, "socks5h", certificates, settled, caplog, LONG, URL)
    assert isinstance(error, ProxyError)
    assert error.socks_reply == code
    texts = {2: "not allowed", 3: "network unreachable", 4: "host unreachable", 5: "refused"}
    assert texts.get(code, str(code) if code > 8 else "") in str(error)
    assert "localhost:8001" in str(error)


async def test_x2_f11_a_short_refusal_is_one(
    certificates: Certificates, settled: Any, caplog: Any
) -> None:
    """Some proxies leave the address out when they refuse, and close."""
    script = after_request(sends(b"\x05\x05", "fin"))
    error = await failure(script, "socks5h", certificates, settled, caplog, LONG, URL)
    assert isinstance(error, ProxyError)


STAGES = {"methods": after_methods, "credentials": after_credentials, "request": after_request}
HALVES = {"methods": b"\x05", "credentials": b"\x01", "request": GRANTED[:6]}


@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("stage", STAGES)
async def test_x2_f11_an_end_at_each_step(
    stage: str, half: bool, end: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    script = STAGES[stage](sends(HALVES[stage] if half else b"", end))
    error = await failure(script, "socks5h", certificates, settled, caplog, LONG, URL)
    assert isinstance(error, ProxyError)
    assert error.phase == "proxy"
    assert isinstance(error.__cause__, ReadError)


@pytest.mark.parametrize("limit", ["connect", "total"])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("stage", STAGES)
async def test_x2_f14_a_hang_at_each_step_is_bounded(
    stage: str, half: bool, limit: str, certificates: Certificates, settled: Any, caplog: Any
) -> None:
    script = STAGES[stage](sends(HALVES[stage] if half else b""))
    limits = {limit: 0.2, "pool": 1.0}
    error = await failure(script, "socks5h", certificates, settled, caplog, limits, URL)
    assert isinstance(error, ConnectTimeout)
    assert (error.limit, error.phase) == (0.2, "proxy")


async def test_x2_f14_dripping_does_not_lengthen_the_limit(
    certificates: Certificates, settled: Any, caplog: Any
) -> None:
    reply = b"\x05\x00\x00\x03\xff" + b"x" * 257
    script = after_request(lambda peer: peer.drip(reply, interval=0.05))
    error = await failure(script, "socks5h", certificates, settled, caplog, SHORT, URL)
    assert isinstance(error, ConnectTimeout)


async def test_x2_the_handshake_in_the_tunnel_is_bounded_too(
    certificates: Certificates, settled: Any, caplog: Any
) -> None:
    script = after_request(sends(GRANTED))
    url = "https://localhost:8001/bytes/5"
    error = await failure(script, "socks5h", certificates, settled, caplog, SHORT, url)
    assert isinstance(error, ConnectTimeout)
    assert error.phase == "tls"


async def test_f11_credentials_are_not_sent_to_who_does_not_ask(settled: Any) -> None:
    step = Socks5()
    with ProxyServer(step) as server:
        proxy = Proxy(server.address("socks5h"), auth=(USER, PASSWORD))
        async with AsyncConnectionPool(proxy=proxy) as pool:
            assert await get(pool, URL) == pattern(5)
            settled(pool)
        assert PASSWORD not in server.connections[0].received
        assert sorted(step.methods[0]) == [0, 2]


async def test_f11_without_credentials_none_are_offered(settled: Any) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"\x05\x01\x00")
        peer.send(b"\x05\x02")
        peer.wait_for_end()

    with ProxyServer(script) as server:
        async with AsyncConnectionPool(proxy=server.address("socks5h")) as pool:
            with pytest.raises(ProxyError, match="not offered"):
                await get(pool, URL)
            settled(pool)
            await until(lambda: not server.open_connections)


async def test_x1_socks5_tries_the_other_addresses_of_a_name() -> None:
    """Where the proxy does not reach one address of a name, it may reach the next."""

    def resolver(host: str, port: int) -> list[str]:
        return ["192.0.2.1", "192.0.2.2"] if host == "two.test" else [host]

    step = Socks5()
    refusing = Socks5(reply=b"\x05\x04" + GRANTED[2:])
    with ProxyServer(step, failing=(refusing,)) as server:
        async with AsyncConnectionPool(
            proxy=server.address("socks5"), resolver=resolver, max_connections=1
        ) as pool:
            assert await get(pool, "http://two.test/bytes/5") == pattern(5)
    assert [host for _, host, _ in refusing.asked + step.asked] == ["192.0.2.1", "192.0.2.2"]
    assert server.peak == 1


async def test_x2_a_name_that_does_not_resolve_never_reaches_the_proxys_tunnel(
    settled: Any,
) -> None:
    with ProxyServer(Socks5()) as server:
        async with AsyncConnectionPool(proxy=server.address("socks5")) as pool:
            with pytest.raises((ConnectError, ProxyError)):
                await get(pool, "http://nowhere.invalid/")
            settled(pool)


async def test_x2_a_resolver_without_an_answer(settled: Any) -> None:
    def resolver(host: str, port: int) -> list[str]:
        return [] if host == "none.test" else ["127.0.0.1"]

    with ProxyServer(Socks5()) as server:
        async with AsyncConnectionPool(
            proxy=server.address("socks5"), resolver=resolver, max_connections=1
        ) as pool:
            with pytest.raises((ConnectError, ProxyError), match=r"none\.test"):
                await get(pool, "http://none.test/")
            settled(pool)
            assert await get(pool, URL) == pattern(5)
