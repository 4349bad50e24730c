"""The examples as their users have them: scripts in one directory, which import each other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.certificates import Certificates

from .websocket_server import WebSocketServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WEBSOCKETS = ("websocket_frames", "websocket_http11", "websocket_http2")


@pytest.fixture(scope="module")
def examples() -> Iterator[SimpleNamespace]:
    """The modules of the WebSocket examples, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in WEBSOCKETS})
    for name in WEBSOCKETS:
        del sys.modules[name]


@pytest.fixture
def websockets(certificates: Certificates) -> Iterator[WebSocketServer]:
    """A real server that echoes what WebSockets say."""
    with WebSocketServer(certificates) as server:
        yield server
