"""`httpclient` and nginx: codings, redirects, authentication, the cache, and HTTP/2."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

import httpclient
from tests.certificates import Certificates

from ..content import SMALL, TEXT, Content
from ..servers.nginx import Nginx

LAYERS = ["plain", "tls", "tls_h2"]


@pytest.fixture
def options(request: pytest.FixtureRequest, certificates: Certificates) -> dict[str, Any]:
    return {"verify": str(certificates.ca_file), "http2": True, "timeout": 30.0}


@pytest.mark.parametrize("layer", LAYERS)
async def test_codings_redirects_and_authentication(
    layer: str, nginx: Nginx, options: dict[str, Any]
) -> None:
    async with httpclient.AsyncClient(base_url=nginx.url(layer), **options) as client:
        response = await client.get("/gzip/text.txt")
        assert (response.content, response.headers["Content-Encoding"]) == (TEXT, "gzip")
        assert response.num_bytes_downloaded < len(TEXT)
        async with client.stream("GET", "/gzip/text.txt") as response:
            lines = [line async for line in response.aiter_lines()]
            assert lines == TEXT.decode().splitlines()
        assert response.http_version == ("HTTP/2" if layer == "tls_h2" else "HTTP/1.1")
        assert (await client.get("/redirect")).status_code == 302
        response = await client.get("/redirect", follow_redirects=True)
        assert (response.content, len(response.history)) == (SMALL, 1)
        with pytest.raises(httpclient.TooManyRedirects):
            await client.get("/loop", follow_redirects=True)
        assert (await client.get("/private/small.txt")).status_code == 401
        response = await client.get("/private/small.txt", auth=("user", "p@ss"))
        assert response.content == SMALL
        with pytest.raises(httpclient.HTTPStatusError, match="404 Not Found"):
            (await client.get("/nothing")).raise_for_status()


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_stored_response_is_validated(
    layer: str, nginx: Nginx, options: dict[str, Any]
) -> None:
    network = httpclient.AsyncHTTPTransport(verify=options["verify"], http2=True)
    cache = httpclient.AsyncCacheTransport(network)
    url = f"{nginx.url(layer)}/gzip/text.txt"
    async with network, httpclient.AsyncClient(transport=cache, timeout=30.0) as client:
        seen = []
        for headers in ({}, {"Cache-Control": "no-cache"}):
            response = await client.get(url, headers=headers)
            assert response.content == TEXT
            seen.append(response.extensions["cache"]["status"])
        assert seen == ["miss", "revalidated"]


@pytest.mark.parametrize("layer", LAYERS)
async def test_large_bodies(
    layer: str, nginx: Nginx, content: Content, options: dict[str, Any], tmp_path: Any
) -> None:
    """A file goes up as it is and comes down byte for byte."""
    path = content.path / "medium.bin"
    name = f"client-{layer}-{tmp_path.name}"
    async with httpclient.AsyncClient(base_url=nginx.url(layer), **options) as client:
        with path.open("rb") as file:
            response = await client.put(f"/upload/{name}", content=file)
        assert response.status_code in (201, 204)
        digest = hashlib.sha256()
        async with client.stream("GET", "/medium.bin") as response:
            async for part in response.aiter_bytes(65_536):
                digest.update(part)
        with path.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == digest.digest()
        assert (nginx.uploads / name).read_bytes() == path.read_bytes()
    (nginx.uploads / name).unlink()
