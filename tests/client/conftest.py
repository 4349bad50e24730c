"""Servers for the tests of the client."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.client.servers import Server, serve


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as started:
        yield started


@pytest.fixture
def tls_server(server_ssl_context: ssl.SSLContext) -> Iterator[Server]:
    with serve(server_ssl_context) as started:
        yield started
