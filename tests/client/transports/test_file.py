"""Files as responses: what is answered, what is out of reach, and what is closed."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import httpclient
from httpclient._exceptions import StreamClosed
from httpclient.transports import _opening
from httpclient.transports import file as file_module
from httpclient.transports._files import Answer, Found, answer, names_of
from httpclient.transports._paths import content_type, path_segments
from httpclient.transports.file import CHUNK_SIZE, FileStream, FileTransport
from httpclient.transports.mock import MockTransport
from httpcore_core import (
    AutoBackend,
    ByteStream,
    LocalProtocolError,
    ReadError,
    Response,
    UnsupportedProtocol,
)
from httpcore_core.testing.cancel import CancelStep, cancel_at_every_step
from tests.concurrency import AsyncTaskGroup
from tests.flavours import FLAVOURS, run_async

STYLES = ("sync", *FLAVOURS)
posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
MTIME = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
DATE = b"Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """``/hello.txt``, ``/sub/page.html``, ``/big``, and a secret beside the root."""
    (tmp_path / "www-secret").mkdir()
    (tmp_path / "www-secret" / "key").write_bytes(b"secret")
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    (root / "hello.txt").write_bytes(b"0123456789")
    (root / "sub" / "page.html").write_bytes(b"<p>")
    (root / "big").write_bytes(bytes(3 * CHUNK_SIZE + 5))
    os.utime(root / "hello.txt", (MTIME, MTIME))
    return root


def fetch(
    style: str,
    transport: FileTransport,
    target: str | bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
    method: bytes = b"GET",
    host: bytes = b"",
) -> Response:
    """The response with its body read, in sync code or in an event loop."""
    target = target if isinstance(target, bytes) else target.encode()
    request: Any = (method, (b"file", host, None, target), headers or [], ByteStream(), {})

    async def fetch_async() -> Response:
        response = await transport.handle_async_request(*request)
        return response._replace(stream=ByteStream(await response.stream.aread()))

    if style != "sync":
        return run_async(style, fetch_async)
    response = transport.handle_request(*request)
    return response._replace(stream=ByteStream(response.stream.read()))


def status(transport: FileTransport, target: str | bytes, method: bytes = b"GET") -> int:
    response = fetch("sync", transport, target, method=method)
    assert b"secret" not in response.content
    return response.status


# What is answered


@pytest.mark.parametrize("style", STYLES)
def test_get(style: str, root: Path) -> None:
    response = fetch(style, FileTransport(root), "/hello.txt")
    assert (response.status, response.content) == (200, b"0123456789")
    headers = dict(response.headers)
    assert headers.pop(b"ETag").startswith(b'"')
    assert headers == {
        b"Content-Type": b"text/plain",
        b"Content-Length": b"10",
        b"Accept-Ranges": b"bytes",
        b"Last-Modified": DATE,
    }
    assert response.extensions == {"http_version": b"FILE"}


@pytest.mark.parametrize("style", STYLES)
def test_get_of_much_comes_whole(style: str, root: Path) -> None:
    assert fetch(style, FileTransport(root), "/big").content == bytes(3 * CHUNK_SIZE + 5)


def test_get_of_much_comes_in_chunks(root: Path) -> None:
    request: Any = (b"GET", (b"file", b"", None, b"/big"), [], ByteStream(), {})
    stream = FileTransport(root).handle_request(*request).stream
    assert [len(chunk) for chunk in stream] == [CHUNK_SIZE] * 3 + [5]
    assert list(stream) == []


@pytest.mark.parametrize("style", STYLES)
def test_head(style: str, root: Path) -> None:
    response = fetch(style, FileTransport(root), "/hello.txt", method=b"HEAD")
    assert (response.status, response.content) == (200, b"")
    assert response.headers == fetch(style, FileTransport(root), "/hello.txt").headers


@pytest.mark.parametrize("style", STYLES)
def test_empty_file(style: str, root: Path) -> None:
    (root / "empty").touch()
    response = fetch(style, FileTransport(root), "/empty")
    assert (response.status, response.content) == (200, b"")
    assert (b"Content-Length", b"0") in response.headers


@pytest.mark.parametrize(
    "target",
    ["/hello.txt?a=b", "/hello.txt#c", "/h%65llo.txt", "//hello.txt", "/sub/../hello.txt"],
)
def test_targets_of_the_same_file(root: Path, target: str) -> None:
    assert status(FileTransport(root), target) == 200


@posix_only
@pytest.mark.parametrize("name", ["a b", "ö.txt", "100%", "a\\b", "-", "...", "a?b#c", "data:,x"])
def test_unusual_names(root: Path, name: str) -> None:
    (root / name).write_bytes(b"x")
    target = "/" + "".join(f"%{byte:02x}" for byte in name.encode())
    assert status(FileTransport(root), target) == 200


@posix_only
def test_name_that_is_no_text(root: Path) -> None:
    try:
        (root / os.fsdecode(b"\xff\xfe")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has none")
    assert status(FileTransport(root), b"/%ff%fe") == 200


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/nothing", 404),
        ("/hello.txt/", 404),
        ("/hello.txt/x", 404),
        ("/" + "x" * 5000, 404),
        ("/x%00", 404),
        ("/hello.txt%00", 404),
        ("/", 403),
        ("", 403),
        ("/sub", 403),
        ("/sub/", 403),
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_refusals(style: str, root: Path, target: str, expected: int) -> None:
    response = fetch(style, FileTransport(root), target)
    assert (response.status, response.content) == (expected, b"")
    assert response.headers == [(b"Content-Length", b"0")]


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"POST", b"OPTIONS", b"get"])
def test_other_methods(root: Path, method: bytes) -> None:
    response = fetch("sync", FileTransport(root), "/hello.txt", method=method)
    assert response.status == 405
    assert response.headers == [(b"Allow", b"GET, HEAD"), (b"Content-Length", b"0")]
    assert (root / "hello.txt").exists()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.EACCES, 403), (errno.EPERM, 403), (errno.ENXIO, 403), (errno.ELOOP, 404)],
)
def test_what_the_system_refuses(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: int
) -> None:
    def refuse(*args: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_opening, "_open_regular", refuse)
    assert status(FileTransport(root), "/hello.txt") == expected


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may read everything")
def test_file_without_permission(root: Path) -> None:
    (root / "hello.txt").chmod(0)
    assert status(FileTransport(root), "/hello.txt") == 403


@pytest.mark.parametrize("style", STYLES)
def test_system_that_fails(style: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(_opening, "_open_regular", fail)
    with pytest.raises(ReadError) as caught:
        fetch(style, FileTransport(root), "/hello.txt")
    assert caught.value.phase == "receive headers"
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("name", ["open", "answer"])
def test_what_fails_after_the_file_was_opened_closes_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(file_module, name, fail, raising=False)
    with pytest.raises(MemoryError):
        fetch("sync", FileTransport(root), "/hello.txt")


# What is out of reach


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/../../../../../../../../../../etc/passwd",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/%2E./secret",
        "/..%2fsecret",
        "/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/sub%2f..%2f..%2fsecret",
        "/%252e%252e/secret",
        "/..%5csecret",
        "/..\\secret",
        "/%5c..%5c..%5csecret",
        "/../www-secret/key",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/%2f%2fetc/passwd",
        "/C:/secret",
        "/C%3a%5csecret",
        "/hello.txt/../../secret",
        "/.../secret",
        "/..;/secret",
        "/%c0%ae%c0%ae/secret",
        "/..%00/secret",
        "/\x00/../../secret",
    ],
)
@pytest.mark.parametrize("style", ["sync", "asyncio"])
def test_nothing_outside_of_the_root_is_reached(style: str, root: Path, target: str) -> None:
    response = fetch(style, FileTransport(root), target)
    assert (response.status, response.content) == (404, b"")


@posix_only
def test_absolute_path_of_a_secret_is_not_reached(root: Path) -> None:
    secret = str(root.parent / "secret")
    for prefix in ("", "/", "/%2f", "/.."):
        assert status(FileTransport(root), f"{prefix}{secret}") == 404
    assert fetch("sync", FileTransport(), secret).content == b"secret"


@given(st.lists(st.sampled_from(["..", ".", "/", "%2e", "%2f", "%5c", "a", "%00", "", "~", "%"])))
def test_no_target_climbs(pieces: list[str]) -> None:
    segments = path_segments(b"/" + "".join(pieces).encode())
    assert b".." not in segments
    assert b"." not in segments
    assert not any(b"/" in segment for segment in segments)


@pytest.mark.parametrize("target", [b"hello.txt", b"*", b"../secret", b"C:/secret", b"\\secret"])
def test_targets_that_are_no_paths(root: Path, target: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        fetch("sync", FileTransport(root), target)


@posix_only
def test_links_inside_are_followed_and_those_to_the_outside_are_not(root: Path) -> None:
    links = {
        "inside": "hello.txt",
        "around": "sub/../../www/hello.txt",
        "directory": "sub",
        "absolute": str(root / "hello.txt"),
        "secret": "../secret",
        "absolute-secret": str(root.parent / "secret"),
        "out": "..",
        "neighbour": "../www-secret",
        "chain": "out",
        "loop": "loop",
        "nowhere": "nothing",
        "system": "/",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    transport = FileTransport(root)
    for target in ("/inside", "/around", "/directory/page.html", "/absolute"):
        assert status(transport, target) == 200
    for target in (
        "/secret",
        "/absolute-secret",
        "/out/secret",
        "/chain/secret",
        "/neighbour/key",
        "/loop",
        "/loop/x",
        "/nowhere",
        "/system/etc/passwd",
        "/out",
        "/system",
    ):
        assert status(transport, target) == 404, target


@posix_only
def test_root_may_be_a_link_that_changes(root: Path) -> None:
    link = root.parent / "current"
    link.symlink_to("www-secret")
    transport = FileTransport(link)
    assert status(transport, "/hello.txt") == 404
    link.unlink()
    link.symlink_to("www")
    assert status(transport, "/hello.txt") == 200
    link.unlink()
    assert status(transport, "/hello.txt") == 404


def test_root_may_be_relative(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    transport = FileTransport("www")
    monkeypatch.chdir("/")
    assert status(transport, "/hello.txt") == 200
    assert repr(transport) == f"<FileTransport [{root}]>"
    assert repr(FileTransport()) == "<FileTransport [all files]>"


def test_root_that_is_a_file(root: Path) -> None:
    for target in ("/", "", "/x", "/../hello.txt"):
        assert status(FileTransport(root / "hello.txt"), target) == 404


@pytest.mark.parametrize(
    ("wrong", "kind"), [("", ValueError), (b"/srv", TypeError), (1, TypeError)]
)
def test_wrong_roots(wrong: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        FileTransport(wrong)


@pytest.mark.skipif(not _opening._CAN_WALK, reason="directories cannot be walked by descriptors")
def test_link_that_appears_after_the_path_was_resolved(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "secret").symlink_to("../secret")
    (root / "out").symlink_to("..")
    transport = FileTransport(root)
    monkeypatch.setattr(_opening.os.path, "realpath", lambda path: str(path))
    assert status(transport, "/hello.txt") == 200
    assert status(transport, "/secret") == 404
    assert status(transport, "/out/secret") == 404


@posix_only
def test_what_is_no_regular_file_neither_hangs_nor_opens(root: Path, socket_path: str) -> None:
    os.mkfifo(root / "fifo")
    assert status(FileTransport(root), "/fifo") == 403
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path)
        assert status(FileTransport(), socket_path) == 403
    for device in ("/dev/null", "/dev/zero", "/dev/tty"):
        if os.path.exists(device):
            assert status(FileTransport(), device) == 403


@posix_only
def test_file_that_becomes_a_fifo_before_it_is_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "fifo")
    looked_at: list[int] = []

    def is_regular(mode: int) -> bool:
        looked_at.append(mode)
        return len(looked_at) == 1 or stat.S_IFMT(mode) == stat.S_IFREG

    monkeypatch.setattr(_opening.stat, "S_ISREG", is_regular)
    assert status(FileTransport(root), "/fifo") == 403
    assert len(looked_at) == 2


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ((b"http", b"", None, b"/x"), UnsupportedProtocol),
        ((b"file", b"example.org", None, b"/x"), LocalProtocolError),
        ((b"file", b"127.0.0.1", None, b"/x"), LocalProtocolError),
        ((b"file", b"localhost", 80, b"/x"), LocalProtocolError),
        ((b"file", b"", 80, b"/x"), LocalProtocolError),
    ],
)
def test_urls_of_something_else(root: Path, url: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        FileTransport(root).handle_request(b"GET", url, [], ByteStream(), {})


def test_host_may_be_localhost(root: Path) -> None:
    for host in (b"localhost", b"LOCALHOST"):
        assert fetch("sync", FileTransport(root), "/hello.txt", host=host).status == 200


# Windows, as far as it can be told elsewhere


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (b"/a/b.txt", ["a", "b.txt"]),
        (b"//a//", ["a"]),
        (b"/%C3%B6", ["ö"]),
        (b"/%ff", None),
        (b"/C:/secret", None),
        (b"/C:", None),
        (b"/a:stream", None),
        (b"/..%5csecret", None),
        (b"/a%5c..%5c..%5csecret", None),
        (b"/a.", None),
        (b"/a%20", None),
        (b"/a%01", None),
        (b"/*", None),
        (b"/con", None),
        (b"/sub/NUL.txt", None),
        (b"/com1", None),
        (b"/lpt9 .txt", None),
        (b"/console", ["console"]),
        (b"/com10", ["com10"]),
    ],
)
def test_names_on_windows(path: bytes, names: list[str] | None) -> None:
    assert names_of(path_segments(path), windows=True, below_root=True) == names


def test_drives_on_windows() -> None:
    def found(path: bytes) -> list[str] | None:
        return names_of(path_segments(path), windows=True, below_root=False)

    assert found(b"/C:/a/b") == ["C:\\", "a", "b"]
    assert found(b"/c%3A/a") == ["c:\\", "a"]
    for path in (b"/", b"/a", b"//server/share/a", b"/C:a/b", b"/C:/D:/a", b"/C:/nul", b"/CC:/a"):
        assert found(path) is None


# Preconditions and ranges

FOUND = Found("a.txt", 10, MTIME * 10**9 + 5, 7)
NOW = MTIME + 1000.0
TAG = dict(answer(b"GET", [], FOUND, NOW).headers)[b"ETag"]
EARLIER, LATER = b"Tue, 14 Nov 2023 22:13:19 GMT", b"Tue, 14 Nov 2023 22:13:21 GMT"


def decide(method: bytes = b"GET", file: Found = FOUND, **headers: bytes) -> Answer:
    fields = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return answer(method, fields, file, NOW)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"If_None_Match": TAG}, 304),
        ({"If_None_Match": b"W/" + TAG}, 304),
        ({"If_None_Match": b'"x", ' + TAG}, 304),
        ({"If_None_Match": b" * "}, 304),
        ({"If_None_Match": b'"x"'}, 200),
        ({"If_None_Match": TAG.strip(b'"')}, 200),
        ({"If_None_Match": b'"x"', "If_Modified_Since": LATER}, 200),
        ({"If_Modified_Since": DATE}, 304),
        ({"If_Modified_Since": LATER}, 304),
        ({"If_Modified_Since": EARLIER}, 200),
        ({"If_Modified_Since": b"Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
        ({"If_Modified_Since": b"Tue Nov 14 22:13:20 2023"}, 304),
        ({"If_Modified_Since": b"yesterday"}, 200),
        ({"If_Modified_Since": b"\xff"}, 200),
        ({"If_Modified_Since": b"Tue, 14 Nov 99999999999 22:13:20 GMT"}, 200),
        ({"If_Match": TAG}, 200),
        ({"If_Match": b"*"}, 200),
        ({"If_Match": b"W/" + TAG}, 412),
        ({"If_Match": b'"x"'}, 412),
        ({"If_Match": b'"x"', "If_None_Match": TAG}, 412),
        ({"If_Match": TAG, "If_Unmodified_Since": EARLIER}, 200),
        ({"If_Unmodified_Since": DATE}, 200),
        ({"If_Unmodified_Since": EARLIER}, 412),
        ({"If_Unmodified_Since": b"never"}, 200),
        ({"If_Match": TAG, "If_None_Match": TAG, "Range": b"bytes=0-1"}, 304),
    ],
)
def test_preconditions(headers: dict[str, bytes], expected: int) -> None:
    for method in (b"GET", b"HEAD"):
        found = decide(method, **headers)
        if expected == 200:
            assert found == decide(method)
        else:
            assert (found.status, found.length) == (expected, 0)
    if expected == 304:
        assert found.headers == [(b"ETag", TAG), (b"Last-Modified", DATE)]


def test_lines_of_one_header_are_one() -> None:
    fields = [(b"if-none-match", b'"x"'), (b"IF-NONE-MATCH", TAG)]
    assert answer(b"GET", fields, FOUND, NOW).status == 304
    fields = [(b"range", b"bytes=0-1"), (b"range", b"bytes=3-4")]
    assert answer(b"GET", fields, FOUND, NOW).status == 200


@pytest.mark.parametrize(
    ("wanted", "start", "length"),
    [
        (b"bytes=0-0", 0, 1),
        (b"bytes=2-4", 2, 3),
        (b"bytes=2-", 2, 8),
        (b"bytes=9-", 9, 1),
        (b"bytes=-3", 7, 3),
        (b"bytes=-99", 0, 10),
        (b"bytes=0-99999999999999999999999999", 0, 10),
        (b"Bytes= 00002-0004 ", 2, 3),
    ],
)
def test_ranges(wanted: bytes, start: int, length: int) -> None:
    found = decide(Range=wanted)
    assert (found.status, found.start, found.length) == (206, start, length)
    headers = dict(found.headers)
    assert headers[b"Content-Range"] == b"bytes %d-%d/10" % (start, start + length - 1)
    assert headers[b"Content-Length"] == b"%d" % length
    assert decide(b"HEAD", Range=wanted) == decide(b"HEAD")


@pytest.mark.parametrize(
    "wanted", [b"bytes=10-", b"bytes=10-12", b"bytes=-0", b"bytes=%s-" % (b"9" * 5000)]
)
def test_ranges_beyond_the_end(wanted: bytes) -> None:
    found = decide(Range=wanted)
    assert (found.status, found.length) == (416, 0)
    assert found.headers == [(b"Content-Range", b"bytes */10"), (b"Content-Length", b"0")]


@pytest.mark.parametrize(
    "wanted",
    [
        b"bytes=0-1,3-4",
        b"bytes=",
        b"bytes=-",
        b"bytes=4-2",
        b"bytes=a-b",
        b"bytes=1-2x",
        b"bytes 1-2",
        b"lines=1-2",
        b"bytes=-1-2",
        b"bytes=+1-2",
        b"bytes=\xd9\xa1-\xd9\xa2",  # digits, but not of ASCII
        b"",
    ],
)
def test_ranges_that_count_as_none(wanted: bytes) -> None:
    assert decide(Range=wanted) == decide()


def test_ranges_of_an_empty_file() -> None:
    empty = FOUND._replace(size=0)
    assert decide(file=empty, Range=b"bytes=0-").status == 416
    assert decide(file=empty, Range=b"bytes=-5") == decide(file=empty)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (TAG, 206),
        (DATE, 206),
        (b"W/" + TAG, 200),
        (b'"x"', 200),
        (EARLIER, 200),
        (LATER, 200),
        (b"", 200),
    ],
)
def test_ranges_on_condition(condition: bytes, expected: int) -> None:
    assert decide(Range=b"bytes=0-1", If_Range=condition).status == expected


@given(st.binary(max_size=30), st.integers(0, 12))
def test_ranges_are_within_the_file(value: bytes, size: int) -> None:
    found = decide(file=FOUND._replace(size=size), Range=b"bytes=" + value)
    assert found.status in (200, 206, 416)
    assert 0 <= found.start <= found.start + found.length <= size


def test_times_that_are_no_dates() -> None:
    ancient = decide(file=FOUND._replace(modified=-(10**14) * 10**9))
    assert b"Last-Modified" not in dict(ancient.headers)
    # RFC 9110, section 8.8.2.1: not later than the response.
    future = dict(decide(file=FOUND._replace(modified=10**14 * 10**9)).headers)
    assert future[b"Last-Modified"] == b"Tue, 14 Nov 2023 22:30:00 GMT"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", b"text/html"),
        ("a.tar.gz", b"application/gzip"),
        ("a.txt.bz2", b"application/x-bzip2"),
        ("a", b"application/octet-stream"),
        ("", b"application/octet-stream"),
        ("data:text/html,x", b"application/octet-stream"),
        ("http://x/a.html", b"text/html"),
        ("a?b.html", b"text/html"),
        ("\r\n.html", b"text/html"),
    ],
)
def test_content_types(name: str, expected: bytes) -> None:
    assert content_type(name) == expected


@pytest.mark.parametrize("style", STYLES)
def test_conditions_and_ranges_from_end_to_end(style: str, root: Path) -> None:
    transport = FileTransport(root)
    tag = dict(fetch(style, transport, "/hello.txt").headers)[b"ETag"]
    response = fetch(style, transport, "/hello.txt", [(b"If-None-Match", tag)])
    assert (response.status, response.content) == (304, b"")
    response = fetch(style, transport, "/hello.txt", [(b"Range", b"bytes=3-5")])
    assert (response.status, response.content) == (206, b"345")
    (root / "hello.txt").write_bytes(b"abcdefghij")
    response = fetch(style, transport, "/hello.txt", [(b"If-None-Match", tag)])
    assert (response.status, response.content) == (200, b"abcdefghij")
    response = fetch(style, transport, "/hello.txt", [(b"Range", b"bytes=3-5"), (b"If-Range", tag)])
    assert (response.status, response.content) == (200, b"abcdefghij")


# Bodies


def opened(root: Path, path: str = "/big") -> FileStream:
    request: Any = (b"GET", (b"file", b"", None, path.encode()), [], ByteStream(), {})
    stream = FileTransport(root).handle_request(*request).stream
    assert isinstance(stream, FileStream)
    return stream


def read_in(style: str, stream: FileStream) -> bytes:
    return stream.read() if style == "sync" else run_async(style, stream.aread)


@pytest.mark.parametrize("style", STYLES)
def test_h19_file_that_becomes_shorter(style: str, root: Path) -> None:
    for size in (CHUNK_SIZE + 7, 0):
        stream = opened(root)
        os.truncate(root / "big", size)
        with pytest.raises(ReadError) as caught:
            read_in(style, stream)
        assert caught.value.phase == "receive body"
        assert f"ended {3 * CHUNK_SIZE + 5 - size} bytes before its end" in str(caught.value)
        with pytest.raises(StreamClosed):
            read_in(style, stream)
        (root / "big").write_bytes(bytes(3 * CHUNK_SIZE + 5))


@pytest.mark.parametrize("style", STYLES)
def test_h19_file_that_becomes_longer(style: str, root: Path) -> None:
    stream = opened(root)
    with (root / "big").open("ab") as file:
        file.write(b"more")
    assert read_in(style, stream) == bytes(3 * CHUNK_SIZE + 5)


@pytest.mark.parametrize("style", STYLES)
def test_stream_that_is_closed_unread(style: str, root: Path) -> None:
    stream = opened(root)
    if style == "sync":
        stream.close()
        stream.close()
    else:
        run_async(style, stream.aclose)
    with pytest.raises(StreamClosed):
        read_in(style, stream)


async def test_stream_that_is_closed_half_way(root: Path) -> None:
    stream = opened(root)
    async for chunk in stream:
        assert len(chunk) == CHUNK_SIZE
        break
    await stream.aclose()
    with pytest.raises(StreamClosed):
        await stream.aread()


class Disk:
    """A file whose reads wait until they are let go."""

    def __init__(self, data: bytes = b"12345", error: OSError | None = None) -> None:
        self.data = data
        self.error = error
        self.is_read = threading.Event()
        self.may_go_on = threading.Event()
        self.closed = threading.Event()

    def read(self, size: int) -> bytes:
        assert not self.closed.is_set()
        self.is_read.set()
        assert self.may_go_on.wait(20)
        assert not self.closed.is_set()
        if self.error is not None:
            raise self.error
        return self.data[:size]

    def close(self) -> None:
        self.closed.set()


def stream_of(disk: Any, length: int = 10) -> FileStream:
    return FileStream(disk, length)


@pytest.mark.parametrize("style", STYLES)
def test_disk_that_fails(style: str) -> None:
    disk = Disk(error=OSError(errno.EIO, "Input/output error"))
    disk.may_go_on.set()
    with pytest.raises(ReadError, match="Input/output error") as caught:
        read_in(style, stream_of(disk))
    assert caught.value.__cause__ is disk.error
    assert disk.closed.is_set()


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await AutoBackend().sleep(0.001)


async def test_slow_disk_stops_nobody_and_cancelling_is_prompt() -> None:
    disk = Disk()
    stream = stream_of(disk)
    async with AsyncTaskGroup() as group:
        job = group.start(stream.aread)
        await until(disk.is_read)  # others go on while it reads
        job.cancel()
        await job.task.wait()
        # The descriptor belongs to the thread that still reads, which closes it.
        assert not disk.closed.is_set()
        disk.may_go_on.set()
        await until(disk.closed)
    with pytest.raises(StreamClosed):
        await stream.aread()


async def test_closing_while_another_task_reads() -> None:
    disk = Disk()
    stream = stream_of(disk)
    async with AsyncTaskGroup() as group:
        job = group.start(stream.__anext__)
        await until(disk.is_read)
        with pytest.raises(LocalProtocolError, match="already reading"):
            await stream.__anext__()
        await stream.aclose()
        assert not disk.closed.is_set()
        disk.may_go_on.set()
        assert await job.result() == b"12345"
    await until(disk.closed)


async def test_request_that_is_cancelled_while_the_file_is_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the thread opens then, it closes: see the fixture that looks for open descriptors."""
    is_opening, may_go_on, has_opened = (threading.Event() for _ in range(3))
    open_regular_file = file_module.open_regular_file

    def slow(base: str | None, names: list[str]) -> int | None:
        is_opening.set()
        assert may_go_on.wait(20)
        has_opened.set()
        return open_regular_file(base, names)

    monkeypatch.setattr(file_module, "open_regular_file", slow)
    request: Any = (b"GET", (b"file", b"", None, b"/big"), [], ByteStream(), {})
    async with AsyncTaskGroup() as group:
        job = group.start(FileTransport(root).handle_async_request, *request)
        await until(is_opening)
        job.cancel()
        await job.task.wait()
        may_go_on.set()
        await until(has_opened)


def every_step(flavour: str, scenario: Callable[[CancelStep], Coroutine[Any, Any, None]]) -> int:
    if flavour == "trio":
        return cancel_at_every_step(scenario, library="trio")
    return cancel_at_every_step(scenario)


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_p1_cancelled_at_every_step_nothing_is_left(flavour: str, root: Path) -> None:
    async def read() -> bytes:
        request: Any = (b"GET", (b"file", b"", None, b"/big"), [], ByteStream(), {})
        response = await FileTransport(root).handle_async_request(*request)
        body: bytes = await response.stream.aread()
        return body

    async def scenario(step: CancelStep) -> None:
        if await step.run(read):
            assert step.result == bytes(3 * CHUNK_SIZE + 5)

    assert every_step(flavour, scenario) >= 1 + 4  # opening, and each chunk


# With the client


def test_example(root: Path) -> None:
    with httpclient.Client(mounts={"file://": FileTransport(root)}) as client:
        response = client.get("file:///sub/page.html")
        assert (response.status_code, response.text) == (200, "<p>")
        assert response.headers["Content-Type"] == "text/html"
        assert response.http_version == "FILE"
        assert client.get("file:///../secret").status_code == 404
        with client.stream("GET", "file:///big") as response:
            assert sum(map(len, response.iter_bytes())) == 3 * CHUNK_SIZE + 5
        with client.stream("GET", "file:///big"):
            pass


async def test_async_example(root: Path) -> None:
    async with httpclient.AsyncClient(mounts={"file://": FileTransport(root)}) as client:
        assert (await client.get("file:///hello.txt")).text == "0123456789"
        assert (await client.get("file://localhost/hello.txt")).text == "0123456789"
        async with client.stream("GET", "file:///big") as response:
            async for _ in response.aiter_bytes():
                break


def test_l1_no_redirect_leads_to_a_file(root: Path) -> None:
    moved = httpclient.Response(302, headers={"Location": "file:///hello.txt"})
    mounts: Any = {"file://": FileTransport(root), "http://": MockTransport(lambda request: moved)}
    with httpclient.Client(mounts=mounts, follow_redirects=True) as client:
        with pytest.raises(httpclient.UnsupportedProtocol):
            client.get("http://example.org/")
