"""What the client does around its transport: authentication, hooks, mounts, proxies of the
environment, forms, codings, cookies, and what pickles."""

from __future__ import annotations

import base64
import gzip
import io
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import pytest

import httpclient as httpx
from httpclient._concurrency import call_back

URL = "http://example.org/"


class Chunks(httpx.SyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.closed = 0

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        raise StopIteration

    def close(self) -> None:
        self.closed += 1


class Answering(httpx.BaseTransport):
    """Answers with what `answer` returns for a request: status, headers, chunks."""

    def __init__(self, answer: Callable[[httpx.Request], Any] | None = None) -> None:
        self.answer = answer or (lambda request: (200, [], [b"ok"]))
        self.requests: list[httpx.Request] = []
        self.streams: list[Chunks] = []
        self.closed = 0

    def handle_request(
        self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
    ) -> Any:
        scheme, host, port, target = url
        text = b"".join([scheme, b"://", host, b"" if port is None else b":%d" % port, target])
        body = stream.read()
        request = httpx.Request(
            method, text.decode(), headers=headers, content=body, extensions=extensions
        )
        self.requests.append(request)
        status, fields, chunks = self.answer(request)
        self.streams.append(Chunks(*chunks))
        return status, fields, self.streams[-1], {}

    def close(self) -> None:
        self.closed += 1


def client(answer: Any = None, **options: Any) -> tuple[httpx.Client, Answering]:
    transport = Answering(answer)
    return httpx.Client(transport=transport, **options), transport


# Authentication


def test_a_tuple_is_basic_authentication() -> None:
    http, transport = client(auth=("user", "pass"))
    with http:
        http.get(URL)
        http.get(URL, auth=("üser", ""))
        http.get(URL, auth=None)
        http.get("http://a%40b:c@example.org/")
    seen = [request.headers.get("Authorization") for request in transport.requests]
    expected = ["user:pass", "üser:", None, "user:pass"]
    assert seen == [v and "Basic " + base64.b64encode(v.encode()).decode() for v in expected]
    http, transport = client()
    with http:
        http.get("http://a%40b:c@example.org/")
        http.get("http://a%40b:c@example.org/", auth=None)
    assert transport.requests[0].headers["Authorization"] == "Basic YUBiOmM="
    assert "Authorization" not in transport.requests[1].headers
    assert transport.requests[0].url == URL


def test_digest_answers_a_challenge_and_uses_its_nonce_again() -> None:
    def answer(request: httpx.Request) -> Any:
        if "Authorization" in request.headers:
            return 200, [], [b"in"]
        challenge = b'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'
        return 401, [(b"WWW-Authenticate", challenge), (b"Set-Cookie", b"s=2")], [b"who?"]

    http, transport = client(answer, auth=httpx.DigestAuth("user", "pass"))
    with http:
        response = http.post(URL, content=b"again", cookies={"own": "1"})
        assert (response.status_code, response.text) == (200, "in")
        assert [old.status_code for old in response.history] == [401]
        http.get(URL)
    first, second, third = transport.requests
    assert "Authorization" not in first.headers
    assert "nc=00000001" in second.headers["Authorization"]
    assert "nc=00000002" in third.headers["Authorization"]
    assert second.content == b"again"
    seen = [request.headers.get("Cookie", "").split("; ") for request in transport.requests]
    assert [sorted(cookies) for cookies in seen] == [["own=1"], ["own=1", "s=2"], ["s=2"]]
    assert all(stream.closed == 1 for stream in transport.streams)


def test_h16_a_flow_that_raises_closes_the_response() -> None:
    class Failing(httpx.Auth):
        closed = False

        def auth_flow(self, request: httpx.Request) -> Any:
            try:
                yield request
                raise ZeroDivisionError
            finally:
                type(self).closed = True

    http, transport = client(auth=Failing())
    with http:
        with pytest.raises(ZeroDivisionError):
            http.get(URL)
    assert Failing.closed
    assert transport.streams[0].closed == 1


def test_a_function_is_an_auth() -> None:
    def sign(request: httpx.Request) -> httpx.Request:
        request.headers["X-Signature"] = "signed"
        return request

    http, transport = client(auth=sign)
    with http:
        http.get(URL)
    assert transport.requests[0].headers["X-Signature"] == "signed"


# Hooks


def test_hooks_see_each_request_and_each_response() -> None:
    seen: list[str] = []

    def on_request(request: httpx.Request) -> None:
        request.headers["X-Hook"] = "1"
        seen.append(f"> {request.url.path}")

    def on_response(response: httpx.Response) -> None:
        seen.append(f"< {response.status_code} {response.is_closed}")
        response.read()

    def answer(request: httpx.Request) -> Any:
        return (200, [], [b"ok"]) if request.url.path == "/b" else (302, [(b"Location", b"/b")], [])

    hooks = {"request": [on_request], "response": [on_response]}
    http, transport = client(answer, event_hooks=hooks, follow_redirects=True)
    with http:
        response = http.get(URL)
    assert seen == ["> /", "< 302 False", "> /b", "< 200 False"]
    assert response.text == "ok"
    assert transport.requests[1].headers["X-Hook"] == "1"


@pytest.mark.parametrize("kind", ["request", "response"])
def test_h16_a_hook_that_raises_closes_the_response(kind: str) -> None:
    def fail(value: Any) -> None:
        raise ZeroDivisionError

    http, transport = client(event_hooks={kind: [fail]})
    with http:
        with pytest.raises(ZeroDivisionError):
            http.get(URL)
    assert [stream.closed for stream in transport.streams] == ([1] if kind == "response" else [])
    with pytest.raises(ValueError, match="unknown keys: answer"):
        http.event_hooks = {"answer": [fail]}


def test_h16_a_hook_is_called_in_the_clients_own_way() -> None:
    called: list[int] = []

    def hook(value: int) -> None:
        called.append(value)

    call_back(hook, 1)
    call_back(called.append, 2)
    assert called == [1, 2]


# Where requests go


def test_mounts_choose_the_transport() -> None:
    own, special, files = Answering(), Answering(), Answering()
    mounts = {"all://special.org": special, "file://": files, "https://special.org": None}
    with httpx.Client(transport=own, mounts=mounts) as http:
        http.get("http://special.org/")
        http.get("https://special.org/")
        http.get("http://other.org/")
        http.get("file:///etc/hosts")
    assert [len(t.requests) for t in (own, special, files)] == [2, 1, 1]
    assert [t.closed for t in (own, special, files)] == [0, 0, 0]


@pytest.mark.parametrize("trusted", [True, False])
def test_l3_proxies_of_the_environment(monkeypatch: Any, trusted: bool) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    monkeypatch.setenv("NO_PROXY", "direct.org")
    own, mounted = Answering(), Answering()
    mounts = {"all://mounted.org": mounted, "all://unproxied.org": None}
    with httpx.Client(trust_env=trusted, mounts=mounts) as http:
        network = http._transport
        http._transport = own
        http.get("http://proxied.org/")
        http.get("http://direct.org/")
        http.get("https://proxied.org/")
        http.get("http://unproxied.org/")
        http.get("http://mounted.org/")
        http.get("http://proxied.org/", extensions={"proxy": None})
        network.close()
    proxies = [request.extensions.get("proxy") for request in own.requests + mounted.requests]
    first = "http://127.0.0.1:9/" if trusted else None
    assert [p and str(p).rstrip("/") + "/" for p in proxies] == [first, *[None] * 5]


# Bodies


def test_parameters_are_merged() -> None:
    http, transport = client(params={"a": 1, "b": 2})
    with http:
        http.get(URL)
        http.get(URL + "?b=3&c=4", params={"a": [5, 6]})
    assert [str(r.url.params) for r in transport.requests] == ["a=1&b=2", "b=2&c=4&a=5&a=6"]


def test_forms_and_files() -> None:
    http, transport = client()
    with http:
        http.post(URL, data={"a": ["1", "2"], "b": "ü &"})
        http.post(URL, data={"a": "1"}, files={"f": ("n.txt", io.BytesIO(b"file"))})
        http.post(URL, content=io.BytesIO(b"raw file"))
        http.post(URL, data=b"raw")
    form, files, raw, old = transport.requests
    assert form.content == b"a=1&a=2&b=%C3%BC+%26"
    assert form.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert files.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert int(files.headers["Content-Length"]) == len(files.content)
    assert b'filename="n.txt"' in files.content
    assert (raw.content, raw.headers["Content-Length"]) == (b"raw file", "8")
    assert old.content == b"raw"
    for options in ({"json": 1, "content": b""}, {"json": 1, "data": {"a": 1}}):
        with pytest.raises(TypeError):
            http.build_request("POST", URL, **options)


def coded(*chunks: bytes) -> Any:
    return lambda request: (200, [(b"Content-Encoding", b"gzip")], chunks)


def test_content_codings_are_undone() -> None:
    data = gzip.compress(b"line 1\nline 2")
    http, transport = client(coded(data[:5], data[5:]))
    with http:
        response = http.get(URL)
        assert (response.text, response.num_bytes_downloaded) == ("line 1\nline 2", len(data))
        with pytest.raises(httpx.StreamConsumed):
            response.iter_raw()
        with http.stream("GET", URL) as response:
            assert b"".join([part for part in response.iter_raw()]) == data
        with http.stream("GET", URL) as response:
            assert [part for part in response.iter_bytes(4)] == [
                b"line",
                b" 1\nl",
                b"ine ",
                b"2",
            ]
        with http.stream("GET", URL) as response:
            assert [line for line in response.iter_lines()] == ["line 1", "line 2"]
        with http.stream("GET", URL) as response:
            assert [text for text in response.iter_text(8)] == ["line 1\nl", "ine 2"]
    assert "gzip" in transport.requests[0].headers["Accept-Encoding"]
    assert all(stream.closed == 1 for stream in transport.streams)


@pytest.mark.parametrize("way", ["read", "iter_bytes", "iter_text", "iter_lines"])
def test_l2_a_bomb_ends_in_a_clear_error(way: str) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = bomb.compress(bytes(50_000_000)) + bomb.flush()
    http, transport = client(coded(data), max_decoded=1_000_000)
    with http:
        with pytest.raises(httpx.DecodingError, match="1000000 bytes") as caught:
            with http.stream("GET", URL) as response:
                if way == "read":
                    response.read()
                else:
                    for _ in getattr(response, way)():
                        pass
    assert vars(caught.value)["request"].url == URL
    assert transport.streams[0].closed == 1


@pytest.mark.parametrize(
    "data", [b"no gzip", gzip.compress(b"cut off" * 100)[:-9]], ids=["other", "cut off"]
)
def test_what_is_not_as_it_says_is_an_error(data: bytes) -> None:
    http, transport = client(coded(data))
    with http:
        with pytest.raises(httpx.DecodingError):
            http.get(URL)
    assert transport.streams[0].closed == 1


def test_i5_an_error_in_the_body_closes_the_response_that_nobody_else_closes() -> None:
    http, transport = client(coded(b"no gzip"))
    with http:
        response = http.send(http.build_request("GET", URL), stream=True)
        body = response.iter_bytes()
        with pytest.raises(httpx.DecodingError):
            body.__next__()
        assert (transport.streams[0].closed, response.is_closed) == (1, True)
        with pytest.raises(httpx.StreamClosed):
            body.__next__()  # or what there was would pass for the whole


def test_a_head_has_the_coding_of_a_body_that_it_has_not() -> None:
    http, _ = client(coded())
    with http:
        assert (http.head(URL)).content == b""


# Cookies


def test_l3_cookies_of_servers_come_back_to_them() -> None:
    def answer(request: httpx.Request) -> Any:
        return (
            200,
            [(b"Set-Cookie", b"s=1; Path=/"), (b"Set-Cookie", b"p=2; Path=/deep; Secure")],
            [],
        )

    http, transport = client(answer, cookies={"own": "x"})
    with http:
        response = http.get("https://example.org/")
        assert dict(response.cookies) == {"s": "1", "p": "2"}
        http.get("https://example.org/deep/er")
        http.get("http://example.org/deep")
        http.get("http://other.org/", cookies={"once": "y"})
        http.get("http://other.org/", headers={"Cookie": "exactly"})
    seen = [request.headers.get("Cookie", "").split("; ") for request in transport.requests]
    assert [sorted(cookies) for cookies in seen] == [
        ["own=x"],
        ["own=x", "p=2", "s=1"],
        ["own=x", "s=1"],
        ["once=y", "own=x"],
        ["exactly"],
    ]


# Values


def test_a_client_pickles_as_its_configuration() -> None:
    http = httpx.Client(
        headers={"A": "b"},
        params={"c": 1},
        cookies={"d": "e"},
        auth=("f", "g"),
        timeout=3.0,
        base_url="http://base/",
        follow_redirects=True,
        http2=True,
        limits=httpx.Limits(max_connections=7),
    )
    http.close()
    twin = pickle.loads(pickle.dumps(http))
    with twin:
        assert not twin.is_closed
        assert (twin.headers["A"], twin.timeout.read, twin.base_url) == ("b", 3.0, "http://base/")
        request = twin.build_request("GET", "/x")
        assert (request.url, request.headers["Cookie"]) == ("http://base/x?c=1", "d=e")
        options = twin._transport._pool._configuration
        assert (options["http2"], options["max_connections"]) == (True, 7)


def test_the_time_that_a_request_took() -> None:
    http, _ = client()
    with http:
        with http.stream("GET", URL) as response:
            with pytest.raises(RuntimeError):
                _ = response.elapsed
        assert response.elapsed.total_seconds() >= 0.0
