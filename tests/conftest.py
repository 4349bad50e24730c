"""Fixtures and hooks for all tests.

- ``async def`` tests run on every flavour (asyncio, uvloop, trio) without a plugin; a plain test
  that needs an event loop asks for `run` and runs on every flavour too.
- Every test has a time limit, may connect to loopback only and must close what it opens.
- The HTTP/1.1 engine is the one that "auto" stands for, or that `TEST_HTTP1_ENGINE` names.
- Fixtures are plain functions with plain values, so that the async driver tests and the sync twins
  that are made from them use the same ones.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import inspect
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from httpcore_core._protocol import engine
from tests.certificates import Certificates
from tests.flavours import FLAVOURS, PRESENT, run_async
from tests.guards import allow_loopback_only, no_leaked_descriptors

TIME_LIMIT = 120.0
"""Seconds for one test; then all stacks are printed and the whole run ends. Ten times as much for
tests marked slow. Far above what any of them needs: it is for those which would hang for ever."""

# The same examples in every run, and no failure because a machine was busy.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")

_stderr = -1


def pytest_configure(config: pytest.Config) -> None:
    global _stderr
    _stderr = os.dup(2)  # the real one: while tests run, pytest has its own in its place
    allow_loopback_only()
    choose_default_engine()


def choose_default_engine() -> None:
    """``TEST_HTTP1_ENGINE`` names the engine of all tests that do not choose one themselves."""
    default = os.environ.get("TEST_HTTP1_ENGINE")
    if default:
        load = engine._load
        engine._load = lambda name: load(default if name == "auto" else name)  # type: ignore[assignment]


def pytest_collection_finish(session: pytest.Session) -> None:
    """The tests themselves are half a million objects, at which no collection need look."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(_stderr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    limit = TIME_LIMIT * (10 if item.get_closest_marker("slow") else 1)
    faulthandler.dump_traceback_later(limit, exit=True, file=_stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function) and "flavour" not in metafunc.fixturenames:
        metafunc.fixturenames.append("flavour")
    if "flavour" in metafunc.fixturenames and not any(
        "flavour" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")
    ):
        metafunc.parametrize("flavour", FLAVOURS, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    parameters = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in parameters}
    run_async(str(pyfuncitem.callspec.params["flavour"]), pyfuncitem.obj, **arguments)
    return True


@pytest.fixture(scope="session", autouse=True)
def event_loops_have_run() -> None:
    """What a runtime opens once per process (libuv: a pipe for signals) is no leak of a test's."""

    async def nothing() -> None: ...

    for flavour in PRESENT:
        run_async(flavour, nothing)


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Fails the test that leaves sockets or files open."""
    with no_leaked_descriptors():
        yield


@pytest.fixture
def flavour(request: pytest.FixtureRequest) -> str:
    """``"asyncio"``, ``"uvloop"`` or ``"trio"``: what an async test runs on."""
    name: str = request.param
    return name


@pytest.fixture
def run(flavour: str) -> Callable[..., Any]:
    """``run(async_function, *args, **kwargs)``: run it to its end on the flavour and return its
    result. For tests which need several event loops, or threads beside one."""
    return functools.partial(run_async, flavour)


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections. It is bound, so that no server that another
    process starts meanwhile is given it, and nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Our own authority and its certificates, and makers of SSL contexts with them."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server_ssl_context(certificates: Certificates) -> ssl.SSLContext:
    """A valid certificate for localhost, 127.0.0.1 and ::1; ALPN offers HTTP/1.1."""
    return certificates.server_context()


@pytest.fixture
def client_ssl_context(certificates: Certificates) -> ssl.SSLContext:
    """Trusts our own authority only."""
    return certificates.client_context()


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path for a unix domain socket, short enough for every system (macOS allows 104 bytes)."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="h") as directory:
        yield str(Path(directory) / "s")


@pytest.fixture
def settled() -> Callable[[Any], None]:
    """``settled(pool)``: nobody waits and nothing is in use any more, and the numbers add up."""

    def check(pool: Any) -> None:
        stats = pool.stats()
        assert (stats.active, stats.connecting, stats.queued) == (0, 0, 0), stats
        assert stats.opened == stats.idle + stats.closing + sum(stats.closed.values()), stats

    return check
