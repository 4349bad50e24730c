"""What a proxy is told and what an origin is told, byte by byte; challenges and their answers.

Contracts X3, P6; faults F07, F09.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from httpcore_core import (
    AsyncConnectionPool,
    DigestProxyAuth,
    LocalProtocolError,
    Origin,
    Proxy,
    ProxyAuth,
    ProxyError,
)
from httpcore_core.testing.http_server import Exchange, pattern
from httpcore_core.testing.peer import Peer
from tests._async.http2 import LIMITS, Chunks, get
from tests._async.proxies import (
    BASIC,
    OPENED,
    PASSWORD,
    SECRETS,
    USER,
    DigestGuard,
    ProxyServer,
    Socks5,
    connect,
    forwarded,
)
from tests.certificates import Certificates
from tests.concurrency import AsyncTaskGroup

EXTENSIONS = {"timeout": LIMITS}
PLAIN, TLS = "http://origin.test/bytes/5", "https://localhost/bytes/5"
PRIVATE = {"Authorization": "Bearer origin-token", "Cookie": "id=origin-cookie", "X-Own": "1"}
OURS = {"X-Proxy": "proxy-header", "Proxy-Connection": "keep-alive"}


def pool_through(proxy: Any, certificates: Certificates, **options: Any) -> AsyncConnectionPool:
    return AsyncConnectionPool(proxy=proxy, ssl_context=certificates.client_context(), **options)


class Guarded(DigestGuard):
    """The route of a forwarding proxy that wants an answer to its challenge."""

    def __init__(self, *, closes: bool = False, body: bytes = b"who?", early: bool = False) -> None:
        super().__init__()
        self._closes = closes
        self._body = body
        self._early = early

    def __call__(self, exchange: Exchange) -> None:
        is_right = self.admits(exchange.head)
        if is_right:
            forwarded(exchange)
            return
        if self._early:
            exchange.peer.requests.append(exchange.head)
        else:
            exchange.read()
        exchange.keep_alive = exchange.keep_alive and not self._closes
        more = (b"Connection: close",) if self._closes else ()
        exchange.peer.send(self.challenge(self._body, *more))


# Who is told what


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_x3_f07_each_side_sees_its_own(scheme: str, certificates: Certificates) -> None:
    context = certificates.server_context()
    with ProxyServer(
        connect(),
        proxy_context=context if scheme == "https" else None,
        origin_context=context,
    ) as server:
        own = certificates.client_context() if scheme == "https" else None
        proxy = Proxy(server.address(scheme), (USER, PASSWORD), OURS, own)
        async with pool_through(proxy, certificates) as pool:
            for _ in range(2):
                await pool.request("GET", TLS, headers=PRIVATE, extensions=EXTENSIONS)
    to_proxy, *to_origin = server.requests
    assert to_proxy.raw == (
        b"CONNECT localhost:443 HTTP/1.1\r\n"
        b"Host: localhost:443\r\n"
        b"X-Proxy: proxy-header\r\n"
        b"Proxy-Connection: keep-alive\r\n"
        b"Proxy-Authorization: " + BASIC + b"\r\n\r\n"
    )
    assert len(to_origin) == 2
    for request in to_origin:
        assert request.target == b"/bytes/5"
        assert request.header(b"cookie") == b"id=origin-cookie"
        assert b"proxy" not in request.raw.lower()
        assert not any(secret in request.raw for secret in SECRETS)


async def test_x3_f07_socks_credentials_are_for_the_handshake_only() -> None:
    step = Socks5((USER, PASSWORD))
    with ProxyServer(step) as server:
        proxy = Proxy(server.address("socks5h"), auth=(USER, PASSWORD))
        async with AsyncConnectionPool(proxy=proxy) as pool:
            await pool.request("GET", PLAIN, headers=PRIVATE, extensions=EXTENSIONS)
    (peer,) = server.connections
    handshake = bytes(peer.received).removesuffix(server.requests[0].raw)
    assert handshake.count(PASSWORD) == 1
    assert not any(secret in handshake for secret in (b"origin-", b"X-Own", b"Basic"))
    assert not any(secret in server.requests[0].raw for secret in SECRETS)


async def test_x3_a_forwarded_request_has_both() -> None:
    """The proxy sees it whole; of the same name the request's own header goes first."""
    with ProxyServer() as server:
        proxy = Proxy(server.address(), (USER, PASSWORD), {**OURS, "X-Own": "not this"})
        async with AsyncConnectionPool(proxy=proxy) as pool:
            await pool.request("GET", PLAIN, headers=PRIVATE, extensions=EXTENSIONS)
    (request,) = server.requests
    names = [name.lower() for name, _ in request.headers]
    assert sorted(names) == sorted(set(names))
    assert request.header(b"proxy-authorization") == BASIC
    assert request.header(b"authorization") == b"Bearer origin-token"
    assert request.header(b"x-own") == b"1"
    assert request.header(b"x-proxy") == b"proxy-header"


@pytest.mark.parametrize("url", [PLAIN, TLS])
async def test_f07_one_proxys_credentials_never_reach_another(
    url: str, certificates: Certificates
) -> None:
    steps = (connect(),) if url == TLS else ()
    context = certificates.server_context() if url == TLS else None
    with ProxyServer(*steps, origin_context=context) as one:
        with ProxyServer(*steps, origin_context=context) as two:
            proxy = Proxy(one.address(), (USER, PASSWORD), OURS)
            async with pool_through(proxy, certificates) as pool:
                await get(pool, url)
                extensions = {**EXTENSIONS, "proxy": two.address()}
                await pool.request("GET", url, extensions=extensions)
                await get(pool, url)
    received = b"".join(bytes(peer.received) for peer in two.connections)
    assert not any(word in received for word in (*SECRETS, b"proxy-header", b"roxy-Auth"))


async def test_x3_f07_a_challenge_of_the_origins_is_not_answered(
    certificates: Certificates,
) -> None:
    """A 407 from inside a tunnel is a response as any other."""
    guard = DigestGuard()

    def challenge(exchange: Exchange) -> None:
        exchange.read()
        exchange.peer.send(guard.challenge())

    with ProxyServer(
        connect(),
        origin_context=certificates.server_context(),
        routes={"evil": challenge},
    ) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, PASSWORD))
        async with pool_through(proxy, certificates) as pool:
            response = await pool.request("GET", "https://localhost/evil", extensions=EXTENSIONS)
            assert (response.status, response.content) == (407, b"who are you?")
    assert [request.method for request in server.requests] == [b"CONNECT", b"GET"]


# Headers that are asked for


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_x3_headers_may_be_a_callable_for_each_target(
    kind: str, certificates: Certificates
) -> None:
    asked: list[Origin] = []

    def plain(origin: Origin) -> dict[str, str]:
        asked.append(origin)
        return {"X-For": f"{origin.host.decode()}-{len(asked)}"}

    async def later(origin: Origin) -> dict[str, str]:
        return plain(origin)

    headers = plain if kind == "plain" else later
    with (
        ProxyServer() as forwarding,
        ProxyServer(connect(), origin_context=certificates.server_context()) as tunnelling,
    ):
        for server in (forwarding, tunnelling):
            async with pool_through(Proxy(server.address(), headers=headers), certificates) as pool:
                for _ in range(2):
                    await get(pool, PLAIN if server is forwarding else TLS)
    assert asked == [Origin(b"http", b"origin.test", 80)] * 2 + [
        Origin(b"https", b"localhost", 443)
    ]
    assert [r.header(b"x-for") for r in forwarding.requests] == [b"origin.test-1", b"origin.test-2"]
    assert [r.header(b"x-for") for r in tunnelling.requests] == [b"localhost-3", None, None]


@pytest.mark.parametrize("url", [PLAIN, TLS])
@pytest.mark.parametrize(
    "answer",
    [
        {"X-A": "b\r\nX-Evil: 1"},
        {"X A": "b"},
        {"Host": "evil.test"},
        {"Content-Length": "5"},
        {"Transfer-Encoding": "chunked"},
        [("X-A", "\xe9")],
        [("X-A",)],
        5,
        ZeroDivisionError("raised by the callable"),
    ],
)
async def test_x3_what_a_callable_must_not_return(url: str, answer: Any, settled: Any) -> None:
    def headers(origin: Origin) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with ProxyServer(connect()) as server:
        proxy = Proxy(server.address(), headers=headers)
        async with AsyncConnectionPool(proxy=proxy, max_connections=1) as pool:
            for _ in range(2):
                with pytest.raises((LocalProtocolError, ZeroDivisionError)):
                    await get(pool, url, pool=1.0)
                settled(pool)
    assert server.requests == []


# Challenges to CONNECT


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("size", [0, 12, 100_000])
async def test_x1_digest_is_answered_on_the_same_connection_or_on_another(
    closes: bool, size: int, certificates: Certificates, settled: Any
) -> None:
    guard = DigestGuard()
    more = (b"Connection: close",) if closes else ()
    step = guard.connect(*more, body=pattern(size))
    with ProxyServer(step, origin_context=certificates.server_context()) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, PASSWORD))
        async with pool_through(
            proxy, certificates, max_connections=1, max_keepalive_connections=0
        ) as pool:
            for _ in range(3):
                assert await get(pool, TLS) == pattern(5)
                settled(pool)
        assert server.peak == 1
    assert len(server.targets) == 4, "one challenge, whose nonce serves the other tunnels"
    assert guard.counts == [1, 2, 3]
    assert len(server.connections) == (3 if not closes and size < 65536 else 4)


async def test_x1_a_stale_nonce_is_replaced(certificates: Certificates) -> None:
    guard = DigestGuard()
    with ProxyServer(guard.connect(), origin_context=certificates.server_context()) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, PASSWORD))
        async with pool_through(proxy, certificates, max_keepalive_connections=0) as pool:
            await get(pool, TLS)
            guard.nonce = b"another"
            await get(pool, TLS)
            await get(pool, TLS)
    assert guard.counts == [1, 1, 2]


async def test_x1_many_tunnels_at_once_share_a_nonce(certificates: Certificates) -> None:
    guard = DigestGuard()
    with ProxyServer(guard.connect(), origin_context=certificates.server_context()) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, PASSWORD))
        async with pool_through(proxy, certificates) as pool:
            await get(pool, TLS)
            async with AsyncTaskGroup() as group:
                for port in range(1, 11):
                    group.start(get, pool, f"https://localhost:{port}/bytes/5")
    assert sorted(guard.counts) == list(range(1, 12)), "no nonce count is used twice"


@pytest.mark.parametrize("url", [PLAIN, TLS])
async def test_x2_a_wrong_password_ends_after_one_answer(
    url: str, certificates: Certificates, settled: Any
) -> None:
    guard = Guarded()
    steps = (guard.connect(),) if url == TLS else ()
    with ProxyServer(*steps, routes={"": guard}) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, b"wrong"))
        async with pool_through(proxy, certificates) as pool:
            if url == TLS:
                with pytest.raises(ProxyError) as caught:
                    await get(pool, url)
                assert (caught.value.status, caught.value.body) == (407, b"who are you?")
            else:
                response = await pool.request("GET", url, extensions=EXTENSIONS)
                assert (response.status, response.content) == (407, b"who?")
            settled(pool)
    assert len(server.requests) == 2


class Rounds(ProxyAuth):
    """A scheme of so many rounds, each of which has to know the one before."""

    def __init__(self, count: int) -> None:
        self._count = count

    def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
        challenges = yield None
        for number in range(self._count):
            assert challenges == [b"Rounds %d" % number]
            challenges = yield b"Rounds %b %d" % (target, number)


@pytest.mark.parametrize("rounds", [1, 3, 1000])
async def test_x1_a_scheme_of_several_rounds_keeps_its_connection(
    rounds: int, certificates: Certificates
) -> None:
    def step(peer: Peer) -> None:
        number = 0
        while True:
            given = peer.read_request().header(b"proxy-authorization")
            assert given == (b"Rounds localhost:443 %d" % (number - 1) if number else None)
            if number == rounds:
                peer.send(OPENED)
                return
            line = b"Proxy-Authenticate: Rounds %d\r\n" % number
            peer.send(b"HTTP/1.1 407 More\r\n" + line + b"Content-Length: 0\r\n\r\n")
            number += 1

    with ProxyServer(step, origin_context=certificates.server_context()) as server:
        proxy = Proxy(server.address(), auth=Rounds(rounds))
        async with pool_through(proxy, certificates) as pool:
            if rounds < 1000:
                assert await get(pool, TLS) == pattern(5)
            else:
                with pytest.raises(ProxyError):
                    await get(pool, TLS)
    assert len(server.connections) == 1
    assert len(server.targets) < 20


# Challenges to forwarded requests


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("size", [0, 12, 300_000])
@pytest.mark.parametrize("content", [b"", b"again"])
async def test_x1_a_forwarded_407_is_answered(
    closes: bool, size: int, content: bytes, settled: Any
) -> None:
    guard = Guarded(closes=closes, body=pattern(size))
    with ProxyServer(routes={"": guard}) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, PASSWORD))
        async with AsyncConnectionPool(proxy=proxy, max_connections=1) as pool:
            for _ in range(2):
                response = await pool.request(
                    "POST", PLAIN, content=content, headers=PRIVATE, extensions=EXTENSIONS
                )
                assert (response.status, response.content) == (200, pattern(5))
                settled(pool)
    assert guard.counts == [1, 2]
    assert [request.body for request in server.requests] == [content] * 3
    assert all(r.header(b"cookie") == b"id=origin-cookie" for r in server.requests)
    assert len(server.connections) == (1 if not closes and size < 65536 else 2)


@pytest.mark.parametrize("early", [False, True])
async def test_p6_a_one_shot_body_is_not_sent_again(early: bool, settled: Any) -> None:
    guard = Guarded(closes=True, early=early)
    with ProxyServer(routes={"": guard}) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, PASSWORD))
        async with AsyncConnectionPool(proxy=proxy) as pool:
            body = Chunks(b"once", b"only")
            response = await pool.request("POST", PLAIN, content=body, extensions=EXTENSIONS)
            assert (response.status, response.content) == (407, b"who?")
            settled(pool)
            await get(pool, PLAIN)
            body = Chunks(b"once", b"only")
            response = await pool.request("POST", PLAIN, content=body, extensions=EXTENSIONS)
            assert response.status == 200, "the nonce is known by now"
    bodies = [request.body for request in server.requests]
    assert bodies == [b"" if early else b"onceonly", b"", b"", b"onceonly"]


async def test_p6_a_one_shot_body_that_was_not_begun_is_still_whole() -> None:
    """With ``Expect: 100-continue`` the challenge comes before the body."""
    guard = Guarded(early=True)
    with ProxyServer(routes={"": guard}) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, PASSWORD))
        async with AsyncConnectionPool(proxy=proxy) as pool:
            response = await pool.request(
                "PUT",
                PLAIN,
                headers={"Expect": "100-continue"},
                content=Chunks(b"once", b"only"),
                extensions={**EXTENSIONS, "expect_continue": 30.0},
            )
            assert (response.status, response.content) == (200, pattern(5))
    assert [request.body for request in server.requests] == [b"", b"onceonly"]


async def test_p9_the_body_of_a_407_that_does_not_come_is_not_waited_for(settled: Any) -> None:
    guard = DigestGuard()

    def route(exchange: Exchange) -> None:
        exchange.read()
        if guard.admits(exchange.head):
            exchange.respond(b"in")
        else:
            exchange.peer.send(guard.challenge(bytes(100))[:-100])
            exchange.peer.wait_for_end()

    with ProxyServer(routes={"": route}) as server:
        proxy = Proxy(server.address(), auth=DigestProxyAuth(USER, PASSWORD))
        async with AsyncConnectionPool(proxy=proxy, max_connections=1) as pool:
            assert await get(pool, PLAIN) == b"in"
            settled(pool)
    assert len(server.connections) == 2


async def test_x1_the_callers_own_credentials_are_not_replaced() -> None:
    with ProxyServer() as server:
        proxy = Proxy(server.address(), auth=(USER, PASSWORD))
        async with AsyncConnectionPool(proxy=proxy) as pool:
            headers = {"proxy-authorization": "Bearer of-my-own"}
            await pool.request("GET", PLAIN, headers=headers, extensions=EXTENSIONS)
    values = [v for n, v in server.requests[0].headers if n.lower() == b"proxy-authorization"]
    assert values == [b"Bearer of-my-own"]
