"""The engines: what each makes of one head, byte by byte the same, and which one is chosen."""

from __future__ import annotations

import gc
import os
import pickle
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httptools
import pytest

from httpcore_core._exceptions import RemoteProtocolError
from httpcore_core._protocol import httptools_engine
from httpcore_core._protocol.engine import ENGINES, HeadParser, choose_engine
from httpcore_core._protocol.events import ResponseHead
from tests.protocol.wire import PARSERS, new_protocol, ok, plan, reply

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=PARSERS)
def parse(request: pytest.FixtureRequest) -> HeadParser:
    return PARSERS[request.param]


def verdict(parser: HeadParser, head: bytes) -> ResponseHead | None:
    try:
        return parser(head)
    except RemoteProtocolError:
        return None


def test_a_whole_head(parse: HeadParser) -> None:
    head = parse(ok(b"x-B: 1", b"X-a:\t2 \t ", b"x-b:   a b ", b"Empty:", b"Blank: \t ", b"x-B: 1"))
    assert type(head) is ResponseHead
    assert type(head.headers) is list
    assert head == (
        b"HTTP/1.1",
        200,
        b"OK",
        [
            (b"x-B", b"1"),
            (b"X-a", b"2"),
            (b"x-b", b"a b"),
            (b"Empty", b""),
            (b"Blank", b""),
            (b"x-B", b"1"),
        ],
    )
    assert {type(value) for field in head.headers for value in field} == {bytes}
    assert pickle.loads(pickle.dumps(head)) == head


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("status", [100, 101, 103, 199, 200, 204, 205, 299, 304, 407, 599, 999])
@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"Content-Length: 0",),
        (b"Content-Length: 5",),
        (b"Transfer-Encoding: chunked",),
        (b"Connection: close",),
        (b"Connection: upgrade", b"Upgrade: websocket"),
        (b"Upgrade: websocket", b"Content-Length: 5"),
        (b"Connection: Upgrade", b"Upgrade: x", b"Transfer-Encoding: chunked"),
    ],
)
def test_every_status_with_every_framing(
    parse: HeadParser, version: bytes, status: int, lines: tuple[bytes, ...]
) -> None:
    """What follows the head is not the engine's business: bodies, upgrades, the end."""
    fields = [tuple(line.split(b": ")) for line in lines]
    head = reply(version + b" %d Any Reason" % status, *lines)
    assert parse(head) == (version, status, b"Any Reason", fields)
    assert parse(head.replace(b"\r\n", b"\n")) == (version, status, b"Any Reason", fields)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"200", b""),
        (b"200 ", b""),
        (b"200  ", b" "),
        (b"200  a b \t", b" a b \t"),
        (b"200 \t", b"\t"),
        (b"200 \x80\xff", b"\x80\xff"),
        (b"200 " + b"a" * 10_000, b"a" * 10_000),
    ],
)
@pytest.mark.parametrize("fields", [(), (b"X: y",)])
def test_reasons(parse: HeadParser, line: bytes, reason: bytes, fields: tuple[bytes, ...]) -> None:
    head = reply(b"HTTP/1.1 " + line, *fields)
    for data in (head, head.replace(b"\r\n", b"\n")):
        assert parse(data)[:3] == (b"HTTP/1.1", 200, reason)
        assert len(parse(data).headers) == len(fields)


@pytest.mark.parametrize(
    "line",
    [
        b"099 x", b"000", b"20", b"2000", b" 200", b"200\tx", b"200x", b"2x0 x", b"", b"-20",
        b"200 \0", b"200 a\x0bb", b"200 a\x7f", b"200\x00", b"200 a\rb", b"200 a\r", b"200\r",
    ],
)  # fmt: skip
def test_illegal_status_lines(parse: HeadParser, line: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(reply(b"HTTP/1.1 " + line, b"X: y"))


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"content-length: 6"),
        (b"Content-Length: +5",),
        (b"Content-Length: 5 5",),
        (b"Content-Length:",),
        (b"X",), (b": y",), (b"X : y",), (b"Connection : y",), (b"X(: y",), (b"X\xe9: y",),
        (b"X: a\rb: c",), (b"X: a\nb: c",), (b"X: y", b" folded"), (b"X: y", b"\tfolded"),
        (b" X: y",), (b"X: a\0",), (b"X: \x0b",), (b"X: \x1f",), (b"X: a\x7f",),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [b"200 OK", b"103 Early Hints", b"101 Switching"])
def test_illegal_fields(parse: HeadParser, lines: tuple[bytes, ...], status: bytes) -> None:
    """In a 1xx and in an answer to CONNECT the caller does not look at the framing."""
    for data in (
        reply(b"HTTP/1.1 " + status, *lines),
        reply(b"HTTP/1.1 " + status, b"A: b", *lines),
    ):
        with pytest.raises(RemoteProtocolError):
            parse(data)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Transfer-Encoding: gzip",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: chunked, chunked",),
        (b"Transfer-Encoding:",),
        (b"Transfer-Encoding: chunked", b"transfer-encoding: chunked"),
        (b"transfer-ENCODING: chunked", b"X: y", b"Transfer-Encoding: identity"),
    ],
)
@pytest.mark.parametrize("status", [b"200 OK", b"103 Early Hints", b"101 Switching", b"204 None"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"CONNECT"])
def test_illegal_codings(
    parse: HeadParser, lines: tuple[bytes, ...], status: bytes, method: bytes
) -> None:
    """Refused in every head, also where they do not frame the message."""
    protocol = new_protocol(head_parser=parse)
    target = b"example.com:443" if method == b"CONNECT" else b"/"
    protocol.start(plan(method, target, [(b"Connection", b"upgrade"), (b"Upgrade", b"any")]))
    protocol.receive_data(reply(b"HTTP/1.1 " + status, *lines))
    with pytest.raises(RemoteProtocolError):
        protocol.next_event()


@pytest.mark.parametrize("value", [b"chunked", b"CHUNKED", b"Chunked \t"])
@pytest.mark.parametrize(
    "name", [b"Transfer-Encoding:", b"transfer-encoding: ", b"TRANSFER-Encoding:\t"]
)
def test_transfer_encoding(parse: HeadParser, name: bytes, value: bytes) -> None:
    [(_, coding)] = parse(ok(name + value)).headers
    assert coding.lower() == b"chunked"


def test_length_and_transfer_encoding_are_left_to_the_caller(parse: HeadParser) -> None:
    """RFC 9110, section 9.3.6: in an answer to CONNECT both mean nothing."""
    length, coding = (b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")
    for fields in ([length, coding], [coding, (b"X", b"y"), length]):
        head = ok(*[b": ".join(field) for field in fields])
        assert parse(head).headers == fields
        assert parse(head.replace(b"\r\n", b"\n")).headers == fields


def test_many_and_long_fields(parse: HeadParser) -> None:
    fields = [(b"X-%d" % (number % 500), b"%d" % number) for number in range(3000)]
    fields += [(b"N" * 20_000, b"v"), (b"X", b"\x80\xff" * 20_000)]
    assert parse(ok(*[b": ".join(field) for field in fields])).headers == fields


@pytest.mark.parametrize(
    "head",
    [
        ok(b"X: ab", b"Content-Length: 5", b"Connection: close"),
        ok(b"X: ab", b"Y:").replace(b"\r\n", b"\n"),
        reply(b"HTTP/1.0 101", b"Upgrade: x", b"Connection: upgrade", b"Keep-Alive:a "),
    ],
)
def test_every_byte_at_every_place(head: bytes) -> None:
    """The engines agree on all heads that are one byte away from a legal one."""
    one, other = PARSERS.values()
    legal = 0
    # The version and the end have been seen to by the caller.
    for place in range(len(b"HTTP/1.1 "), len(head.rstrip())):
        for char in map(bytes, zip(range(256), strict=True)):
            for changed in (
                head[:place] + char + head[place:],
                head[:place] + char + head[place + 1 :],
            ):
                found = verdict(one, changed)
                assert found == verdict(other, changed), changed
                legal += found is not None
    assert legal > 1000


def test_parser_errors_are_causes() -> None:
    with pytest.raises(RemoteProtocolError, match="malformed response head") as caught:
        httptools_engine.parse_head(ok(b"Set-Cookie : secret"))
    assert isinstance(caught.value.__cause__, httptools.HttpParserError)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("end", range(9, len(ok(b"X: y"))))
def test_an_incomplete_head_is_never_taken_for_whole(parse: HeadParser, end: int) -> None:
    for data in (ok(b"X: y")[:end], reply(b"HTTP/1.1 204 No", b"X: y")[:end]):
        with pytest.raises(RemoteProtocolError):
            parse(data)


@pytest.mark.parametrize("head", [ok(b"A: b", b"C: d"), ok(b"A: b").replace(b"\r\n", b"\n")])
def test_what_a_signal_handler_raises_is_not_the_servers_fault(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be raised inside the parser's callbacks, which report it as an error of their own."""

    def on_header(self: Any, name: bytes, value: bytes) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(httptools_engine._Callbacks, "on_header", on_header)
    with pytest.raises(KeyboardInterrupt):
        httptools_engine.parse_head(head)
    try:
        raise OSError("the write failed")
    except OSError:
        with pytest.raises(KeyboardInterrupt):
            httptools_engine.parse_head(head)


def test_nor_is_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_header(self: Any, name: bytes, value: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(httptools_engine._Callbacks, "on_header", on_header)
    with pytest.raises(MemoryError):
        httptools_engine.parse_head(ok(b"A: b", b"C: d"))


@pytest.mark.parametrize("lines", [(b"A: b",), (b"Connection: upgrade", b"Upgrade: x")])
def test_a_switch_leaves_nothing_to_the_garbage_collector(
    parse: HeadParser, lines: tuple[bytes, ...]
) -> None:
    """llhttp reports it as an error, and errors refer to frames that refer to them."""
    head = reply(b"HTTP/1.1 101 Switching Protocols", *lines)
    gc.collect()
    gc.disable()
    try:
        assert parse(head).status == 101
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_head_may_be_parsed_while_another_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a signal handler, or a finaliser."""
    inner = []

    def on_header(self: Any, name: bytes, value: bytes) -> None:
        monkeypatch.undo()
        inner.append(httptools_engine.parse_head(ok(b"Inner: yes", b"C: d")))
        self.fields.append((name, value))

    monkeypatch.setattr(httptools_engine._Callbacks, "on_header", on_header)
    assert httptools_engine.parse_head(ok(b"A: b")).headers == [(b"A", b"b")]
    assert inner[0].headers == [(b"Inner", b"yes"), (b"C", b"d")]


def test_threads_do_not_meet(parse: HeadParser) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work(number: int) -> bool:
        fields = [(b"X-%d" % number, b"%d" % count) for count in range(20)]
        head = ok(*[b": ".join(field) for field in fields])
        return all(parse(head).headers == fields for _ in range(50))

    try:
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(work, range(16)))
    finally:
        sys.setswitchinterval(interval)


# Which one


def test_engines_by_name() -> None:
    best = os.environ.get("TEST_HTTP1_ENGINE") or "httptools"  # see tests/conftest.py
    for name in ENGINES:
        used, parser = choose_engine(name)
        assert used == (best if name == "auto" else name)
        assert parser(ok(b"A: b")) == (b"HTTP/1.1", 200, b"OK", [(b"A", b"b")])
        assert choose_engine(name)[1] is parser


@pytest.mark.parametrize("name", ["", "llhttp", "H11", "auto "])
def test_unknown_engines(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{name!r}; choose from: auto, h11, httptools")):
        choose_engine(name)


@pytest.mark.parametrize("name", [None, b"h11", 7, ["h11"], httptools_engine.parse_head])
def test_names_of_other_types(name: Any) -> None:
    with pytest.raises(TypeError, match="is a str, not"):
        choose_engine(name)


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    code = "from httpcore_core._protocol.engine import choose_engine\nimport sys\n" + code
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert result.stderr == ""
    return result.stdout.strip()


ASK = """
for name in ("auto", "h11", "httptools"):
    try:
        print(choose_engine(name)[0], end=" ")
    except ImportError as exc:
        print(exc.name, exc)
"""
NOT_THERE = "httptools is missing or too old: pip install 'httpcore-core[speed]'"


def test_an_engine_is_imported_when_it_is_chosen() -> None:
    """And no other: either takes longer to import than hundreds of requests."""
    loaded = "print({'h11', 'httptools'} & set(sys.modules))"
    assert python(loaded) == "set()"
    assert python("choose_engine('auto');" + loaded) == "{'httptools'}"
    assert python("choose_engine('httptools');" + loaded) == "{'httptools'}"
    assert python("choose_engine('h11');" + loaded) == "{'h11'}"


def test_without_httptools() -> None:
    assert python("sys.modules['httptools'] = None\n" + ASK) == f"h11 h11 httptools {NOT_THERE}"


@pytest.mark.parametrize("version", ["0.8.0", "0.6.4", "0.1"])
def test_an_old_httptools_is_none(version: str) -> None:
    """Up to 0.8 it takes CR CR for the end of the status line."""
    old = f"import httptools; httptools.__version__ = {version!r}\n"
    assert python(old + ASK) == f"h11 h11 httptools {NOT_THERE}"


@pytest.mark.parametrize("version", ["0.9.0", "0.10", "1.0rc1", "1.2.3.dev4+local"])
def test_a_later_httptools_is_one(version: str) -> None:
    later = f"import httptools; httptools.__version__ = {version!r}\n"
    assert python(later + ASK) == "httptools h11 httptools"
