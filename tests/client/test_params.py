"""Query parameters."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import httpclient as httpx


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, ""),
        ("a=1&b=&c", "a=1&b=&c="),
        (b"a=%C3%BC", "a=%C3%BC"),
        ({"a": 1, "b": 1.5, "c": True, "d": False, "e": None}, "a=1&b=1.5&c=true&d=false&e="),
        ({"a": ["x", "y"], "b": ()}, "a=x&a=y"),
        ([("a", "1"), ("b", "2"), ("a", "3")], "a=1&b=2&a=3"),
        ({"a b": "c d+&=#/?"}, "a%20b=c%20d%2B%26%3D%23%2F%3F"),
    ],
)
def test_params_become_a_query(given: Any, text: str) -> None:
    assert str(httpx.QueryParams(given)) == text


def test_params_are_a_mapping() -> None:
    params = httpx.QueryParams("a=1&b=2&a=3")
    assert (params["a"], params.get_list("a"), params.get("x")) == ("1", ["1", "3"], None)
    assert (list(params), len(params), "b" in params, "x" in params) == (["a", "b"], 2, True, False)
    assert params.multi_items() == [("a", "1"), ("b", "2"), ("a", "3")]
    assert httpx.QueryParams(a=1) == {"a": 1} == httpx.QueryParams("a=1")
    assert params != {"a": 1}
    assert params != 1
    with pytest.raises(KeyError):
        params["x"]
    assert not httpx.QueryParams()


def test_params_do_not_change() -> None:
    params = httpx.QueryParams("a=1&b=2&a=3")
    assert str(params.set("a", 4)) == "a=4&b=2"
    assert str(params.add("a", 4)) == "a=1&b=2&a=3&a=4"
    assert str(params.remove("a")) == "b=2"
    assert str(params.merge({"c": 1, "b": [5, 6]})) == "a=1&b=5&b=6&a=3&c=1"
    assert str(params) == "a=1&b=2&a=3"
    assert hash(params) == hash(httpx.QueryParams("a=1&b=2&a=3"))
    for twin in (copy.copy(params), copy.deepcopy(params), pickle.loads(pickle.dumps(params))):
        assert twin == params


@pytest.mark.parametrize("value", [object(), {"x": 1}, b"bytes", [["nested"]]])
def test_a_value_is_plain(value: Any) -> None:
    with pytest.raises(TypeError):
        httpx.QueryParams({"a": value})


@given(st.lists(st.tuples(st.text(), st.text())))
def test_pairs_come_back(pairs: list[tuple[str, str]]) -> None:
    try:
        text = str(httpx.QueryParams(pairs))
    except UnicodeEncodeError:
        return
    assert text.isascii()
    assert httpx.QueryParams(text).multi_items() == pairs
