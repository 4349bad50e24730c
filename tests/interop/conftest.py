"""The real servers as fixtures; each is started once per run, by the first test that needs it.

When a test fails, what the servers logged during the test is shown with it.
"""

from __future__ import annotations

import inspect
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.certificates import Certificates

from .content import Content
from .origins import LimitedServers, Origin, every_origin, fixture_name, origin_of
from .proxies import CREDENTIALS, EASY_CREDENTIALS, LAYERS, WAYS, Way, origin_behind, way_through
from .servers.apache import Apache
from .servers.asgi import Granian, Hypercorn
from .servers.caddy import Caddy
from .servers.dante import Dante
from .servers.h2o import H2O
from .servers.haproxy import HAProxy
from .servers.lighttpd import Lighttpd
from .servers.microsocks import Microsocks
from .servers.nghttpd import Nghttpd
from .servers.nginx import Nginx
from .servers.process import Server, running
from .servers.proxy_front import ProxyFront
from .servers.squid import Squid
from .servers.tinyproxy import Tinyproxy

SERVERS = ("nginx", "apache", "haproxy", "caddy", "lighttpd")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    if report.when == "setup":
        item.stash[LOG_SIZES] = {server: server.log_size() for server in running}
    elif report.failed:
        sizes = item.stash.get(LOG_SIZES, {})
        for server in running:
            text = server.log(sizes.get(server, 0))
            if text:
                report.sections.append((f"log of {server.program}", text))
    return report


LOG_SIZES = pytest.StashKey[dict[Server, int]]()


@pytest.fixture(scope="session")
def content() -> Iterator[Content]:
    made = Content()
    yield made
    made.remove()


@pytest.fixture(scope="session")
def nginx(certificates: Certificates, content: Content) -> Iterator[Nginx]:
    with Nginx(certificates, content.path) as server:
        yield server


@pytest.fixture
def own_nginx(certificates: Certificates, content: Content) -> Iterator[Nginx]:
    """One for this test only, to be reloaded."""
    with Nginx(certificates, content.path) as server:
        yield server


@pytest.fixture(scope="session")
def apache(certificates: Certificates, content: Content) -> Iterator[Apache]:
    with Apache(certificates, content.path) as server:
        yield server


@pytest.fixture
def own_apache(certificates: Certificates, content: Content) -> Iterator[Apache]:
    """One for this test only, to be restarted."""
    with Apache(certificates, content.path) as server:
        yield server


@pytest.fixture(scope="session")
def haproxy(certificates: Certificates, nginx: Nginx) -> Iterator[HAProxy]:
    """In front of nginx, and of whatever a test starts at its `origin_path`."""
    with HAProxy(certificates, nginx.socket_path) as server:
        yield server


@pytest.fixture
def own_haproxy(certificates: Certificates, nginx: Nginx) -> Iterator[HAProxy]:
    """One for this test only, to be reloaded."""
    with HAProxy(certificates, nginx.socket_path) as server:
        yield server


@pytest.fixture(scope="session")
def caddy(certificates: Certificates, content: Content) -> Iterator[Caddy]:
    with Caddy(certificates, content.path) as server:
        yield server


@pytest.fixture(scope="session")
def lighttpd(certificates: Certificates, content: Content) -> Iterator[Lighttpd]:
    with Lighttpd(certificates, content.path) as server:
        yield server


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers in turn; all have the same files, at the URLs "plain" and "tls"."""
    started: Server = request.getfixturevalue(request.param)
    return started


# HTTP/2


@pytest.fixture(scope="session")
def h2o(certificates: Certificates, content: Content, nginx: Nginx) -> Iterator[H2O]:
    with H2O(certificates, content.path, nginx.socket_path) as server:
        yield server


@pytest.fixture(scope="session")
def nghttpd(certificates: Certificates, content: Content) -> Iterator[Nghttpd]:
    with Nghttpd(certificates, content.path, "tls_h2") as server:
        yield server


@pytest.fixture(scope="session")
def nghttpd_h2c(certificates: Certificates, content: Content) -> Iterator[Nghttpd]:
    with Nghttpd(certificates, content.path, "h2c") as server:
        yield server


@pytest.fixture(scope="session")
def hypercorn(certificates: Certificates, content: Content) -> Iterator[Hypercorn]:
    with Hypercorn(certificates, content.path) as server:
        yield server


@pytest.fixture(scope="session")
def granian(certificates: Certificates, content: Content) -> Iterator[Granian]:
    with Granian(certificates, content.path, "tls_h2") as server:
        yield server


@pytest.fixture(scope="session")
def granian_h2c(certificates: Certificates, content: Content) -> Iterator[Granian]:
    with Granian(certificates, content.path, "h2c") as server:
        yield server


@pytest.fixture(params=every_origin())
def origin(request: pytest.FixtureRequest, certificates: Certificates) -> Origin:
    """Each server that speaks HTTP/2, over TLS and with prior knowledge."""
    name, layer = request.param.split("-")
    return origin_of(certificates, request.getfixturevalue(fixture_name(name, layer)), layer)


@pytest.fixture(scope="session")
def limited_servers(
    request: pytest.FixtureRequest, certificates: Certificates, content: Content, nginx: Nginx
) -> Iterator[LimitedServers]:
    """Servers that allow so many streams at once."""
    servers = LimitedServers(certificates, content.path, nginx.socket_path, request.getfixturevalue)
    yield servers
    servers.stop()


HTTP2_REQUESTS = int(os.environ.get("INTEROP_HTTP2_REQUESTS", "1000"))
HTTP2_MIB = int(os.environ.get("INTEROP_HTTP2_MIB", "10"))


def is_full_size(request: pytest.FixtureRequest) -> bool:
    """One flavour bears the load, the others show that nothing is different there."""
    parameters = request.node.callspec.params
    return parameters.get("flavour") == "asyncio" and "h2c" not in str(parameters)


@pytest.fixture
def request_count(request: pytest.FixtureRequest) -> int:
    return HTTP2_REQUESTS if is_full_size(request) else min(HTTP2_REQUESTS, 1000)


@pytest.fixture
def body_mib(request: pytest.FixtureRequest) -> int:
    """The size of a large body, 10 or 100."""
    return HTTP2_MIB if is_full_size(request) else 10


@pytest.fixture
def at_once(request: pytest.FixtureRequest) -> int:
    """How many requests at a time: fewer where each takes a thread."""
    return 100 if inspect.iscoroutinefunction(request.function) else 40


@pytest.fixture
def memory_below(
    request: pytest.FixtureRequest,
) -> Callable[[int], AbstractContextManager[None]]:
    """``with memory_below(limit)``: all that Python has allocated in the block, at any moment. To
    watch it takes as long again, so that only trio and the threads are watched."""
    is_watched = request.node.callspec.params.get("flavour") in (None, "trio")

    @contextmanager
    def watch(limit: int) -> Iterator[None]:
        if not is_watched:
            yield
            return
        tracemalloc.start()
        try:
            yield
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < limit, f"{peak} bytes at once"

    return watch


# Proxies


@pytest.fixture(scope="session")
def squid(certificates: Certificates) -> Iterator[Squid]:
    with Squid(certificates) as server:
        yield server


@pytest.fixture(scope="session")
def tinyproxy(certificates: Certificates) -> Iterator[Tinyproxy]:
    with Tinyproxy(certificates) as server:
        yield server


@pytest.fixture(scope="session")
def tinyproxy_auth(certificates: Certificates) -> Iterator[Tinyproxy]:
    with Tinyproxy(certificates, EASY_CREDENTIALS) as server:
        yield server


@pytest.fixture(scope="session")
def dante(certificates: Certificates) -> Iterator[Dante]:
    with Dante(certificates) as server:
        yield server


@pytest.fixture(scope="session")
def microsocks(certificates: Certificates) -> Iterator[Microsocks]:
    with Microsocks(certificates) as server:
        yield server


@pytest.fixture(scope="session")
def microsocks_auth(certificates: Certificates) -> Iterator[Microsocks]:
    with Microsocks(certificates, CREDENTIALS) as server:
        yield server


@pytest.fixture(scope="session")
def proxy_front(
    certificates: Certificates, tinyproxy: Tinyproxy, tinyproxy_auth: Tinyproxy
) -> Iterator[ProxyFront]:
    targets = {"tls_tinyproxy": tinyproxy, "tls_tinyproxy_auth": tinyproxy_auth}
    urls = {name: server.url("proxy") for name, server in targets.items()}
    with ProxyFront(certificates, urls) as server:
        yield server


@pytest.fixture
def way_named(request: pytest.FixtureRequest, certificates: Certificates) -> Callable[[str], Way]:
    """For tests of ways of their own choice: of more than one, or in a row."""
    return lambda name: way_through(certificates, name, request.getfixturevalue)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, way_named: Callable[[str], Way]) -> Way:
    """Each way through a proxy in turn, unless a test says which."""
    return way_named(request.param)


@pytest.fixture(params=LAYERS)
def origin_there(
    request: pytest.FixtureRequest, certificates: Certificates, way: Way, nginx: Nginx
) -> Origin:
    """Where `way` leads to: nginx in each layer in turn, with options for a pool."""
    return origin_behind(certificates, way, nginx, request.param)


@pytest.fixture
def proxied_requests() -> int:
    """How many requests are many, through a proxy."""
    return int(os.environ.get("INTEROP_PROXY_REQUESTS", "1000"))
