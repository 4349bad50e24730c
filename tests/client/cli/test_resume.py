"""Going on with a download: what is asked, what an answer is worth, where a file is put."""

from __future__ import annotations

import pytest

from httpclient import Headers
from httpclient._cli.resume import (
    Answer,
    Saved,
    Verdict,
    judge,
    range_headers,
    remote_name,
    saved_from_json,
    saved_from_response,
    url_hash,
)

DATE, LATER = "Tue, 15 Nov 1994 08:12:31 GMT", "Tue, 15 Nov 1994 08:12:32 GMT"
ETAG = Saved("hash", '"v1"', DATE)
DATED = Saved("hash", None, DATE)
SIZE = 100


def rest(span: str = "bytes 100-199/200", etag: str | None = '"v1"', **more: str) -> Headers:
    given = {"Content-Range": span, **({"ETag": etag} if etag else {})}
    return Headers(given | {name.replace("_", "-"): value for name, value in more.items()})


@pytest.mark.parametrize(
    ("status", "headers", "saved", "answer"),
    [
        (206, rest(), ETAG, Answer(Verdict.APPEND, 200)),
        # Nobody says where the end is
        (206, rest("bytes 100-199/*"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes 100-149/200"), ETAG, Answer(Verdict.APPEND, 200)),
        (206, rest(etag=None), DATED, Answer(Verdict.APPEND, 200)),
        (206, rest(etag=None, Last_Modified=DATE), DATED, Answer(Verdict.APPEND, 200)),
        # Another version of the file, or nobody can tell
        (206, rest(etag='"v2"'), ETAG, Answer(Verdict.AGAIN)),
        (206, rest(etag='W/"v1"'), ETAG, Answer(Verdict.AGAIN)),
        (206, rest(etag=None), ETAG, Answer(Verdict.AGAIN)),
        (206, rest(etag=None, Last_Modified=LATER), DATED, Answer(Verdict.AGAIN)),
        (206, rest(Content_Encoding="gzip"), ETAG, Answer(Verdict.AGAIN)),
        # Not the range that was asked for
        (206, rest("bytes 99-199/200"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes 101-199/200"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes 0-199/200"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes 100-99/200"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes 100-200/200"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes 100-199"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("items 100-199/200"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes 100-199/200, bytes 0-1/200"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes \u0661\u0660\u0660-199/200"), ETAG, Answer(Verdict.AGAIN)),
        (206, rest("bytes 100-199/" + "9" * 5000), ETAG, Answer(Verdict.AGAIN)),
        (206, Headers({"Content-Type": "multipart/byteranges; boundary=x"}), ETAG,
         Answer(Verdict.AGAIN)),
        (200, Headers(), ETAG, Answer(Verdict.ANEW)),
        (416, Headers({"Content-Range": "bytes */100"}), ETAG, Answer(Verdict.AGAIN)),
        (204, Headers(), ETAG, Answer(Verdict.REFUSE)),
        (304, Headers(), ETAG, Answer(Verdict.REFUSE)),
        (404, rest(), ETAG, Answer(Verdict.REFUSE)),
        (503, Headers(), ETAG, Answer(Verdict.REFUSE)),
    ],
)  # fmt: skip
def test_judge(status: int, headers: Headers, saved: Saved, answer: Answer) -> None:
    assert judge(status, headers, saved, SIZE) == answer


def test_what_is_asked_for() -> None:
    assert range_headers(ETAG, 100) == [("Range", "bytes=100-"), ("If-Range", '"v1"')]
    assert range_headers(DATED, 1) == [("Range", "bytes=1-"), ("If-Range", DATE)]


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"v1"'}, '"v1"'),
        ({"ETag": '"v1"', "Last-Modified": DATE, "Date": LATER}, '"v1"'),
        ({"Last-Modified": DATE, "Date": LATER}, DATE),
        ({"ETag": 'W/"v1"', "Last-Modified": DATE, "Date": LATER}, DATE),
        ({"ETag": '"v1"', "Content-Encoding": "identity"}, '"v1"'),
        ({"ETag": 'W/"v1"'}, None),
        ({"ETag": "v1"}, None),
        ({"ETag": '"a", "b"'}, None),
        ({"Last-Modified": DATE, "Date": DATE}, None),  # it may have changed in that second
        ({"Last-Modified": DATE}, None),
        ({"Last-Modified": "yesterday", "Date": LATER}, None),
        ({"Last-Modified": "Tue, 99 Nov 1994 08:12:31 GMT", "Date": LATER}, None),
        ({"ETag": '"v1"', "Content-Encoding": "gzip"}, None),
        ({}, None),
    ],
)
def test_what_tells_a_version(headers: dict[str, str], validator: str | None) -> None:
    saved = saved_from_response("http://h/", Headers(headers))
    assert (saved.validator if saved else None) == validator
    if saved is not None:
        assert saved_from_json(saved.to_json()) == saved
        assert "http" not in saved.to_json()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "{}", '{"url": 1, "etag": "x", "last_modified": null}',
        '{"url": "x", "etag": null, "last_modified": null}',
        '{"url": "x", "etag": "a\\r\\nX: y", "last_modified": null}',
        '{"url": "x", "etag": 5, "last_modified": null}',
        '{"url": "x", "etag": "y", "last_modified": null, "more": 1}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_notes_that_are_not_ours_are_none(text: str) -> None:
    assert saved_from_json(text) is None


def test_urls_are_told_apart() -> None:
    assert url_hash("http://h/?a") != url_hash("http://h/?b")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/file.txt", "file.txt"),
        ("http://h/a/file.txt?x=/y", "file.txt"),
        ("http://h/a%20b.txt", "a b.txt"),
        ("http://h/%E2%82%AC", "€"),
        ("http://h/..%2F..%2Fetc%2Fpasswd", "_.._etc_passwd"),
        ("http://h/a%5Cb%3Ac%00d%1B", "a_b_c_d_"),
        ("http://h/%2e%2e", ""),
        ("http://h/.", ""),
        ("http://h/", ""),
        ("http://h", ""),
        ("http://h/nul", "_nul"),
        ("http://h/COM1.txt", "_COM1.txt"),
        ("http://h/%FF", "\N{REPLACEMENT CHARACTER}"),
        ("http://h/" + "é" * 300, "é" * 100),
    ],
)
def test_remote_name_is_a_name_and_nothing_else(url: str, name: str) -> None:
    assert remote_name(url) == name
