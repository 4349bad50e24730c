"""What every network backend must do, as a suite of tests to run on one's own.

    class TestMyBackend(NetworkBackendSuite):
        def make_backend(self):
            return MyBackend()

    class TestMyAsyncBackend(AsyncNetworkBackendSuite):
        def make_backend(self):
            return MyAsyncBackend()

        def run(self, function):
            trio.run(function)

pytest, or anything that calls methods named ``test_*``, runs them; nothing but the standard library
is needed. The peers are threads on loopback. Tests of TLS need `server_ssl_context` and
`client_ssl_context` to return contexts (for `server_hostname`), and are skipped otherwise.

Rules of this package: each test is written once, as async code, and its docstring is the demand.
For sync backends it runs on a facade whose coroutines never suspend. No test depends on who is
faster; where time is part of the demand the limits are wide.
"""

from __future__ import annotations

from .base import AsyncFacade, check
from .connecting import ConnectingSuite
from .resuming import CancelledWriteSuite, ResumingSuite
from .sharing import CancellingSuite, SharingSuite
from .streaming import StreamingSuite
from .tls import TLSSuite

__all__ = ["AsyncNetworkBackendSuite", "NetworkBackendSuite", "check"]


class AsyncNetworkBackendSuite(
    ConnectingSuite,
    StreamingSuite,
    SharingSuite,
    CancellingSuite,
    ResumingSuite,
    CancelledWriteSuite,
    TLSSuite,
):
    """For `AsyncNetworkBackend`: define `make_backend` and `run`."""


class NetworkBackendSuite(ConnectingSuite, StreamingSuite, SharingSuite, ResumingSuite, TLSSuite):
    """For `NetworkBackend`: define `make_backend`."""

    facade = AsyncFacade
