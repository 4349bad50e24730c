"""The whole command, against servers that say what they were asked."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import click
import pytest

from httpclient._cli import values
from httpclient._cli.options import command
from httpcore_core.testing import HTTPServer, Peer, ScriptedServer
from httpcore_core.testing.http_server import Exchange
from tests.certificates import Certificates
from tests.client.servers import Server
from tests.http2_server import HTTP2Server

from .runner import Result, httpclient, pipe


def ask(server: Server, *arguments: str, path: str = "", **options: Any) -> dict[str, Any]:
    """What the server was asked, with its headers in a dictionary of lower-case names."""
    result = httpclient(f"{server.url}{path}", *arguments, **options)
    assert result.code == 0, result
    seen: dict[str, Any] = json.loads(result.out)
    seen["headers"] = {name.lower(): value for name, value in seen["headers"]}
    return seen


def test_get(server: Server) -> None:
    seen = ask(server, path="a?b=c")
    assert (seen["method"], seen["target"], seen["body"]) == ("GET", "/a?b=c", "")
    assert seen["headers"]["user-agent"].startswith("python-httpclient/")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_method(server: Server, method: str) -> None:
    assert ask(server, "-X", method)["method"] == method


def test_headers(server: Server) -> None:
    arguments = ("-H", "X-One: 1", "-H", "Accept:", "-H", "User-Agent: me", "-H", "X-Empty;")
    headers = ask(server, *arguments)["headers"]
    assert headers["x-one"] == "1"
    assert headers["user-agent"] == "me"
    assert headers["x-empty"] == ""
    assert "accept" not in headers


def test_headers_keep_their_order_and_may_repeat() -> None:
    with HTTPServer() as server:
        httpclient(f"{server.url}/echo", "-H", "X-B: 1", "-H", "X-a: 2", "-H", "X-B: é")
        own = [field for field in server.requests[0].headers if field[0].lower().startswith(b"x-")]
    assert own == [(b"X-B", b"1"), (b"X-a", b"2"), (b"X-B", "é".encode())]


@pytest.mark.parametrize(
    ("path", "target"),
    [("", "/?a=b%20c&a=%26%3D&x="), ("p?q=1+1%41", "/p?q=1+1%41&a=b%20c&a=%26%3D&x=")],
)
def test_query_is_added_and_leaves_the_urls_own_alone(
    server: Server, path: str, target: str
) -> None:
    arguments = ("-q", "a=b c", "-q", "a=&=", "-q", "x=")
    assert ask(server, *arguments, path=path)["target"] == target


# Bodies


def test_data(server: Server) -> None:
    seen = ask(server, "-d", "a=1", "-d", "b=é")
    assert (seen["method"], seen["body"].encode("latin-1").decode()) == ("POST", "a=1&b=é")
    assert seen["headers"]["content-type"] == "application/x-www-form-urlencoded"
    seen = ask(server, "-d", "<a/>", "-H", "Content-Type: text/xml", "-X", "PUT")
    assert (seen["method"], seen["headers"]["content-type"]) == ("PUT", "text/xml")
    assert "content-type" not in ask(server, "-d", "x", "-H", "Content-Type:")["headers"]


def test_data_from_a_file(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"line\r\nline\n\0\xff")
    seen = ask(server, "-d", f"@{path}")
    assert seen["body"].encode("latin-1") == path.read_bytes()
    assert seen["headers"]["content-length"] == "13"
    assert seen["headers"]["content-type"] == "text/plain"


def test_data_from_an_empty_file(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    seen = ask(server, "-d", f"@{path}")
    assert (seen["body"], seen["headers"]["content-length"]) == ("", "0")


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="of Linux only")
def test_data_from_a_file_that_says_it_is_empty(server: Server) -> None:
    text = Path("/proc/version").read_text()
    seen = ask(server, "-d", "@/proc/version")
    assert (seen["body"], seen["headers"]["transfer-encoding"]) == (text, "chunked")


@pytest.mark.parametrize("name", ["-", "@-"])
def test_data_from_standard_input(server: Server, name: str) -> None:
    seen = ask(server, "-d", name, stdin=b"from a file")
    assert (seen["body"], seen["headers"]["content-length"]) == ("from a file", "11")
    with pipe(b"from a pipe") as stdin:
        seen = ask(server, "-d", name, stdin=stdin)
    assert (seen["body"], seen["headers"]["transfer-encoding"]) == ("from a pipe", "chunked")


def test_a_pipe_is_passed_on_as_it_comes() -> None:
    """The server has the first bytes before the last ones are written."""
    reading, writing = os.pipe()
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.read_head()
        got.append(peer.read_until(b"first\r\n"))
        os.write(writing, b"last")
        os.close(writing)
        got.append(peer.read_until(b"0\r\n\r\n"))
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    os.write(writing, b"first")
    with ScriptedServer(script) as server, open(reading, "rb") as stdin:
        assert httpclient(server.url, "-d", "-", stdin=stdin).code == 0
    assert got == [b"5\r\nfirst\r\n", b"4\r\nlast\r\n0\r\n\r\n"]


@pytest.mark.parametrize("text", ['{"b": 1.10,  "a": "é"}', "1", "[]"])
def test_json_is_sent_as_it_was_typed(server: Server, text: str) -> None:
    seen = ask(server, "--json", text)
    assert (seen["method"], seen["body"].encode("latin-1").decode()) == ("POST", text)
    assert seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["accept"].startswith("application/json")


def test_json_from_files(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert ask(server, "--json", f"@{tmp_path / 'a.json'}")["body"] == '{"a": 1}'
    with pipe(b"[2]") as stdin:
        assert ask(server, "--json", "-", stdin=stdin)["body"] == "[2]"


@pytest.mark.parametrize("text", ["{", "NaN", "{'a': 1}", "", "[1,]", "\udcff", "[" * 100_000])
def test_json_is_checked_before_anything_is_sent(server: Server, text: str) -> None:
    result = httpclient(server.url, "--json", text)
    assert result.code == 2
    assert "not JSON" in result.err


def test_form_with_files(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"file")
    seen = ask(
        server,
        "-F", "before=1",
        "-F", f"one=@{tmp_path / 'a.txt'}",
        "-F", f"two=@{tmp_path / 'a.txt'};type=x/y;filename=b \"c\".bin",
        "-F", "three=@-;filename=in",
        "-F", "after=;type=no",
        stdin=b"input",
    )  # fmt: skip
    kind = seen["headers"]["content-type"]
    boundary = kind.partition("boundary=")[2]
    parts = seen["body"].split(f"--{boundary}")[1:-1]
    heads, bodies = zip(*(part.strip("\r\n").split("\r\n\r\n") for part in parts), strict=True)
    assert kind.startswith("multipart/form-data")
    assert bodies == ("1", "file", "file", "input", ";type=no")
    assert 'name="one"; filename="a.txt"\r\nContent-Type: text/plain' in heads[1]
    assert 'filename="b %22c%22.bin"\r\nContent-Type: x/y' in heads[2]
    assert 'filename="in"\r\nContent-Type: application/octet-stream' in heads[3]


# Who we are


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_basic(server: Server) -> None:
    assert ask(server, "-u", "me:pä:ss")["headers"]["authorization"] == basic("me:pä:ss")
    url = server.url.replace("//", "//me:secret@")
    seen = json.loads(httpclient(url).out)
    assert ["Authorization", basic("me:secret")] in seen["headers"]


def test_password_is_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[Any] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append((text, options["hide_input"], options["err"]))
        return "secret"

    monkeypatch.setattr(values.sys, "stdin", Terminal())
    monkeypatch.setattr(click, "prompt", prompt)
    assert ask(server, "-u", "me")["headers"]["authorization"] == basic("me:secret")
    assert asked == [("Password for me", True, True)]

    def interrupted(text: str, **options: Any) -> str:
        raise click.Abort

    monkeypatch.setattr(click, "prompt", interrupted)
    assert httpclient(server.url, "-u", "me").code == 130


def test_password_is_not_asked_for_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values.sys, "stdin", io.StringIO())
    result = httpclient("http://127.0.0.1:1/", "-u", "me")
    assert (result.code, "user:password" in result.err) == (2, True)


def test_digest() -> None:
    def guarded(exchange: Exchange) -> None:
        exchange.read()
        if exchange.head.header(b"authorization") is None:
            challenge = b'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
            exchange.respond(status=401, headers=[(b"WWW-Authenticate", challenge)])
        else:
            exchange.respond(exchange.head.header(b"authorization") or b"")

    with HTTPServer({"guarded": guarded}) as server:
        result = httpclient(f"{server.url}/guarded", "-u", "me:secret", "--digest", "-v", "--trace")
    assert result.code == 0
    assert result.text.startswith('Digest username="me"')
    assert "secret" not in result.err
    assert re.findall(r"^> Authorization: (.*)$", result.err, re.M) == ["Digest [hidden]"]
    assert "401" in result.err


def test_netrc(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert ask(server, "-n")["headers"]["authorization"] == basic("me:secret")
    assert "authorization" not in ask(server)["headers"]
    (tmp_path / ".netrc").write_text("machine secret secret secret\n")
    result = httpclient(server.url, "-n")
    assert (result.code, "secret" in result.err) == (2, False)


# Connections


def test_resolve(server: Server) -> None:
    port = server.server_port
    for entry in (f"Example.test:{port}:127.0.0.1", f"*:{port}:127.0.0.1"):
        result = httpclient(f"http://example.test:{port}/", "--resolve", entry)
        assert ["Host", f"example.test:{port}"] in json.loads(result.out)["headers"]
    entry = f"other.test:{port}:192.0.2.1"
    assert httpclient(f"http://localhost:{port}/", "--resolve", entry).code == 0


def test_unix_socket(socket_path: str) -> None:
    with HTTPServer(path=socket_path) as server:
        result = httpclient("http://anywhere/echo", "--unix-socket", socket_path, "--trace")
        assert server.requests[0].header(b"host") == b"anywhere"
    assert json.loads(result.out)["target"] == "/echo"
    assert socket_path in result.err


@pytest.mark.parametrize("name", ["--interface", "--local-address"])
def test_local_address(name: str) -> None:
    with HTTPServer() as server:
        assert httpclient(f"{server.url}/bytes/1", name, "127.0.0.1").code == 0
        assert httpclient(f"{server.url}/bytes/1", name, "nothing").code == 2
        assert httpclient(f"{server.url}/bytes/1", name, "192.0.2.1").code == 7


@pytest.mark.skipif(not hasattr(socket, "SO_BINDTODEVICE"), reason="of Linux only")
def test_interface_by_name() -> None:
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    with HTTPServer() as server:
        result = httpclient(f"{server.url}/bytes/1", "--interface", loopback)
    if "not permitted" not in result.err:  # old kernels ask for a privilege
        assert result.code == 0


def test_proxy_and_its_credentials() -> None:
    with HTTPServer({"": forward}) as proxy:
        url = proxy.url.replace("//", "//me:secret@")
        files = ("--har", "h", "--trace-json", "t")
        result = httpclient("http://example.test/a", "--proxy", url, "-v", *files)
        assert (result.code, result.out) == (0, b"http://example.test/a")
        assert proxy.requests[0].header(b"proxy-authorization") == basic("me:secret").encode()
        written = result.err + Path("h").read_text() + Path("t").read_text()
        assert basic("me:secret").split()[1] not in written
        assert "secret@" not in written


def forward(exchange: Exchange) -> None:
    exchange.read()
    exchange.respond(exchange.head.target)


def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first part of an absolute target's path is empty.
    with HTTPServer({"": forward}) as proxy, HTTPServer() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert httpclient("http://example.test/").out == b"http://example.test/"
        assert httpclient(f"{server.url}/bytes/2").out == b"\0\1"
        assert httpclient("http://example.invalid/", "--no-env").code == 6
        monkeypatch.setenv("http_proxy", "gopher://me:secret@x")
        result = httpclient("http://example.test/")
        assert (result.code, "secret" in result.err) == (2, False)


def test_http2(certificates: Certificates) -> None:
    context = certificates.server_context(alpn=("h2", "http/1.1"))
    with HTTP2Server(ssl_context=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        result = httpclient("-i", "-v", f"{url}/bytes/1", "--cacert", certificates.ca_file)
        assert result.out.startswith(b"HTTP/2 200 \r\n")
        assert "> GET /bytes/1 HTTP/2\n" in result.err
        assert "< HTTP/2 200\n" in result.err
    with HTTPServer(ssl_context=certificates.server_context(alpn=("h2", "http/1.1"))) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        arguments = (f"{url}/bytes/1", "--cacert", certificates.ca_file, "--http1.1", "-i")
        assert httpclient(*arguments).out.startswith(b"HTTP/1.1 200 OK\r\n")


def test_http2_prior_knowledge() -> None:
    with HTTP2Server() as server:
        result = httpclient("-i", f"{server.url}/bytes/1", "--http2-prior-knowledge")
    assert result.out.startswith(b"HTTP/2 200 \r\n")


def test_client_certificate(certificates: Certificates) -> None:
    context = certificates.server_context(client_certificate_required=True)
    with HTTPServer(ssl_context=context) as server:
        url = server.url.replace("127.0.0.1", "localhost") + "/bytes/1"
        trusting = ("--cacert", certificates.ca_file)
        assert httpclient(url, *trusting, "--cert", certificates.client_file).code == 0
        both = ("--cert", certificates.client_file, "--key", certificates.client_file)
        assert httpclient(url, *trusting, *both).code == 0
        assert httpclient(url, *trusting, "--cert", certificates.ca_file).code == 2


def test_insecure_is_possible_and_said_to_be_so(certificates: Certificates) -> None:
    with HTTPServer(ssl_context=certificates.server_context(certificates.self_signed)) as server:
        url = server.url + "/bytes/1"
        assert httpclient(url).code == 60
        result = httpclient(url, "-k")
    assert (result.code, result.err) == (0, "httpclient: warning: no certificate is checked\n")


# Redirects


def redirect(exchange: Exchange) -> None:
    exchange.read()
    exchange.respond(status=int(exchange.argument), headers=[(b"Location", b"/echo?x")])


def test_redirects_are_followed_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"body")
    with HTTPServer({"to": redirect}) as server:
        assert httpclient(f"{server.url}/to/302").out == b""
        assert json.loads(httpclient("-L", f"{server.url}/to/302").out)["target"] == "/echo?x"
        again = httpclient("-L", f"{server.url}/to/307", "-d", f"@{tmp_path / 'file'}")
        assert json.loads(again.out)["length"] == 4
        seen = json.loads(httpclient("-L", f"{server.url}/to/303", "-d", "x").out)
        assert (seen["method"], seen["length"]) == ("GET", 0)


# What is said of it


SECRETS = ("-H", "Cookie: sid=topsecret", "-u", "me:secret")


def with_cookie(exchange: Exchange) -> None:
    exchange.read()
    exchange.respond(b"ok", headers=[(b"Set-Cookie", b"sid=topsecret")])


@pytest.mark.parametrize("shown", [False, True])
def test_secrets_are_hidden_unless_asked_for(shown: bool) -> None:
    files = ("--har", "h", "--trace-json", "t")
    more = ("--show-secrets",) if shown else ()
    with HTTPServer({"it": with_cookie}) as server:
        result = httpclient(f"{server.url}/it", "-v", "--trace", *files, *SECRETS, *more)
    assert (result.code, result.out) == (0, b"ok")
    for text in (result.err, Path("h").read_text(), Path("t").read_text()):
        for secret in ("topsecret", basic("me:secret").split()[1]):
            assert (secret in text) is shown
        assert shown or "[hidden]" in text


def test_verbose_says_what_happens() -> None:
    with HTTPServer({"to": redirect}) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        lines = httpclient("-v", "-L", f"{url}/to/302").err.splitlines()
    assert lines[:3] == [
        "* resolved to 127.0.0.1",
        f"* connecting to 127.0.0.1 port {server.port}",
        f"* connected to 127.0.0.1 port {server.port}",
    ]
    for line in ("> GET /to/302 HTTP/1.1", "< HTTP/1.1 302 Found", "< Location: /echo?x",
                 "* using connection", "> GET /echo?x HTTP/1.1", "< HTTP/1.1 200 OK"):  # fmt: skip
        found = [number for number, text in enumerate(lines) if text.startswith(line)]
        assert found, line
        del lines[: found[0] + 1]


def test_waterfall_has_a_row_for_each_phase() -> None:
    with HTTPServer({"to": redirect}) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        result = httpclient("--trace", "-L", f"{url}/to/302", "-d", "x" * 100)
    assert json.loads(result.out)["target"] == "/echo?x"
    lines = result.err.splitlines()
    rows = [line.split("│")[0].strip() for line in lines if "│" in line]
    assert rows == [
        "queue", "DNS", "connect", "upload", "first byte",
        "queue", "upload", "first byte", "body",
    ]  # fmt: skip
    assert [line for line in lines if "→ 302 Found" in line and "new connection" in line]
    assert [line for line in lines if "→ 200 OK" in line and "reused" in line]
    assert lines[-1].split()[0] == "total"
    assert all(len(line) <= 100 for line in lines if "│" in line)


def test_waterfall_of_a_failure_says_where() -> None:
    result = httpclient("--trace", "http://nowhere.invalid/")
    assert result.code == 6
    assert re.search(r"DNS .*cannot resolve", result.err)


def test_traces_are_written_of_failures_too(tmp_path: Path) -> None:
    result = httpclient("http://nowhere.invalid/path", "--har", "h", "--trace-json", "t")
    assert result.code == 6
    [entry] = json.loads(Path("h").read_text())["log"]["entries"]
    assert entry["request"]["url"] == "http://nowhere.invalid/path"
    assert "resolve" in entry["_error"]
    assert json.loads(Path("t").read_text())["traceEvents"]
    result = httpclient("http://nowhere.invalid/", "--har", str(tmp_path / "no" / "h"))
    assert result.code == 6, "the first failure is the one that counts"
    assert "cannot write" in result.err


def test_har_has_the_body_unless_it_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from httpclient._cli import run as module

    monkeypatch.setattr(module, "MAX_HAR_BODY", 5000)
    with HTTPServer() as server:
        for size, kept in ((0, False), (5000, True), (5001, False)):
            assert httpclient(f"{server.url}/chunked/{size}", "--har", "h").code == 0
            [entry] = json.loads(Path("h").read_text())["log"]["entries"]
            assert entry["response"]["content"]["size"] == size
            assert ("text" in entry["response"]["content"]) is kept


def test_har_that_cannot_be_written(tmp_path: Path) -> None:
    with HTTPServer() as server:
        result = httpclient(f"{server.url}/bytes/1", "--har", str(tmp_path))
    assert (result.code, result.out) == (23, b"\0")


# Help, and options that exclude each other


def test_help_has_every_option_in_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert httpclient("--help").code == 0
    text = capsys.readouterr().out
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param
            for name in param.opts:
                assert name in text
    for heading in ("Request:", "Saving:", "Exit codes:", "Examples:"):
        assert heading in text
    assert "Missing" not in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert httpclient("--version").code == 0
    assert re.fullmatch(r"httpclient \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-d", "a", "-F", "a=b"), ("-d", "a", "-d", "@f"), ("-d", "a", "-d", "-"),
        ("-I", "-d", "a"), ("-I", "-X", "GET"), ("--http1.1", "--http2"), ("--digest",),
        ("-n", "-u", "a:b"), ("--key", __file__), ("-o", "a", "-O"), ("-C",), ("-C", "-o", "-"),
        ("-C", "-o", "a", "-d", "x"), ("-C", "-o", "a", "-H", "range: bytes=1-"),
        ("-k", "--cacert", __file__), ("--max-time", "0"), ("--max-time", "nan"),
        ("--connect-timeout", "-1"), ("--read-timeout", "x"), ("--max-redirects", "-1"),
        ("-X", "A B"), ("-X", ""), ("-H", "no colon"), ("-H", ": x"), ("-H", "a b: c"),
        ("-q", "x"), ("-F", "=x"), ("--resolve", "a:b"), ("--resolve", "a:1:b"),
        ("--resolve", "a:99999:127.0.0.1"), ("--resolve", "a:1:127.0.0.1,"), ("-o", ""),
        ("-u", "a\x01:b"), ("--cacert", "/nothing"), ("--cert", __file__), ("--har", ""),
        ("--proxy", "127.0.0.1:1"), ("another-url",),
    ],
    ids=str,
)  # fmt: skip
def test_options_that_make_no_sense(arguments: tuple[str, ...]) -> None:
    """Nothing is asked of anybody: there is nobody at that address."""
    result: Result = httpclient("http://127.0.0.1:1/", *arguments)
    assert result.code == 2, result
    assert re.fullmatch(r"httpclient: \(2\) [^\n]+\n", result.err)
