"""Exit codes: the table, and for each code a server, or a file, that really fails like that."""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import httpclient as client
from httpclient._cli.exit_codes import MEANINGS, CommandError, Lookup, exit_code
from httpclient._cli.run import Streams, run
from httpcore_core.testing import HTTPServer, Peer, ScriptedServer
from tests.certificates import Certificates

from .runner import Result, httpclient, pipe

DOCS = Path(__file__).parents[3] / "docs/command-line.md"


def caused(error: client.TransportError, cause: BaseException) -> client.TransportError:
    error.__cause__ = cause
    return error


TABLE: list[tuple[BaseException, int]] = [
    (client.UnsupportedProtocol("x"), 1),
    (client.LocalProtocolError("x", phase="request"), 2),
    (client.InvalidURL("x"), 3),
    (caused(client.ConnectError("x", phase="connect"), socket.gaierror(-2, "x")), 6),
    (caused(client.ConnectError("x", phase="connect"), ConnectionRefusedError(111, "x")), 7),
    (client.ConnectError("x", phase="connect"), 7),
    (client.RemoteProtocolError("not HTTP", phase="receive headers"), 8),
    (client.RemoteProtocolError("cut off", phase="receive body"), 18),
    (CommandError("x", 22), 22),
    (client.LocalProtocolError("longer", phase="send"), 26),
    (client.PoolTimeout("x"), 28),
    (client.ConnectTimeout("x", phase="tls"), 28),
    (client.ReadTimeout("x", phase="receive body"), 28),
    (client.WriteTimeout("x"), 28),
    (client.ConnectError("x", phase="tls"), 35),
    (caused(client.ConnectError("x", phase="tls"), ssl.SSLError(1, "x")), 35),
    (client.TooManyRedirects("x"), 47),
    (client.WriteError("x", phase="send"), 55),
    (client.ReadError("x", phase="send"), 55),
    (client.ReadError("x", phase="receive headers"), 56),
    (client.ReadError("x", phase="receive body"), 56),
    (caused(client.ConnectError("x", phase="tls"), ssl.SSLCertVerificationError(1, "x")), 60),
    (client.DecodingError("x", phase="receive body"), 61),
    (client.StreamConsumed("x"), 65),
    (client.ProxyError("x", phase="proxy"), 97),
    (KeyboardInterrupt(), 130),
]


@pytest.mark.parametrize(("error", "code"), TABLE, ids=[f"{e!r}-{c}" for e, c in TABLE])
def test_error_has_its_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
    assert code in MEANINGS


@pytest.mark.parametrize(("of_proxy", "code"), [(True, 5), (False, 6)])
def test_name_that_was_not_found_is_the_proxys_or_the_hosts(of_proxy: bool, code: int) -> None:
    lookup = Lookup(failed=True, of_proxy=of_proxy)
    assert exit_code(client.ConnectError("no address", phase="connect"), lookup) == code
    assert exit_code(client.ConnectTimeout("slow", phase="connect"), lookup) == 28


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("another")])
def test_what_is_no_failure_of_a_request_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        exit_code(error)
    assert caught.value is error


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code): text for code, text in rows} == MEANINGS


# Each of them for real


def failing(code: int, *arguments: str, **options: Any) -> Result:
    """Run; there is one line on standard error, and it begins with the code."""
    result = httpclient(*arguments, **options)
    assert result.code == code, result
    assert re.fullmatch(rf"httpclient: \({code}\) [^\n]+\n", result.err), result.err
    return result


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts scripted servers, and stops them at the end."""
    servers: list[ScriptedServer] = []

    def start(*steps: Callable[[Peer], object], **options: Any) -> ScriptedServer:
        server = ScriptedServer(list(steps), **options)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def answers(*pieces: bytes) -> Callable[[Peer], object]:
    """Reads a request and sends the pieces."""

    def script(peer: Peer) -> None:
        peer.read_request()
        for piece in pieces:
            peer.send(piece)

    return script


def test_0_answered() -> None:
    with HTTPServer() as server:
        result = httpclient(f"{server.url}/status/404")
    assert (result.code, result.err) == (0, "")


def test_1_unsupported_scheme() -> None:
    assert "scheme" in failing(1, "gopher://127.0.0.1/").err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--nothing", "http://127.0.0.1:1/"),
        ("http://127.0.0.1:1/", "-d", "a", "--json", "1"),
        ("http://127.0.0.1:1/", "--json", "{nothing}"),
        ("http://127.0.0.1:1/", "-H", "X: a\x01b"),
        ("http://127.0.0.1:1/", "--proxy", "gopher://x"),
    ],
    ids=str,
)
def test_2_usage(arguments: tuple[str, ...]) -> None:
    failing(2, *arguments)


def test_3_malformed_url() -> None:
    assert "host" in failing(3, "http://a b/").err
    for url in ("127.0.0.1:1/", "localhost:80", "example.com/path", "//127.0.0.1:1/", "", "/"):
        assert "http://" in failing(3, url).err


def test_5_proxy_not_resolved() -> None:
    result = failing(5, "http://127.0.0.1:1/", "--proxy", "http://proxy.invalid:3128")
    assert "proxy.invalid" in result.err


def test_6_host_not_resolved() -> None:
    assert "nowhere.invalid" in failing(6, "http://nowhere.invalid/").err


def test_7_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert (
        f"connect: connection to 127.0.0.1 port {port} refused"
        in failing(7, f"http://127.0.0.1:{port}/").err
    )
    failing(7, "http://localhost/", "--unix-socket", str(tmp_path / "nothing"))


@pytest.mark.parametrize("answer", [b"SSH-2.0-server\r\n", b"HTTP/1.1 2000 OK\r\n\r\n"])
def test_8_not_http(scripted: Callable[..., ScriptedServer], answer: bytes) -> None:
    server = scripted(answers(answer), Peer.close)
    failing(8, server.url)


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"


def test_18_partial(scripted: Callable[..., ScriptedServer]) -> None:
    server = scripted(answers(HALF), Peer.close)
    result = failing(18, server.url)
    assert result.out == b"half"
    assert "6 bytes of the body missing" in result.err


def test_22_status_with_fail() -> None:
    with HTTPServer() as server:
        for status in (400, 404, 500, 599):
            result = failing(22, "-f", f"{server.url}/status/{status}")
            assert str(status) in result.err
            assert result.out == b""
        assert httpclient("-f", f"{server.url}/status/302").code == 0


def test_23_output_file(tmp_path: Path) -> None:
    with HTTPServer() as server:
        failing(23, f"{server.url}/bytes/10", "-o", str(tmp_path / "nowhere" / "file"))
        failing(23, f"{server.url}/bytes/10", "-o", str(tmp_path))


class Full(io.RawIOBase):
    """A disk with no room left."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_23_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    from httpclient._cli import run as module

    out, err = io.TextIOWrapper(Full()), io.StringIO()  # type: ignore[type-var]  # not buffered
    with HTTPServer() as server:
        streams = module.Streams(io.BytesIO(), out, err, False, False)
        assert module.run([f"{server.url}/bytes/10"], streams) == 23
    assert os.strerror(errno.ENOSPC) in err.getvalue()


def test_26_file_to_be_sent(tmp_path: Path) -> None:
    nothing = f"@{tmp_path / 'nothing'}"
    for arguments in (("-d", nothing), ("--json", nothing), ("-F", f"f={nothing}")):
        assert "nothing" in failing(26, "http://127.0.0.1:1/", *arguments).err
    failing(26, "http://127.0.0.1:1/", "-d", f"@{tmp_path}")


def test_26_file_that_shrinks(scripted: Callable[..., ScriptedServer], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5_000_000))

    def shrink(peer: Peer) -> None:
        peer.read_head()
        os.truncate(path, 100)
        peer.wait_for_end()

    server = scripted(shrink)
    assert "shorter" in failing(26, server.url, "-d", f"@{path}").err


@pytest.mark.parametrize("answer", [b"", HALF])
def test_28_time_limits(scripted: Callable[..., ScriptedServer], answer: bytes) -> None:
    server = scripted(answers(answer), Peer.hang)
    assert "total" in failing(28, server.url, "--max-time", "0.2").err
    assert "0.1 s" in failing(28, server.url, "--read-timeout", "0.1").err


def test_28_is_over_all_redirects() -> None:
    with HTTPServer({"again": again}) as server:
        failing(28, f"{server.url}/again", "-L", "--max-time", "0.3", "--max-redirects", "1000")


def again(exchange: Any) -> None:
    exchange.read()
    exchange.peer.pause(0.05)
    exchange.respond(status=302, headers=[(b"Location", b"/again")])


def test_28_connecting(scripted: Callable[..., ScriptedServer]) -> None:
    server = scripted(Peer.receive, Peer.hang)
    url = server.url.replace("http", "https")
    assert "tls" in failing(28, url, "--connect-timeout", "0.2").err


def test_35_tls(scripted: Callable[..., ScriptedServer]) -> None:
    server = scripted(Peer.receive, lambda peer: peer.send(HALF), Peer.close)
    assert "TLS handshake" in failing(35, server.url.replace("http", "https")).err


def test_47_redirects() -> None:
    with HTTPServer({"again": again}) as server:
        result = failing(47, f"{server.url}/again", "-L", "--max-redirects", "2")
        assert server.url in result.err
        assert len(server.requests) == 3


def test_52_empty(scripted: Callable[..., ScriptedServer]) -> None:
    server = scripted(answers(), Peer.close)
    failing(52, server.url)


def test_55_sending(scripted: Callable[..., ScriptedServer], tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(20_000_000))
    server = scripted(Peer.read_head, Peer.reset)
    failing(55, server.url, "-d", f"@{path}")


def test_56_receiving(scripted: Callable[..., ScriptedServer]) -> None:
    server = scripted(answers(), Peer.reset)
    failing(56, server.url)


def test_60_certificate(certificates: Certificates) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert "certificate" in failing(60, url).err
        assert httpclient(f"{url}/bytes/3", "--cacert", certificates.ca_file).code == 0
    with HTTPServer(ssl_context=certificates.server_context(certificates.wrong_host)) as server:
        failing(60, server.url, "--cacert", certificates.ca_file)


def test_61_content_encoding(scripted: Callable[..., ScriptedServer]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
    server = scripted(answers(head))
    assert server.url in failing(61, server.url).err


def test_65_standard_input_cannot_be_sent_twice() -> None:
    def moved(exchange: Any) -> None:
        exchange.read()
        exchange.respond(status=307, headers=[(b"Location", b"/echo")])

    with HTTPServer({"moved": moved}) as server, pipe(b"once") as stdin:
        failing(65, f"{server.url}/moved", "-L", "-d", "-", stdin=stdin)


def test_97_proxy(scripted: Callable[..., ScriptedServer]) -> None:
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    server = scripted(Peer.read_head, lambda peer: peer.send(refusal), Peer.close)
    result = failing(97, "https://localhost/", "--proxy", server.url)
    assert "403" in result.err


def test_the_code_says_it_where_nobody_can_read_why() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "no space left")

    out = io.TextIOWrapper(io.BytesIO())
    streams = Streams(io.BytesIO(), out, Full(), False, False)
    assert run(["http://127.0.0.1:1/"], streams) == 7


@pytest.mark.skipif(os.name == "nt", reason="arguments are text there")
def test_arguments_that_are_no_utf8_are_sent_as_they_are() -> None:
    def script(peer: Peer) -> None:
        assert peer.read_request() is not None
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    with ScriptedServer(script) as server:
        assert httpclient(server.url, "-q", os.fsdecode(b"x\xe9=\xff")).code == 0
        assert server.requests[0].target == b"/?x%E9=%FF"
