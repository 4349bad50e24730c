"""The client over real sockets: sync, and async on every flavour."""

from __future__ import annotations

import gc
import pickle
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import httpclient as httpx
from httpcore_core._concurrency import AsyncEvent
from tests.client.servers import Server
from tests.concurrency import AsyncTaskGroup


def test_requests_of_the_module(server: Server) -> None:
    for name in ("get", "options", "post", "put", "patch", "delete"):
        assert getattr(httpx, name)(f"{server.url}x?y").json()["method"] == name.upper()
    assert httpx.head(server.url).content == b""
    seen = httpx.request("POST", server.url, json={"a": "ü"}, timeout=3.0).json()
    assert seen["body"].encode("latin-1").decode() == '{"a":"ü"}'
    assert ["Content-Length", "10"] in seen["headers"]
    assert [name for name, _ in seen["headers"]][:4] == [
        "Host",
        "Accept",
        "Accept-Encoding",
        "User-Agent",
    ]


def test_stream_of_the_module(server: Server) -> None:
    with httpx.stream("GET", f"{server.url}chunks") as response:
        assert list(response.iter_lines()) == ["one", "two", "three"]
    with pytest.raises(httpx.UnsupportedProtocol):
        with httpx.stream("GET", "gopher://127.0.0.1/"):
            raise AssertionError("not reached")


def test_every_way_to_iterate(server: Server) -> None:
    url = f"{server.url}chunks"
    with httpx.Client() as client:
        with client.stream("GET", url) as response:
            assert b"".join(response.iter_bytes()) == b"one\r\ntwo\nthree"
        with client.stream("GET", url) as response:
            assert list(response.iter_raw(10)) == [b"one\r\ntwo\nt", b"hree"]
        with client.stream("GET", url) as response:
            assert "".join(response.iter_text()) == "one\r\ntwo\nthree"
        with client.stream("GET", url) as response:
            assert response.read() == b"one\r\ntwo\nthree"
            assert list(response.iter_lines()) == ["one", "two", "three"]


async def test_every_way_to_iterate_in_async_code(server: Server) -> None:
    url = f"{server.url}chunks"
    async with httpx.AsyncClient() as client:
        async with client.stream("GET", url) as response:
            assert b"".join([c async for c in response.aiter_bytes()]) == b"one\r\ntwo\nthree"
        async with client.stream("GET", url) as response:
            assert [c async for c in response.aiter_raw(10)] == [b"one\r\ntwo\nt", b"hree"]
        async with client.stream("GET", url) as response:
            assert "".join([c async for c in response.aiter_text()]) == "one\r\ntwo\nthree"
        async with client.stream("GET", url) as response:
            assert await response.aread() == b"one\r\ntwo\nthree"
            assert [line async for line in response.aiter_lines()] == ["one", "two", "three"]


def test_iterated_body_is_sent(server: Server) -> None:
    def parts() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    seen = httpx.post(server.url, content=parts()).json()
    assert (seen["body"], dict(seen["headers"])["Transfer-Encoding"]) == ("ab", "chunked")


async def test_iterated_body_is_sent_in_async_code(server: Server) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async with httpx.AsyncClient() as client:
        seen = (await client.post(server.url, content=parts())).json()
    assert (seen["body"], dict(seen["headers"])["Transfer-Encoding"]) == ("ab", "chunked")


def test_body_of_the_other_kind_is_refused(server: Server) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"

    with pytest.raises(httpx.LocalProtocolError):
        httpx.post(server.url, content=parts())


async def test_body_of_the_other_kind_is_refused_in_async_code(server: Server) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.post(server.url, content=iter([b"a"]))


async def test_methods_of_the_other_kind_are_refused_and_lose_nothing(server: Server) -> None:
    async with httpx.AsyncClient() as client:
        async with client.stream("GET", server.url) as response:
            for method in (response.read, response.close, response.iter_bytes):
                with pytest.raises(httpx.StreamError):
                    method()
            assert b"GET" in await response.aread()
    with httpx.Client() as sync_client, sync_client.stream("GET", server.url) as response:
        for method in (response.aread, response.aclose):
            with pytest.raises(httpx.StreamError):
                await method()
        assert b"GET" in response.read()


def test_status_error_of_a_real_response_pickles(server: Server) -> None:
    response = httpx.get(f"{server.url}status/418")
    with pytest.raises(httpx.HTTPStatusError) as caught:
        response.raise_for_status()
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.response.json() == response.json()
    assert error.response.http_version == "HTTP/1.1"
    assert error.request.headers == response.request.headers
    assert error.response.extensions["connection"] == response.extensions["connection"]


@pytest.mark.parametrize("path", ["cut", "status/204"])
def test_broken_body_is_an_error_with_its_request(server: Server, path: str) -> None:
    if path == "status/204":
        assert httpx.get(server.url + path).content == b""
        return
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        httpx.get(server.url + path)
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.request.url == server.url + path
    assert str(error) == str(caught.value)


def test_refused_connection_has_its_request(server: Server) -> None:
    url = "http://127.0.0.1:1/"
    with pytest.raises(httpx.ConnectError) as caught:
        httpx.get(url)
    assert pickle.loads(pickle.dumps(caught.value)).request.url == url


def test_l5_breaking_out(server: Server) -> None:
    with httpx.Client() as client:
        with client.stream("GET", f"{server.url}chunks") as response:
            for _ in response.iter_bytes():
                break
        assert client.get(server.url).is_success
    gc.collect()


async def test_l5_breaking_out_in_async_code(server: Server) -> None:
    async with httpx.AsyncClient() as client:
        async with client.stream("GET", f"{server.url}chunks") as response:
            async for _ in response.aiter_lines():
                break
        assert (await client.get(server.url)).is_success
    gc.collect()


def test_l5_dropped_response_is_reclaimed_with_a_warning(server: Server) -> None:
    with httpx.HTTPTransport(max_connections=1) as transport:
        client = httpx.Client(transport=transport)
        request = client.build_request("GET", f"{server.url}chunks")
        holder = [client.send(request, stream=True)]
        with pytest.warns(ResourceWarning):
            holder.clear()
        assert client.get(server.url).is_success


async def test_l5_dropped_response_is_reclaimed_in_async_code(server: Server) -> None:
    async with httpx.AsyncHTTPTransport(max_connections=1) as transport:
        client = httpx.AsyncClient(transport=transport)
        request = client.build_request("GET", f"{server.url}chunks")
        holder = [await client.send(request, stream=True)]
        with pytest.warns(ResourceWarning):
            holder.clear()
            gc.collect()
        assert (await client.get(server.url)).is_success


async def test_l5_cancelled_while_streaming(server: Server, settled: Callable[[Any], None]) -> None:
    async with httpx.AsyncHTTPTransport(max_connections=1) as transport:
        client = httpx.AsyncClient(transport=transport)
        begun = AsyncEvent()

        async def use() -> None:
            async with client.stream("GET", f"{server.url}hang") as response:
                async for _ in response.aiter_bytes():
                    begun.set()

        async with AsyncTaskGroup() as group:
            job = group.start(use)
            await begun.wait(5.0)
            job.cancel()
        assert isinstance(job.error, BaseException)
        assert not isinstance(job.error, Exception)
        assert (await client.get(server.url)).is_success
        settled(transport._pool)


def test_timeout_while_reading_has_its_request(server: Server) -> None:
    with pytest.raises(httpx.ReadTimeout) as caught:
        httpx.get(f"{server.url}hang", timeout={"read": 0.05})
    assert caught.value.request.url == f"{server.url}hang"
    assert "0.05" in str(caught.value)


def test_connection_is_kept(server: Server) -> None:
    with httpx.Client() as client:
        ports = {
            client.get(server.url).extensions["network_stream"].get_extra_info("client_addr")
            for _ in range(3)
        }
    assert len(ports) == 1


async def test_tls_in_async_code(tls_server: Server, client_ssl_context: ssl.SSLContext) -> None:
    async with httpx.AsyncClient(verify=client_ssl_context) as client:
        assert (await client.get(tls_server.url)).is_success


def test_unverified_server_is_refused(tls_server: Server) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(tls_server.url)


@pytest.mark.parametrize("verify", [0, None, b"path", object()])
@pytest.mark.parametrize("kind", [httpx.HTTPTransport, httpx.AsyncHTTPTransport])
def test_verification_is_switched_off_by_false_alone(kind: type, verify: object) -> None:
    with pytest.raises(TypeError, match="verify"):
        kind(verify=verify)
