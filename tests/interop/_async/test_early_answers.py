"""What servers say before the request is over, or before the final response (H4, H5, H6)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from httpcore_core import AsyncConnectionPool
from tests.certificates import Certificates
from tests.interop.content import MIB, Content
from tests.interop.servers.apache import Apache
from tests.interop.servers.haproxy import HAProxy
from tests.interop.servers.lighttpd import Lighttpd
from tests.interop.servers.nginx import Nginx

from .asking import AsyncPieces, ask, field, get

pytestmark = pytest.mark.interop

PLAIN_AND_TLS = pytest.mark.parametrize("layer", ["plain", "tls"])
EXPECT = {"Expect": "100-continue", "Content-Length": str(MIB)}


@pytest.fixture
def pool_options(certificates: Certificates) -> dict[str, Any]:
    return {"ssl_context": certificates.client_context()}


# Expect: 100-continue


@PLAIN_AND_TLS
async def test_h5_the_server_says_go_on(
    nginx: Nginx, apache: Apache, layer: str, pool_options: dict[str, Any]
) -> None:
    async with AsyncConnectionPool(**pool_options) as pool:
        for server in (apache, nginx):
            for number in range(3):
                seen: list[tuple[int, int]] = []
                body = AsyncPieces(MIB)

                def note(
                    status: int,
                    headers: Any,
                    body: AsyncPieces = body,
                    seen: list[tuple[int, int]] = seen,
                ) -> None:
                    seen.append((status, body.given))

                response = await ask(
                    pool,
                    "PUT",
                    f"{server.url(layer)}/upload/expected",
                    EXPECT,
                    body,
                    expect_continue=60,
                    informational=note,
                )
                assert seen == [(100, 0)]
                assert response.status == (204 if number else 201)
                assert (server.uploads / "expected").stat().st_size == MIB
            (server.uploads / "expected").unlink()
        assert pool.stats().opened == 2


@PLAIN_AND_TLS
@pytest.mark.parametrize(("path", "status"), [("refused", 403), ("limited/body", 413)])
async def test_h5_the_server_refuses(
    apache: Apache, layer: str, path: str, status: int, pool_options: dict[str, Any], settled: Any
) -> None:
    """Nothing of the body is sent; the next request is not taken for it."""
    before = sorted(apache.uploads.iterdir())
    async with AsyncConnectionPool(**pool_options) as pool:
        for _ in range(3):
            body = AsyncPieces(MIB)
            url = f"{apache.url(layer)}/{path}"
            response = await ask(pool, "PUT", url, EXPECT, body, expect_continue=60)
            assert (response.status, body.given) == (status, 0)
            await get(pool, f"{apache.url(layer)}/small.txt")
        settled(pool)
    assert sorted(apache.uploads.iterdir()) == before


async def test_h5_the_server_does_not_know_the_question(lighttpd: Lighttpd) -> None:
    """lighttpd, as others, reads on for the body before it says anything, or says 100 at once."""
    async with AsyncConnectionPool() as pool:
        url = f"{lighttpd.url('plain')}/cgi/echo.sh"
        response = await ask(pool, "POST", url, EXPECT, AsyncPieces(MIB), expect_continue=0.1)
        assert response.status == 200
        assert response.content == b"".join([piece async for piece in AsyncPieces(MIB)])


# 103


async def test_h4_early_hints(haproxy: HAProxy) -> None:
    async with AsyncConnectionPool() as pool:
        for _ in range(2):
            hints = []

            async def note(status: int, headers: Any, hints: list[Any] = hints) -> None:
                hints.append((status, sorted(value for name, value in headers)))

            response = await get(pool, f"{haproxy.url('hints')}/", informational=note)
            assert response.content == b"hinted"
            assert field(response, "Link") is None
            style, script = b"</style.css>; rel=preload; as=style", b"</script.js>; rel=preload"
            assert hints == [(103, [script + b"; as=script", style])]
        response = await get(pool, f"{haproxy.url('hints')}/")
        assert (response.status, response.content) == (200, b"hinted")
        assert pool.stats().opened == 1


# An answer in the middle of an upload

SIZE = 20 * MIB


@PLAIN_AND_TLS
@pytest.mark.parametrize("framing", ["bytes", "length", "chunked"])
async def test_h6_too_large(
    nginx: Nginx, layer: str, framing: str, pool_options: dict[str, Any], settled: Any
) -> None:
    """nginx answers 413 to a body over its limit, soon stops reading and in the end resets."""
    body = bytes(SIZE) if framing == "bytes" else AsyncPieces(SIZE)
    headers = {"Content-Length": str(SIZE)} if framing == "length" else {}
    async with AsyncConnectionPool(**pool_options) as pool:
        for _ in range(3):
            started = time.monotonic()
            url = f"{nginx.url(layer)}/limited/body"
            response = await ask(pool, "PUT", url, headers, body)
            assert response.status == 413
            assert b"Too Large" in response.content
            assert time.monotonic() - started < 2.0
            settled(pool)
            assert pool.stats().idle == 0  # the rest of the body would be the next request
            body = bytes(SIZE) if framing == "bytes" else AsyncPieces(SIZE)
        await get(pool, f"{nginx.url(layer)}/small.txt")


@PLAIN_AND_TLS
async def test_h6_too_large_for_apache(
    apache: Apache, layer: str, pool_options: dict[str, Any], settled: Any
) -> None:
    async with AsyncConnectionPool(**pool_options) as pool:
        headers = {"Content-Length": str(SIZE)}
        url = f"{apache.url(layer)}/limited/body"
        response = await ask(pool, "PUT", url, headers, AsyncPieces(SIZE))
        assert response.status == 413
        settled(pool)
        await get(pool, f"{apache.url(layer)}/small.txt")


async def test_h6_unread_upload_that_is_answered(
    nginx: Nginx, content: Content, settled: Any
) -> None:
    """`return` answers without looking at the body."""
    async with AsyncConnectionPool() as pool:
        for size in (1000, SIZE):
            body = AsyncPieces(size)
            url = f"{nginx.url('plain')}/post"
            response = await ask(pool, "POST", url, {"Content-Length": str(size)}, body)
            assert (response.status, response.content) == (200, b"posted\n")
            settled(pool)
        await get(pool, f"{nginx.url('plain')}/small.txt")
