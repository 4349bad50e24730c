"""Recordings: the file, what is filtered out of it, and which exchange answers a request."""

from __future__ import annotations

import copy
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpclient import DecodingError, InvalidURL
from httpclient.transports import _record_file
from httpclient.transports._playback import Tape
from httpclient.transports._record_file import read, write
from httpclient.transports.record import (
    ERRORS,
    FILTERED,
    SECRET_HEADERS,
    Capture,
    Entry,
    Filters,
    RecordingError,
    UnexpectedRequest,
    body_text,
    map_query,
    request_of,
    without_values,
)
from httpcore_core import (
    ConnectTimeout,
    LocalProtocolError,
    ProxyError,
    ReadError,
    Response,
    TransportError,
)

HOST = (b"https", b"example.org", None)
NOTHING = Filters((), ())


def exchange(
    url: str = "https://example.org/", method: str = "GET", body: Any = "", status: int = 200
) -> dict[str, Any]:
    request = {"method": method, "url": url, "headers": [("Host", "example.org")], "body": body}
    response = {"status": status, "headers": [("A", "b")], "body": f"answer {status}"}
    return {"request": request, "response": response}


def reread(directory: Path, *exchanges: Any, filters: Filters = NOTHING) -> tuple[Any, Filters]:
    write(directory / "x.json", list(exchanges), filters)
    return read(directory / "x.json")


# The request as text


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ((b"https", b"example.org", None, b"/a?b=c"), "https://example.org/a?b=c"),
        ((b"HTTPS", b"Example.ORG", 443, b"/A"), "https://example.org/A"),
        ((b"http", b"h", 80, b"/"), "http://h/"),
        ((b"http", b"h", 443, b"/"), "http://h:443/"),
        ((b"http", b"::1", 81, b"/"), "http://[::1]:81/"),
        ((b"http", b"[::1]", None, b"/"), "http://[::1]/"),
        ((b"http", b"h", None, b"/\xff"), "http://h/ÿ"),
        ((b"ftp", b"h", 21, b"/f"), "ftp://h:21/f"),
    ],
)
def test_url_is_text(url: Any, text: str) -> None:
    assert request_of(b"GET", url, [], {})["url"] == text


def test_target_extension_counts() -> None:
    request = request_of(b"OPTIONS", (*HOST, b"/"), [(b"A", b"\xe9")], {"target": b"*"})
    assert request == {
        "method": "OPTIONS",
        "url": "https://example.org*",
        "headers": [("A", "é")],
    }


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [("GET", (*HOST, b"/"), []), (b"GET", "http://h/", []), (b"GET", (*HOST, b"/"), [("a", "b")])],
)
def test_what_is_no_primitive_is_refused(method: Any, url: Any, headers: Any) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        request_of(method, url, headers, {})
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/a", "https://h/a"),
        ("https://h/a?token=secret&b=&secret", "https://h/a?token=…&b=…&…"),
        ("https://h/a?a=1?b=2", "https://h/a?a=…"),
    ],
)
def test_i9_query_values_are_not_shown(url: str, shown: str) -> None:
    assert without_values(url) == shown


# Filters


@pytest.mark.parametrize("name", [*SECRET_HEADERS, "AUTHORIZATION", "Set-Cookie"])
def test_i9_secret_headers_are_filtered(name: str) -> None:
    secret = exchange()
    for part in ("request", "response"):
        secret[part]["headers"] = [("A", "b"), (name, "secret"), (name, "secret")]
    filtered = Filters(SECRET_HEADERS, ()).apply(secret)
    assert filtered is not None
    for part in ("request", "response"):
        assert filtered[part]["headers"] == [("A", "b"), (name, FILTERED), (name, FILTERED)]


@pytest.mark.parametrize(
    ("url", "filtered"),
    [
        ("https://h/", "https://h/"),
        ("https://h/?a=1", "https://h/?a=1"),
        ("https://h/?a=1&key=x&b=2", "https://h/?a=1&key=[filtered]&b=2"),
        ("https://h/?KEY=x&key=y&key=", "https://h/?KEY=[filtered]&key=[filtered]&key=[filtered]"),
        ("https://h/?%6bey=x&k%65y=x=y", "https://h/?%6bey=[filtered]&k%65y=[filtered]"),
        ("https://h/?a+b=x&a%20b=y", "https://h/?a+b=[filtered]&a%20b=[filtered]"),
        ("https://h/?key", "https://h/?key"),
        ("https://h/?akey=1&keya=2", "https://h/?akey=1&keya=2"),
        ("https://h/?key=x#key=x", "https://h/?key=[filtered]#key=x"),
        ("https://h/key=x", "https://h/key=x"),
        ("https://h/?", "https://h/?"),
    ],
)
def test_i9_query_parameters_are_filtered(url: str, filtered: str) -> None:
    filters = Filters((), ("Key", "a b"))
    result = filters.apply(exchange(url))
    assert result is not None
    assert result["request"]["url"] == filtered
    again = filters.apply(copy.deepcopy(result))
    assert again == result


@pytest.mark.parametrize("name", ["Location", "content-location", "REFERER"])
def test_i9_urls_in_headers_are_filtered(name: str) -> None:
    secret = exchange()
    secret["response"]["headers"] = [
        (name, "/next?key=secret&a=1"),
        ("Link", '<https://h/?key=secret>; rel="next", <https://h/?a=1>; rel="last"'),
        ("Other", "/?key=kept"),
    ]
    filtered = Filters((), ("key",)).apply(secret)
    assert filtered is not None
    assert filtered["response"]["headers"] == [
        (name, "/next?key=[filtered]&a=1"),
        ("Link", '<https://h/?key=[filtered]>; rel="next", <https://h/?a=1>; rel="last"'),
        ("Other", "/?key=kept"),
    ]


def test_filter_function_comes_last_and_may_leave_out() -> None:
    seen = []

    def scrub(exchange: dict[str, Any]) -> dict[str, Any] | None:
        seen.append(exchange["request"]["url"])
        exchange["request"]["body"] = "scrubbed"
        return None if "secret" in exchange["request"]["url"] else exchange

    filters = Filters((), ("key",), scrub)
    assert filters.apply(exchange("https://h/secret?key=1")) is None
    kept = filters.apply(exchange("https://h/?key=1"))
    assert kept is not None
    assert kept["request"]["body"] == "scrubbed"
    assert seen == ["https://h/secret?key=[filtered]", "https://h/?key=[filtered]"]


@pytest.mark.parametrize("names", ["authorization", b"authorization"])
def test_one_name_is_not_a_collection(names: Any) -> None:
    with pytest.raises(TypeError):
        Filters(names, ())
    with pytest.raises(TypeError):
        Filters((), names)


@given(st.text(alphabet="ab=&?#%+;/", max_size=30))
def test_query_is_otherwise_left_alone(url: str) -> None:
    assert map_query(url, lambda name, value: value) == url


# What is kept


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        ("é\r\n\t☃".encode(), "é\r\n\t☃"),
        (b"\xff", b"\xff"),
        (b"\x00", b"\x00"),
        (b"\x1b[0m", b"\x1b[0m"),
        ("\ufeffx".encode(), "\ufeffx".encode()),
    ],
)
def test_body_is_text_if_people_can_read_it(body: bytes, text: Any) -> None:
    assert body_text(body) == text


def entry(method: bytes = b"GET") -> Entry:
    return Entry(request_of(method, (*HOST, b"/"), [], {}))


@pytest.mark.parametrize(
    ("method", "status", "headers", "chunks", "truncated"),
    [
        (b"GET", 200, [], [b"a"], True),
        (b"GET", 200, [(b"content-LENGTH", b"3")], [b"a", b"b"], True),
        (b"GET", 200, [(b"content-LENGTH", b"3")], [b"a", b"bc"], False),
        (b"GET", 200, [(b"Content-Length", b"0")], [], False),
        (b"GET", 200, [(b"Content-Length", b"x")], [], True),
        (b"GET", 200, [(b"Content-Length", b"1"), (b"Content-Length", b"2")], [b"a"], True),
        (b"GET", 204, [], [], False),
        (b"GET", 304, [(b"Content-Length", b"3")], [], False),
        (b"GET", 101, [], [], False),
        (b"HEAD", 200, [(b"Content-Length", b"3")], [], False),
    ],
)
def test_body_that_was_not_read_to_its_end_is_truncated(
    method: bytes, status: int, headers: Any, chunks: list[bytes], truncated: bool
) -> None:
    recorded = entry(method)
    recorded.answered(Response(status, headers, None, {}))
    for chunk in chunks:
        recorded.received.add(chunk)
    result = recorded.as_dict()
    assert result is not None
    assert result["response"].get("truncated", False) is truncated
    assert result["response"]["body"] == b"".join(chunks).decode()


def test_body_that_ended_is_whole_whatever_its_length_was_to_be() -> None:
    recorded = entry()
    recorded.answered(Response(200, [(b"Content-Length", b"9")], None, {}))
    recorded.received.is_complete = True
    result = recorded.as_dict()
    assert result is not None
    assert "truncated" not in result["response"]


def test_capture_copies_and_starts_anew() -> None:
    capture = Capture()
    buffer = bytearray(b"old")
    capture.add(buffer)
    buffer[:] = b"new"
    capture.add(memoryview(b"er"))
    capture.add("what the transport will refuse")
    capture.is_complete = True
    assert (capture.as_dict(), capture.size) == ({"body": "older"}, 5)
    capture.restart()
    assert (capture.as_dict(), capture.size) == ({"body": "", "truncated": True}, 0)


def test_extensions_that_are_recorded() -> None:
    recorded = entry()
    extensions = {"http_version": b"HTTP/2", "reason_phrase": b"\xe9", "network_stream": object()}
    recorded.answered(Response(200, [(b"A", b"\xff")], object(), extensions))
    assert recorded.as_dict() == {
        "request": {"method": "GET", "url": "https://example.org/", "headers": [], "body": ""},
        "response": {
            "status": 200,
            "http_version": "HTTP/2",
            "reason_phrase": "é",
            "headers": [("A", "ÿ")],
            "body": "",
            "truncated": True,
        },
    }


def test_exchange_without_an_outcome_is_none() -> None:
    assert entry().as_dict() is None


class Special(ReadError):
    """Of the user's own."""


@pytest.mark.parametrize(
    ("error", "same"),
    [
        (ConnectTimeout("late", origin="http://h:80", phase="connect", limit=0.5), True),
        (ReadError(), True),
        (ProxyError("no", status=407), True),
        (ProxyError("no"), True),
        (InvalidURL("no"), True),
        (DecodingError("bad"), True),
        (TransportError("x"), True),
        (Special("special"), False),
        (UnexpectedRequest("x"), False),
    ],
)
def test_errors_come_back_as_what_they_were(
    error: TransportError, same: bool, tmp_path: Path
) -> None:
    recorded = entry()
    recorded.failed(error)
    exchanges, filters = reread(tmp_path, recorded.as_dict())
    take = Tape(exchanges, filters).play(b"GET", (*HOST, b"/"), [], b"", {})
    with pytest.raises(TransportError) as caught:
        take.head()
    played = caught.value
    assert (type(played) is type(error)) is same
    assert isinstance(error, type(played))
    assert str(played) == str(error)
    assert getattr(played, "status", None) == getattr(error, "status", None)
    assert take.error() is not played  # a new one each time


def test_every_error_that_is_known_can_be_made() -> None:
    assert {"ReadError", "ProxyError", "InvalidURL", "TooManyRedirects"} <= set(ERRORS)
    for name in ERRORS:
        fields = dict.fromkeys(("origin", "phase", "limit", "status"))
        played = {**exchange(), "error": {"type": name, "message": "m", **fields}}
        del played["response"]
        played["request"]["truncated"] = False
        assert type(Tape([played], NOTHING).unplayed[0].error()).__name__ == name


@pytest.mark.parametrize("kind", [RecordingError, UnexpectedRequest])
def test_our_errors_pickle_and_copy(kind: Any) -> None:
    error = kind("text", phase="request")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(twin), str(twin)) == (kind, str(error))


# The file


def test_file_can_be_read_by_people(tmp_path: Path) -> None:
    posted = exchange("https://example.org/ü?a=[filtered]", "POST", '{"a": 1}')
    posted["response"] |= {"reason_phrase": "OK", "body": "one\r\ntwo\nthree"}
    posted["response"]["headers"] = [("Set-Cookie", FILTERED), ("B", ""), ("C", " c: d")]
    image = exchange(body=b"\x89PNG\r\n")
    image["response"]["body"] = ""
    write(tmp_path / "x.json", [posted, image], Filters(("Cookie", "B"), ("a",)))
    assert (
        (tmp_path / "x.json").read_text("utf-8")
        == """{
  "format": "httpclient recording",
  "version": 1,
  "filtered": {
    "headers": [
      "b",
      "cookie"
    ],
    "query": [
      "a"
    ]
  },
  "exchanges": [
    {
      "request": {
        "method": "POST",
        "url": "https://example.org/ü?a=[filtered]",
        "headers": [
          "Host: example.org"
        ],
        "body": "{\\"a\\": 1}"
      },
      "response": {
        "status": 200,
        "headers": [
          "Set-Cookie: [filtered]",
          "B: ",
          "C:  c: d"
        ],
        "reason_phrase": "OK",
        "body": [
          "one\\r\\n",
          "two\\n",
          "three"
        ]
      }
    },
    {
      "request": {
        "method": "GET",
        "url": "https://example.org/",
        "headers": [
          "Host: example.org"
        ],
        "body": {
          "base64": "iVBORw0K"
        }
      },
      "response": {
        "status": 200,
        "headers": [
          "A: b"
        ]
      }
    }
  ]
}
"""
    )
    exchanges, filters = read(tmp_path / "x.json")
    assert (filters.headers, filters.query) == ({"cookie", "b"}, {"a"})
    assert exchanges[0]["response"]["headers"] == posted["response"]["headers"]
    assert exchanges[0]["response"]["body"] == b"one\r\ntwo\nthree"
    assert exchanges[1]["request"]["body"] == b"\x89PNG\r\n"
    assert exchanges[1]["response"]["body"] == b""


BODIES = st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode())
LATIN_1 = st.text(alphabet=st.characters(max_codepoint=255), max_size=20)
NAMES = st.text(alphabet=st.characters(max_codepoint=255, exclude_characters=":"), max_size=9)
FIELDS = st.lists(st.tuples(NAMES, LATIN_1), max_size=4)


@given(LATIN_1, LATIN_1, FIELDS, BODIES, BODIES, st.booleans())
def test_whatever_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    method: str,
    url: str,
    fields: list[tuple[str, str]],
    body: bytes,
    answer: bytes,
    truncated: bool,
) -> None:
    request = {"method": method, "url": url, "headers": fields, "body": body_text(body)}
    response = {"status": 200, "headers": fields, "body": body_text(answer)}
    if truncated:
        response["truncated"] = True
    path = tmp_path_factory.getbasetemp() / "hypothesis.json"
    write(path, [{"request": request, "response": response}], NOTHING)
    [read_back], _ = read(path)
    assert read_back == {
        "request": {**request, "body": body, "truncated": False},
        "response": {**response, "body": answer, "truncated": truncated},
    }


def test_file_that_was_edited(tmp_path: Path) -> None:
    """A byte order mark, comments, a list of lines, no body, no filters, no space after a colon."""
    document = {
        "format": "httpclient recording",
        "version": 1,
        "comment": "mine",
        "exchanges": [
            {
                "comment": 1,
                "request": {"method": "GET", "url": "https://h/"},
                "response": {"status": 200, "headers": ["A:b", "C:"], "body": ["a\n", "", "b"]},
            }
        ],
    }
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
    exchanges, filters = read(path)
    assert (filters.headers, filters.query) == (set(), set())
    assert exchanges[0]["response"] == {
        "status": 200,
        "headers": [("A", "b"), ("C", "")],
        "body": b"a\nb",
        "truncated": False,
    }


VALID: Any = {
    "format": "httpclient recording",
    "version": 1,
    "exchanges": [
        {"request": {"method": "GET", "url": "u"}, "response": {"status": 200}},
        {"request": {"method": "GET", "url": "u"}, "error": {"type": "ReadError"}},
    ],
}


def changed(*path: Any, value: Any = None) -> bytes:
    """`VALID` with another value at `path`; None takes it out."""
    document = copy.deepcopy(VALID)
    part = document
    for key in path[:-1]:
        part = part[key]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return json.dumps(document).encode()


def test_minimal_file_is_valid(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(VALID))
    assert len(read(tmp_path / "x.json")[0]) == 2


FIRST, SECOND = ("exchanges", 0), ("exchanges", 1)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON in UTF-8"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is not JSON"),
        (b"[]", "is not a recording"),
        (b"null", "is not a recording"),
        (b"{}", "is not a recording"),
        (changed("format", value="HAR"), "is not a recording"),
        (changed("version", value=2), "has version 2 of the format, not 1"),
        (changed("version"), "has version None"),
        (changed("exchanges"), "exchanges is missing"),
        (changed("exchanges", value={}), "exchanges must not be a dict"),
        (changed("filtered", value=[]), "filtered must not be a list"),
        (changed("filtered", value={"query": [1]}), "query must be a list of texts"),
        (changed(*FIRST, value=3), "exchange 1: is not an object"),
        (changed(*FIRST, "request"), "exchange 1: request is missing"),
        (changed(*FIRST, "request", "method"), "method is missing"),
        (changed(*FIRST, "request", "url", value=1), "url must not be a int"),
        (changed(*FIRST, "request", "headers", value={}), "headers must not be a dict"),
        (changed(*FIRST, "request", "headers", value=["x"]), "'Name: value'"),
        (changed(*FIRST, "request", "headers", value=["a: ☃"]), "stands for a byte"),
        (changed(*FIRST, "request", "body", value=7), "body must be text"),
        (changed(*FIRST, "request", "body", value=[7]), "body must be text"),
        (changed(*FIRST, "request", "body", value={}), "base64 is missing"),
        (changed(*FIRST, "request", "body", value={"base64": "!"}), "exchange 1"),
        (changed(*FIRST, "request", "body", value={"base64": "é"}), "exchange 1"),
        (changed(*FIRST, "request", "body", value="\ud800"), "exchange 1"),
        (changed(*FIRST, "request", "truncated", value=1), "truncated must not be a int"),
        (changed(*FIRST, "response"), "has neither a response nor an error"),
        (changed(*FIRST, "response", "status"), "status is missing"),
        (changed(*FIRST, "response", "status", value=True), "status must not be a bool"),
        (changed(*FIRST, "response", "status", value=99), "status cannot be 99"),
        (changed(*FIRST, "response", "reason_phrase", value=1), "reason_phrase must not be"),
        (changed(*FIRST, "response", "http_version", value="☃"), "http_version: a character"),
        (changed(*SECOND, "error", "type"), "exchange 2: type is missing"),
        (changed(*SECOND, "error", "type", value="OSError"), "no error of the type 'OSError'"),
        (changed(*SECOND, "error", "limit", value="x"), "limit must not be a str"),
    ],
)
def test_file_that_is_no_recording(content: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert text in str(caught.value)


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "x.json")


# Writing is one step


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_process_that_ends_while_writing_leaves_the_old_file(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    write(path, [exchange(status=200)], NOTHING)
    old = path.read_bytes()

    def die(*_: Any) -> None:
        assert path.read_bytes() == old
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_record_file.os, step, die)
        with pytest.raises(KeyboardInterrupt):
            write(path, [exchange(status=201)], NOTHING)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["x.json"]
    write(path, [exchange(status=201)], NOTHING)
    assert read(path)[0][0]["response"]["status"] == 201
    assert os.listdir(tmp_path) == ["x.json"]


def test_file_is_replaced_only_when_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    replace = os.replace
    seen = []

    def look(source: str, target: str) -> None:
        seen.append(read(source)[0][0]["response"]["status"])
        assert not path.exists()
        assert os.path.dirname(source) == os.path.dirname(target)  # one file system
        replace(source, target)

    monkeypatch.setattr(_record_file.os, "replace", look)
    write(path, [exchange(status=202)], NOTHING)
    assert seen == [202]


def test_exchange_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, [exchange()], NOTHING)
    old = path.read_bytes()
    for wrong in (exchange(body="\ud800"), exchange(method=object())):  # type: ignore[arg-type]
        with pytest.raises((ValueError, TypeError)):
            write(path, [wrong], NOTHING)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (old, ["x.json"])


def test_directory_that_has_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none" / "x.json", [], NOTHING)


def test_what_a_filter_adds_is_a_comment(tmp_path: Path) -> None:
    exchanges, _ = reread(tmp_path, {**exchange(), "comment": "mine"})
    assert "comment" not in exchanges[0]
    assert json.loads((tmp_path / "x.json").read_text())["exchanges"][0]["comment"] == "mine"


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links")
def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "x.json")
    write(link, [exchange()], NOTHING)
    assert link.is_symlink()
    assert len(read(tmp_path / "real" / "x.json")[0]) == 1


# Matching


def tape(*exchanges: Any, filters: Filters = NOTHING, **options: Any) -> Tape:
    for each in exchanges:
        for part in ("request", "response"):
            body = each[part]["body"]
            each[part]["body"] = body.encode() if isinstance(body, str) else body
            each[part].setdefault("truncated", False)
    return Tape(exchanges, filters, **options)


def play(
    tape: Tape,
    target: bytes = b"/",
    method: bytes = b"GET",
    body: bytes = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> int:
    take = tape.play(method, (*HOST, target), headers or [], body, {})
    return take.head()[0]


def test_requests_are_answered_in_recorded_order_per_key() -> None:
    a, b = "https://example.org/a", "https://example.org/b"
    player = tape(
        exchange(a, status=201),
        exchange(b, status=202),
        exchange(a, status=203),
        exchange(a, "POST", status=204),
    )
    order = [play(player, b"/a"), play(player, b"/a", b"POST"), play(player, b"/b")]
    assert order == [201, 204, 202]
    assert [take.exchange["response"]["status"] for take in player.unplayed] == [203]
    assert play(player, b"/a") == 203
    assert player.unplayed == []


def test_body_tells_exchanges_apart() -> None:
    player = tape(
        exchange(method="POST", body="x", status=201),
        exchange(method="POST", body="y", status=202),
        exchange(method="POST", body="x", status=203),
    )
    bodies = (b"y", b"x", b"x")
    assert [play(player, b"/", b"POST", body) for body in bodies] == [202, 201, 203]


def test_parts_to_match_can_be_chosen() -> None:
    recorded = [exchange(status=201), exchange("https://example.org/b", "POST", "x", 202)]
    anything = tape(*copy.deepcopy(recorded), match=())
    assert [play(anything, b"/z"), play(anything, b"/y", b"PUT", b"?")] == [201, 202]
    urls = tape(*copy.deepcopy(recorded), match=["url"])
    assert [play(urls, b"/b", b"DELETE"), play(urls)] == [202, 201]
    fields = tape(*copy.deepcopy(recorded), match=["headers"])
    assert play(fields, b"/z", headers=[(b"HOST", b"example.org")]) == 201
    with pytest.raises(UnexpectedRequest):
        play(fields, headers=[(b"Host", b"another.org")])
    with pytest.raises(ValueError, match="host"):
        tape(match=["host"])


def test_request_that_was_sent_in_part_matches_by_its_beginning() -> None:
    """It was answered early, or failed before its body was read."""
    early = exchange(method="PUT", body="abc", status=413)
    early["request"]["truncated"] = True
    player = tape(early, exchange(method="PUT", body="abcdef", status=200))
    with pytest.raises(UnexpectedRequest):
        play(player, method=b"PUT", body=b"ab")
    assert [play(player, method=b"PUT", body=b"abcdef") for _ in range(2)] == [413, 200]


@pytest.mark.parametrize(
    ("target", "body", "text"),
    [
        (b"/b?c=secret", b"", "GET https://example.org/b?c=… was not recorded"),
        (b"/?a=1", b"x", "GET https://example.org/?a=… was recorded with another body"),
        (b"/?a=1", b"", "GET https://example.org/?a=… has been played as often as it was recorded"),
    ],
)
def test_i9_unexpected_request_says_what_and_what_is_next(
    target: bytes, body: bytes, text: str
) -> None:
    one, two = "https://example.org/?a=1", "https://example.org/next?token=secret"
    player = tape(exchange(one), exchange(two, "POST"))
    if not body:
        play(player, b"/?a=1")
    with pytest.raises(UnexpectedRequest) as caught:
        play(player, target, body=body)
    next_one = (
        "POST https://example.org/next?token=…" if not body else "GET https://example.org/?a=…"
    )
    assert str(caught.value) == f"request: {text}; expected next is {next_one}"
    assert "secret" not in repr(caught.value)


def test_unexpected_request_at_the_end() -> None:
    player = tape(exchange())
    play(player)
    with pytest.raises(UnexpectedRequest, match="nothing is left to be played"):
        play(player)


def test_repeats_are_of_the_last() -> None:
    player = tape(exchange(status=201), exchange(status=202), allow_repeats=True)
    assert [play(player) for _ in range(4)] == [201, 202, 202, 202]
    with pytest.raises(UnexpectedRequest):
        play(player, b"/other")
    bodies = tape(
        exchange(body="x", status=201), exchange(body="y", status=202), allow_repeats=True
    )
    answers = [play(bodies, body=body) for body in (b"x", b"y", b"x", b"y", b"x")]
    assert answers == [201, 202, 201, 202, 201]


def test_filtered_parts_match() -> None:
    filters = Filters(("Authorization",), ("key",))
    recorded = exchange("https://example.org/?key=one&a=1")
    recorded["request"]["headers"] = [("Authorization", "one")]
    filtered = filters.apply(recorded)
    for match in (("method", "url", "body"), ("headers",)):
        player = tape(copy.deepcopy(filtered), filters=filters, match=match)
        assert play(player, b"/?key=two&a=1", headers=[(b"authorization", b"two")]) == 200
    with pytest.raises(UnexpectedRequest):
        play(tape(copy.deepcopy(filtered), filters=filters), b"/?key=two&a=2")


def test_function_filters_requests_that_are_played_too() -> None:
    def scrub(exchange: dict[str, Any]) -> dict[str, Any] | None:
        request = exchange["request"]
        if request["url"].endswith("/private"):
            return None
        request["url"] = request["url"].replace("secret", FILTERED)
        request["body"] = b"raw" if isinstance(request["body"], bytes) else "text"
        return exchange

    player = tape(
        exchange(body="text", status=201),
        exchange(body=b"raw", status=202),
        filters=Filters((), (), scrub),
    )
    assert play(player, body=b"a password") == 201
    assert play(player, body=b"\xff") == 202
    with pytest.raises(UnexpectedRequest, match="private is filtered out"):
        play(player, b"/private")
    with pytest.raises(
        UnexpectedRequest, match=r"GET https://example.org/reset/\[filtered\] was not"
    ):
        play(player, b"/reset/secret")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=12), st.data())
def test_any_order_that_keeps_it_per_key_plays_everything(
    recorded: list[tuple[str, str]], data: st.DataObject
) -> None:
    player = tape(
        *(
            exchange(f"https://example.org/{path}", body=body, status=200 + number)
            for number, (path, body) in enumerate(recorded)
        )
    )
    left = list(enumerate(recorded))
    while left:
        chosen = data.draw(st.sampled_from(left))[1]
        number, (path, body) = next(item for item in left if item[1] == chosen)
        left.remove((number, chosen))
        assert play(player, b"/" + path.encode(), body=body.encode()) == 200 + number
    assert player.unplayed == []
    with pytest.raises(UnexpectedRequest):
        play(player, b"/a", body=b"x")
