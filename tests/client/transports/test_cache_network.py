"""The cache around the network: a real server, one connection, and what crosses it."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import httpclient as httpx
from httpclient.transports.cache import (
    AsyncCacheTransport,
    CacheStorage,
    CacheTransport,
    SQLiteStorage,
)

BODY = b"all work and no play " * 100


class Handler(http.server.BaseHTTPRequestHandler):
    """Its answers are fresh for a minute, have a tag, and are compressed and chunked."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.client_address[1], self.headers["If-None-Match"]))
        self.send_response(304 if self.headers["If-None-Match"] == '"1"' else 200)
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("ETag", '"1"')
        if self.headers["If-None-Match"] == '"1"':
            self.end_headers()
            return
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        content = gzip.compress(BODY)
        half = len(content) // 2
        for part in (content[:half], content[half:], b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class Server(http.server.ThreadingHTTPServer):
    """`seen` are the client's port and the condition of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[int, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def check(self) -> None:
        assert [condition for _, condition in self.seen] == [None, '"1"']
        assert len({port for port, _ in self.seen}) == 1  # the connection was kept


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[CacheStorage]:
    with SQLiteStorage(tmp_path / "cache") as storage:
        yield storage


def test_sync(server: Server, storage: CacheStorage) -> None:
    found = []
    with CacheTransport(httpx.HTTPTransport(), storage=storage) as transport:
        with httpx.Client(transport=transport) as client:
            for control in ("", "", "no-cache", ""):
                headers = {"Cache-Control": control} if control else {}
                response = client.get(server.url, headers=headers)
                assert response.extensions["http_version"] == b"HTTP/1.1"
                assert response.reason_phrase == "OK"
                with client.stream("GET", server.url) as streamed:
                    assert gzip.decompress(b"".join(streamed.iter_raw())) == BODY
                found.append(response.extensions["cache"]["status"])
    assert found == ["miss", "hit", "revalidated", "hit"]
    server.check()


async def test_async(server: Server, storage: CacheStorage) -> None:
    found = []
    async with AsyncCacheTransport(httpx.AsyncHTTPTransport(), storage=storage) as transport:
        async with httpx.AsyncClient(transport=transport) as client:
            for control in ("", "", "no-cache", ""):
                headers = {"Cache-Control": control} if control else {}
                response = await client.get(server.url, headers=headers)
                async with client.stream("GET", server.url) as streamed:
                    chunks = [chunk async for chunk in streamed.aiter_raw()]
                    assert gzip.decompress(b"".join(chunks)) == BODY
                found.append(response.extensions["cache"]["status"])
    assert found == ["miss", "hit", "revalidated", "hit"]
    server.check()
