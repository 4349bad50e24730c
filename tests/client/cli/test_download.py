"""Saving to files, and going on with them, against servers that do it right and wrong."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from httpclient import HTTPTransport
from httpclient._cli.download import Download
from httpclient._cli.exit_codes import CommandError
from httpclient._cli.resume import Saved
from httpcore_core.testing import HTTPServer, Peer, ScriptedServer
from httpcore_core.testing.http_server import Exchange, pattern

from .runner import Result, httpclient

BODY = pattern(100_000)
HALF = 40_000


class Files:
    """A server with one file, which it cuts off as often as it is told to. `asked` are the Range
    and If-Range headers of all requests."""

    def __init__(self) -> None:
        self.body = BODY
        self.etag: bytes | None = b'"v1"'
        self.cuts = 0
        self.ranges = True  # whether it knows them
        self.checks = True  # whether it obeys If-Range
        self.override: Callable[[Exchange], None] | None = None
        self.asked: list[tuple[bytes | None, bytes | None]] = []

    def __call__(self, exchange: Exchange) -> None:
        exchange.read()
        span, condition = exchange.head.header(b"range"), exchange.head.header(b"if-range")
        self.asked.append((span, condition))
        assert exchange.head.header(b"accept-encoding") == b"identity"
        if self.override is not None and span is not None:
            self.override(exchange)
            return
        fields = [] if self.etag is None else [(b"ETag", self.etag)]
        start, status = 0, 200
        if span is not None and self.ranges and (not self.checks or condition == self.etag):
            start, status = int(span[6:-1]), 206
            length = len(self.body)
            fields.append((b"Content-Range", b"bytes %d-%d/%d" % (start, length - 1, length)))
        content = self.body[start:]
        exchange.send_head(status, [*fields, (b"Content-Length", b"%d" % len(content))])
        if self.cuts:
            self.cuts -= 1
            exchange.keep_alive = False
            exchange.peer.send(content[:HALF])
            return
        exchange.peer.send(content)


@pytest.fixture
def files() -> Files:
    return Files()


def get(server: HTTPServer, *arguments: str) -> Result:
    return httpclient(f"{server.url}/file", "-o", "saved", *arguments)


def listing() -> set[str]:
    return set(os.listdir("."))


def interrupted(server: HTTPServer, files: Files, *arguments: str) -> None:
    """A first download that breaks off after `HALF` bytes."""
    files.cuts = 1
    result = get(server, *arguments)
    assert result.code == 18
    assert "saved.part is kept" in result.err
    assert Path("saved.part").read_bytes() == BODY[:HALF]
    assert not Path("saved").exists()


def is_whole(body: bytes = BODY) -> None:
    assert Path("saved").read_bytes() == body
    assert listing() == {"saved"}


def test_saved(files: Files) -> None:
    with HTTPServer({"file": files}) as server:
        result = get(server)
    assert result == (0, b"", "")
    is_whole()


def test_remote_name(files: Files) -> None:
    with HTTPServer({"file": files}) as server:
        assert httpclient("-O", f"{server.url}/file?x").code == 0
        assert httpclient("-O", f"{server.url}/").code == 2
    assert listing() == {"file"}


def test_what_was_there_stays_until_the_whole_has_come(files: Files) -> None:
    Path("saved").write_bytes(b"old")
    os.chmod("saved", 0o640)
    with HTTPServer({"file": files}) as server:
        files.cuts = 1
        assert get(server).code == 18
        assert Path("saved").read_bytes() == b"old"
        assert get(server).code == 0
    is_whole()
    if sys.platform != "win32":
        assert stat.S_IMODE(os.stat("saved").st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_stays_one(files: Files) -> None:
    Path("saved").symlink_to("target")
    with HTTPServer({"file": files}) as server:
        assert get(server).code == 0
    assert Path("saved").is_symlink()
    assert Path("target").read_bytes() == BODY


def test_a_part_is_never_followed_as_a_link(files: Files) -> None:
    if not hasattr(os, "O_NOFOLLOW"):
        pytest.skip("no such flag")
    Path("precious").write_bytes(b"precious")
    Path("saved.part").symlink_to("precious")
    with HTTPServer({"file": files}) as server:
        assert get(server).code == 23
    assert Path("precious").read_bytes() == b"precious"


def test_device_is_written_directly(files: Files) -> None:
    with HTTPServer({"file": files}) as server:
        assert httpclient(f"{server.url}/file", "-o", os.devnull).code == 0
        assert httpclient(f"{server.url}/file", "-o", os.devnull, "-C").code == 2
    assert listing() == set()


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="pipes have no names here")
def test_a_pipe_is_written_directly(files: Files) -> None:
    """What the name leads to has none of its own."""
    reading, writing = os.pipe()
    try:
        with HTTPServer({"file": files}) as server:
            body = files.body = BODY[:100]
            assert httpclient(f"{server.url}/file", "-o", f"/dev/fd/{writing}").code == 0
        assert os.read(reading, 1000) == body
    finally:
        os.close(reading)
        os.close(writing)
    assert listing() == set()


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("-H", 'If-None-Match: "x"'), b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (("-H", 'If-None-Match: "x"', "-C"), b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (("-I",), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_what_is_not_the_file_leaves_it_alone(arguments: tuple[str, ...], answer: bytes) -> None:
    def script(peer: Peer) -> None:
        assert peer.read_request() is not None
        peer.send(answer)

    Path("saved").write_bytes(b"precious")
    with ScriptedServer(script) as server:
        assert httpclient(server.url, "-o", "saved", *arguments).code == 0
    assert Path("saved").read_bytes() == b"precious"
    assert listing() == {"saved"}


def test_nothing_is_left_of_a_request_that_failed() -> None:
    assert httpclient("http://127.0.0.1:1/x", "-o", "saved").code == 7
    assert httpclient("http://127.0.0.1:1/x", "-o", "saved", "-C").code == 7
    assert listing() == set()


def test_fail_writes_no_error_page() -> None:
    Path("saved").write_bytes(b"old")
    with HTTPServer() as server:
        assert httpclient(f"{server.url}/nowhere", "-o", "saved", "-f").code == 22
        assert Path("saved").read_bytes() == b"old"
        assert httpclient(f"{server.url}/nowhere", "-o", "saved").code == 0
    assert Path("saved").read_bytes() == b"no such route"


# Going on


def test_continued(files: Files) -> None:
    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        assert get(server, "-C").code == 0
    assert files.asked[1] == (b"bytes=%d-" % HALF, b'"v1"')
    is_whole()


def test_continued_again_and_again(files: Files) -> None:
    with HTTPServer({"file": files}) as server:
        files.cuts = 2
        codes = [get(server, "-C").code for _ in range(3)]
    assert codes == [18, 18, 0]
    assert [span for span, _ in files.asked] == [None, b"bytes=40000-", b"bytes=80000-"]
    is_whole()


def test_the_first_time_there_is_nothing_to_continue(files: Files) -> None:
    with HTTPServer({"file": files}) as server:
        assert get(server, "-C").code == 0
    assert files.asked == [(None, None)]
    is_whole()


def test_without_continue_it_begins_anew(files: Files) -> None:
    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        assert get(server).code == 0
    assert files.asked[1] == (None, None)
    is_whole()


def test_server_that_knows_no_ranges(files: Files) -> None:
    files.ranges = False
    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        assert get(server, "-C").code == 0
    is_whole()


@pytest.mark.parametrize("checks", [True, False], ids=["obeys If-Range", "ignores If-Range"])
def test_file_that_changed(files: Files, checks: bool) -> None:
    """Also where the server sends the rest of another file: it is not believed."""
    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        files.body, files.etag, files.checks = BODY[::-1], b'"v2"', checks
        assert get(server, "-C").code == 0
    is_whole(BODY[::-1])


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (206, [(b"Content-Range", b"bytes 39999-99999/100000"), (b"ETag", b'"v1"')]),
        (206, [(b"Content-Range", b"bytes 40001-99999/100000"), (b"ETag", b'"v1"')]),
        (206, [(b"Content-Range", b"bytes 0-99999/100000"), (b"ETag", b'"v1"')]),
        (206, [(b"Content-Range", b"rubbish"), (b"ETag", b'"v1"')]),
        (206, [(b"ETag", b'"v1"')]),
        (206, [(b"Content-Type", b"multipart/byteranges; boundary=x")]),
        (416, [(b"Content-Range", b"bytes */40000")]),
    ],
)
def test_answers_that_are_not_the_rest(
    files: Files, status: int, fields: list[tuple[bytes, bytes]]
) -> None:
    def wrong(exchange: Exchange) -> None:
        exchange.respond(b"x" * 60_000, status=status, headers=fields)

    files.override = wrong
    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        assert get(server, "-C").code == 0
    assert [span for span, _ in files.asked] == [None, b"bytes=40000-", None]
    is_whole()


def test_asking_again_does_not_begin_the_time_limit_anew(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    send = HTTPTransport.handle_request

    def spy(transport: Any, *request: Any) -> Any:
        limits.append(request[4]["timeout"]["total"])
        return send(transport, *request)

    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        files.override = lambda exchange: exchange.respond(status=416)
        monkeypatch.setattr(HTTPTransport, "handle_request", spy)
        assert get(server, "-C", "--max-time", "60").code == 0
    assert limits[0] == 60.0
    assert limits[1] < 60.0
    is_whole()


@pytest.mark.parametrize("status", [204, 302, 403, 404, 429, 500])
def test_answers_that_are_no_part_of_the_file_touch_nothing(files: Files, status: int) -> None:
    files.override = lambda exchange: exchange.respond(b"an error page", status=status)
    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        result = get(server, "-C")
        assert (result.code, str(status) in result.err) == (22, True)
        assert Path("saved.part").read_bytes() == BODY[:HALF]
        files.override = None
        assert get(server, "-C").code == 0
    is_whole()


def test_continue_saves_no_error_page_the_first_time_either() -> None:
    with HTTPServer() as server:
        assert httpclient(f"{server.url}/nowhere", "-o", "saved", "-C").code == 22
    assert listing() == set()


def test_less_than_the_rest_is_not_the_end(files: Files) -> None:
    """The range that came is right, and whole, but it does not reach the end."""

    def less(exchange: Exchange) -> None:
        span = (b"Content-Range", b"bytes 40000-49999/100000")
        exchange.respond(BODY[HALF:50_000], status=206, headers=[span, (b"ETag", b'"v1"')])

    files.override = less
    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        result = get(server, "-C")
        assert (result.code, "50000 of 100000 bytes" in result.err) == (18, True)
        assert not Path("saved").exists()
        files.override = None
        assert get(server, "-C").code == 0
    assert files.asked[-1] == (b"bytes=50000-", b'"v1"')
    is_whole()


@pytest.mark.parametrize("etag", [None, b'W/"v1"'])
def test_without_a_strong_validator_it_begins_anew(files: Files, etag: bytes | None) -> None:
    files.etag = etag
    with HTTPServer({"file": files}) as server:
        interrupted(server, files)
        assert get(server, "-C").code == 0
    assert files.asked[1] == (None, None)
    is_whole()


def test_a_part_of_another_url_is_not_continued(files: Files) -> None:
    with HTTPServer({"file": files, "other": files}) as server:
        interrupted(server, files)
        assert httpclient(f"{server.url}/other", "-o", "saved", "-C").code == 0
    assert files.asked[1] == (None, None)
    is_whole()


@pytest.mark.parametrize("notes", [None, b"rubbish", b"\xff"])
def test_a_part_without_notes_is_not_continued(files: Files, notes: bytes | None) -> None:
    Path("saved.part").write_bytes(b"who knows what")
    if notes is not None:
        Path("saved.part.json").write_bytes(notes)
    with HTTPServer({"file": files}) as server:
        assert get(server, "-C").code == 0
    assert files.asked == [(None, None)]
    is_whole()


def test_encoded_bodies_are_not_continued(files: Files) -> None:
    """What is in the part would not be what the server counts."""
    import gzip

    packed = gzip.compress(os.urandom(50_000), 1)

    def encoded(exchange: Exchange) -> None:
        exchange.read()
        fields = [(b"ETag", b'"v1"'), (b"Content-Encoding", b"gzip")]
        exchange.send_head(200, [*fields, (b"Content-Length", b"%d" % len(packed))])
        exchange.keep_alive = False
        exchange.peer.send(packed[:HALF])

    with HTTPServer({"file": encoded}) as server:
        assert get(server).code == 18
    assert listing() == {"saved.part"}


# The file itself


def test_one_process_at_a_time_writes_to_a_part(files: Files) -> None:
    pytest.importorskip("fcntl")
    first, second = Download("saved"), Download("saved")
    try:
        first.begin(append=False, saved=None, total=None)
        first.write(b"first")
        with pytest.raises(CommandError, match="another process"):
            second.begin(append=False, saved=None, total=None)
        second.close()
        first.finish()
    finally:
        first.close()
        second.close()
    assert Path("saved").read_bytes() == b"first"


def test_who_opens_a_part_that_was_just_finished_does_not_write_to_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fcntl = pytest.importorskip("fcntl")
    first, second = Download("saved"), Download("saved")
    first.begin(append=False, saved=None, total=None)
    first.write(b"first")
    lock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        first.finish()  # between opening and locking
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(CommandError, match="another process"):
        second.begin(append=False, saved=None, total=None)
    second.close()
    assert Path("saved").read_bytes() == b"first"


def test_notes_go_before_the_bytes_they_speak_of() -> None:
    """Were the process to end at any moment, notes and part would fit each other."""
    download = Download("saved")
    notes = Path("saved.part.json")
    notes.write_text(Saved("old", '"old"', None).to_json())
    Path("saved.part").write_bytes(b"old bytes")
    download.begin(append=False, saved=Saved("new", '"new"', None), total=None)
    assert json.loads(notes.read_text())["etag"] == '"new"'
    assert Path("saved.part").read_bytes() == b""
    download.write(b"new")
    download.close()
    assert download.is_kept
    assert Path("saved.part").read_bytes() == b"new"


def test_progress_is_drawn_on_a_terminal_only(files: Files) -> None:
    with HTTPServer({"file": files}) as server:
        drawn = httpclient(f"{server.url}/file", "-o", "[red]saved", stderr_screen=True)
        assert (drawn.code, drawn.out) == (0, b"")
        assert "[red]saved" in drawn.err
        assert "100.0" in drawn.err
        arguments = (f"{server.url}/file", "-o", "saved")
        assert httpclient(*arguments, "--no-progress", stderr_screen=True).err == ""
        assert httpclient(*arguments).err == ""


def test_threads_end(files: Files) -> None:
    before = set(threading.enumerate())
    with HTTPServer({"file": files}) as server:
        files.cuts = 1
        assert httpclient(f"{server.url}/file", "-o", "saved", stderr_screen=True).code == 18
    for thread in set(threading.enumerate()) - before:
        thread.join(30.0)  # rich tells the one that draws to end, and does not wait for it
        assert not thread.is_alive(), thread


def test_redirects_are_followed_to_the_file(files: Files) -> None:
    def moved(exchange: Any) -> None:
        exchange.read()
        exchange.respond(b"not this", status=302, headers=[(b"Location", b"/file")])

    with HTTPServer({"file": files, "moved": moved}) as server:
        files.cuts = 1
        assert httpclient(f"{server.url}/moved", "-L", "-o", "saved").code == 18
        assert httpclient(f"{server.url}/moved", "-L", "-C", "-o", "saved").code == 0
    assert files.asked[1] == (b"bytes=40000-", b'"v1"')
    is_whole()
