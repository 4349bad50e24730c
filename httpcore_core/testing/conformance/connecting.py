"""Connecting: TCP, unix domain sockets, options, and the ways in which it fails."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator
from contextlib import contextmanager

from ..._exceptions import ConnectError, ConnectTimeout
from .. import scripts
from .base import LIMIT, Lapse, SuiteBase, check, expect_error, root_cause

# TEST-NET-1 (RFC 5737): never an address of this machine.
FOREIGN_ADDRESS = "192.0.2.1"


@contextmanager
def unused_port() -> Iterator[int]:
    """A port on which nobody listens, kept from being taken by others."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port where connecting neither succeeds nor fails: the queue of the listener is full."""
    if sys.platform != "linux":
        raise unittest.SkipTest("how a full queue behaves is known for Linux only")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


class ConnectingSuite(SuiteBase):
    @check
    async def test_connect_tcp(self) -> None:
        """A connection to an address carries bytes both ways."""
        with self.serve([scripts.expect(b"ping"), scripts.send(b"pong")]) as server:
            stream = await self.backend.connect_tcp("127.0.0.1", server.port)
            await stream.write(b"ping")
            assert await self.read_exactly(stream, 4) == b"pong"
            await stream.aclose()

    @check
    async def test_connect_by_name(self) -> None:
        """A name is resolved; an address that refuses does not keep the next from being tried."""
        with self.serve([scripts.send(b"hello")]) as server:
            stream = await self.backend.connect_tcp("localhost", server.port, LIMIT)
            assert await self.read_exactly(stream, 5) == b"hello"
            await stream.aclose()

    @check
    async def test_refused(self) -> None:
        """A refused connection is a `ConnectError` with its cause, at once."""
        with unused_port() as port, Lapse(0.0, LIMIT):
            error = await expect_error(
                ConnectError, self.backend.connect_tcp("127.0.0.1", port, LIMIT)
            )
            assert isinstance(root_cause(error), OSError)
            assert str(port) in str(error)

    @check
    async def test_unknown_name(self) -> None:
        """A name that does not resolve is a `ConnectError` with its cause."""
        call = self.backend.connect_tcp("name.invalid", 80, LIMIT)
        error = await expect_error(ConnectError, call)
        assert error.__cause__ is not None
        assert "name.invalid" in str(error)

    @check
    async def test_connect_timeout(self) -> None:
        """`timeout` ends a connection attempt that nothing answers, with its limit in the error."""
        with deaf_port() as port, Lapse(0.2, 2.0):
            error = await expect_error(
                ConnectTimeout, self.backend.connect_tcp("127.0.0.1", port, 0.2)
            )
            assert error.limit == 0.2

    @check
    async def test_resolver(self) -> None:
        """`open_tcp` connects to what the resolver returns for the name."""
        asked: list[tuple[str, int]] = []

        def resolver(host: str, port: int) -> list[str]:
            asked.append((host, port))
            return ["127.0.0.1"]

        with self.serve([scripts.send(b"hello")]) as server:
            stream = await self.backend.open_tcp(
                "service.test", server.port, LIMIT, resolver=resolver
            )
            assert await self.read_exactly(stream, 5) == b"hello"
            await stream.aclose()
            assert asked == [("service.test", server.port)]

    @check
    async def test_unix_socket(self) -> None:
        """Unix domain sockets carry bytes both ways."""
        if not hasattr(socket, "AF_UNIX"):
            raise unittest.SkipTest("no unix domain sockets")
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "s")
            steps = [scripts.expect(b"ping"), scripts.send(b"pong"), scripts.close()]
            with self.serve(steps, path=path):
                stream = await self.backend.connect_unix_socket(path, LIMIT)
                await stream.write(b"ping")
                assert await self.read_all(stream) == b"pong"
                await stream.aclose()

    @check
    async def test_missing_unix_socket(self) -> None:
        """A path where no socket is, or that is too long for one, is a `ConnectError`."""
        if not hasattr(socket, "AF_UNIX"):
            raise unittest.SkipTest("no unix domain sockets")
        with tempfile.TemporaryDirectory() as directory:
            for name in ("missing", "long" * 100):
                path = os.path.join(directory, name)
                error = await expect_error(
                    ConnectError, self.backend.connect_unix_socket(path, LIMIT)
                )
                assert error.__cause__ is not None

    @check
    async def test_socket_options_are_set_before_connecting(self) -> None:
        """Options reach the socket before the first packet, which announces our segment size."""
        option = (socket.IPPROTO_TCP, socket.TCP_MAXSEG, 600)
        with self.serve([]) as server:
            stream = await self.connect(server, socket_options=[option])
            peer = server.wait_for_connection()
            if sys.platform == "linux":
                assert peer.socket_option(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 600
            await stream.aclose()

    @check
    async def test_invalid_socket_options(self) -> None:
        """An option that the system refuses is a `ConnectError`, and nothing is connected."""
        with self.serve([]) as server:
            call = self.connect(server, socket_options=[(socket.SOL_SOCKET, 54321, 1)])
            error = await expect_error(ConnectError, call)
            assert isinstance(root_cause(error), OSError)
            assert server.connections == []

    @check
    async def test_local_address(self) -> None:
        """The connection comes from `local_address`; one that is not ours is a `ConnectError`."""
        address = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
        with self.serve([]) as server:
            stream = await self.connect(server, local_address=address)
            assert server.wait_for_connection().client_address[0] == address
            await stream.aclose()
            await expect_error(ConnectError, self.connect(server, local_address=FOREIGN_ADDRESS))

    @check
    async def test_get_extra_info(self) -> None:
        """Both ends' addresses and the socket are told; what is not known is None."""
        with self.serve([]) as server:
            stream = await self.connect(server)
            peer = server.wait_for_connection()
            assert tuple(stream.get_extra_info("client_addr")) == peer.client_address
            assert tuple(stream.get_extra_info("server_addr")) == peer.address
            assert stream.get_extra_info("socket").fileno() >= 0
            assert stream.get_extra_info("ssl_object") is None
            assert stream.get_extra_info("something else") is None
            await stream.aclose()

    @check
    async def test_sleep_and_now(self) -> None:
        """`sleep` takes at least its time; `now` is a clock that only goes forward."""
        before = self.backend.now()
        started = time.monotonic()
        await self.backend.sleep(0.02)
        assert time.monotonic() - started >= 0.019
        assert self.backend.now() >= before
