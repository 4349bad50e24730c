"""The real servers as fixtures; each is started once per run, by the first test that needs it.

When a test fails, what the servers logged during the test is shown with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.certificates import Certificates

from .content import Content
from .servers.apache import Apache
from .servers.caddy import Caddy
from .servers.haproxy import HAProxy
from .servers.lighttpd import Lighttpd
from .servers.nginx import Nginx
from .servers.process import Server, running

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
