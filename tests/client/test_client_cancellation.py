"""P1, L5 and H16 for the client: cancelled at every await point, by enumeration, it leaves nothing.

Over a transport that suspends wherever it can, where every body must have been closed once, and
over a pool of one place and real sockets, where the next request must get that place. Async code
only; an interrupt in sync code is in `test_client_attacks`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

import httpclient as httpx
from httpcore_core import AutoBackend
from httpcore_core.testing.cancel import CancelStep
from tests.client.servers import ExamplesHandler, serve
from tests.drivers.test_cancellation import check_numbers, every_step
from tests.flavours import FLAVOURS

flavours = pytest.mark.parametrize("flavour", FLAVOURS)
LIMITS = {"timeout": {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}}


async def checkpoint() -> None:
    await AutoBackend().sleep(0)


class Body(httpx.AsyncByteStream):
    """Suspends at each step, when it is closed too; `closed` counts."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.closed = 0

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        await checkpoint()
        if self.chunks:
            return self.chunks.pop(0)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1
        await checkpoint()


class Generated(Body):
    """Iterates by a generator, whose end takes time."""

    def __init__(self, *chunks: bytes) -> None:
        super().__init__(*chunks)
        self.begun = self.ended = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:  # type: ignore[override]
        self.begun += 1
        try:
            for chunk in self.chunks:
                await checkpoint()
                yield chunk
        finally:
            self.ended += 1
            await checkpoint()


class Site(httpx.AsyncBaseTransport):
    """Suspends before it takes a body and before it answers. ``/302/N`` redirects N times, ``/401``
    wants an Authorization header, all others answer."""

    def __init__(self, body: type[Body] = Body, headers: Any = ()) -> None:
        self.body = body
        self.headers = list(headers)
        self.bodies: list[Body] = []

    async def handle_async_request(
        self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
    ) -> Any:
        await checkpoint()
        await stream.aread()
        await checkpoint()
        self.bodies.append(self.body(b"line 1\n", b"line 2\n"))
        _, kind, *number = url[3].split(b"/")
        if kind == b"302":
            target = b"/302/%d" % (int(number[0]) - 1) if number[0] != b"1" else b"/"
            return 302, [(b"Location", target)], self.bodies[-1], {}
        if kind == b"401" and b"Authorization" not in dict(headers):
            return 401, [], self.bodies[-1], {}
        return 200, self.headers, self.bodies[-1], {}


class SlowAuth(httpx.Auth):
    """Suspends wherever it has a turn, and once more at its end."""

    requires_response_body = True

    def __init__(self) -> None:
        self.begun = self.ended = 0

    async def async_auth_flow(self, request: httpx.Request) -> Any:
        self.begun += 1
        try:
            await checkpoint()
            response = yield request
            await response.aread()
            request.headers["Authorization"] = "secret"
            yield request
        finally:
            self.ended += 1
            await checkpoint()


class PlainAuth(httpx.Auth):
    """Needs both bodies, which the client reads for it."""

    requires_request_body = True
    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Any:
        assert request.content == b"upload"
        response = yield request
        assert response.content == b"line 1\nline 2\n"
        request.headers["Authorization"] = "secret"
        yield request


async def upload() -> AsyncIterator[bytes]:
    await checkpoint()
    yield b"up"
    yield b"load"


async def read_hook(response: httpx.Response) -> None:
    await checkpoint()
    await response.aread()


async def slow_hook(value: Any) -> None:
    await checkpoint()


HOOKS = {"request": [slow_hook], "response": [read_hook, slow_hook]}


async def get(client: httpx.AsyncClient) -> None:
    assert (await client.get("http://h/")).text == "line 1\nline 2\n"


async def post(client: httpx.AsyncClient) -> None:
    assert (await client.post("http://h/", content=upload())).status_code == 200


async def redirects(client: httpx.AsyncClient) -> None:
    response = await client.get("http://h/302/3", follow_redirects=True)
    assert (response.status_code, len(response.history)) == (200, 3)


async def too_many_redirects(client: httpx.AsyncClient) -> None:
    client.max_redirects = 1
    with pytest.raises(httpx.TooManyRedirects):
        await client.get("http://h/302/3", follow_redirects=True)


async def slow_auth(client: httpx.AsyncClient) -> None:
    auth = SlowAuth()
    try:
        response = await client.get("http://h/401", auth=auth)
        assert [old.status_code for old in response.history] == [401]
    finally:
        assert auth.begun == auth.ended


async def plain_auth(client: httpx.AsyncClient) -> None:
    response = await client.post("http://h/401", content=upload(), auth=PlainAuth())
    assert response.status_code == 200


async def hooks(client: httpx.AsyncClient) -> None:
    client.event_hooks = HOOKS
    response = await client.get("http://h/302/1", follow_redirects=True)
    assert [old.is_closed for old in response.history] == [True]


async def lines(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "http://h/") as response:
        assert [line async for line in response.aiter_lines()] == ["line 1", "line 2"]


async def break_out(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "http://h/") as response:
        async for _ in response.aiter_text():
            break


async def close_by_hand(client: httpx.AsyncClient) -> None:
    request = client.build_request("GET", "http://h/")
    response = await client.send(request, stream=True)
    try:
        async for _ in response.aiter_bytes(3):
            await checkpoint()
    finally:
        await response.aclose()


WORKS = [get, post, redirects, too_many_redirects, slow_auth, plain_auth, hooks]
WORKS += [lines, break_out, close_by_hand]


@flavours
@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("body", [Body, Generated])
def test_p1_l5_every_body_is_closed_once(
    flavour: str, body: type[Body], work: Callable[..., Coroutine[Any, Any, None]]
) -> None:
    async def scenario(step: CancelStep) -> None:
        site = Site(body)
        async with httpx.AsyncClient(transport=site) as client:
            await step.run(work, client)
            assert [made.closed for made in site.bodies] == [1] * len(site.bodies)
            if body is Generated:
                assert all(made.begun == made.ended for made in site.bodies)  # type: ignore[attr-defined]

    assert every_step(flavour, scenario) >= 4


@flavours
def test_p1_a_body_that_cannot_be_decoded(flavour: str) -> None:
    async def work(client: httpx.AsyncClient, way: str) -> None:
        with pytest.raises(httpx.DecodingError):
            async with client.stream("GET", "http://h/") as response:
                if way == "aread":
                    await response.aread()
                async for _ in response.aiter_bytes():
                    pass

    for way in ("aread", "aiter_bytes"):

        async def scenario(step: CancelStep, way: str = way) -> None:
            site = Site(headers=[(b"Content-Encoding", b"gzip")])
            async with httpx.AsyncClient(transport=site) as client:
                await step.run(work, client, way)
                assert [made.closed for made in site.bodies] == [1] * len(site.bodies)

        assert every_step(flavour, scenario) >= 3


# Over a real pool


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with serve(handler=ExamplesHandler) as started:
        yield started.url.rstrip("/")


class TokenAuth(httpx.Auth):
    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Any:
        response = yield request
        request.headers["X-Authentication"] = response.json()["access_token"]
        yield request


async def network_get(client: httpx.AsyncClient) -> None:
    assert (await client.get("/get")).is_success


async def network_post(client: httpx.AsyncClient) -> None:
    assert (await client.post("/post", content=upload())).json()["data"] == "upload"


async def network_redirects(client: httpx.AsyncClient) -> None:
    response = await client.get("/redirect/3", follow_redirects=True)
    assert len(response.history) == 3


async def network_auth(client: httpx.AsyncClient) -> None:
    assert (await client.get("/token/t", auth=TokenAuth())).is_success


async def network_hooks(client: httpx.AsyncClient) -> None:
    client.event_hooks = HOOKS
    assert (await client.get("/lines/10")).text.count("\n") == 10
    client.event_hooks = {}


async def network_stream(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/bytes/300000") as response:
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            await checkpoint()
        assert size == 300_000


async def network_break(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/bytes/300000") as response:
        async for _ in response.aiter_raw():
            break


NETWORK = [network_get, network_post, network_redirects, network_auth, network_hooks]
NETWORK += [network_stream, network_break]


@flavours
@pytest.mark.parametrize("work", NETWORK)
def test_p1_l5_the_place_in_the_pool_is_free_again(
    flavour: str, base: str, work: Callable[..., Coroutine[Any, Any, None]]
) -> None:
    async def scenario(step: CancelStep) -> None:
        limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
        async with httpx.AsyncClient(base_url=base, limits=limits, timeout=5.0) as client:
            await step.run(work, client)
            client.event_hooks = {}
            pool = client._transport._pool
            check_numbers(pool)
            assert (await client.get("/get", extensions=LIMITS)).is_success
            check_numbers(pool)

    assert every_step(flavour, scenario) >= 1
