"""`ScriptedServer`: each step does what it says, and leaving it leaves nothing behind."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from httpcore_core.testing import HTTPServer, ScriptedServer, scripts
from httpcore_core.testing.http_server import pattern
from httpcore_core.testing.peer import Peer


@contextmanager
def client(server: ScriptedServer) -> Iterator[socket.socket]:
    with closing(socket.create_connection((server.host, server.port), timeout=10)) as sock:
        yield sock


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_script_of_steps() -> None:
    steps = [scripts.expect(b"ping"), scripts.send(b"pong"), scripts.close()]
    with ScriptedServer(steps) as server, client(server) as sock:
        sock.sendall(b"ping")
        assert read_all(sock) == b"pong"
    (peer,) = server.connections
    assert (peer.ended, bytes(peer.received)) == ("closed", b"ping")


def test_a_failed_expectation_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"expected b'ping', the client sent b'pong'"):
        with ScriptedServer([scripts.expect(b"ping")]) as server, client(server) as sock:
            sock.sendall(b"pong")
            assert read_all(sock) == b""


def test_scripts_serve_connections_in_turn_and_the_last_one_all_further_ones() -> None:
    first, rest = ([scripts.send(data), scripts.close()] for data in (b"first", b"rest"))
    with ScriptedServer(first, rest) as server:
        answers = []
        for _ in range(3):
            with client(server) as sock:
                answers.append(read_all(sock))
    assert answers == [b"first", b"rest", b"rest"]
    assert len(server.connections) == 3


def test_requests_are_recorded_whole() -> None:
    def script(peer: Peer) -> None:
        while True:
            peer.read_request()
            peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    sized = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    chunked = (
        b"PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;ext=1\r\nde\r\n1\r\nf\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )
    with ScriptedServer(script) as server, client(server) as sock:
        sock.sendall(sized + chunked + b"GET /half HTTP/1.1\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).count(b"204") == 2
    assert [(r.method, r.target, r.body) for r in server.requests] == [
        (b"POST", b"/a", b"abc"),
        (b"PUT", b"/b", b"def"),
    ]
    assert [r.raw for r in server.requests] == [sized, chunked]
    assert server.requests[0].header(b"HOST") == b"x"
    assert server.connections[0].ended == "FIN"


def test_dripped_bytes_all_arrive() -> None:
    with ScriptedServer([scripts.drip(b"slowly"), scripts.close()]) as server:
        with client(server) as sock:
            assert read_all(sock) == b"slowly"


def test_a_hanging_script_goes_on_when_released() -> None:
    steps = [scripts.hang(), scripts.send(b"released"), scripts.close()]
    with ScriptedServer(steps) as server, client(server) as sock:
        server.wait_for_connection()
        server.release()
        assert read_all(sock) == b"released"


def test_stopping_ends_scripts_wherever_they_wait() -> None:
    for step in (
        scripts.hang(),
        scripts.hang(threading.Event()),
        scripts.pause(3600),
        scripts.read_request(),
        scripts.send(b"x" * 100_000_000),
        lambda peer: None,
    ):
        server = ScriptedServer([step])
        server.start()
        with client(server):
            server.wait_for_connection()
            server.stop()
        assert [peer.ended for peer in server.connections] == ["stopped"]
        assert not [t for t in threading.enumerate() if t.name.startswith("ScriptedServer")]


def test_how_the_client_ended_is_recorded() -> None:
    with ScriptedServer([]) as server:
        with client(server):
            server.wait_for_connection(0)
        with client(server) as sock:
            server.wait_for_connection(1)
            reset(sock)
        server.wait_until_done()
    assert [peer.ended for peer in server.connections] == ["FIN", "RST"]


def test_half_close_leaves_the_clients_side_open() -> None:
    steps = [scripts.send(b"all I have"), scripts.half_close(), scripts.expect(b"still talking")]
    with ScriptedServer(steps) as server, client(server) as sock:
        assert read_all(sock) == b"all I have"
        sock.sendall(b"still talking")


def test_reset_is_a_reset() -> None:
    with ScriptedServer([scripts.expect(b"x"), scripts.reset()]) as server:
        with client(server) as sock:
            sock.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                sock.recv(10)
    assert server.connections[0].ended == "reset"


def test_connections_are_counted_as_the_clients_hold_them() -> None:
    with ScriptedServer([scripts.hang()]) as server:
        with client(server) as first, client(server) as second:
            server.wait_for_connection(1)
            assert server.open_connections == 2
            while server.peak < 2:  # it is noted a moment later
                time.sleep(0.001)
            first.sendall(b"unread by the script")
            first.shutdown(socket.SHUT_RDWR)
            reset(second)
            with client(server):
                server.wait_for_connection(2)
                assert server.open_connections == 1
    assert server.peak == 2


def test_unix_domain_socket(socket_path: str) -> None:
    with ScriptedServer([scripts.send(b"local"), scripts.close()], path=socket_path):
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.connect(socket_path)
            assert read_all(sock) == b"local"


@pytest.mark.parametrize("close_notify", [True, False])
def test_tls_with_and_without_close_notify(
    close_notify: bool, server_ssl_context: ssl.SSLContext, client_ssl_context: ssl.SSLContext
) -> None:
    steps = [scripts.expect(b"ping"), scripts.send(b"pong"), scripts.close(close_notify)]
    with ScriptedServer(steps, ssl_context=server_ssl_context) as server, client(server) as sock:
        with client_ssl_context.wrap_socket(
            sock, server_hostname="localhost", suppress_ragged_eofs=False
        ) as secure:
            secure.sendall(b"ping")
            assert secure.recv(100) == b"pong"
            if close_notify:
                assert secure.recv(100) == b""
            else:
                with pytest.raises(ssl.SSLEOFError):
                    secure.recv(100)


def test_a_client_that_truncates_tls_is_noticed(
    server_ssl_context: ssl.SSLContext, client_ssl_context: ssl.SSLContext
) -> None:
    steps = [scripts.expect(b"x"), scripts.send(b"y")]
    with ScriptedServer(steps, ssl_context=server_ssl_context) as server:
        for close_notify in (True, False):
            with client(server) as sock:
                with client_ssl_context.wrap_socket(sock, server_hostname="localhost") as secure:
                    secure.sendall(b"x")
                    assert secure.recv(10) == b"y"
                    if close_notify:
                        secure.unwrap().close()
                    else:
                        secure.shutdown(socket.SHUT_WR)
            server.wait_until_done()
    assert [peer.truncated for peer in server.connections] == [False, True]


def test_a_refused_certificate_is_the_clients_affair(server_ssl_context: ssl.SSLContext) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
    with ScriptedServer([], ssl_context=server_ssl_context) as server:
        with client(server) as sock, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(sock, server_hostname="localhost")
        server.wait_until_done()
    assert isinstance(server.connections[0].error, ssl.SSLError)


def get(sock: socket.socket, target: str, body: bytes = b"", extra: bytes = b"") -> bytes:
    """One request that asks for the connection to be closed; the whole answer."""
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    sock.sendall(head + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return read_all(sock)


@pytest.mark.parametrize(
    ("target", "start", "end"),
    [
        ("/bytes/1000", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n", pattern(1000)),
        ("/until-close/10", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", pattern(10)),
        ("/status/404", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n", b"\r\n\r\n"),
        ("/status/799", b"HTTP/1.1 799 \r\n", b"\r\n\r\n"),
        ("/informational", b"HTTP/1.1 103 Early Hints\r\n", b"final"),
        ("/early", b"HTTP/1.1 413 ", b"too large"),
        ("/close", b"HTTP/1.1 200 OK", b"closed"),
        ("/drip/3", b"HTTP/1.1 200 OK", pattern(3)),
        ("/slow/0.01", b"HTTP/1.1 200 OK", b"slow"),
        ("/unknown", b"HTTP/1.1 404 Not Found", b"no such route"),
        ("/chunked/1500", b"HTTP/1.1 200 OK", b"\r\n0\r\nX-Trailer: end\r\n\r\n"),
    ],
)
def test_routes_of_the_http_server(target: str, start: bytes, end: bytes) -> None:
    with HTTPServer() as server, client(server) as sock:
        answer = get(sock, target, b"body")
        assert answer.startswith(start)
        assert answer.endswith(end)


def test_echo_says_what_was_received() -> None:
    with HTTPServer() as server, client(server) as sock:
        answer = get(sock, "/echo?q", b"abc", b"X-Name: value\r\nExpect: 100-continue\r\n")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    text = json.loads(answer.rpartition(b"\r\n\r\n")[2])
    assert (text["method"], text["target"], text["length"]) == ("POST", "/echo?q", 3)
    assert ["X-Name", "value"] in text["headers"]


def test_routes_of_the_callers_own() -> None:
    with HTTPServer({"mine": lambda exchange: exchange.respond(b"mine")}) as server:
        with client(server) as sock:
            assert get(sock, "/mine/x").endswith(b"mine")
