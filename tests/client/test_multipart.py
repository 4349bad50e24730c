"""Forms and files as bodies: what is sent is what was given, and nothing else."""

from __future__ import annotations

import codecs
import email
import gzip
import io
import os
import re
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import multipart
import pytest
import python_multipart
import trio
from hypothesis import given
from hypothesis import strategies as st

from httpclient._exceptions import StreamConsumed
from httpclient._forms import boundary_of, part_head, urlencoded
from httpclient._multipart import CHUNK, FileStream, MultipartStream, encode_form
from httpcore_core import AsyncByteStream, LocalProtocolError
from tests.flavours import FLAVOURS, run_async

FIXED = "multipart/form-data; boundary=BOUNDARY"


class Pipe:
    """A file that can be read and nothing else."""

    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read


class Recorder(io.BytesIO):
    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reads: list[int] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads.append(-1 if size is None else size)
        return super().read(size)


def sent(data: dict[str, Any], files: Any, content_type: str | None = FIXED) -> bytes:
    return MultipartStream(data, files, content_type=content_type).read()


# URL-encoded


def test_a_form_is_urlencoded_as_the_url_standard_has_it() -> None:
    data = {"a b": "ü&=+~*-._\r\n", "list": [1, 2.5, "x"], "tuple": (True, False, None), "none": []}
    assert encode_form(data).content == (
        b"a+b=%C3%BC%26%3D%2B%7E*-._%0D%0A&list=1&list=2.5&list=x&tuple=true&tuple=false&tuple="
    )
    assert urlencoded({}) == b""
    assert urlencoded({"": ""}) == b"="


@given(st.dictionaries(st.text(), st.lists(st.text(), min_size=1, max_size=3), max_size=4))
def test_a_form_comes_back_as_it_was(data: dict[str, list[str]]) -> None:
    encoded = urlencoded(data)
    assert re.fullmatch(rb"[A-Za-z0-9*._%+=&-]*", encoded)
    pairs = [(name, value) for name, values in data.items() for value in values]
    text = encoded.decode("ascii")
    assert parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)) == pairs


@pytest.mark.parametrize("value", [b"bytes", {"a": 1}, object(), [[1]]])
def test_a_value_of_another_type_is_refused(value: Any) -> None:
    for encode in (lambda: urlencoded({"a": value})), (lambda: sent({"a": value}, {"f": b""})):
        with pytest.raises(TypeError, match="a value is text, a number, a bool or None"):
            encode()


def test_text_that_is_not_unicode_is_our_error() -> None:
    for encode in (
        lambda: urlencoded({"a": "\udcff"}),
        lambda: urlencoded({"\udcff": "a"}),
        lambda: sent({"a": "\udcff"}, {"f": b""}),
        lambda: sent({}, {"f": ("\udcff", b"")}),
        lambda: sent({}, {"\udcff": b""}),
        lambda: sent({}, {"f": "\udcff"}),
        lambda: sent({}, {"f": ("x", b"", "\udcff")}),
    ):
        with pytest.raises(LocalProtocolError, match="UTF-8") as caught:
            encode()
        assert caught.value.phase == "request"


# Multipart: what it looks like


def test_the_parts_are_laid_out_as_rfc_7578_has_it(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"PNG")
    with path.open("rb") as file:
        body = sent(
            {"text": "ü", "several": [1, True, None]},
            [
                ("file", file),
                ("bytes", b"\x00\xff"),
                ("text", "héé"),
                ("named", ("a.txt", "text")),
                ("typed", ("a.txt", io.BytesIO(b"B"), "x/y")),
                ("more", ("a", b"", "x/y", {"X-A": "1", "x-b": "ü"})),
                ("own type", ("a", b"", "x/y", [("content-type", "z/z")])),
                ("nameless", (None, b"N")),
                ("nameless but typed", (None, b"{}", "application/json")),
            ],
        )
    assert body.decode("latin-1").encode("latin-1") == (
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="text"\r\n\r\n\xc3\xbc\r\n'
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="several"\r\n\r\n1\r\n'
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="several"\r\n\r\ntrue\r\n'
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="several"\r\n\r\n\r\n'
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="file"; filename="photo.png"\r\n'
        b"Content-Type: image/png\r\n\r\nPNG\r\n"
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="bytes"; filename="upload"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n"
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="text"; filename="upload"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\nh\xc3\xa9\xc3\xa9\r\n"
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="named"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\ntext\r\n"
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="typed"; filename="a.txt"\r\n'
        b"Content-Type: x/y\r\n\r\nB\r\n"
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="more"; filename="a"\r\n'
        b"X-A: 1\r\nx-b: \xc3\xbc\r\nContent-Type: x/y\r\n\r\n\r\n"
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="own type"; filename="a"\r\n'
        b"content-type: z/z\r\n\r\n\r\n"
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="nameless"\r\n\r\nN\r\n'
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="nameless but typed"\r\n'
        b"Content-Type: application/json\r\n\r\n{}\r\n"
        b"--BOUNDARY--\r\n"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/a/b/c.txt", "c.txt"),
        (b"/a/b/c.txt", "c.txt"),
        (Path("/a/b/c.txt"), "c.txt"),
        (3, "upload"),
        ("<stdin>", "upload"),
        ("", "upload"),
        ("/a/", "upload"),
        (None, "upload"),
    ],
)
def test_the_file_name_is_the_last_part_of_the_path(name: Any, expected: str) -> None:
    file = io.BytesIO()
    file.name = name  # type: ignore[attr-defined]  # as real files have one
    assert f'filename="{expected}"'.encode() in sent({}, {"f": file})


def test_a_temporary_file_is_not_named_after_its_descriptor() -> None:
    with tempfile.TemporaryFile() as file:
        assert b'filename="upload"' in sent({}, {"f": file})


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.html", b"text/html"),
        ("A.JSON", b"application/json"),
        ("unknown", b"application/octet-stream"),
        ("", b"application/octet-stream"),
        ("a.tar.gz", b"application/octet-stream"),  # it is no tar, but a gzip of one
        ("data:text/evil,a", b"application/octet-stream"),
        ("http://a/b.html?x.png", b"image/png"),
    ],
)
def test_the_type_is_guessed_from_the_file_name(filename: str, expected: bytes) -> None:
    assert b"\r\nContent-Type: " + expected + b"\r\n\r\n" in sent({}, {"f": (filename, b"")})


@pytest.mark.parametrize(
    "files",
    [
        {"f": 1},
        {"f": None},
        {"f": ["a", b""]},
        {"f": ("a",)},
        {"f": ("a", b"", "x/y", {}, 1)},
        {"f": (1, b"")},
        {"f": ("a", 1)},
        {1: b""},
    ],
)
def test_files_of_other_shapes_are_refused(files: Any) -> None:
    with pytest.raises(TypeError, match=r"a file|the content|the name"):
        sent({}, files)


# Multipart: nothing gets out of its place


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NASTY = TEXT | st.lists(
    st.sampled_from(
        ['"', "\\", "\r", "\n", "\0", ";", "=", "filename", "--BOUNDARY", "ü", " ", "'"]
    ),
    max_size=12,
).map("".join)


def as_read(text: str) -> str:
    """A name to a parser that undoes the doubling of backslashes, and nothing else."""
    bare = text.rstrip("\\")
    shown = "".join(f"%{ord(it):02X}" if it in '"\x7f' or it < " " else it for it in bare)
    return shown + "%5C" * (len(text) - len(bare))


def as_sent(text: str) -> str:
    return as_read(text).replace("\\", "\\\\")


@given(st.lists(st.tuples(NASTY, NASTY, st.binary(max_size=40)), min_size=1, max_size=3), NASTY)
def test_what_is_given_is_what_multipart_parsers_read(
    files: list[tuple[str, str, bytes]], text: str
) -> None:
    stream = MultipartStream({"text": text}, [(name, (fn, body)) for name, fn, body in files])
    body = stream.read()
    assert len(body) == stream.content_length
    boundary = boundary_of(stream.content_type)
    assert body.count(boundary.encode()) == len(files) + 2
    heads = [part.partition(b"\r\n\r\n")[0] for part in body.split(b"--" + boundary.encode())[1:-1]]
    for head, (name, filename, _) in zip(heads[1:], files, strict=True):
        disposition = f'form-data; name="{as_sent(name)}"; filename="{as_sent(filename)}"'
        assert head.split(b"\r\n")[1] == f"Content-Disposition: {disposition}".encode()
        assert len(head.split(b"\r\n")) == 3
        assert not re.search(rb"[\x00-\x1f\x7f]", head.replace(b"\r\n", b""))

    first, *rest = multipart.MultipartParser(io.BytesIO(body), boundary, strict=True)
    assert (first.name, first.value, first.filename) == ("text", text, None)
    # This one undoes what the HTML Standard escapes, and no doubling of backslashes.
    names = [part.name.translate({10: "%0A", 13: "%0D", 34: "%22"}) for part in rest]
    assert names == [as_sent(name) for name, _, _ in files]
    assert [part.raw for part in rest] == [content for _, _, content in files]

    fields: list[Any] = []
    found: list[Any] = []
    parser = python_multipart.FormParser(
        "multipart/form-data", fields.append, found.append, boundary=boundary
    )
    parser.write(body)
    parser.finalize()
    assert [(field.field_name, field.value or b"") for field in fields] == [
        (b"text", text.encode())
    ]
    assert [file.field_name for file in found] == [as_read(name).encode() for name, _, _ in files]
    contents = []
    for file in found:
        file.file_object.seek(0)
        contents.append(file.file_object.read())
        file.close()
    assert contents == [content for _, _, content in files]


def parsed(body: bytes, content_type: str) -> list[Message]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body)
    assert message.is_multipart()
    assert not message.defects
    return list(message.get_payload())  # type: ignore[arg-type]  # a list, as it is multipart


@given(st.text("ab ;=%'\"ü\r\n\\", min_size=1, max_size=12), st.binary(max_size=100))
def test_what_is_given_is_what_the_standard_library_reads(name: str, content: bytes) -> None:
    stream = MultipartStream({"a": "text"}, {name: (name, content, "x/y")})
    field, file = parsed(stream.read(), stream.content_type)
    assert field.get_payload(decode=True) == b"text"
    assert field.get_param("name", header="content-disposition") == "a"
    assert file.get_content_type() == "x/y"
    assert file.get_payload(decode=True) == content
    if name.isascii():
        assert file.get_filename() == as_read(name).strip()
        assert file.get_param("name", header="content-disposition") == as_read(name)


@pytest.mark.parametrize("hostile", ["a\r\nX: y", "a\ny", "a\ry", "a\0", "a\x7f", "\x0b"])
def test_a_header_of_a_part_cannot_become_two(hostile: str) -> None:
    for file in (
        ("a", b"", hostile),
        ("a", b"", None, {"X-A": hostile}),
        ("a", b"", None, {hostile: "x"}),
        ("a", b"", None, [(b"X-A", hostile.encode())]),
    ):
        with pytest.raises(LocalProtocolError, match="characters that it may not have") as caught:
            sent({}, {"f": file})
        assert caught.value.phase == "request"
        assert hostile not in str(caught.value)


@pytest.mark.parametrize("name", ["", "X A", "X:", "(x)"])
def test_a_header_of_a_part_has_a_name_that_is_legal(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="characters"):
        part_head("f", headers={name: "x"})


def test_the_disposition_of_a_part_is_ours() -> None:
    with pytest.raises(LocalProtocolError, match="follows from"):
        sent({}, {"f": ("a", b"", "x/y", {"content-disposition": "attachment"})})


# Boundaries


def test_every_body_has_a_boundary_of_its_own() -> None:
    types = {MultipartStream({}, {"f": b""}).content_type for _ in range(10)}
    assert len(types) == 10
    for content_type in types:
        assert re.fullmatch(r"multipart/form-data; boundary=[0-9a-f]{32}", content_type)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ("Multipart/Form-Data;BOUNDARY=abc", "abc"),
        ("multipart/form-data; charset=utf-8; boundary=+++", "+++"),
        ("multipart/form-data; boundary=+++; charset=utf-8; ", "+++"),
        ('multipart/form-data; boundary="a b:c"', "a b:c"),
        ('multipart/form-data; charset="x; boundary=no"; boundary="a\\bc"', "abc"),
        ("multipart/related; boundary = a:b ;x=y", "a:b"),
        ("multipart/form-data; boundary=" + "a" * 70, "a" * 70),
    ],
)
def test_a_boundary_of_the_callers_is_used(content_type: str, boundary: str) -> None:
    stream = MultipartStream({}, {"f": b""}, content_type=content_type)
    assert stream.content_type == content_type
    assert stream.read().startswith(f"--{boundary}\r\n".encode())
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; ",
        "multipart/form-data; charset=utf-8",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        'multipart/form-data; boundary="abc',
        'multipart/form-data; boundary="a\r\nX: y"',
        "multipart/form-data; boundary=a\r\nb",
        'multipart/form-data; boundary="a "',
        "multipart/form-data; boundary=ü",
        "multipart/form-data; boundary=a@b",
        "multipart/form-data; boundary=" + "a" * 71,
        "multipart/form-data; boundary=a; boundary=b",
        "application/json",
        "application/json; boundary=a",
        "",
    ],
)
def test_a_boundary_that_nobody_could_read_is_an_error(content_type: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"boundar|Content-Type") as caught:
        MultipartStream({}, {"f": b""}, content_type=content_type)
    assert caught.value.phase == "request"


# Files are streamed


def stream_of(file: Any) -> list[FileStream | MultipartStream]:
    return [FileStream(file), MultipartStream({"a": "b"}, {"f": file})]


def test_l2_nothing_is_read_before_it_is_sent_and_then_in_chunks() -> None:
    content = os.urandom(3 * CHUNK + 5)
    for make in FileStream, lambda file: MultipartStream({}, {"f": file}):
        file = Recorder(content)
        stream = make(file)
        assert file.reads == []
        chunks = iter(stream)
        assert file.reads == []
        assert content in b"".join(chunks)
        assert max(file.reads) == CHUNK
        assert -1 not in file.reads


def test_l2_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("w+b") as file:
        file.truncate(1 << 30)
        stream = MultipartStream({}, {"f": file})
        assert stream.content_length is not None
        assert stream.content_length > 1 << 30
        tracemalloc.start()
        try:
            sizes = [len(chunk) for chunk, _ in zip(stream, range(200), strict=False)]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert max(sizes) <= CHUNK
    assert peak < 10 * CHUNK


def test_small_parts_are_sent_together_and_large_ones_are_not_copied() -> None:
    large = bytes(3 * CHUNK)
    chunks = list(MultipartStream({str(i): "x" for i in range(2000)}, {"f": large, "g": b""}))
    assert sum(map(len, chunks[:2])) < 4 * CHUNK
    assert [chunk is large for chunk in chunks] == [False, False, False, True, False]
    assert b"".join(chunks).count(b'"; filename=') == 2


def test_h19_a_file_is_sent_from_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with (tmp_path / "file").open("rb") as file:
        file.read(4)
        streams = stream_of(file)
        assert file.tell() == 4
        for stream in streams:
            for _ in range(2):
                body = stream.read()
                assert len(body) == stream.content_length
                content = body.split(b"\r\n")[-3] if b"\r\n" in body else body
                assert content == b"456789"
                file.seek(7)  # does not matter any more
        file.seek(20)  # beyond the end
        assert FileStream(file).content_length == 0
        assert FileStream(file).read() == b""


def test_h19_a_file_is_not_closed_and_may_be_in_the_form_twice() -> None:
    file = io.BytesIO(b"content")
    stream = MultipartStream({}, [("a", file), ("b", file)])
    assert stream.read().count(b"content") == 2
    assert not file.closed


OPENERS: dict[str, Callable[[Path], Any]] = {
    "buffered": lambda path: path.open("rb"),
    "raw": lambda path: path.open("rb", buffering=0),
    "for update": lambda path: path.open("r+b"),
    "memory": lambda path: io.BytesIO(path.read_bytes()),
    "duck": lambda path: Duck(path.read_bytes()),
    "gzip": lambda path: gzip.open(zipped(path, gzip.compress(path.read_bytes()))),  # noqa: SIM115
    "pipe": lambda path: Pipe(path.read_bytes()),
}


class Duck(Pipe):
    """Has what is needed, but says nothing about it."""

    def __init__(self, content: bytes) -> None:
        inner = io.BytesIO(content)
        self.read, self.seek, self.tell = inner.read, inner.seek, inner.tell


def zipped(path: Path, content: bytes) -> Path:
    other = path.with_suffix(".z")
    other.write_bytes(content)
    return other


@pytest.mark.parametrize("opener", OPENERS)
def test_h19_every_kind_of_file(opener: str, tmp_path: Path) -> None:
    content = os.urandom(CHUNK + 10)
    (tmp_path / "file").write_bytes(content)
    file = OPENERS[opener](tmp_path / "file")
    try:
        stream = FileStream(file)
        known = opener not in ("gzip", "pipe")
        assert stream.content_length == (len(content) if known else None)
        assert stream.replayable is (opener != "pipe")
        form = MultipartStream({}, {"f": file})
        assert (form.content_length is not None) is known
        assert form.replayable is stream.replayable
        assert stream.read() == content
        if opener != "pipe":
            assert stream.read() == content
            assert content in form.read()
    finally:
        getattr(file, "close", lambda: None)()


def test_a_file_in_an_archive_is_not_unpacked_to_find_its_length(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("member", b"content")
        with archive.open("member") as member:
            stream = FileStream(member)
            assert stream.content_length is None
            assert stream.read() == stream.read() == b"content"


def test_a_file_of_the_system_that_does_not_know_its_length() -> None:
    """As files of /proc are: they are regular, and can be sought in, but have no end to go to."""

    class Endless(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if whence == os.SEEK_END:
                raise OSError(22, "Invalid argument")
            return super().seek(offset, whence)

    stream = FileStream(Endless(b"content"))
    assert stream.content_length is None
    assert stream.read() == stream.read() == b"content"


def test_a_real_pipe_can_be_sent_once() -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as file, open(writer, "wb") as other:
        other.write(b"content")
        other.close()
        stream = FileStream(file)
        assert stream.content_length is None
        assert stream.read() == b"content"
        with pytest.raises(StreamConsumed):
            iter(stream)


def test_h19_what_cannot_go_back_is_not_sent_twice() -> None:
    for stream in stream_of(Pipe(b"content")):
        assert not stream.replayable
        assert b"content" in b"".join(stream) or isinstance(stream, MultipartStream)
        with pytest.raises(StreamConsumed, match="sent already"):
            iter(stream)
        with pytest.raises(StreamConsumed, match="sent already"):
            stream.__aiter__()


SIZES = [0, 10, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK]


@pytest.mark.parametrize("before", SIZES)
@pytest.mark.parametrize("make", [FileStream, lambda file: MultipartStream({}, {"f": file})])
def test_h19_b09_a_file_that_grew_or_shrank_is_never_sent_with_a_wrong_length(
    make: Callable[[Any], FileStream | MultipartStream], before: int, tmp_path: Path
) -> None:
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        for after in SIZES:
            file.seek(0)
            file.truncate(before)
            stream = make(file)
            file.truncate(after)
            chunks: list[bytes] = []
            if after == before:
                chunks.extend(stream)
                assert sum(map(len, chunks)) == stream.content_length
                continue
            change = "longer" if after > before else "shorter"
            text = f"{change} than the {before} bytes"
            with pytest.raises(LocalProtocolError, match=text) as caught:
                for chunk in stream:
                    chunks.append(chunk)
            assert caught.value.phase == "send"
            assert stream.content_length is not None
            assert sum(map(len, chunks)) < max(1, stream.content_length)


def test_reads_that_return_less_than_asked_for_are_no_end() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(1)

    assert FileStream(Slow(b"content")).read() == b"content"
    assert b"content" in MultipartStream({}, {"f": Slow(b"content")}).read()


def test_h19_a_file_that_is_open_as_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")

    def files() -> Iterator[Any]:
        yield io.StringIO("text")
        yield (tmp_path / "file").open(encoding="utf-8")
        yield tempfile.NamedTemporaryFile("w+")  # noqa: SIM115  # the loop closes it
        yield tempfile.SpooledTemporaryFile(mode="w+")  # noqa: SIM115
        reader, writer = codecs.getreader("utf-8"), codecs.getwriter("utf-8")
        yield codecs.StreamReaderWriter(io.BytesIO(b"content"), reader, writer)

    for file in files():
        with file:
            for make in FileStream, lambda file: sent({}, {"f": file}):
                with pytest.raises(TypeError, match="binary mode"):
                    make(file)


def test_binary_temporary_files_are_not_refused() -> None:
    for make in tempfile.NamedTemporaryFile, tempfile.SpooledTemporaryFile, tempfile.TemporaryFile:
        with make() as file:
            file.write(b"content")
            file.seek(0)
            stream = FileStream(file)
            assert (stream.content_length, stream.read()) == (7, b"content")


@pytest.mark.parametrize("result", ["text", None, bytearray(b"x")])
def test_a_file_that_gives_something_else_than_bytes_is_an_error(result: Any) -> None:
    class Odd:
        def read(self, size: int = -1) -> Any:
            return result

    with pytest.raises(TypeError, match=f"gave {type(result).__name__}"):
        FileStream(Odd()).read()  # type: ignore[arg-type]  # that is the point


def test_a_file_for_async_code_is_refused() -> None:
    file = trio.wrap_file(io.BytesIO(b"content"))
    for make in FileStream, lambda file: sent({}, {"f": file}):
        with pytest.raises(TypeError, match="async"):
            make(file)


def test_a_closed_file_is_an_error_when_the_request_is_made() -> None:
    file = io.BytesIO()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        FileStream(file)


def test_an_error_of_the_file_passes_through() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        FileStream(Broken(b"content")).read()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_async_code_sends_the_same(flavour: str) -> None:
    content = os.urandom(2 * CHUNK)

    async def main() -> None:
        for stream in stream_of(io.BytesIO(content)):
            assert isinstance(stream, AsyncByteStream)
            assert await stream.aread() == stream.read()
            assert [chunk async for chunk in stream] == list(stream)
            async for chunk in stream.__aiter__():  # left half-way, and begun again
                assert chunk
                break
            assert await stream.aread() == stream.read()
            await stream.aclose()
        file = io.BytesIO(content)
        stream = FileStream(file)
        file.truncate(CHUNK)
        iterator = stream.__aiter__()
        assert len(await iterator.__anext__()) == CHUNK
        with pytest.raises(LocalProtocolError, match="shorter"):
            await iterator.__anext__()
        with pytest.raises(StopAsyncIteration):
            await iterator.__anext__()

    run_async(flavour, main)
