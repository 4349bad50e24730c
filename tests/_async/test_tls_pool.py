"""HTTPS through the pool: verification, SNI, sessions, contexts, ends (N4 to N9, D24, D25)."""

from __future__ import annotations

import gc
import ssl
import sys
from typing import Any

import pytest

from httpcore_core import (
    AsyncConnectionPool,
    ConnectError,
    ReadError,
    TransportError,
    WriteError,
)
from httpcore_core.testing.http_server import HTTPServer, pattern
from httpcore_core.testing.peer import Peer
from httpcore_core.testing.server import ScriptedServer
from tests.certificates import Certificates


async def test_https_with_connection_info(certificates: Certificates) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
            for number in (1, 2):
                response = await pool.request("GET", f"{server.url}/bytes/200000")
                assert response.content == pattern(200_000)
                info = response.extensions["connection"]
                assert (info["request_number"], info["tls_version"]) == (number, "TLSv1.3")
                assert info["alpn"] in ("http/1.1", None)
            async with pool.stream("GET", f"{server.url}/bytes/1") as response:
                stream = response.extensions["network_stream"]
                assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"


async def test_large_bodies_both_ways(certificates: Certificates) -> None:
    body = pattern(5_000_000)
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
            response = await pool.request("POST", f"{server.url}/bytes/5000000", content=body)
            assert response.content == body
    assert server.requests[0].body == body


async def test_i2_http2_is_agreed_on_and_h2_is_not_installed(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, settled: Any
) -> None:
    """By a context of the caller's; nothing is left of the connection."""
    context = certificates.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    server_context = certificates.server_context(alpn=("h2",))
    with ScriptedServer(lambda peer: peer.wait_for_end(), ssl_context=server_context) as server:
        async with AsyncConnectionPool(ssl_context=context) as pool:
            with monkeypatch.context() as patched:
                patched.delitem(sys.modules, "h2", raising=False)
                patched.setattr("importlib.util.find_spec", lambda name: None)
                with pytest.raises(ConnectError, match=r"pip install 'httpcore-core\[http2\]'"):
                    await pool.request("GET", server.url)
            settled(pool)
            server.wait_until_done()  # the connection is closed


async def test_n5_an_unknown_authority_is_refused(certificates: Certificates, settled: Any) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        async with AsyncConnectionPool(max_connections=1) as pool:
            for _ in range(2):
                with pytest.raises(ConnectError, match="certificate of") as caught:
                    limits = {"pool": 0.0, "connect": 10.0}
                    await pool.request("GET", server.url, extensions={"timeout": limits})
                assert caught.value.phase == "tls"
                assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
                settled(pool)
    assert server.requests == []


async def test_n5_sni_hostname_is_sent_and_verified(certificates: Certificates) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        url = f"https://127.0.0.1:{server.port}/bytes/1"
        async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
            for name in ("localhost", b"localhost"):
                await pool.request("GET", url, extensions={"sni_hostname": name})
            with pytest.raises(ConnectError, match=r"example\.com|[Hh]ostname"):
                await pool.request("GET", url, extensions={"sni_hostname": "example.com"})
            assert pool.stats().opened == 1


async def test_d25_a_connection_is_not_reused_for_another_sni_hostname(
    certificates: Certificates,
) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        url = f"https://127.0.0.1:{server.port}/bytes/1"
        async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
            await pool.request("GET", url)
            await pool.request("GET", url, extensions={"sni_hostname": "localhost"})
            assert pool.stats().opened == 2


async def test_n4_the_callers_context_is_not_touched(certificates: Certificates) -> None:
    class Guarded(ssl.SSLContext):
        sealed = False

        def __setattr__(self, name: str, value: object) -> None:
            assert not self.sealed, f"{name} was set"
            super().__setattr__(name, value)

        def set_alpn_protocols(self, protocols: Any) -> None:
            raise AssertionError("the caller's ALPN was set")

        def set_ciphers(self, ciphers: Any) -> None:
            assert not self.sealed, "the ciphers were set"
            super().set_ciphers(ciphers)

    context = Guarded(ssl.PROTOCOL_TLS_CLIENT)
    certificates.authority.configure_trust(context)
    context.sealed = True
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        for _ in range(2):
            async with AsyncConnectionPool(ssl_context=context) as pool:
                assert (await pool.request("GET", f"{server.url}/bytes/1")).status == 200


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_n8_sessions_are_resumed(certificates: Certificates, version: str) -> None:
    server_context = certificates.server_context()
    server_context.minimum_version = server_context.maximum_version = ssl.TLSVersion[version]
    with HTTPServer(ssl_context=server_context) as server:
        pool = AsyncConnectionPool(
            ssl_context=certificates.client_context(), max_keepalive_connections=0
        )
        reused = []
        async with pool:
            for _ in range(3):
                async with pool.stream("GET", f"{server.url}/bytes/1") as response:
                    stream = response.extensions["network_stream"]
                    reused.append(stream.get_extra_info("ssl_object").session_reused)
                del response, stream  # the pool remembers, not what is left of a connection
                gc.collect()
        assert reused == [False, True, True]
        assert len(server.connections) == 3


async def test_n9_client_certificates(certificates: Certificates) -> None:
    server_context = certificates.server_context()
    certificates.authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    with HTTPServer(ssl_context=server_context) as server:
        context = certificates.client_context(client_certificate=True)
        async with AsyncConnectionPool(ssl_context=context) as pool:
            assert (await pool.request("GET", f"{server.url}/bytes/1")).status == 200
        async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
            with pytest.raises((ConnectError, ReadError, WriteError)):
                await pool.request("GET", f"{server.url}/bytes/1")
            assert pool.connections == []


@pytest.mark.parametrize(
    ("head", "is_whole"),
    [
        (b"Content-Length: 3\r\n", True),
        (b"Content-Length: 4\r\n", False),
        (b"", False),
    ],
)
async def test_n6_e08_e09_an_end_without_close_notify(
    certificates: Certificates, head: bytes, is_whole: bool
) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nabc")
        peer.close(close_notify=False)

    with ScriptedServer(script, ssl_context=certificates.server_context()) as server:
        async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
            if is_whole:
                assert (await pool.request("GET", server.url)).content == b"abc"
            else:
                with pytest.raises(TransportError):
                    await pool.request("GET", server.url)
                assert pool.connections == []


async def test_a_body_that_ends_with_close_notify_is_whole(certificates: Certificates) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
            response = await pool.request("GET", f"{server.url}/until-close/70000")
            assert response.content == pattern(70_000)


async def test_h6_an_early_answer_over_tls(certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        peer.hang()

    with ScriptedServer(script, ssl_context=certificates.server_context()) as server:
        async with AsyncConnectionPool(ssl_context=certificates.client_context()) as pool:
            limits = {"read": 30.0, "write": 30.0}
            response = await pool.request(
                "POST", server.url, content=bytes(20_000_000), extensions={"timeout": limits}
            )
            assert (response.status, response.content) == (413, b"big")
            assert pool.connections == []


async def test_e06_a_plain_server_is_a_connect_error(
    certificates: Certificates, settled: Any
) -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.close()

    with ScriptedServer(script) as server:
        async with AsyncConnectionPool(
            ssl_context=certificates.client_context(), max_connections=1
        ) as pool:
            for _ in range(2):
                with pytest.raises(ConnectError):
                    await pool.request("GET", f"https://127.0.0.1:{server.port}/")
                settled(pool)


async def test_https_over_a_unix_socket(certificates: Certificates, socket_path: str) -> None:
    with HTTPServer(ssl_context=certificates.server_context(), path=socket_path):
        async with AsyncConnectionPool(
            ssl_context=certificates.client_context(), uds=socket_path
        ) as pool:
            response = await pool.request("GET", "https://localhost/bytes/9")
            assert response.content == pattern(9)


async def test_d24_a_plain_http_pool_needs_no_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import httpcore_core._tls

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a TLS context was made")

    monkeypatch.setattr(httpcore_core._tls, "default_ssl_context", refuse)
    with HTTPServer() as server:
        async with AsyncConnectionPool() as pool:
            assert (await pool.request("GET", f"{server.url}/bytes/1")).status == 200
