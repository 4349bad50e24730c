"""What the client promises about limits, bodies and what it leaves open, over transports that are
made to break them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

import httpclient as httpx
import httpclient._async.client as driver
import httpclient._client as shared
from tests.concurrency import AsyncTaskGroup

URL = "http://h/"


class Body(httpx.AsyncByteStream):
    """Chunks, then `error` if there is one; `failing_close` is raised when it is closed."""

    def __init__(self, *chunks: bytes, error: Any = None, failing_close: Any = None) -> None:
        self.chunks = list(chunks)
        self.error = error
        self.failing_close = failing_close
        self.closed = 0

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1
        if self.failing_close is not None:
            raise self.failing_close


class Answering(httpx.AsyncBaseTransport):
    """Answers with what `answer` returns for the target: status, headers, stream."""

    def __init__(self, answer: Callable[[bytes], Any]) -> None:
        self.answer = answer
        self.bodies: list[bytes] = []
        self.limits: list[Any] = []
        self.headers: list[Any] = []

    async def handle_async_request(
        self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
    ) -> Any:
        self.bodies.append(await stream.aread())
        self.limits.append(extensions["timeout"])
        self.headers.append(httpx.Headers(headers))
        status, fields, answer = self.answer(url[3])
        return status, fields, answer, {}


class Clock:
    """Passes only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        for module in (driver, shared):
            monkeypatch.setattr(module, "perf_counter", lambda: self.now)


# Limits


async def test_n2_total_is_one_limit_over_all_redirects(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    def answer(target: bytes) -> Any:
        clock.now += 2.0
        number = int(target[1:] or 0)
        if number == 4:
            return 200, [], Body(b"ok")
        return 302, [(b"Location", b"/%d" % (number + 1))], Body()

    transport = Answering(answer)
    async with httpx.AsyncClient(transport=transport, timeout={"total": 10.0}) as client:
        await client.get("http://h/0", follow_redirects=True)
        assert [limits["total"] for limits in transport.limits] == [10.0, 8.0, 6.0, 4.0, 2.0]
        transport.limits.clear()
        client.timeout = {"total": 5.0, "read": 3.0}
        await client.get("http://h/0", follow_redirects=True)
        assert [limits["total"] for limits in transport.limits] == [5.0, 3.0, 1.0, 0.0, 0.0]
        assert {limits["read"] for limits in transport.limits} == {3.0}


@pytest.mark.parametrize("fails_in", ["answer", "body"])
@pytest.mark.parametrize("phase", ["total", "read"])
async def test_n2_an_error_names_the_limit_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, fails_in: str, phase: str
) -> None:
    """Not what the redirect had left of it."""
    clock = Clock(monkeypatch)

    def fail() -> Any:
        limit = transport.limits[-1][phase]
        raise httpx.ReadTimeout("the total deadline passed", limit=limit)

    class Failing(Body):
        async def __anext__(self) -> bytes:
            return bytes(fail())

    def answer(target: bytes) -> Any:
        clock.now += 2.0
        if target == b"/":
            return 302, [(b"Location", b"/next")], Body()
        return 200, [], Failing() if fails_in == "body" else fail()

    transport = Answering(answer)
    limits = {"total": 9.0, "read": 3.0}
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ReadTimeout) as raised:
            await client.get("http://h/", follow_redirects=True, timeout=limits)
    assert transport.limits[-1]["total"] == 7.0
    assert raised.value.limit == limits[phase]


async def test_n2_total_is_one_limit_over_challenges(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the request, which is the caller's, may be sent again with all of its time."""
    clock = Clock(monkeypatch)

    class Asking(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            for _ in range(3):
                yield request

    def answer(target: bytes) -> Any:
        clock.now += 2.0
        return 200, [], Body(b"ok")

    transport = Answering(answer)
    async with httpx.AsyncClient(transport=transport, auth=Asking()) as client:
        request = client.build_request("GET", URL, timeout={"total": 9.0})
        for _ in range(2):
            await client.send(request)
    assert [limits["total"] for limits in transport.limits] == [9.0, 7.0, 5.0] * 2
    assert request.extensions["timeout"]["total"] == 9.0


async def test_i1_a_request_that_the_client_has_not_built_has_its_limits_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)

    class Refreshing(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            yield httpx.Request("GET", "http://h/token")
            yield request

    def answer(target: bytes) -> Any:
        clock.now += 2.0
        return 200, [], Body(b"ok")

    transport = Answering(answer)
    limits = {"connect": 1.0, "read": 2.0, "write": 3.0, "pool": 4.0, "total": 9.0}
    async with httpx.AsyncClient(transport=transport, timeout=limits) as client:
        request = httpx.Request("GET", URL)
        await client.send(request)
        await client.get(URL, auth=Refreshing())
        await client.send(httpx.Request("GET", URL, extensions={"timeout": {"read": 7.0}}))
    assert transport.limits == [limits, limits, limits | {"total": 7.0}, {"read": 7.0}]
    assert request.extensions == {}


# Redirects


@pytest.mark.parametrize(
    ("location", "host", "names"),
    [
        ("/b", "virtual.test", {"sni_hostname", "timeout", "trace"}),
        ("https://127.0.0.1/b", "127.0.0.1", {"sni_hostname", "timeout", "trace"}),
        ("https://other/b", "other", {"timeout", "trace"}),
    ],
)
async def test_l1_what_is_said_of_one_url_is_not_said_of_the_next(
    location: str, host: str, names: set[str]
) -> None:
    """A Host of one's own stays within the origin, a server name on the host, a target nowhere."""
    seen: list[Any] = []

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(
            self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
        ) -> Any:
            seen.append((httpx.Headers(headers)["Host"], extensions))
            status = 302 if len(seen) == 1 else 200
            return status, [(b"Location", location.encode())], httpx.ByteStream(), {}

    extensions = {"target": b"/x", "sni_hostname": "virtual.test", "trace": None}
    async with httpx.AsyncClient(transport=Transport(), follow_redirects=True) as client:
        headers = {"Host": "virtual.test"}
        await client.get("http://127.0.0.1/a", headers=headers, extensions=extensions)
    assert seen[0][0] == "virtual.test"
    assert set(seen[0][1]) == {"target", "sni_hostname", "timeout", "trace"}
    assert seen[1][0] == host
    assert set(seen[1][1]) == names


# Bodies of responses


class NotIterable(Body):
    def __aiter__(self) -> Body:
        raise ZeroDivisionError


async def test_i5_a_body_that_cannot_be_begun_is_closed() -> None:
    body = NotIterable()
    async with httpx.AsyncClient(transport=Answering(lambda target: (200, [], body))) as client:
        with pytest.raises(ZeroDivisionError):
            await client.get(URL)
    assert body.closed == 1


class Generated(Body):
    """Iterates by a generator that fails when it is closed half-way."""

    async def __aiter__(self) -> Any:
        try:
            yield b"a"
            yield b"b"
        finally:
            raise ZeroDivisionError


async def test_i5_a_body_is_closed_behind_an_iterator_that_cannot_be() -> None:
    body = Generated()
    async with httpx.AsyncClient(transport=Answering(lambda target: (200, [], body))) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.stream("GET", URL) as response:
                async for _ in response.aiter_bytes():
                    break
    assert body.closed == 1
    assert response.is_closed


async def test_i5_an_error_while_closing_comes_out_and_is_not_repeated() -> None:
    body = Body(b"a", failing_close=httpx.ReadError("gone"))
    async with httpx.AsyncClient(transport=Answering(lambda target: (200, [], body))) as client:
        with pytest.raises(httpx.ReadError, match="gone"):
            async with client.stream("GET", URL) as response:
                pass
        await response.aclose()
    assert body.closed == 1


@pytest.mark.parametrize("way", ["aread", "aiter_raw", "aiter_bytes", "aiter_text", "aiter_lines"])
async def test_i2_i5_an_error_in_the_middle_comes_out_of_every_way_to_read(way: str) -> None:
    body = Body(b"a\n", error=httpx.ReadError("gone"))
    async with httpx.AsyncClient(transport=Answering(lambda target: (200, [], body))) as client:
        with pytest.raises(httpx.ReadError) as caught:
            async with client.stream("GET", URL) as response:
                if way == "aread":
                    await response.aread()
                async for _ in getattr(response, way)():
                    pass
    assert caught.value.request.url == URL
    assert body.closed == 1
    assert response.is_closed
    with pytest.raises(httpx.StreamConsumed):
        await response.aread()


async def test_l5_an_iterator_that_is_dropped_leaves_the_response_as_it_is() -> None:
    body = Body(b"a", b"b", b"c")
    async with httpx.AsyncClient(transport=Answering(lambda target: (200, [], body))) as client:
        async with client.stream("GET", URL) as response:
            iterator = response.aiter_bytes()
            assert await iterator.__anext__() == b"a"
            del iterator
            gc.collect()
            assert body.closed == 0
    assert body.closed == 1


async def test_l5_an_iterator_that_has_ended_stays_so() -> None:
    body = Body(b"a")
    async with httpx.AsyncClient(transport=Answering(lambda target: (200, [], body))) as client:
        async with client.stream("GET", URL) as response:
            iterator = response.aiter_text()
            assert [text async for text in iterator] == ["a"]
            assert [text async for text in iterator] == []
    assert body.closed == 1


# Bodies of requests


@pytest.mark.parametrize("place", [0, 1])
async def test_d09_a_request_body_that_raises(place: int) -> None:
    """What the caller's own code raises comes out as it is, and the connection is given up."""

    async def parts() -> Any:
        for number in range(3):
            if number == place:
                raise ZeroDivisionError
            yield bytes(100)

    async with httpx.AsyncHTTPTransport(max_connections=1, network_backend=backend()) as transport:
        async with httpx.AsyncClient(transport=transport) as client:
            with pytest.raises(ZeroDivisionError):
                await client.post(URL, content=parts())
            assert transport._pool.stats().active == 0
            assert (await client.get(URL)).text == "ok"


@pytest.mark.parametrize("length", [1, 5])
async def test_b09_a_body_that_is_not_as_long_as_it_says(length: int) -> None:
    async def parts() -> Any:
        yield b"abc"

    made = backend()
    async with httpx.AsyncHTTPTransport(max_connections=1, network_backend=made) as transport:
        async with httpx.AsyncClient(transport=transport) as client:
            headers = {"Content-Length": str(length)}
            with pytest.raises(httpx.LocalProtocolError) as caught:
                await client.post(URL, content=parts(), headers=headers)
            assert caught.value.request.url == URL
            assert (b"abc" in bytes(made.streams[0].written)) == (length > 3)
            assert (await client.get(URL)).text == "ok"


@pytest.mark.parametrize("wrong", [["text"], [1], [None], [b"a", "text"]])
async def test_i2_a_body_of_something_else(wrong: list[Any]) -> None:
    async def parts() -> Any:
        yield wrong[0]
        yield wrong[-1]

    async with httpx.AsyncHTTPTransport(max_connections=1, network_backend=backend()) as transport:
        async with httpx.AsyncClient(transport=transport) as client:
            with pytest.raises(httpx.LocalProtocolError):
                await client.post(URL, content=parts())
            assert (await client.get(URL)).text == "ok"


def backend() -> Any:
    """Connections that answer once to a request and then wait for the next."""
    from httpcore_core import AsyncMockBackend

    return AsyncMockBackend([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"] * 9)


# One client for many


async def test_i6_requests_at_once_keep_their_answers_apart() -> None:
    def answer(target: bytes) -> Any:
        fields = [(b"Set-Cookie", b"c%s=1" % target[1:])]
        return 200, fields, Body(target, target)

    transport = Answering(answer)
    async with httpx.AsyncClient(transport=transport) as client:

        async def work(number: int) -> None:
            for _ in range(10):
                response = await client.get(f"http://h/{number}")
                assert response.text == f"/{number}" * 2
                assert dict(response.cookies) == {f"c{number}": "1"}

        async with AsyncTaskGroup() as group:
            for number in range(8):
                group.start(work, number)
        assert dict(client.cookies) == {f"c{number}": "1" for number in range(8)}


async def test_h16_hooks_of_a_redirect_that_fail_close_what_they_see() -> None:
    made: list[Body] = []

    def answer(target: bytes) -> Any:
        made.append(Body(b"x"))
        return 302, [(b"Location", b"/next")], made[-1]

    def fail_later(response: httpx.Response) -> None:
        if len(made) == 3:
            raise ZeroDivisionError

    hooks = {"response": [fail_later]}
    transport = Answering(answer)
    async with httpx.AsyncClient(
        transport=transport, event_hooks=hooks, follow_redirects=True
    ) as client:
        with pytest.raises(ZeroDivisionError):
            await client.get(URL)
    assert [body.closed for body in made] == [1, 1, 1]
