"""What pickles: clients and transports, as their configuration; and what survives a fork."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import httpclient
import httpcore_core
from tests.client.servers import Server


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "3")])
    return [b"app"]


def handler(request: httpclient.Request) -> httpclient.Response:
    return httpclient.Response(200, text=str(request.url))


def sync_transports(path: Path) -> dict[str, Callable[[], Any]]:
    mock = httpclient.MockTransport
    return {
        "http": lambda: httpclient.HTTPTransport(http2=True, limits=httpclient.Limits(7)),
        "mock": lambda: mock(handler),
        "wsgi": lambda: httpclient.WSGITransport(app, script_name="/x"),
        "urllib3": lambda: httpclient.URLLib3Transport(num_pools=3),
        "cache": lambda: httpclient.CacheTransport(mock(handler)),
        "memory": lambda: httpclient.CacheTransport(
            mock(handler), storage=httpclient.MemoryStorage(max_entries=5)
        ),
        "sqlite": lambda: httpclient.CacheTransport(
            mock(handler), storage=httpclient.SQLiteStorage(path / "cache.db")
        ),
        "retry": lambda: httpclient.RetryTransport(mock(handler), attempts=7),
        "rate limit": lambda: httpclient.RateLimitTransport(mock(handler), rate=1000),
        "record": lambda: httpclient.RecordTransport(mock(handler), path / "tape.json"),
        "file": lambda: httpclient.FileTransport(path),
        "ftp": lambda: httpclient.FTPTransport(auth=("user", "pass")),
        "all": lambda: httpclient.RetryTransport(
            httpclient.RateLimitTransport(httpclient.CacheTransport(mock(handler)), rate=1000)
        ),
    }


NAMES = list(sync_transports(Path()))
CLONES = [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]


@pytest.mark.parametrize("clone", CLONES, ids=["copy", "deepcopy", "pickle"])
@pytest.mark.parametrize("name", NAMES)
def test_a_transport_pickles_as_it_was_made(name: str, clone: Any, tmp_path: Path) -> None:
    transport = sync_transports(tmp_path)[name]()
    twin = clone(transport)
    assert type(twin) is type(transport)
    assert twin is not transport
    if name in ("mock", "cache", "memory", "sqlite", "retry", "rate limit", "all"):
        with twin, httpclient.Client(transport=twin) as client:
            assert client.get("http://a/b").text == "http://a/b"
    elif name == "wsgi":
        with twin, httpclient.Client(transport=twin) as client:
            assert client.get("http://a/x/").text == "app"
    elif name == "file":
        (tmp_path / "f.txt").write_text("file")
        with twin, httpclient.Client(mounts={"file://": twin}) as client:
            assert client.get("file:///f.txt").text == "file"
    elif name == "http":
        assert twin._pool._configuration["max_connections"] == 7
    for each in (transport, twin):
        each.close()
        if name == "sqlite":
            each._storage.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: httpclient.AsyncHTTPTransport(retries=2),
        lambda: httpclient.ASGITransport(app),
        lambda: httpclient.AsyncCacheTransport(httpclient.MockTransport(handler)),
        lambda: httpclient.AsyncRetryTransport(httpclient.MockTransport(handler)),
        lambda: httpclient.AsyncRateLimitTransport(httpclient.MockTransport(handler), rate=1),
        lambda: httpclient.AsyncFTPTransport(),
    ],
)
def test_an_async_transport_pickles_outside_of_any_loop(make: Callable[[], Any]) -> None:
    twin = pickle.loads(pickle.dumps(make()))
    assert type(twin) is type(make())


@pytest.mark.parametrize("pool", [httpcore_core.ConnectionPool, httpcore_core.AsyncConnectionPool])
def test_a_pool_pickles_as_its_configuration(pool: Any) -> None:
    twin = pickle.loads(pickle.dumps(pool(max_connections=3, http2=True, proxy="http://p:1")))
    assert type(twin) is pool
    assert twin._configuration["max_connections"] == 3
    assert str(twin._proxy) == str(pool(proxy="http://p:1")._proxy)


def test_an_ssl_context_of_the_callers_does_not_pickle() -> None:
    context = httpcore_core.default_ssl_context()
    with httpclient.Client(verify=context) as client, pytest.raises(TypeError, match="SSLContext"):
        pickle.dumps(client)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_client_made_and_used_before_a_fork_works_in_both_processes(server: Server) -> None:
    with httpclient.Client() as client:
        assert client.get(server.url).status_code == 200
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if client.get(server.url).status_code == 200 else 2
                client.close()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.get(server.url).status_code == 200
