"""FTP: what each method does, what refusals come to, and servers that do not do as they should.

The server is a thread of this process, see `ftp_server`; it fails the test if a connection is left.
"""

from __future__ import annotations

import base64
import gc
import json
import ssl
from collections.abc import Iterator, Iterator
from typing import Any

import pytest

from httpclient._exceptions import StreamClosed
from httpclient.transports._sync.ftp_session import FTPSession
from httpclient.transports._ftp_requests import Limits, plan_request
from httpclient.transports.ftp import FTPTransport
from httpcore_core import (
    SyncByteStream,
    NetworkStream,
    SyncBackend,
    ByteStream,
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    NetworkError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    Response,
    TransportError,
    UnsupportedProtocol,
    WriteError,
    WriteTimeout,
)
from tests.client.transports.ftp_server import HANG, FTPServer, Session, serve

BIG = bytes(range(256)) * 4096 * 4  # 4 MiB: more than the network holds


class Body(SyncByteStream):
    """Yields its parts; raises `error` after them."""

    def __init__(self, *parts: bytes, error: Exception | None = None) -> None:
        self.parts = parts
        self.error = error
        self.started = self.ended = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self.parts:
                self.started = True
                yield part
            if self.error is not None:
                raise self.error
        finally:
            self.ended = True


def open_(
    server: FTPServer,
    method: str = "GET",
    path: str = "/hello.txt",
    *,
    body: Any = None,
    headers: dict[str, str] | None = None,
    timeout: dict[str, float] | None = None,
    transport: FTPTransport | None = None,
    **options: Any,
) -> Response:
    transport = transport or FTPTransport(**options)
    return Response(
        *transport.handle_request(
            method.encode(),
            (*server.origin, path.encode("latin-1")),
            [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            body if hasattr(body, "close") else ByteStream(body or b""),
            {"timeout": {"read": 10.0, "write": 10.0, "connect": 10.0, **(timeout or {})}},
        )
    )


def ask(*args: Any, **kwargs: Any) -> Response:
    response = open_(*args, **kwargs)
    return response._replace(stream=ByteStream(response.stream.read()))


def failed(kind: type[Exception], *args: Any, **kwargs: Any) -> Any:
    with pytest.raises(kind) as caught:
        ask(*args, **kwargs)
    return caught.value


# What each method does


def test_get_is_a_download() -> None:
    with serve() as server:
        response = ask(server)
    assert response.status == 200
    assert response.headers == [
        (b"Content-Type", b"text/plain"),
        (b"Content-Length", b"8"),
        (b"Last-Modified", b"Thu, 29 Feb 2024 12:34:56 GMT"),
    ]
    assert response.content == b"Hello!\r\n"
    assert response.extensions == {"http_version": b"FTP", "reason_phrase": b"Here it comes"}
    assert server.commands == [
        "USER anonymous",
        "PASS anonymous@",
        "TYPE I",
        "SIZE hello.txt",
        "MDTM hello.txt",
        "EPSV",
        "RETR hello.txt",
        "QUIT",
    ]


def test_get_of_much_comes_in_chunks() -> None:
    with serve(files={"big": BIG}) as server:
        response = open_(server, path="/big")
        chunks = [chunk for chunk in response.stream]
        assert [chunk for chunk in response.stream] == []
        response.stream.close()
    assert b"".join(chunks) == BIG
    assert len(chunks) > 1
    assert max(map(len, chunks)) <= 256 * 1024


def test_get_of_nothing() -> None:
    with serve(files={"empty": b""}) as server:
        response = ask(server, path="/empty")
    assert response.content == b""
    assert (b"Content-Length", b"0") in response.headers


def test_get_over_ipv6() -> None:
    with serve(host="::1") as server:
        response = ask(server)
        assert response.content == b"Hello!\r\n"
        response = ask(server, transport=FTPTransport(network_backend=SyncBackend()))
        assert response.content == b"Hello!\r\n"


def test_server_that_knows_little() -> None:
    replies = dict.fromkeys(("SIZE", "MDTM", "EPSV", "FEAT"), b"502 Never heard of it\r\n")
    files = {"hello.txt": b"Hello!\r\n", "dir/": b"", "dir/-x": b""}
    with serve(replies=replies, files=files) as server:
        response = ask(server)
        assert response.headers == [(b"Content-Type", b"text/plain")]
        assert response.content == b"Hello!\r\n"
        response = ask(server, path="/")
        assert json.loads(response.content) == [{"name": "hello.txt"}]
        response = ask(server, path="/dir/")
        assert json.loads(response.content) == [{"name": "-x"}]
        assert (ask(server, path="/missing/")).status == 404
    assert "PASV" in server.verbs


def test_address_in_the_answer_to_pasv_is_ignored() -> None:
    # It is 192.0.2.1; a connection to it is an error of the test's, see `tests/guards.py`.
    with serve(replies={"EPSV": b"500 What?\r\n"}) as server:
        assert (ask(server)).content == b"Hello!\r\n"


def test_head() -> None:
    with serve(files={"a.bin": b"12345"}) as server:
        response = ask(server, "HEAD", "/a.bin")
    assert (response.status, response.content) == (200, b"")
    assert response.headers == [
        (b"Content-Type", b"application/octet-stream"),
        (b"Content-Length", b"5"),
        (b"Last-Modified", b"Thu, 29 Feb 2024 12:34:56 GMT"),
    ]
    assert "EPSV" not in server.verbs


@pytest.mark.parametrize(
    ("replies", "status", "names"),
    [
        ({"SIZE": b"500 ?\r\n"}, 200, {b"Content-Type", b"Last-Modified"}),
        ({"MDTM": b"500 ?\r\n"}, 200, {b"Content-Type", b"Content-Length"}),
        ({"SIZE": b"500 ?\r\n", "MDTM": b"500 ?\r\n"}, 502, {b"Content-Length"}),
        ({"SIZE": b"500 ?\r\n", "MDTM": b"550 ?\r\n"}, 404, {b"Content-Length"}),
        ({"SIZE": b"550 ?\r\n"}, 404, {b"Content-Length"}),
        ({"SIZE": b"213 many\r\n", "MDTM": b"213 20241399\r\n"}, 200, {b"Content-Type"}),
    ],
)
def test_head_where_the_server_knows_little(
    replies: dict[str, bytes], status: int, names: set[bytes]
) -> None:
    with serve(replies=replies) as server:
        response = ask(server, "HEAD")
    assert response.status == status
    assert {name for name, _ in response.headers} == names


def test_put_is_an_upload() -> None:
    with serve() as server:
        response = ask(server, "PUT", "/new.txt", body=b"content")
        assert (response.status, response.content) == (201, b"")
        assert response.extensions["reason_phrase"] == b"Done"
        body = Body(b"a", b"", BIG, b"z")
        assert (ask(server, "PUT", "/big", body=body)).status == 201
    assert body.ended
    assert server.stored == {"new.txt": b"content", "big": b"a" + BIG + b"z"}


def test_put_of_nothing() -> None:
    with serve() as server:
        assert (ask(server, "PUT", "/new.txt")).status == 201
    assert server.stored == {"new.txt": b""}


def test_delete() -> None:
    with serve() as server:
        response = ask(server, "DELETE")
        assert (response.status, response.headers, response.content) == (204, [], b"")
        assert (ask(server, "DELETE")).status == 404
    assert server.files == {}


def test_listing() -> None:
    files = {"dir/": b"", "dir/a b.txt": b"123", "dir/ö": b"", "dir/sub/x": b"", "other": b""}
    with serve(files=files) as server:
        response = ask(server, path="/dir/")
        assert response.headers == [(b"Content-Type", b"application/json")]
        assert json.loads(response.content) == [
            {"name": "a b.txt", "type": "file", "size": 3},
            {"name": "ö", "type": "file", "size": 0},
        ]
        assert "MLSD dir" in server.commands
        assert json.loads((ask(server, path="/")).content) == [
            {"name": "other", "type": "file", "size": 0}
        ]
        assert "MLSD" in server.commands
        assert (ask(server, path="/missing/")).status == 404


def test_listing_of_an_empty_directory() -> None:
    with serve(files={"dir/": b""}) as server:
        assert json.loads((ask(server, path="/dir/")).content) == []


def test_listing_of_a_file() -> None:
    with serve(replies={"MLSD": b"501 Not a directory\r\n"}) as server:
        assert (ask(server, path="/hello.txt/")).status == 404


def test_head_of_a_directory() -> None:
    with serve(files={"dir/": b""}) as server:
        response = ask(server, "HEAD", "/dir/")
        assert (response.status, response.content) == (200, b"")
        assert response.headers == [(b"Content-Type", b"application/json")]
        assert (ask(server, "HEAD", "/")).status == 200
        assert (ask(server, "HEAD", "/missing/")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/x", b"GET, HEAD, PUT, DELETE"),
        ("PUT", "/x/", b"GET, HEAD"),
        ("DELETE", "/", b"GET, HEAD"),
        ("get", "/x", b"GET, HEAD, PUT, DELETE"),
    ],
)
def test_other_methods(method: str, path: str, allowed: bytes) -> None:
    with serve() as server:
        response = ask(server, method, path, body=b"x")
    assert response.status == 405
    assert response.headers == [(b"Allow", allowed), (b"Content-Length", b"0")]
    assert server.sessions == []


@pytest.mark.parametrize(
    ("method", "header"),
    [("PUT", "If-None-Match"), ("PUT", "Content-Range"), ("DELETE", "If-Match")],
)
def test_changes_on_conditions_are_not_made(method: str, header: str) -> None:
    with serve() as server:
        response = ask(server, method, headers={header: "*"})
    assert response.status == 501
    assert server.sessions == []


# Paths


@pytest.mark.parametrize(
    ("path", "argument"),
    [
        ("/a/b.txt", "a/b.txt"),
        ("/a%20b?query#fragment", "a b"),
        ("/a/../../b", "b"),
        ("/a/%2e%2E/%2e./b", "b"),
        ("/..%2f..%2fb", "b"),
        ("//etc/motd", "/etc/motd"),
        ("/%2Fetc/motd", "/etc/motd"),
        ("/-rf", "./-rf"),
        ("/%20x", "./ x"),
        ("/%C3%B6", "ö"),
        ("/%FF", "\udcff"),
        ("/%2500", "%00"),
    ],
)
def test_paths(path: str, argument: str) -> None:
    with serve() as server:
        ask(server, "DELETE", path)
    assert f"DELE {argument}" in server.commands


@pytest.mark.parametrize("path", ["/a%0d%0aDELE%20b", "/a%0Ab", "/a%00b", "/a\rb", "x", "*"])
def test_paths_that_would_be_commands_are_refused(path: str) -> None:
    with serve() as server:
        error = failed(LocalProtocolError, server, path=path)
    assert error.phase == "request"
    assert server.sessions == []


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ((b"ftps", b"127.0.0.1", 21, b"/"), UnsupportedProtocol),
        ((b"http", b"127.0.0.1", 21, b"/"), UnsupportedProtocol),
        ((b"ftp", b"", 21, b"/"), LocalProtocolError),
        ((b"ftp", b"a\r\nb", 21, b"/"), LocalProtocolError),
        ((b"ftp", b"\xff", 21, b"/"), LocalProtocolError),
    ],
)
def test_wrong_urls(url: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        FTPTransport().handle_request(b"GET", url, [], ByteStream(), {})


# Credentials


def test_credentials() -> None:
    with serve(password="secret") as server:
        response = ask(server)
        assert response.status == 401
        assert response.extensions["reason_phrase"] == b"Login incorrect."
        assert (ask(server, auth=("me", "secret"))).status == 200
        assert "USER me" in server.commands
        basic = "Basic " + base64.b64encode("ü:secret".encode()).decode()
        response = ask(server, auth=("me", "wrong"), headers={"Authorization": basic})
        assert response.status == 200
        assert "USER ü" in server.commands
        bearer = {"Authorization": "Bearer x"}
        assert (ask(server, auth=("me", "secret"), headers=bearer)).status == 200


@pytest.mark.parametrize("auth", [("a\r\nDELE b", "c"), ("a", "b\0"), ("a\n", "")])
def test_credentials_that_would_be_commands_are_refused(auth: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="which no command can have"):
        FTPTransport(auth=auth)
    basic = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
    with serve() as server:
        error = failed(LocalProtocolError, server, headers={"Authorization": basic})
        assert "DELE" not in str(error)
        failed(LocalProtocolError, server, headers={"Authorization": "Basic ?"})
    assert server.sessions == []


@pytest.mark.parametrize("auth", ["me:secret", ("me",), ("me", None), ["me", "secret"]])
def test_wrong_credentials(auth: Any) -> None:
    with pytest.raises(TypeError) as caught:
        FTPTransport(auth=auth)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(FTPTransport(auth=("me", "secret")))


@pytest.mark.parametrize(
    ("replies", "status"),
    [
        ({"USER": b"230 You are in\r\n"}, 200),
        ({"USER": b"332 Which account?\r\n"}, 401),
        ({"PASS": b"332 Which account?\r\n"}, 401),
        ({"USER": b"430 Who?\r\n"}, 401),
        ({"USER": b"530 Anonymous is not welcome\r\n"}, 401),
        ({"PASS": b"421 Too many\r\n"}, 503),
    ],
)
def test_login(replies: dict[str, bytes], status: int) -> None:
    with serve(replies=replies) as server:
        assert (ask(server)).status == status


# What refusals come to


@pytest.mark.parametrize(
    ("command", "reply", "status", "reason"),
    [
        ("HELLO", "421 Too many users", 503, b"Too many users"),
        ("HELLO", "421-Too\r\n  many\r\n421 users", 503, b"Too"),
        ("HELLO", "500 No", 502, b"No"),
        ("TYPE", "504 No", 502, b"No"),
        ("SIZE", "421 Timeout", 503, b"Timeout"),
        ("EPSV", "425 Cannot open", 503, b"Cannot open"),
        ("RETR", "550 No such\tfile: \x1b[31m\xf6", 404, b"No such?file: ?[31m?"),
        ("RETR", "550", 404, b""),
        ("RETR", "550 " + "x" * 5000, 404, b"x" * 200),
        ("RETR", "553 Not allowed", 403, b"Not allowed"),
        ("RETR", "450 Busy", 503, b"Busy"),
        ("RETR", "530 Who?", 401, b"Who?"),
        ("RETR", "532 Who?", 401, b"Who?"),
        ("RETR", "599 ?", 502, b"?"),
        ("STOR", "553 Name not allowed", 403, b"Name not allowed"),
        ("STOR", "452 Full", 507, b"Full"),
        ("STOR", "552 Quota", 507, b"Quota"),
        ("DELE", "450 Busy", 503, b"Busy"),
    ],
)
def test_refusals(command: str, reply: str, status: int, reason: bytes) -> None:
    method = {"STOR": "PUT", "DELE": "DELETE"}.get(command, "GET")
    with serve(replies={command: reply.encode("latin-1") + b"\r\n"}) as server:
        response = ask(server, method, body=b"x")
    assert (response.status, response.content) == (status, b"")
    assert response.headers == [(b"Content-Length", b"0")]
    assert response.extensions["reason_phrase"] == reason
    assert server.stored == {}


def test_slow_greeting() -> None:
    hello = b"120-Wait\r\nplease\r\n120 until I can\r\n220-Now\r\n220-still\r\n\r\n220 ready\r\n"
    with serve(replies={"HELLO": hello}) as server:
        assert (ask(server)).status == 200


# Servers that do not do as they should


@pytest.mark.parametrize(
    ("command", "reply", "text"),
    [
        ("HELLO", b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak FTP: 'SSH-2.0-OpenSSH_9.6"),
        ("HELLO", b"\x00\xff\r\n", "does not speak FTP"),
        ("HELLO", b"\r\n", "does not speak FTP"),
        ("HELLO", b"2200 x\r\n", "does not speak FTP"),
        ("HELLO", b"331 Password?\r\n", "has no place here: 331 Password?"),
        ("HELLO", b"220-" + b"x" * 9000, "too long a line"),
        ("HELLO", b"220-x\r\n" + b"220-y\r\n" * 12000, "is too long"),
        ("HELLO", b"120 Wait\r\n" * 120, "only ever asks to wait"),
        ("HELLO", b"220 ready\r\n220 ready\r\n", "has no place here: 220 ready"),
        ("EPSV", b"229 (|||0|)\r\n", "impossible port"),
        ("EPSV", b"229 (|||65536|)\r\n", "impossible port"),
        ("EPSV", b"229 (|||12|\r\n", "did not say where"),
        ("EPSV", b"229 (|1|192.0.2.1|12|)\r\n", "did not say where"),
        ("EPSV", b"227 (1,2,3,4,5)\r\n", "did not say where"),
        ("EPSV", b"227 (1,2,3,4,256,5)\r\n", "impossible port"),
        ("EPSV", b"200 Yes\r\n", "did not say where"),
        ("RETR", b"226 Done\r\n", "has no place here: 226 Done"),
    ],
)
def test_nonsense(command: str, reply: bytes, text: str) -> None:
    with serve(replies={command: reply}) as server:
        error = failed(RemoteProtocolError, server)
    assert text in str(error)
    assert error.origin == f"ftp://127.0.0.1:{server.port}"
    assert error.phase == "receive headers"


@pytest.mark.parametrize("command", ["HELLO", "USER", "PASS", "TYPE", "EPSV", "RETR"])
def test_server_that_leaves(command: str) -> None:
    def leave(session: Session, argument: str) -> None:
        raise EOFError

    with serve(replies={command: leave}) as server:
        error = failed(RemoteProtocolError, server)
        assert "closed the control connection" in str(error)
    with serve(replies={command: lambda session, argument: session.leave()}) as server:
        # Which one it is depends on what the system has told by then.
        failed(NetworkError, server)


def test_nobody_is_there() -> None:
    with serve() as server:
        pass
    error = failed(ConnectError, server)
    assert error.origin == server.url
    assert error.phase == "connect"


def test_nobody_is_at_the_data_port() -> None:
    def closed(session: Session, argument: str) -> None:
        session.send(f"229 (|||{session.listen()}|)")
        assert session.listener is not None
        session.listener.close()

    def shut(session: Session, argument: str) -> None:
        port = session.listen()
        assert session.listener is not None
        session.listener.close()
        session.send(f"229 (|||{port}|)")

    with serve(replies={"EPSV": shut}) as server:
        assert isinstance(failed(ConnectError, server), ConnectError)
    with serve(replies={"EPSV": closed}) as server:
        failed(TransportError, server, timeout={"read": 0.1})


@pytest.mark.parametrize("command", ["HELLO", "USER", "SIZE", "EPSV", "RETR", "DELE"])
def test_server_that_says_nothing(command: str) -> None:
    method = "DELETE" if command == "DELE" else "GET"
    with serve(replies={command: HANG}) as server:
        error = failed(ReadTimeout, server, method, timeout={"read": 0.05})
        assert (error.limit, error.phase) == (0.05, "receive headers")


def test_no_time_at_all() -> None:
    with serve() as server:
        error = failed(ConnectTimeout, server, timeout={"total": 0})
    assert "the total deadline passed" in str(error)


def begins(text: str, *, data: bytes = b"12345", then: Any = None) -> Any:
    """A RETR that sends `data` of what SIZE has announced, and says `text` then."""

    def script(session: Session, argument: str) -> None:
        with session.data() as connection:
            connection.sendall(data)
            if then is not None:
                then(session)
        session.connection.sendall(text.encode())

    return script


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        (begins("226 Done\r\n"), RemoteProtocolError, "sent 5 bytes of 8"),
        (begins("426 Aborted\r\n"), RemoteProtocolError, "broke off: 426 Aborted"),
        (begins("451 Disk\r\n", data=b"Hello!\r\n"), RemoteProtocolError, "broke off: 451 Disk"),
        (begins("421 Bye\r\n", data=b"Hello!\r\n"), RemoteProtocolError, "broke off: 421 Bye"),
        (begins("331 ?\r\n", data=b"Hello!\r\n"), RemoteProtocolError, "has no place here: 331"),
        (begins("what?\r\n", data=b"Hello!\r\n"), RemoteProtocolError, "does not speak FTP"),
        (begins("", then=Session.leave), ReadError, "reset"),
    ],
)
def test_n6_download_that_fails_is_never_taken_for_whole(
    script: Any, kind: type[Exception], text: str
) -> None:
    with serve(replies={"RETR": script}) as server:
        response = open_(server)
        assert response.status == 200
        with pytest.raises(kind) as caught:
            response.stream.read()
        assert caught.value.origin == server.url
        assert caught.value.phase == "receive body"
        assert text in str(caught.value)


def test_server_that_says_nothing_at_the_end() -> None:
    with serve(replies={"RETR": begins("", then=Session.hang)}) as server:
        response = open_(server, timeout={"read": 0.5})
        with pytest.raises(ReadTimeout) as caught:
            response.stream.read()
    assert (caught.value.limit, caught.value.phase) == (0.5, "receive body")


def test_n2_total_bounds_everything() -> None:
    with serve(replies={"RETR": begins("", then=Session.hang), "DELE": HANG}) as server:
        response = open_(server, timeout={"total": 0.5})
        with pytest.raises(ReadTimeout) as caught:
            response.stream.read()
        message = "the total deadline passed (limit 0.5 s)"
        assert str(caught.value) == f"{server.url}: receive body: {message}"
        error = failed(ReadTimeout, server, "DELETE", timeout={"total": 0.5})
        assert str(error) == f"{server.url}: receive headers: {message}"


def test_file_that_has_grown_ends_where_it_was_said_to() -> None:
    script = begins("226 Done\r\n", data=b"Hello!\r\n and more")
    with serve(replies={"RETR": script}) as server:
        assert (ask(server)).content == b"Hello!\r\n"
    with serve(replies={"SIZE": b"213 0\r\n"}) as server:
        assert (ask(server)).content == b""


def test_listing_with_nonsense() -> None:
    lines = (
        b"type=cdir; .\r\nTYPE=pdir; ..\r\n\r\nno-blank\r\ntype; \r\n"
        b'type=file;size=x;modify=1; ../../etc/"\x01\xff\r\n'
        b"Type=OS.unix=slink:/x;Size=99999999999999999999;Modify=20240229123456.7; l;i=n k\n"
        b" last"
    )

    def listed(session: Session, argument: str) -> None:
        with session.data() as connection:
            for byte in lines:
                connection.sendall(bytes([byte]))
        session.send("226 Done")

    with serve(replies={"MLSD": listed}) as server:
        response = ask(server, path="/")
    assert json.loads(response.content) == [
        {"name": '"\x01\ufffd', "type": "file"},
        {"name": "l;i=n k", "type": "os.unix=slink:/x", "modified": "2024-02-29T12:34:56Z"},
        {"name": "last"},
    ]


def test_listing_with_an_endless_line() -> None:
    def listed(session: Session, argument: str) -> None:
        with session.data() as connection:
            connection.sendall(b"x" * 10000)
            session.hang()

    with serve(replies={"MLSD": listed}) as server:
        error = failed(RemoteProtocolError, server, path="/")
    assert "too long a line" in str(error)


# Leaving early


@pytest.fixture
def big_server() -> Iterator[FTPServer]:
    """Ends after the event loop, which may need another turn to close what the test has closed."""
    with serve(files={"big": BIG}) as server:
        yield server


def test_early_close_ends_both_connections(big_server: FTPServer) -> None:
    response = open_(big_server, path="/big")
    for _chunk in response.stream:
        break
    response.stream.close()
    response.stream.close()
    with pytest.raises(StreamClosed):
        response.stream.read()
    response = open_(big_server, path="/big")
    response.stream.close()


def test_p13_download_that_is_dropped_is_reclaimed(big_server: FTPServer) -> None:
    response: Any = open_(big_server, path="/big")
    with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
        del response
        gc.collect()


# Uploads that fail


def test_upload_of_a_body_that_fails() -> None:
    body = Body(b"a", error=ValueError("mine"))
    with serve() as server:
        with pytest.raises(ValueError, match="mine"):
            ask(server, "PUT", "/x", body=body)
    assert body.ended


def test_upload_of_what_are_no_bytes() -> None:
    with serve() as server:
        error = failed(LocalProtocolError, server, "PUT", "/x", body=Body(b"1", "2"))  # type: ignore[arg-type]
        assert "a body is made of bytes, not str" in str(error)


@pytest.mark.parametrize(("length", "text"), [("2", "longer"), ("4", "shorter")])
def test_h8_upload_of_another_length(length: str, text: str) -> None:
    headers = {"Content-Length": length}
    with serve() as server:
        error = failed(
            LocalProtocolError, server, "PUT", "/x", body=Body(b"1", b"23"), headers=headers
        )
        assert text in str(error)
        assert (error.origin, error.phase) == (server.url, "send")
        for wrong in ("-1", "x", "1" * 5000):
            headers = {"Content-Length": wrong}
            failed(LocalProtocolError, server, "PUT", "/x", body=b"123", headers=headers)
        headers = {"Content-Length": "3"}
        assert (ask(server, "PUT", "/y", body=b"123", headers=headers)).status == 201


def test_h6_refusal_in_the_middle_of_an_upload() -> None:
    def full(session: Session, argument: str) -> None:
        with session.data() as connection:
            connection.recv(10)
        session.send("452 Disk full")

    def full_and_waiting(session: Session, argument: str) -> None:
        with session.data() as connection:
            connection.recv(10)
            session.send("552 Quota")
            session.hang()

    body = Body(*[BIG] * 20)
    with serve(replies={"STOR": full}) as server:
        assert (ask(server, "PUT", "/x", body=body)).status == 507
    assert body.ended
    with serve(replies={"STOR": full_and_waiting}) as server:
        limits = {"write": 0.5}
        assert (ask(server, "PUT", "/x", body=BIG * 8, timeout=limits)).status == 507


def test_upload_that_the_server_takes_for_complete_too_early() -> None:
    def done(session: Session, argument: str) -> None:
        with session.data() as connection:
            connection.recv(10)
        session.send("226 Done")

    with serve(replies={"STOR": done}) as server:
        error = failed(RemoteProtocolError, server, "PUT", "/x", body=BIG * 8)
    assert "has no place here: 226 Done" in str(error)


def test_upload_that_nobody_takes() -> None:
    def idle(session: Session, argument: str) -> None:
        with session.data():
            session.hang()

    with serve(replies={"STOR": idle}) as server:
        limits = {"write": 0.1}
        error = failed(WriteTimeout, server, "PUT", "/x", body=BIG * 8, timeout=limits)
    assert (error.limit, error.phase) == (0.1, "send")


class Gone:
    """What a stream tells of, whose peer has left: its socket, and its TLS."""

    def shutdown(self, how: int) -> None:
        raise OSError

    def unwrap(self) -> None:
        raise ssl.SSLError


class GoneStream(NetworkStream):
    def __init__(self, tells: dict[str, Any]) -> None:
        self.tells = tells
        self.closed = 0

    def get_extra_info(self, info: str) -> Any:
        return self.tells.get(info)

    def write_until_readable(self, buffer: bytes, timeout: float | None = None) -> int:
        raise WriteError

    def close(self) -> None:
        self.closed += 1


def test_end_of_an_upload_that_nobody_hears() -> None:
    plan = plan_request(b"PUT", (b"ftp", b"h", None, b"/x"), [])
    session = FTPSession(SyncBackend(), plan, Limits({}, 0.0), None, True)
    # A stream without a socket of its own says what it can by closing.
    for tells, closed in (({"ssl_object": Gone(), "socket": Gone()}, 0), ({}, 1)):
        session._data = stream = GoneStream(tells)
        session.end_data()
        assert stream.closed == closed
        session.abort()
        assert stream.closed == closed + 1


def test_upload_to_a_server_that_dies() -> None:
    def die(session: Session, argument: str) -> None:
        with session.data() as connection:
            connection.recv(10)
            session.leave()

    with serve(replies={"STOR": die}) as server:
        failed(NetworkError, server, "PUT", "/x", body=BIG * 8)


def test_body_of_no_kind_is_refused() -> None:
    class Nothing:
        def close(self) -> None:
            raise AssertionError("not reached")

    with serve() as server:
        failed(LocalProtocolError, server, "PUT", "/x", body=Nothing())
    assert server.sessions == []


# TLS


def test_tls_protects_commands_and_data(
    server_ssl_context: ssl.SSLContext, client_ssl_context: ssl.SSLContext
) -> None:
    files = {"big": BIG, "hello.txt": b"Hello!\r\n"}
    # The server demands that data connections resume the session of the control connection.
    with serve(files=files, context=server_ssl_context, password="secret") as server:
        transport = FTPTransport(auth=("me", "secret"), ssl_context=client_ssl_context)
        assert (ask(server, transport=transport)).content == b"Hello!\r\n"
        assert server.commands[:5] == ["AUTH TLS", "USER me", "PASS secret", "PBSZ 0", "PROT P"]
        assert (ask(server, path="/big", transport=transport)).content == BIG
        assert len(json.loads((ask(server, path="/", transport=transport)).content)) == 2
        for body in (b"", b"short", BIG):
            response = ask(server, "PUT", "/new", body=body, transport=transport)
            assert response.status == 201
            assert server.stored == {"new": body}
    assert server.said_goodbye == [True] * 3


def test_tls_is_not_optional(client_ssl_context: ssl.SSLContext) -> None:
    with serve() as server:
        error = failed(ConnectError, server, tls=True)
        assert "does not protect by TLS: 500 Unknown command" in str(error)
        error = failed(ConnectError, server, ssl_context=client_ssl_context)
        assert error.phase == "tls"
    assert server.verbs == ["AUTH", "AUTH"]


@pytest.mark.parametrize("command", ["PBSZ", "PROT"])
def test_tls_of_data_is_not_optional(
    server_ssl_context: ssl.SSLContext, client_ssl_context: ssl.SSLContext, command: str
) -> None:
    def refuse(session: Session, argument: str) -> None:
        session.send("536 Not for you")

    with serve(context=server_ssl_context, replies={command: refuse}) as server:
        error = failed(ConnectError, server, ssl_context=client_ssl_context)
    assert "does not protect by TLS: 536 Not for you" in str(error)
    assert "RETR" not in server.verbs


def test_n5_certificate_is_verified(server_ssl_context: ssl.SSLContext) -> None:
    with serve(context=server_ssl_context) as server:
        error = failed(ConnectError, server, tls=True)
    assert "certificate" in str(error)
    assert (error.origin, error.phase) == (server.url, "tls")
    assert server.verbs == ["AUTH"]


def test_what_came_before_tls_does_not_count(client_ssl_context: ssl.SSLContext) -> None:
    with serve(replies={"AUTH": b"234 Go on\r\n230 You are in\r\n"}) as server:
        error = failed(RemoteProtocolError, server, ssl_context=client_ssl_context)
    assert "without the TLS" in str(error)
    assert server.verbs == ["AUTH"]


def rude(data: bytes) -> Any:
    """A transfer whose TLS ends without a goodbye."""

    def script(session: Session, argument: str) -> None:
        with session.data(goodbye=False) as connection:
            connection.sendall(data)
        session.send("226 Done")

    return script


def test_n6_tls_data_that_were_cut_off(
    server_ssl_context: ssl.SSLContext, client_ssl_context: ssl.SSLContext
) -> None:
    replies = {"RETR": rude(b"Hello!\r\n"), "MLSD": rude(b"Type=file; a\r\n")}
    with serve(context=server_ssl_context, replies=replies) as server:
        transport = FTPTransport(ssl_context=client_ssl_context)
        # As long as was said before; and of a length that nobody knew.
        assert (ask(server, transport=transport)).content == b"Hello!\r\n"
        error = failed(ReadError, server, path="/", transport=transport)
        assert "without close_notify" in str(error)
        server.replies["SIZE"] = lambda session, argument: session.send("213 100")
        failed(ReadError, server, transport=transport)
