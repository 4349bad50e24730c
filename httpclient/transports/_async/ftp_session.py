"""One session with an FTP server: the control connection, and a data connection of its own.

Rules of this file: bytes are moved between network streams and the `ReplyParser`; what replies mean
is in `_ftp_replies`. All waits have the limits of the request. `aclose` and `abort` close whatever
is open and wait for nobody; no other method closes anything when it fails.

TLS is explicit (RFC 4217) and never optional: it begins before the user's name is sent, and data
are protected as well. Nothing that came before it counts afterwards. The core resumes TLS sessions
by server name, so that a data connection proves to be of the same client, as servers ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httpcore_core import ConnectError, RemoteProtocolError, TransportError, WriteError

from .._ftp_replies import Refused, Reply, ReplyParser, expect, passive_port
from .._ftp_requests import ANONYMOUS, Credentials, Limits, Plan

if TYPE_CHECKING:
    import ssl

    from httpcore_core import AsyncNetworkBackend, AsyncNetworkStream

READ_SIZE = 4096
CHUNK_SIZE = 64 * 1024
"""Bytes of data read at a time."""

MAX_PRELIMINARY = 100
"""Replies of the kind "wait for another one" that are waited for."""


class AsyncFTPSession:
    """`follows_address`: the data connection is made to the very address of the control connection,
    not to the host's name, of which there may be several. Not so where a proxy is in between."""

    def __init__(
        self,
        backend: AsyncNetworkBackend,
        plan: Plan,
        limits: Limits,
        ssl_context: ssl.SSLContext | None,
        follows_address: bool,
    ) -> None:
        self._backend = backend
        self._plan = plan
        self._limits = limits
        self._ssl_context = ssl_context
        self._follows_address = follows_address
        self._parser = ReplyParser()
        self._control: AsyncNetworkStream | None = None
        self._data: AsyncNetworkStream | None = None
        self.phase = "connect"

    def explain(self, exc: TransportError) -> None:
        """Complete an error on its way out."""
        self._limits.explain(exc, self._backend.now())
        exc.located(self._plan.origin, self.phase)

    def _left(self, name: str) -> float | None:
        return self._limits.left(name, self._backend.now())

    # The control connection

    async def open(self, credentials: Credentials | None) -> None:
        """Connect and log in. Raises `TransportError`, `Refused`."""
        self._control = await self._backend.connect_tcp(
            self._plan.host, self._plan.port, self._left("connect")
        )
        self.phase = "receive headers"
        expect(await self.final_reply(), 2)
        if self._ssl_context is not None:
            await self._protect(b"AUTH TLS")
            if not self._parser.is_clean:
                raise RemoteProtocolError("the server went on without the TLS it agreed to")
            self._control = await self._start_tls(self._control)
        user, password = credentials or ANONYMOUS
        reply = await self.command(b"USER " + user)
        if reply.code == 331:
            reply = await self.command(b"PASS " + password)
        if reply.code == 332:  # an account, too, which we have not
            raise Refused(reply, 401)
        expect(reply, 2)
        if self._ssl_context is not None:
            await self._protect(b"PBSZ 0")
            await self._protect(b"PROT P")

    async def _protect(self, command: bytes) -> None:
        reply = await self.command(command)
        if reply.kind != 2:
            raise ConnectError(f"the server does not protect by TLS: {reply}", phase="tls")

    async def _start_tls(self, stream: AsyncNetworkStream) -> AsyncNetworkStream:
        assert self._ssl_context is not None
        phase, self.phase = self.phase, "tls"
        host, limit = self._plan.host, self._left("connect")
        stream = await stream.start_tls(self._ssl_context, host, limit)
        self.phase = phase
        return stream

    async def command(self, command: bytes) -> Reply:
        """The server's reply, whatever it is; but 421 means that it leaves: `Refused`."""
        assert self._control is not None
        stray = self._parser.next_reply()
        if stray is not None:
            expect(stray, 0)
        await self._control.write(command + b"\r\n", self._left("write"))
        return await self._reply()

    async def _reply(self) -> Reply:
        assert self._control is not None
        while (reply := self._parser.next_reply()) is None:
            data = await self._control.read(READ_SIZE, self._left("read"))
            if not data:
                raise RemoteProtocolError("the server closed the control connection")
            self._parser.feed(data)
        if reply.code == 421:
            raise Refused(reply)
        return reply

    async def final_reply(self) -> Reply:
        """The next reply that is not a preliminary one."""
        for _ in range(MAX_PRELIMINARY):
            reply = await self._reply()
            if reply.kind != 1:
                return reply
        raise RemoteProtocolError("the server only ever asks to wait")

    async def early_reply(self) -> Reply | None:
        """A reply that has come while data are still being sent."""
        assert self._control is not None
        if self._parser.is_clean and not self._control.is_readable():
            return None
        reply = await self._reply()
        return None if reply.kind == 1 else reply

    # The data connection

    async def transfer(self, command: bytes, missing: int = 550) -> Reply:
        """Connect for data and have the server begin with them; returns its reply. The code
        `missing` says that there is nothing of that name."""
        reply = await self.command(b"EPSV")
        if reply.kind == 5:
            reply = await self.command(b"PASV")
        port = passive_port(expect(reply, 2))
        self._data = await self._backend.connect_tcp(self._address(), port, self._left("connect"))
        reply = await self.command(command)
        if reply.code == missing:
            raise Refused(reply, 404)
        expect(reply, 1)
        if self._ssl_context is not None:
            self._data = await self._start_tls(self._data)
        return reply

    def _address(self) -> str:
        assert self._control is not None
        found = self._control.get_extra_info("server_addr") if self._follows_address else None
        return str(found[0]) if isinstance(found, tuple) else self._plan.host

    async def read_data(self) -> bytes:
        assert self._data is not None
        return await self._data.read(CHUNK_SIZE, self._left("read"))

    async def write_data(self, data: bytes) -> None:
        assert self._data is not None
        await self._data.write(data, self._left("write"))

    async def end_data(self) -> None:
        """Tell the server that this was all, by ending our side (RFC 959, section 3.4.1). If the
        connection were closed while TLS messages for us are on their way, which a reader would
        have taken, the server's system might drop what it has not read."""
        data = self._data
        assert data is not None
        secure = data.get_extra_info("ssl_object")
        if hasattr(secure, "unwrap"):
            import ssl

            try:
                secure.unwrap()  # makes close_notify, and finds that the peer's has not come
            except (ssl.SSLError, ValueError):
                pass
            try:
                await data.write_until_readable(b"", self._left("write"))
            except WriteError:
                pass  # the server has left; its reply says why
        sock = data.get_extra_info("socket")
        if sock is None:
            await data.aclose()
            return
        import socket

        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # as above

    # Closing

    async def close_data(self) -> None:
        """Answer the end of the server's data with ours: there are servers that wait for it."""
        data, self._data = self._data, None
        if data is not None:
            await data.aclose()

    async def aclose(self) -> None:
        """Say goodbye, and close."""
        if self._control is not None:
            self._control.write_nowait(b"QUIT\r\n")
        await _close(self._let_go())

    async def abort(self) -> None:
        """Close in the middle of something."""
        await _close([stream for stream in self._let_go() if not stream.abort()])

    def drop(self) -> bool:
        """`abort` from a finaliser; false if nothing was open."""
        return bool([stream.abort() for stream in self._let_go()])

    def _let_go(self) -> list[AsyncNetworkStream]:
        streams = [stream for stream in (self._data, self._control) if stream is not None]
        self._data = self._control = None
        return streams


async def _close(streams: list[AsyncNetworkStream]) -> None:
    """All of them, also where one is interrupted."""
    if streams:
        try:
            await streams[0].aclose()
        finally:
            await _close(streams[1:])
