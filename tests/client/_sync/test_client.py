"""The client over transports of the tests' own: what is sent, what comes back, what is closed."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest

import httpclient as httpx
import httpclient._decoding as decoding
from httpclient._sync.body import Body
from httpclient._content_coding import accept_encoding

URL = "http://example.org/"
CODINGS = accept_encoding().encode()
DEFAULT = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


class Chunks(httpx.SyncByteStream):
    """Counts how often it is closed; raises `error` after its chunks."""

    def __init__(self, *chunks: bytes, error: BaseException | None = None) -> None:
        self.chunks = list(chunks)
        self.error = error
        self.closed = 0

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self) -> None:
        self.closed += 1


class RecordingTransport(httpx.BaseTransport):
    """Keeps what it was asked and answers with `stream`, or raises it."""

    def __init__(self, stream: Any = None) -> None:
        self.stream_or_error = httpx.ByteStream(b"ok") if stream is None else stream
        self.requests: list[Any] = []
        self.closed = 0

    def handle_request(
        self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
    ) -> tuple[int, list[tuple[bytes, bytes]], Any, dict[str, Any]]:
        body = stream.read()
        self.requests.append((method, url, headers, body, extensions))
        if isinstance(self.stream_or_error, BaseException):
            raise self.stream_or_error
        return 200, [(b"X", b"y")], self.stream_or_error, {"http_version": b"HTTP/1.1"}

    def close(self) -> None:
        self.closed += 1


def test_request_is_primitive() -> None:
    transport = RecordingTransport()
    with httpx.Client(transport=transport) as client:
        response = client.post("http://Example.org:81/a?b", content="x", headers={"A": "b"})
    assert transport.requests == [
        (
            b"POST",
            (b"http", b"example.org", 81, b"/a?b"),
            [
                (b"Host", b"example.org:81"),
                (b"Accept", b"*/*"),
                (b"Accept-Encoding", CODINGS),
                (b"User-Agent", b"python-httpclient/0.1.0"),
                (b"A", b"b"),
                (b"Content-Length", b"1"),
            ],
            b"x",
            {"timeout": DEFAULT},
        )
    ]
    assert (response.status_code, response.text, response.headers) == (200, "ok", {"x": "y"})
    assert response.http_version == "HTTP/1.1"
    assert response.url == "http://example.org:81/a?b"
    assert response.is_closed


@pytest.mark.parametrize("name", ["get", "options", "head", "post", "put", "patch", "delete"])
def test_methods(name: str) -> None:
    transport = RecordingTransport()
    with httpx.Client(transport=transport) as client:
        getattr(client, name)(URL)
    assert transport.requests[0][0] == name.upper().encode()


def test_headers_of_client_and_request_are_merged() -> None:
    transport = RecordingTransport()
    own = {"user-agent": "me", "A": "1"}
    with httpx.Client(transport=transport, headers=own) as client:
        client.headers["B"] = "2"
        client.get(URL, headers={"a": "3", "Host": "other"})
    assert transport.requests[0][2] == [
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", CODINGS),
        (b"user-agent", b"me"),
        (b"B", b"2"),
        (b"a", b"3"),
        (b"Host", b"other"),
    ]


@pytest.mark.parametrize(
    ("timeout", "limits"),
    [
        (None, dict.fromkeys(DEFAULT)),
        (0, dict.fromkeys(DEFAULT, 0)),
        (1.5, dict.fromkeys(DEFAULT, 1.5)),
        ((1, 2), {"connect": 1, "read": 2, "write": None, "pool": None}),
        ({"read": None, "total": 9}, DEFAULT | {"read": None, "total": 9}),
    ],
)
def test_h17_timeout_of_client_or_request(timeout: Any, limits: dict[str, Any]) -> None:
    transport = RecordingTransport()
    with httpx.Client(transport=transport, timeout=timeout) as client:
        assert client.timeout == limits
        client.get(URL)
    with httpx.Client(transport=transport) as client:
        client.get(URL, timeout=timeout)
        client.get(URL, extensions={"timeout": {"read": 7.0}, "a": 1})
    assert [request[4] for request in transport.requests] == [
        {"timeout": limits},
        {"timeout": limits},
        {"timeout": {"read": 7.0}, "a": 1},
    ]


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1", (1,), (1,) * 5, {"x": 1}])
def test_h17_wrong_timeout(timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        httpx.Client(timeout=timeout, transport=RecordingTransport())


def test_h17_infinite_timeout() -> None:
    client = httpx.Client(timeout=float("inf"), transport=RecordingTransport())
    assert client.timeout == dict.fromkeys(DEFAULT, float("inf"))
    client.close()


@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        ("http://h/v1", "/users", "http://h/v1/users"),
        ("http://h/v1/", "users?a", "http://h/v1/users?a"),
        ("http://h/v1/", "?a", "http://h/v1?a"),
        ("http://h/v1/", "", "http://h/v1/"),
        ("http://h", "", "http://h/"),
        ("http://h/v1", "http://other/x", "http://other/x"),
    ],
)
def test_base_url(base: str, url: str, expected: str) -> None:
    with httpx.Client(base_url=base, transport=RecordingTransport()) as client:
        assert client.build_request("GET", url).url == expected
        with pytest.raises(httpx.InvalidURL):
            client.build_request("GET", "//other/x")


def test_url_without_scheme() -> None:
    with httpx.Client(transport=RecordingTransport()) as client:
        for url in ("/x", "//h/x", ""):
            with pytest.raises(httpx.UnsupportedProtocol) as caught:
                client.get(url)
            assert caught.value.request.url == url


def test_transport_passed_in_is_not_closed() -> None:
    transport = RecordingTransport()
    with httpx.Client(transport=transport) as client:
        pass
    client.close()
    assert client.is_closed
    assert transport.closed == 0
    with pytest.raises(httpx.PoolClosed) as caught:
        client.get(URL)
    assert caught.value.request.url == URL
    assert transport.requests == []


def test_error_of_the_transport_carries_the_request() -> None:
    error = httpx.ReadError("gone", origin="http://example.org:80")
    with httpx.Client(transport=RecordingTransport(error)) as client:
        with pytest.raises(httpx.RequestError) as caught:
            client.get(URL)
    assert caught.value is error
    assert error.request.url == URL
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert str(twin) == str(error)
        assert twin.request.url == URL


def test_error_in_the_body_carries_the_request_and_closes() -> None:
    body = Chunks(b"a", error=httpx.ReadError("gone"))
    with httpx.Client(transport=RecordingTransport(body)) as client:
        with pytest.raises(httpx.ReadError) as caught:
            client.get(URL)
    assert caught.value.request.url == URL
    assert body.closed == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError()])
def test_any_error_in_the_body_passes_through_and_closes(error: BaseException) -> None:
    body = Chunks(b"a", error=error)
    with httpx.Client(transport=RecordingTransport(body)) as client:
        with pytest.raises(type(error)) as caught:
            client.get(URL)
    assert caught.value is error
    assert body.closed == 1


def test_streaming() -> None:
    body = Chunks(b"a", b"b")
    with httpx.Client(transport=RecordingTransport(body)) as client:
        with client.stream("GET", URL) as response:
            assert not response.is_closed
            with pytest.raises(httpx.ResponseNotRead):
                assert response.content
            chunks = []
            for chunk in Body(response, decoding.ByteStep()):
                chunks.append(chunk)
            assert chunks == [b"a", b"b"]
            assert (response.is_closed, body.closed) == (True, 1)
            with pytest.raises(httpx.StreamConsumed):
                response.read()
    assert body.closed == 1


def test_streamed_response_can_be_read() -> None:
    body = Chunks(b"a", b"b")
    with httpx.Client(transport=RecordingTransport(body)) as client:
        with client.stream("GET", URL) as response:
            assert response.read() == response.read() == b"ab"
        assert response.text == "ab"
    assert body.closed == 1


def test_l5_breaking_out_closes_once_and_leaves_nothing() -> None:
    body = Chunks(b"a", b"b")
    with httpx.Client(transport=RecordingTransport(body)) as client:
        with client.stream("GET", URL) as response:
            for _ in Body(response, decoding.ByteStep()):
                break
            assert body.closed == 0
        assert body.closed == 1
        response.close()
        with pytest.raises(httpx.StreamConsumed):
            Body(response, decoding.ByteStep())
    gc.collect()
    assert body.closed == 1


def test_closed_response_cannot_be_read() -> None:
    body = Chunks(b"a")
    with httpx.Client(transport=RecordingTransport(body)) as client:
        response = client.send(client.build_request("GET", URL), stream=True)
        response.close()
        with pytest.raises(httpx.StreamClosed):
            response.read()
    assert body.closed == 1


def test_l5_generator_behind_a_body_is_closed() -> None:
    ended = []

    class Generated(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            try:
                yield b"a"
                yield b"b"
            finally:
                ended.append(True)

    with httpx.Client(transport=RecordingTransport(Generated())) as client:
        with client.stream("GET", URL) as response:
            for _ in Body(response, decoding.ByteStep()):
                break
        assert ended == [True]


def test_stream_that_cannot_be_entered() -> None:
    with httpx.Client(transport=RecordingTransport(httpx.ReadError("gone"))) as client:
        with pytest.raises(httpx.ReadError):
            with client.stream("GET", URL):
                raise AssertionError("not reached")


def test_body_of_no_kind_is_refused() -> None:
    with httpx.Client(transport=RecordingTransport()) as client:
        request = client.build_request("POST", URL)
        request.stream = object()
        with pytest.raises(httpx.LocalProtocolError) as caught:
            client.send(request)
    assert caught.value.request is request


def test_p6_started_body_is_not_sent_again() -> None:
    def parts() -> Any:
        yield b"a"

    transport = RecordingTransport()
    with httpx.Client(transport=transport) as client:
        request = client.build_request("POST", URL, content=parts())
        client.send(request)
        with pytest.raises(httpx.StreamConsumed):
            client.send(request)
    assert [request[3] for request in transport.requests] == [b"a"]
