"""What is shown: bytes to pipes, harmless text to terminals."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
from typing import Any

import pytest

from httpclient._cli.output import MAX_PRETTY
from httpcore_core.testing import HTTPServer
from httpcore_core.testing.http_server import Exchange

from .runner import Result, httpclient

EVIL = b"\x1b]0;owned\x07\x1b[2J\xc2\x9b31m\r\x00\x08"
SEQUENCE = re.compile(rb"\x1b\[[0-9;]*m")  # colours, which are ours


class Body:
    """A route that answers with some bytes of some type."""

    def __init__(self, body: bytes, content_type: bytes = b"text/plain", **fields: bytes) -> None:
        self._body = body
        self._fields = [(b"Content-Type", content_type)]
        self._fields += [(name.replace("_", "-").encode(), value) for name, value in fields.items()]

    def __call__(self, exchange: Exchange) -> None:
        exchange.read()
        exchange.respond(self._body, headers=self._fields)


def show(body: Body, *arguments: str, **options: Any) -> Result:
    with HTTPServer({"it": body}) as server:
        return httpclient(f"{server.url}/it", *arguments, **options)


def is_harmless(shown: bytes) -> bool:
    """No control characters but colours, tabs and line feeds."""
    text = SEQUENCE.sub(b"", shown).decode("utf-8")
    return not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


# To a pipe


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"no line end", b"text/plain"),
        (EVIL, b"text/plain"),
        (bytes(range(256)), b"image/png"),
        (b'{"a":1.10,   "a":2}', b"application/json"),
        ("é".encode("latin-1"), b"text/plain; charset=iso-8859-1"),
        (b"", b"text/plain"),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("-o", "-")])
def test_a_pipe_gets_every_byte_as_it_came(
    body: bytes, kind: bytes, arguments: tuple[str, ...]
) -> None:
    result = show(Body(body, kind), *arguments)
    assert result == (0, body, "")


def test_a_pipe_gets_the_content_without_its_coding() -> None:
    body = Body(gzip.compress(b"packed"), Content_Encoding=b"gzip")
    assert show(body).out == b"packed"


def test_a_pipe_gets_heads_as_they_came() -> None:
    result = show(Body(b"body", X_Name=b"caf\xe9"), "-i")
    expected = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Name: caf\xe9\r\n"
    assert result.out == expected + b"Content-Length: 4\r\n\r\nbody"


# To a terminal


def test_a_terminal_gets_a_line_end_more() -> None:
    assert show(Body(b"text"), screen=True).out == b"text\n"
    assert show(Body(b"text\n"), screen=True).out == b"text\n"
    assert show(Body(b""), screen=True).out == b""


@pytest.mark.parametrize("kind", [b"text/html", b"application/json", b""])
def test_a_terminal_gets_nothing_that_it_would_obey(kind: bytes) -> None:
    evil = EVIL.replace(b"\0", b"")  # with it, it would be binary
    result = show(Body(b"x" + evil, kind), "-i", screen=True)
    assert result.code == 0
    assert is_harmless(result.out)
    assert "␛]0;owned␇␛[2J<U+009B>31m␍␈" in result.text


def test_neither_do_heads_and_json_hold_anything_of_the_kind() -> None:
    text = '"a": "\u009b31m\u202e"'.encode()
    body = Body(b"{" + text + b"}", b"application/json", X_Evil="\u009b2J\u202e".encode())
    for arguments in (("-i",), ("-i", "--no-color"), ("-v",)):
        result = show(body, *arguments, screen=True, stderr_screen=True)
        assert result.code == 0
        assert is_harmless(result.out)
        assert is_harmless(result.err.encode())
        assert "<U+009B>31m<U+202E>" in result.text


def test_errors_hold_nothing_of_the_kind() -> None:
    def refuse(exchange: Exchange) -> None:
        exchange.read()
        exchange.peer.send("HTTP/1.1 404 \u009b2J\r\nContent-Length: 0\r\n\r\n".encode())

    with HTTPServer({"it": refuse}) as server:  # type: ignore[dict-item]  # a Handler
        result = httpclient("-f", f"{server.url}/it", stderr_screen=True)
    assert result.code == 22
    assert is_harmless(result.err.encode())


def test_json_is_laid_out_and_coloured_on_a_terminal() -> None:
    body = Body(b'{"a":[1.10,{}]}', b"application/json")
    plain = '{\n  "a": [\n    1.10,\n    {}\n  ]\n}\n'
    coloured = show(body, screen=True).out
    assert SEQUENCE.search(coloured)
    assert SEQUENCE.sub(b"", coloured).decode() == plain
    assert show(body, "--no-color", screen=True).text == plain


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    body = Body(b'{"a":1}', b"application/json")
    arguments = ("-i", "-v", "--trace")
    assert "\x1b" in show(body, *arguments, screen=True, stderr_screen=True).err
    monkeypatch.setenv("NO_COLOR", "1")
    result = show(body, *arguments, screen=True, stderr_screen=True)
    assert b"\x1b" not in result.out + result.err.encode()
    monkeypatch.setenv("NO_COLOR", "")  # which counts as not set
    assert "\x1b" in show(body, *arguments, screen=True, stderr_screen=True).err


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    body = Body(b'{"a":1}', b"application/json")
    result = show(body, "-i", "-v", "--trace")
    assert b"\x1b" not in result.out + result.err.encode()
    half = show(body, "-v", screen=True)
    assert (b"\x1b" in half.out, "\x1b" in half.err) == (True, False)


def test_long_lines_are_not_broken() -> None:
    value = "x" * 500
    result = show(Body(json.dumps({"a": value}).encode(), b"application/json"), screen=True)
    assert value.encode() in result.out
    result = show(Body(b"", X_Long=value.encode()), "-i", "-v", screen=True, stderr_screen=True)
    assert value in result.text
    assert value in result.err


def test_json_that_is_too_long_is_shown_as_it_comes() -> None:
    body = b'{"a":"' + b"x" * MAX_PRETTY + b'"}'
    result = show(Body(body, b"application/json"), screen=True)
    assert result.out == body + b"\n"


def test_json_is_shown_as_it_comes_when_asked_for() -> None:
    """The first piece is on the screen before the server sends the second."""
    shown = threading.Event()

    class Screen(io.BytesIO):
        def write(self, data: Any) -> int:
            shown.set()
            return super().write(data)

    def endless(exchange: Exchange) -> None:
        exchange.read()
        fields = [(b"Content-Type", b"application/json"), (b"Content-Length", b"4")]
        exchange.send_head(200, fields)
        exchange.peer.send(b"{}")
        exchange.peer.hang(shown)
        exchange.peer.send(b"{}")

    from httpclient._cli import run as module

    screen = Screen()
    out = io.TextIOWrapper(screen, encoding="utf-8")
    with HTTPServer({"it": endless}) as server:
        streams = module.Streams(io.BytesIO(), out, io.StringIO(), True, True)
        assert module.run([f"{server.url}/it", "-N"], streams) == 0
    assert screen.getvalue() == b"{}{}\n"


@pytest.mark.parametrize("body", [b"{not json}", b'{"a":', b"\xff\xfe"])
def test_what_only_claims_to_be_json_is_text(body: bytes) -> None:
    result = show(Body(body, b"application/json"), screen=True)
    assert result.text == body.decode("utf-8", "replace") + "\n"


def test_json_in_another_charset() -> None:
    body = Body('{"a":"é"}'.encode("utf-16"), b"application/json; charset=utf-16")
    assert '"é"' in SEQUENCE.sub(b"", show(body, screen=True).out).decode()


@pytest.mark.parametrize(
    ("body", "kind"), [(b"a\0b", b"text/plain"), (b"GIF89a", b"image/gif"), (b"\0", b"")]
)
def test_binary_is_refused_with_a_hint(body: bytes, kind: bytes) -> None:
    result = show(Body(body, kind), screen=True)
    assert (result.code, result.out) == (23, b"")
    assert "-o FILE" in result.err
    assert show(Body(body, kind), "-o", "-", screen=True) == (0, body, "")


def test_text_is_decoded_wherever_it_is_cut() -> None:
    def drip(exchange: Exchange) -> None:
        exchange.read()
        body = "é漢🎉\r\n".encode("utf-16-le")
        fields = [(b"Content-Type", b"text/plain; charset=utf-16-le")]
        exchange.send_head(200, [*fields, (b"Content-Length", b"%d" % len(body))])
        exchange.peer.drip(body, 0.001)

    with HTTPServer({"it": drip}) as server:
        assert httpclient(f"{server.url}/it", screen=True).text == "é漢🎉\n"


def test_characters_that_the_terminal_lacks_are_written_out() -> None:
    result = show(Body("é漢".encode()), "-i", screen=True, encoding="ascii")
    assert result.out.endswith(b"\\xe9\\u6f22\n")


@pytest.mark.parametrize("kind", [b"text/plain", b"application/json"])
def test_what_came_of_a_broken_body_is_shown(kind: bytes) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.read()
        exchange.send_head(200, [(b"Content-Type", kind), (b"Content-Length", b"100")])
        exchange.keep_alive = False
        exchange.peer.send(b'{"half":')

    with HTTPServer({"it": cut}) as server:
        result = httpclient(f"{server.url}/it", screen=True)
    assert (result.code, result.out) == (18, b'{"half":\n')


def test_heads_of_redirects_are_shown_too() -> None:
    def moved(exchange: Exchange) -> None:
        exchange.read()
        exchange.respond(b"not this", status=301, headers=[(b"Location", b"/it")])

    with HTTPServer({"it": Body(b"this"), "moved": moved}) as server:
        result = httpclient("-i", "-L", f"{server.url}/moved")
    heads, _, body = result.out.rpartition(b"\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", heads) == [b"301", b"200"]
    assert body == b"this"


def test_head_only() -> None:
    with HTTPServer() as server:
        result = httpclient("-I", f"{server.url}/bytes/10")
        assert server.requests[0].method == b"HEAD"
    assert result.out == b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


class Leaver(io.RawIOBase):
    """Whoever reads takes some bytes and goes."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("arguments", [("-v",), ("--trace",), ("--max-redirects", "x")])
def test_messages_that_nobody_reads_are_no_failure(arguments: tuple[str, ...]) -> None:
    from httpclient._cli import run as module

    err = io.TextIOWrapper(Leaver(), write_through=True)  # type: ignore[type-var]  # not buffered
    with HTTPServer() as server:
        streams = module.Streams(io.BytesIO(), io.TextIOWrapper(io.BytesIO()), err, False, False)
        code = module.run([f"{server.url}/bytes/1", *arguments], streams)
    assert code == {"-v": 23, "--trace": 0}.get(arguments[0], 2)


def test_nothing_is_said_when_the_reader_has_left() -> None:
    from httpclient._cli import run as module

    out, err = io.TextIOWrapper(Leaver()), io.StringIO()  # type: ignore[type-var]  # not buffered
    with HTTPServer() as server:
        streams = module.Streams(io.BytesIO(), out, err, False, False)
        assert module.run([f"{server.url}/bytes/1000000"], streams) == 23
    assert err.getvalue() == ""
