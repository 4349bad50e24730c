"""TLS on a stream, and within TLS: names, verification, ends and truncation, time limits."""

from __future__ import annotations

import ssl
from typing import Any

from ..._exceptions import ConnectError, ConnectTimeout, ReadError, ReadTimeout
from .. import scripts
from ..http_server import pattern
from ..peer import Peer
from ..server import ScriptedServer
from .base import LIMIT, Lapse, SuiteBase, check, expect_error, has_default, root_cause
from .sharing import echo
from .streaming import LARGE, MORE_THAN_BUFFERS_HOLD


class TLSSuite(SuiteBase):
    async def _secure(self, server: ScriptedServer, context: ssl.SSLContext) -> Any:
        stream = await self.connect(server)
        return await stream.start_tls(context, self.server_hostname, LIMIT)

    @check
    async def test_tls(self) -> None:
        """A handshake makes a stream that carries bytes; the peer is told the name and sees a
        close_notify when it is closed."""
        server_context, client = self.tls_contexts()
        names: list[str | None] = []
        server_context.sni_callback = lambda tls, name, context: names.append(name)
        steps = [scripts.expect(b"ping"), scripts.send(b"pong")]
        with self.serve(steps, ssl_context=server_context) as server:
            stream = await self._secure(server, client)
            await stream.write(b"ping")
            assert await self.read_exactly(stream, 4) == b"pong"
            await stream.aclose()
            await stream.aclose()
            peer = server.connections[0]
            await self.eventually(peer.done.is_set, "the peer sees our end")
            assert names == [self.server_hostname]
            assert not peer.truncated

    @check
    async def test_alpn_and_ssl_object(self) -> None:
        """The protocol that both ends know is negotiated; ``"ssl_object"`` tells it, beside the
        addresses of the connection."""
        server_context, client = self.tls_contexts()
        server_context.set_alpn_protocols(["http/1.1"])
        client.set_alpn_protocols(["unknown", "http/1.1"])
        with self.serve([], ssl_context=server_context) as server:
            stream = await self._secure(server, client)
            ssl_object = stream.get_extra_info("ssl_object")
            assert ssl_object.selected_alpn_protocol() == "http/1.1"
            assert ssl_object.version().startswith("TLSv1.")
            assert tuple(stream.get_extra_info("server_addr")) == (server.host, server.port)
            assert stream.get_extra_info("socket").fileno() >= 0
            await stream.aclose()

    @check
    async def test_verification_failure(self) -> None:
        """A certificate for another name or of an unknown authority is a `ConnectError` that says
        so, with its cause; the connection is closed."""
        server_context, client = self.tls_contexts()
        untrusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with self.serve([], ssl_context=server_context) as server:
            for context, name in ((client, "other.test"), (untrusting, self.server_hostname)):
                stream = await self.connect(server)
                error = await expect_error(ConnectError, stream.start_tls(context, name, LIMIT))
                assert isinstance(root_cause(error), ssl.SSLCertVerificationError)
                assert root_cause(error).verify_message in str(error)
                await stream.aclose()
            await self.eventually(lambda: not server.open_connections, "both are closed")

    @check
    async def test_handshake_with_something_else(self) -> None:
        """A peer that speaks no TLS, that leaves, or that resets in the handshake is a
        `ConnectError`, with its cause where there is a low-level one."""
        _, client = self.tls_contexts()
        causes: list[type[BaseException] | None] = [ssl.SSLError, None, OSError]
        plain_text = scripts.send(b"HTTP/1.1 400 no TLS here\r\n\r\n")
        steps = [plain_text, scripts.half_close(), scripts.reset()]
        for step, cause in zip(steps, causes, strict=True):
            with self.serve([scripts.expect_match(b"."), step]) as server:
                error = await expect_error(ConnectError, self._secure(server, client))
                assert cause is None or isinstance(root_cause(error), cause)

    @check
    async def test_handshake_timeout(self) -> None:
        """`timeout` bounds the whole handshake; the connection is closed."""
        _, client = self.tls_contexts()
        with self.serve([]) as server:
            stream = await self.connect(server)
            with Lapse(0.2, 2.0):
                call = stream.start_tls(client, self.server_hostname, 0.2)
                error = await expect_error(ConnectTimeout, call)
            assert error.limit == 0.2
            await self.eventually(lambda: not server.open_connections, "it is closed")
            await stream.aclose()

    @check
    async def test_end_of_tls(self) -> None:
        """A close_notify is the end of the stream: ``b""``, again and again."""
        server_context, client = self.tls_contexts()
        steps = [scripts.send(b"all"), scripts.close()]
        with self.serve(steps, ssl_context=server_context) as server:
            stream = await self._secure(server, client)
            assert await self.read_all(stream) == b"all"
            assert await stream.read(10, LIMIT) == b""
            await stream.aclose()

    @check
    async def test_truncation(self) -> None:
        """An end without close_notify is a `ReadError`, never taken for the end of the data."""
        server_context, client = self.tls_contexts()
        steps = [scripts.send(b"not all"), scripts.expect(b"x"), scripts.close(False)]
        with self.serve(steps, ssl_context=server_context) as server:
            stream = await self._secure(server, client)
            assert await self.read_exactly(stream, 7) == b"not all"
            await stream.write(b"x")
            await expect_error(ReadError, stream.read(10, LIMIT))
            await stream.aclose()

    @check
    async def test_large_both_ways(self) -> None:
        """10 MB each way at once, byte for byte, with one task reading and one writing."""
        server_context, client = self.tls_contexts()
        data = pattern(LARGE)
        with self.serve(echo, ssl_context=server_context) as server:
            stream = await self._secure(server, client)
            job = self.start(stream.write, data, LIMIT)
            assert await self.read_exactly(stream, LARGE) == data
            await job.result()
            await stream.aclose()

    @check
    async def test_idle_tls_stream(self) -> None:
        """Session tickets do not make a stream readable; data does, and a read with timeout 0
        gets it."""
        server_context, client = self.tls_contexts()
        steps = [scripts.expect(b"1"), scripts.send(b"one"), scripts.expect(b"2")]
        steps += [scripts.send(b"two")]
        with self.serve(steps, ssl_context=server_context) as server:
            stream = await self._secure(server, client)
            await expect_error(ReadTimeout, stream.read(10, 0.05))
            assert not stream.get_extra_info("is_readable")
            await stream.write(b"1")
            assert await self.read_exactly(stream, 3) == b"one"
            await expect_error(ReadTimeout, stream.read(10, 0))
            await stream.write(b"2")
            await self.readable(stream)
            assert await stream.read(10, 0) == b"two"
            await stream.aclose()

    @check
    async def test_tls_within_tls(self) -> None:
        """A handshake on a stream with TLS makes TLS within TLS: 1 MB both ways, and both ends
        are ended in order."""
        outer_context, outer = self.tls_contexts()
        inner_context, inner = self.tls_contexts()

        def script(peer: Peer) -> None:
            peer.expect(b"CONNECT")
            peer.send(b"OK")
            peer.start_tls(inner_context)
            echo(peer)

        data = pattern(1_000_000)
        with self.serve(script, ssl_context=outer_context) as server:
            stream = await self._secure(server, outer)
            await stream.write(b"CONNECT")
            assert await self.read_exactly(stream, 2) == b"OK"
            secure = await stream.start_tls(inner, self.server_hostname, LIMIT)
            job = self.start(secure.write, data, LIMIT)
            assert await self.read_exactly(secure, len(data)) == data
            await job.result()
            assert secure.get_extra_info("ssl_object") is not None
            await secure.aclose()
            await self.eventually(server.connections[0].done.is_set, "the peer sees our end")
            assert not server.connections[0].truncated

    @check
    async def test_failure_of_the_inner_handshake(self) -> None:
        """Within TLS the inner certificate is verified for its own name."""
        outer_context, outer = self.tls_contexts()
        inner_context, inner = self.tls_contexts()
        with self.serve([scripts.start_tls(inner_context)], ssl_context=outer_context) as server:
            stream = await self._secure(server, outer)
            error = await expect_error(ConnectError, stream.start_tls(inner, "other.test", LIMIT))
            assert isinstance(root_cause(error), ssl.SSLCertVerificationError)
            await stream.aclose()

    @check
    async def test_early_answer_on_tls(self) -> None:
        """`write_until_readable` notices an answer on TLS although the peer has stopped reading,
        or writes on until it is back where it is the default."""
        server_context, client = self.tls_contexts()

        def script(peer: Peer) -> None:
            peer.read_exactly(1_000_000)
            peer.send(b"enough")
            peer.hang()

        with self.serve(script, ssl_context=server_context) as server:
            stream = await self._secure(server, client)
            if has_default(stream, "write_until_readable"):
                server.release()
            with Lapse(0.0, LIMIT / 2):
                written = await stream.write_until_readable(bytes(MORE_THAN_BUFFERS_HOLD), LIMIT)
            if not has_default(stream, "write_until_readable"):
                assert 1_000_000 <= written < MORE_THAN_BUFFERS_HOLD
            assert await self.read_exactly(stream, 6) == b"enough"
            await stream.aclose()
            server.release()

    @check
    async def test_aborting_tls(self) -> None:
        """`abort` makes a read that waits fail with `ReadError`."""
        server_context, client = self.tls_contexts()
        with self.serve([], ssl_context=server_context) as server:
            stream = await self._secure(server, client)
            job = self.start(stream.read, 10, LIMIT)
            if stream.abort():
                with Lapse(0.0, LIMIT / 2):
                    await expect_error(ReadError, job.result())
            else:  # then the peer's answer to our close_notify may be faster than the close
                await stream.aclose()
                await job.wait()
                assert isinstance(job.error, ReadError) or job.value == b""
            await self.eventually(server.connections[0].has_left, "the peer sees the end")
            await stream.aclose()
