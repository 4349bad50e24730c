"""Options that cannot be meant are refused where they are given, before anything is sent."""

from __future__ import annotations

import io
from collections.abc import Generator
from typing import Any

import pytest

import httpclient as httpx
from httpclient.transports.retry import RetryPolicy

CLIENTS = pytest.mark.parametrize("client_class", [httpx.Client, httpx.AsyncClient])

OK = httpx.MockTransport(lambda request: httpx.Response(200, content=request.content))


@CLIENTS
@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"max_redirects": "5"}, TypeError, "max_redirects is a whole number, not str"),
        ({"max_redirects": None}, TypeError, "max_redirects is a whole number"),
        ({"max_redirects": float("nan")}, TypeError, "max_redirects is a whole number"),
        ({"max_redirects": True}, TypeError, "max_redirects is a whole number"),
        ({"max_redirects": -1}, ValueError, "max_redirects must not be negative"),
        ({"max_decoded": "5"}, TypeError, "max_decoded is a whole number, not str"),
        ({"max_decoded": float("nan")}, TypeError, "max_decoded is a whole number"),
        ({"max_decoded": -1}, ValueError, "max_decoded must not be negative"),
        ({"limits": None}, TypeError, "limits are Limits, not NoneType"),
        ({"limits": {"max_connections": 1}}, TypeError, "limits are Limits, not dict"),
        ({"mounts": [("all://", None)]}, TypeError, "mounts maps patterns to transports"),
        ({"mounts": {"all://": "x"}}, TypeError, r"has the method handle_\w*request; str has not"),
        ({"transport": "x"}, TypeError, r"has the method handle_\w*request; str has not"),
        ({"default_encoding": "no-such"}, ValueError, "cannot be decoded with 'no-such'"),
        ({"default_encoding": 5}, ValueError, "cannot be decoded with 5"),
    ],
)
def test_options_of_a_client(
    client_class: Any, options: dict[str, Any], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        client_class(**options)


@CLIENTS
def test_options_that_are_as_good_as_the_usual_ones(client_class: Any) -> None:
    client = client_class(
        max_redirects=0,
        max_decoded=None,
        limits=httpx.Limits(),
        mounts={},
        default_encoding=lambda content: "latin-1",
    )
    assert (client.max_redirects, client.max_decoded) == (0, None)


def test_a_transport_of_the_other_kind() -> None:
    with pytest.raises(TypeError, match="handle_request; AsyncHTTPTransport has not"):
        httpx.Client(transport=httpx.AsyncHTTPTransport())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="handle_async_request; HTTPTransport has not"):
        httpx.AsyncClient(mounts={"all://": httpx.HTTPTransport()})  # type: ignore[dict-item]


def test_what_is_no_request_is_not_sent() -> None:
    with httpx.Client(transport=OK) as client:
        with pytest.raises(TypeError, match="what is sent is a Request, not str"):
            client.send("http://example.org/")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="the method is a str, not NoneType"):
            client.request(None, "http://example.org/")  # type: ignore[arg-type]


class Returning(httpx.Auth):
    def auth_flow(self, request: httpx.Request) -> Any:
        return request  # where a yield was meant


class YieldingNothing(httpx.Auth):
    def auth_flow(self, request: httpx.Request) -> Generator[Any, httpx.Response, None]:
        yield


class YieldingNothingMore(httpx.Auth):
    def auth_flow(self, request: httpx.Request) -> Generator[Any, httpx.Response, None]:
        yield request
        yield


FLOWS = pytest.mark.parametrize(
    ("auth", "problem"),
    [
        (Returning(), "auth_flow is a generator, it yields requests, not Request"),
        (YieldingNothing(), "auth_flow yields requests, not NoneType"),
        (YieldingNothingMore(), "auth_flow yields requests, not NoneType"),
    ],
    ids=lambda value: type(value).__name__,
)


@FLOWS
def test_an_auth_flow_that_is_none(auth: httpx.Auth, problem: str) -> None:
    with httpx.Client(transport=OK, auth=auth) as client, pytest.raises(TypeError, match=problem):
        client.get("http://example.org/")


@FLOWS
async def test_an_async_auth_flow_that_is_none(auth: httpx.Auth, problem: str) -> None:
    async with httpx.AsyncClient(transport=OK, auth=auth) as client:
        with pytest.raises(TypeError, match=problem):
            await client.get("http://example.org/")


def test_a_file_that_tells_but_does_not_seek() -> None:
    class Telling:
        def __init__(self) -> None:
            self._file = io.BytesIO(b"abc")
            self.read = self._file.read
            self.tell = self._file.tell

    with httpx.Client(transport=OK) as client:
        response = client.post("http://example.org/", content=Telling())  # type: ignore[arg-type]
        assert response.content == b"abc"
        assert response.request.headers["Transfer-Encoding"] == "chunked"


def test_statuses_from_an_iterator() -> None:
    assert RetryPolicy(statuses=iter([503])).statuses == {503}  # type: ignore[arg-type]


@pytest.mark.parametrize("statuses", ["503", b"503", ["503"], [None]])
def test_statuses_to_be_retried(statuses: Any) -> None:
    with pytest.raises(TypeError, match="statuses is a collection of numbers"):
        httpx.RetryTransport(OK, statuses=statuses)
