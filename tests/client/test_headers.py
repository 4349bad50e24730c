"""Headers: order and case as given, look-up regardless of case."""

from __future__ import annotations

import copy
import pickle

import pytest

from httpclient import Headers, LocalProtocolError


def test_raw_keeps_order_case_and_repetitions() -> None:
    raw = [(b"X-B", b"1"), (b"x-a", b"2"), (b"x-b", b"3")]
    headers = Headers(raw)
    assert headers.raw == raw
    assert headers["X-b"] == "1, 3"
    assert headers.get_list("x-B") == ["1", "3"]
    assert list(headers) == ["x-b", "x-a"]
    assert len(headers) == 2
    assert headers.multi_items() == [("x-b", "1"), ("x-a", "2"), ("x-b", "3")]
    assert "X-A" in headers
    assert b"x-a" in headers
    assert "ü" not in headers
    assert 1 not in headers
    assert headers.get("none") is None


def test_setting_replaces_all_in_the_place_of_the_first() -> None:
    headers = Headers([("A", "1"), ("B", "2"), ("a", "3")])
    headers["a"] = "4"
    headers["C"] = "5"
    assert headers.raw == [(b"a", b"4"), (b"B", b"2"), (b"C", b"5")]
    del headers["b"]
    with pytest.raises(KeyError):
        del headers["b"]
    with pytest.raises(KeyError):
        headers["b"]
    assert headers == {"A": "4", "c": "5"}


def test_merged_replaces_by_name() -> None:
    own = Headers({"Accept": "*/*", "User-Agent": "x"})
    merged = own.merged([("ACCEPT", "a"), ("Accept", "b")])
    assert merged.raw == [(b"User-Agent", b"x"), (b"ACCEPT", b"a"), (b"Accept", b"b")]
    assert own.merged(None) == own
    assert own.copy() == own


def test_values_are_utf8_and_any_bytes_can_be_read() -> None:
    assert Headers({"a": "ü"}).raw == [(b"a", "ü".encode())]
    assert Headers({"a": "ü"})["a"] == "ü"
    assert Headers([(b"a", b"\xfc")])["a"] == "ü"


@pytest.mark.parametrize("pair", [("ü", "x"), ("x", "\ud800")])
def test_text_that_cannot_be_sent_is_our_error(pair: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Headers([pair])
    assert isinstance(caught.value.__cause__, UnicodeEncodeError)


def test_wrong_types_are_type_errors() -> None:
    with pytest.raises(TypeError):
        Headers({"a": 1})  # type: ignore[dict-item]


def test_i9_repr_hides_credentials() -> None:
    headers = Headers({"Authorization": "secret", "Cookie": "secret", "X": "shown"})
    assert "secret" not in repr(headers)
    assert "shown" in repr(headers)


def test_headers_compare_copy_and_pickle() -> None:
    headers = Headers({"A": "1", "B": "2"})
    assert headers == [("b", "2"), ("a", "1")]
    assert headers != {"a": "1"}
    assert headers != 1
    assert headers != ["nonsense"]
    for twin in (copy.copy(headers), copy.deepcopy(headers), pickle.loads(pickle.dumps(headers))):
        assert twin == headers
        twin["a"] = "changed"
    assert headers["a"] == "1"
    with pytest.raises(TypeError):
        hash(headers)
