"""The values that options become: checked, compared by their fields, never changed."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from httpcore_core import ConnectionPool, LocalProtocolError, MockBackend
from httpcore_core._options import ConnectionOptions, PoolLimits, parse_timeouts


@pytest.mark.parametrize("kind", [ConnectionOptions, PoolLimits])
def test_equal_fields_make_equal_values(kind: Any) -> None:
    first, second = kind(), kind()
    assert first == second
    assert hash(first) == hash(second)
    assert first != first.as_dict()
    name = kind.__slots__[0]
    assert f"{name}={getattr(first, name)!r}" in repr(first)
    assert kind(**first.as_dict()) == first


def test_other_fields_make_another_value() -> None:
    assert PoolLimits(max_connections=3) != PoolLimits()
    assert ConnectionOptions(retries=3) != ConnectionOptions()
    assert ConnectionOptions() != PoolLimits()


@pytest.mark.parametrize("value", [ConnectionOptions(), PoolLimits()])
def test_values_do_not_change(value: Any) -> None:
    name = type(value).__slots__[0]
    with pytest.raises(AttributeError, match="does not change"):
        setattr(value, name, 1)
    with pytest.raises(AttributeError, match="does not change"):
        delattr(value, name)
    with pytest.raises(AttributeError):
        value.no_such_option = 1


def test_an_iterator_of_socket_options_is_read_once() -> None:
    options = ConnectionOptions(socket_options=iter([(1, 2, 3)]))
    assert options.socket_options == [(1, 2, 3)]


@pytest.mark.parametrize(
    ("kind", "name", "value", "error"),
    [
        (ConnectionOptions, "retries", -1, ValueError),
        (ConnectionOptions, "retries", True, TypeError),
        (ConnectionOptions, "max_header_bytes", 0, ValueError),
        (ConnectionOptions, "max_header_count", 1.5, TypeError),
        (PoolLimits, "max_connections", 0, ValueError),
        (PoolLimits, "max_keepalive_connections", -1, ValueError),
        (PoolLimits, "keepalive_expiry", float("nan"), ValueError),
        (PoolLimits, "max_connection_age", "1", TypeError),
    ],
)
def test_wrong_options_are_refused(kind: Any, name: str, value: Any, error: type) -> None:
    with pytest.raises(error, match=name):
        kind(**{name: value})


@pytest.mark.parametrize("value", [PoolLimits(max_connections=3), ConnectionOptions(retries=2)])
def test_options_pickle_and_copy(value: Any) -> None:
    for same in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert type(same) is type(value)
        assert same == value


def test_a_duration_that_was_accepted_lets_no_truth_value_pass() -> None:
    """1, 1.0 and True are equal, and what was checked is remembered."""
    for limit in (1, 1.0):
        assert parse_timeouts({"read": limit}).read == limit
    with pytest.raises(LocalProtocolError, match="must be a number"):
        parse_timeouts({"read": True})


@pytest.mark.parametrize("value", [5.0, 0, False, "", [], ("connect", 1)])
def test_a_timeout_that_is_no_dictionary(value: Any) -> None:
    """What is false does not mean: no limits."""
    with pytest.raises(LocalProtocolError, match="must be a dictionary"):
        parse_timeouts(value)
    with ConnectionPool(network_backend=MockBackend([])) as pool:
        with pytest.raises(LocalProtocolError, match="must be a dictionary"):
            pool.request("GET", "http://example.org/", extensions={"timeout": value})


def test_no_timeouts() -> None:
    assert set(parse_timeouts(None)) == set(parse_timeouts({})) == {None}


@pytest.mark.parametrize("name", ["trace", "informational"])
def test_sync_code_refuses_functions_that_it_would_have_to_wait_for(name: str) -> None:
    """They would seem to work and never run."""

    async def never_run(*args: Any) -> None:
        raise AssertionError("nobody waits for this")

    answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    with ConnectionPool(network_backend=MockBackend([answer])) as pool:
        with pytest.raises(TypeError, match="is for async code"):
            pool.request("GET", "http://example.org/", extensions={name: never_run})
        assert pool.connections == []
