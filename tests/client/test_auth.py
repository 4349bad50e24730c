"""Authentication: the flows, sync and async, and the schemes that come with the client."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

import httpclient as httpx
from httpclient import _auth
from httpclient._auth import (
    Auth,
    BasicAuth,
    DigestAuth,
    FunctionAuth,
    NetRCAuth,
    build_auth,
)
from tests.flavours import FLAVOURS, run_async

URL = "http://example.com/x?y"
CLONES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda value: pickle.loads(pickle.dumps(value)),
]

Answer = Callable[[httpx.Request], httpx.Response]


def drive(flavour: str, auth: Auth, request: httpx.Request, answer: Answer) -> list[httpx.Response]:
    """What a client does: send what the flow asks for, in its style, and close it."""
    if flavour == "sync":
        return drive_sync(auth, request, answer)
    return run_async(flavour, drive_async, auth, request, answer)


def drive_sync(auth: Auth, request: httpx.Request, answer: Answer) -> list[httpx.Response]:
    responses = []
    flow = auth.sync_auth_flow(request)
    try:
        attempt = next(flow)
        while True:
            responses.append(answer(attempt))
            try:
                attempt = flow.send(responses[-1])
            except StopIteration:
                return responses
    finally:
        flow.close()


async def drive_async(auth: Auth, request: httpx.Request, answer: Answer) -> list[httpx.Response]:
    responses = []
    flow = auth.async_auth_flow(request)
    try:
        attempt = await flow.__anext__()
        while True:
            responses.append(answer(attempt))
            try:
                attempt = await flow.asend(responses[-1])
            except StopAsyncIteration:
                return responses
    finally:
        await flow.aclose()


both = pytest.mark.parametrize("flavour", ["sync", *FLAVOURS])


def ok(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, request=request)


def header_after(auth: Auth | None, url: str = URL, **options: Any) -> str | None:
    """The Authorization with which the first attempt is sent."""
    assert auth is not None
    request = httpx.Request("GET", url, **options)
    drive_sync(auth, request, ok)
    return request.headers.get("Authorization")


# Flows


class Scripted(Auth):
    """Two attempts; notes what happens to the flow."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        self.flow = self.steps(request)
        return self.flow  # which lives on here, and has to be closed by whoever runs it

    def steps(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            request.headers["X"] = "1"
            response = yield request
            self.events.append(response.status_code)
            if response.status_code == 500:
                raise KeyError("in the flow")
            request.headers["X"] = "2"
            response = yield request
            self.events.append(response.status_code)
        finally:
            self.events.append("closed")


@both
def test_a_flow_is_sent_each_response(flavour: str) -> None:
    auth = Scripted()
    request = httpx.Request("GET", URL)
    numbers: list[str] = []

    def answer(attempt: httpx.Request) -> httpx.Response:
        assert attempt is request
        numbers.append(attempt.headers["X"])
        return httpx.Response(200 + len(numbers), request=attempt)

    responses = drive(flavour, auth, request, answer)
    assert [response.status_code for response in responses] == [201, 202]
    assert (numbers, auth.events) == (["1", "2"], [201, 202, "closed"])


@both
def test_h16_an_error_of_the_flow_comes_through(flavour: str) -> None:
    auth = Scripted()
    with pytest.raises(KeyError, match="in the flow"):
        drive(flavour, auth, httpx.Request("GET", URL), lambda _: httpx.Response(500))
    assert auth.events == [500, "closed"]


@both
def test_h16_a_flow_that_is_left_half_way_is_closed(flavour: str) -> None:
    auth = Scripted()

    def answer(attempt: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no network")

    with pytest.raises(httpx.ConnectError):
        drive(flavour, auth, httpx.Request("GET", URL), answer)
    assert auth.events == ["closed"]


@both
def test_the_base_class_sends_the_request_once(flavour: str) -> None:
    assert len(drive(flavour, Auth(), httpx.Request("GET", URL), ok)) == 1


@both
def test_a_flow_that_yields_nothing_is_an_error(flavour: str) -> None:
    class Silent(Auth):
        def auth_flow(
            self, request: httpx.Request
        ) -> Generator[httpx.Request, httpx.Response, None]:
            yield from ()

    with pytest.raises(httpx.LocalProtocolError, match="yield a request"):
        drive(flavour, Silent(), httpx.Request("GET", URL), ok)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Can be read once, in either style; counts how often it is closed."""

    def __init__(self, content: bytes) -> None:
        self.chunks = [content]
        self.closed = 0

    def __iter__(self) -> Body:
        return self

    __aiter__ = __iter__

    def __next__(self) -> bytes:
        if not self.chunks:
            raise StopIteration
        return self.chunks.pop()

    async def __anext__(self) -> bytes:
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop()

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Signing(Auth):
    requires_request_body = True
    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Signature"] = request.content.decode()
        response = yield request
        request.headers["Signature"] = response.text
        yield request


@both
def test_bodies_that_a_flow_requires_are_read(flavour: str) -> None:
    sent, body = Body(b"request"), Body(b"response")
    request = httpx.Request("POST", URL, content=sent)
    signatures: list[str] = []

    def answer(attempt: httpx.Request) -> httpx.Response:
        signatures.append(attempt.headers["Signature"])
        stream: Any = body if len(signatures) == 1 else httpx.ByteStream(b"last")
        return httpx.Response(200, stream=stream, request=attempt)

    first, second = drive(flavour, Signing(), request, answer)
    assert signatures == ["request", "response"]
    assert (sent.closed, body.closed, first.is_closed) == (1, 1, True)
    assert (request.content, second.content) == (b"request", b"last")


@both
def test_bodies_that_no_flow_requires_are_left_alone(flavour: str) -> None:
    sent, body = Body(b"request"), Body(b"response")
    request = httpx.Request("POST", URL, content=sent)
    drive(
        flavour,
        BasicAuth("a", "b"),
        request,
        lambda attempt: httpx.Response(200, stream=body, request=attempt),
    )
    assert (sent.chunks, body.chunks, body.closed) == ([b"request"], [b"response"], 0)


class OfBothStyles(Auth):
    """As users write it who have to fetch a token first."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            request.headers["Authorization"] = "sync"
            yield request
        finally:
            self.closed.append("sync")

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        try:
            request.headers["Authorization"] = "async"
            yield request
        finally:
            self.closed.append("async")


@both
@pytest.mark.parametrize("fails", [False, True])
def test_flows_may_be_overridden_for_each_style(flavour: str, fails: bool) -> None:
    auth = OfBothStyles()
    request = httpx.Request("GET", URL)

    def answer(attempt: httpx.Request) -> httpx.Response:
        if fails:
            raise httpx.ReadError("gone")
        return httpx.Response(200)

    if fails:
        with pytest.raises(httpx.ReadError):
            drive(flavour, auth, request, answer)
    else:
        drive(flavour, auth, request, answer)
    style = "sync" if flavour == "sync" else "async"
    assert (request.headers["Authorization"], auth.closed) == (style, [style])


def test_an_async_flow_behaves_as_an_async_generator() -> None:
    async def main() -> None:
        auth = Scripted()
        flow = auth.async_auth_flow(httpx.Request("GET", URL))
        assert flow.__aiter__() is flow
        await flow.__anext__()
        with pytest.raises(TypeError, match="must be sent a response"):
            await flow.__anext__()
        with pytest.raises(ZeroDivisionError):
            await flow.athrow(ZeroDivisionError())
        assert auth.events == ["closed"]
        with pytest.raises(StopAsyncIteration):
            await flow.asend(httpx.Response(200))
        await flow.aclose()
        await flow.aclose()
        with pytest.raises(StopAsyncIteration):
            await flow.__anext__()
        unused = auth.async_auth_flow(httpx.Request("GET", URL))
        with pytest.raises(KeyError):
            await unused.athrow(KeyError())
        with pytest.raises(StopAsyncIteration):
            await unused.__anext__()
        early = auth.async_auth_flow(httpx.Request("GET", URL))
        await early.aclose()
        with pytest.raises(StopAsyncIteration):
            await early.__anext__()
        assert auth.events == ["closed"]

    run_async("asyncio", main)


def test_a_flow_that_catches_what_is_thrown_goes_on() -> None:
    class Catching(Auth):
        def auth_flow(
            self, request: httpx.Request
        ) -> Generator[httpx.Request, httpx.Response, None]:
            try:
                yield request
            except KeyError:
                request.headers["X"] = "caught"
            yield request

    async def main() -> None:
        request = httpx.Request("GET", URL)
        flow = Catching().async_auth_flow(request)
        await flow.__anext__()
        assert await flow.athrow(KeyError()) is request
        assert request.headers["X"] == "caught"
        with pytest.raises(StopAsyncIteration):
            await flow.asend(httpx.Response(200))

    run_async("asyncio", main)


# What `auth` may be


def sign(request: httpx.Request) -> httpx.Request:
    request.headers["Authorization"] = "signed"
    return request


def test_build_auth() -> None:
    assert build_auth(None) is None
    auth = BasicAuth("a", "b")
    assert build_auth(auth) is auth
    assert header_after(build_auth(("Aladdin", "open sesame"))) == BASIC
    assert header_after(build_auth(sign)) == "signed"
    values: list[Any] = ["user:secret", ("secret",), ("a", "secret", "c"), ["a", "secret"], 1]
    for value in values:
        with pytest.raises(TypeError, match="auth is a pair") as caught:
            build_auth(value)
        assert "secret" not in str(caught.value)


def test_a_callable_may_return_another_request() -> None:
    other = httpx.Request("GET", "http://other.test/")
    auth = FunctionAuth(lambda _: other)
    (response,) = drive_sync(auth, httpx.Request("GET", URL), ok)
    assert response.request is other
    forgetful: Any = lambda _: None  # noqa: E731
    with pytest.raises(TypeError, match="returns the request, not NoneType"):
        drive_sync(FunctionAuth(forgetful), httpx.Request("GET", URL), ok)


# Basic: RFC 7617

BASIC = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # section 2


@pytest.mark.parametrize(
    ("user", "password", "expected"),
    [
        ("Aladdin", "open sesame", BASIC),
        ("test", "123\u00a3", "Basic dGVzdDoxMjPCow=="),  # section 2.1
        (b"test", "123£".encode(), "Basic dGVzdDoxMjPCow=="),
        ("", "", "Basic Og=="),
        ("a", "b:c", "Basic YTpiOmM="),
        ("a", "xxx" * 99, f"Basic YTp4{'eHh4' * 98}eHg="),  # in one line
    ],
)
def test_basic(user: str | bytes, password: str | bytes, expected: str) -> None:
    auth = BasicAuth(user, password)
    assert header_after(auth, headers={"Authorization": "other"}) == expected


@pytest.mark.parametrize(
    ("user", "password"), [("a:b", "secret"), ("a\n", "secret"), ("a", "secret\n"), ("a", "\x7f")]
)
def test_basic_refuses_what_it_cannot_send(user: str, password: str) -> None:
    with pytest.raises(ValueError, match="must not hold") as caught:
        BasicAuth(user, password)
    assert "secret" not in str(caught.value)


# Digest: RFC 7616


class Server:
    """Asks for Digest and checks the answers by computing them once more. `nonce` may be used
    for `uses` requests; the next is told that it is stale."""

    def __init__(
        self,
        algorithm: str = "SHA-256",
        qop: str | None = "auth",
        password: str = "Circle of Life",
        uses: int = 1_000_000,
        others: tuple[str, ...] = (),
    ) -> None:
        self.algorithm = algorithm
        self.qop = qop
        self.password = password
        self.uses = uses
        self.others = others
        self.number = 0
        self.used: list[str] = []  # the counts of the nonce
        self.log: list[tuple[int, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        header = request.headers.get("Authorization")
        status, stale = self.judge(request, header)
        self.log.append((status, header or ""))
        if status == 200:
            return httpx.Response(200, request=request)
        self.number += 1
        self.used = []
        challenge = f'Digest realm="r, \\"q\\"", nonce="n{self.number}", opaque="o"'
        challenge += f", algorithm={self.algorithm}" if self.algorithm else ""
        challenge += f', qop="{self.qop}"' if self.qop else ""
        challenge += ", stale=true" if stale else ""
        fields = [("WWW-Authenticate", value) for value in (*self.others, challenge)]
        return httpx.Response(401, headers=fields, request=request)

    def judge(self, request: httpx.Request, header: str | None) -> tuple[int, bool]:
        if header is None or not header.startswith("Digest "):
            return 401, False
        pairs = re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^",]*))', header)
        fields = {name: quoted.replace("\\", "") or token for name, quoted, token in pairs}
        if fields["nonce"] != f"n{self.number}":
            return 401, False
        assert fields["uri"] == request.url.raw_path.decode()
        assert (fields["opaque"], fields["realm"]) == ("o", 'r, "q"')
        assert fields.get("algorithm", "") == self.algorithm
        name = self.algorithm.lower().removesuffix("-sess").replace("-", "") or "md5"

        def hashed(*parts: str) -> str:
            return hashlib.new(name, ":".join(parts).encode()).hexdigest()

        secret = hashed("Müfasa", 'r, "q"', self.password)
        if self.algorithm.endswith("-sess"):
            secret = hashed(secret, fields["nonce"], fields["cnonce"])
        middle = [fields["nonce"]]
        if self.qop:
            middle += [fields["nc"], fields["cnonce"], "auth"]
        expected = hashed(secret, *middle, hashed(request.method, fields["uri"]))
        if expected != fields["response"]:
            return 401, False
        count = fields.get("nc", str(len(self.used)))
        assert count not in self.used
        if len(self.used) >= self.uses:
            return 401, True
        self.used.append(count)
        return 200, False

    @property
    def statuses(self) -> list[int]:
        return [status for status, _ in self.log]


def mufasa() -> DigestAuth:
    return DigestAuth("Müfasa", "Circle of Life")


def fetch(auth: Auth, server: Answer, url: str = URL, method: str = "GET") -> int:
    responses = drive_sync(auth, httpx.Request(method, url), server)
    return responses[-1].status_code


@both
@pytest.mark.parametrize("algorithm", ["", "MD5", "SHA-256", "MD5-sess", "SHA-256-sess"])
def test_digest(flavour: str, algorithm: str) -> None:
    server = Server(algorithm)
    drive(flavour, mufasa(), httpx.Request("POST", URL), server)
    assert server.statuses == [401, 200]


def test_digest_without_qop() -> None:
    server = Server("MD5", qop=None)
    assert (fetch(mufasa(), server), server.statuses) == (200, [401, 200])


def test_digest_keeps_the_nonce_and_counts() -> None:
    server, auth = Server(), mufasa()
    for number in range(20):
        assert fetch(auth, server, f"http://example.com/{number}") == 200
    assert server.statuses == [401] + [200] * 20
    assert server.used == [f"{number:08x}" for number in range(1, 21)]


def test_digest_in_threads_counts_each_request_once() -> None:
    server, auth = Server(), mufasa()
    fetch(auth, server)
    counts: list[str] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait(10)
        for _ in range(50):
            header = header_after(auth)
            assert header is not None
            counts.extend(re.findall("nc=([0-9a-f]+)", header))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(counts) == len(set(counts)) == 200


def test_digest_answers_a_stale_nonce_with_the_new_one() -> None:
    server, auth = Server(uses=2), mufasa()
    assert [fetch(auth, server) for _ in range(5)] == [200] * 5
    assert server.statuses == [401, 200, 200, 401, 200, 200, 401, 200]


def test_digest_a_nonce_that_is_stale_at_once_ends() -> None:
    server = Server(uses=0)
    assert fetch(mufasa(), server) == 401
    assert server.statuses == [401] * (1 + _auth.MAX_ROUNDS)


def test_digest_a_wrong_password_is_tried_once() -> None:
    server = Server(password="Hakuna Matata")
    auth = mufasa()
    assert (fetch(auth, server), server.statuses) == (401, [401, 401])
    assert fetch(auth, server) == 401
    assert server.log[2][1] == ""  # nothing is sent unasked with what was refused


@pytest.mark.parametrize(
    "others",
    [
        ('Basic realm="Digest nonce=x"',),
        ("Negotiate", "NTLM TlRM="),
        ('Digest realm="r", nonce="x", algorithm=SHA-1',),
        ('Digest realm="r", nonce="x", qop="auth-int"',),
        ('Digest realm="r", nonce="x", algorithm=MD5, Basic realm="y"',),
    ],
)
def test_digest_picks_its_challenge(others: tuple[str, ...]) -> None:
    server = Server(others=others)
    assert (fetch(mufasa(), server), server.statuses) == (200, [401, 200])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("WWW-Authenticate", 'Basic realm="x"')],
        [("WWW-Authenticate", 'Digest realm="x", nonce="y", qop="auth-int"')],
        [("WWW-Authenticate", 'Digest realm="x')],
        [("WWW-Authenticate", b"\xff\x00")],
        [("Proxy-Authenticate", 'Digest realm="x", nonce="y"')],
    ],
)
def test_digest_leaves_a_refusal_that_it_cannot_answer(headers: Any) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("Authorization"))
        return httpx.Response(401, headers=headers)

    assert (fetch(mufasa(), answer), asked) == (401, [None])


def answering(status: int, headers: dict[str, str]) -> Answer:
    return lambda request: httpx.Response(status, headers=headers, request=request)


def test_digest_other_statuses_are_no_challenge() -> None:
    for status in (200, 301, 403, 407, 500):
        headers = {"WWW-Authenticate": 'Digest nonce="x"'}
        responses = drive_sync(mufasa(), httpx.Request("GET", URL), answering(status, headers))
        assert [response.status_code for response in responses] == [status]


def test_i9_digest_gives_nothing_to_another_origin() -> None:
    auth = mufasa()
    fetch(auth, Server())
    assert header_after(auth) is not None
    for url in ("https://example.com/x?y", "http://example.com:81/", "http://www.example.com/"):
        assert header_after(auth, url) is None


def test_digest_keeps_the_nonces_of_each_origin() -> None:
    auth = mufasa()
    servers = {f"http://h{number}.test/": Server() for number in range(3)}
    for _ in range(3):
        assert [fetch(auth, server, url) for url, server in servers.items()] == [200] * 3
    assert [server.statuses for server in servers.values()] == [[401, 200, 200, 200]] * 3


def test_i8_digest_forgets_origins() -> None:
    auth = mufasa()
    first = Server()
    fetch(auth, first, "http://first.test/")
    for number in range(_auth.MAX_ORIGINS - 1):
        header_after(auth, f"http://h{number}.test/")
    assert header_after(auth, "http://first.test/") is not None
    for number in range(_auth.MAX_ORIGINS):
        header_after(auth, f"http://h{number}.test/")
    assert header_after(auth, "http://first.test/") is None


def test_digest_is_of_what_is_on_the_request_line() -> None:
    auth = mufasa()
    fetch(auth, Server())
    for target in ("*", b"*"):
        header = header_after(auth, extensions={"target": target})
        assert header is not None
        assert 'uri="*"' in header


def redirected(server: Server, to: str) -> Answer:
    """The answer of `server` at the end of a redirect, which the client has followed."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/old":
            return server(request)
        headers = [(k, v) for k, v in request.headers.raw if k.lower() != b"host"]
        return server(httpx.Request("GET", to, headers=headers))

    return answer


def test_digest_answers_for_where_redirects_have_led() -> None:
    server, auth = Server(), mufasa()
    assert (
        fetch(auth, redirected(server, "http://example.com/new"), "http://example.com/old") == 200
    )
    assert server.statuses == [401, 200]
    wrong = Server(password="Hakuna Matata")
    answer = redirected(wrong, "http://example.com/new")
    assert fetch(mufasa(), answer, "http://example.com/old") == 401
    assert wrong.statuses == [401, 401]


def test_h01_digest_does_not_answer_another_origin_behind_a_redirect() -> None:
    server = Server()
    answer = redirected(server, "http://evil.test/new")
    assert fetch(mufasa(), answer, "http://example.com/old") == 401
    assert server.statuses == [401]


@pytest.mark.parametrize("user", ['a"b', "a\\b", "a\r\nX: y"])
def test_digest_refuses_what_it_cannot_send(user: str) -> None:
    with pytest.raises(ValueError) as caught:
        DigestAuth(user, "secret")
    assert "secret" not in str(caught.value)


# netrc

NETRC = """
machine Example.com login user password pass
machine example.org:8080 login wrong password wrong
machine nologin.test password only
machine nopass.test login user
machine quoted.test login "a b" password "c\\"d"
machine ::1 login six password six
"""


@pytest.fixture
def netrc_file(tmp_path: Path) -> Path:
    path = tmp_path / "netrc"
    path.write_text(NETRC)
    return path


def basic(user: str, password: str) -> str | None:
    return header_after(BasicAuth(user, password))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com/", ("user", "pass")),
        ("https://EXAMPLE.COM:8443/x", ("user", "pass")),
        ("http://www.example.com/", None),
        ("http://example.com.evil.test/", None),
        ("http://xexample.com/", None),
        ("http://example.com./", None),
        # The port is no part of the host (CVE-2024-47081)
        ("http://example.org:8080/", None),
        ("http://example.org/", None),
        ("http://evil.test/example.com:@evil.test/", None),
        ("http://nologin.test/", ("", "only")),
        ("http://nopass.test/", None),
        ("http://quoted.test/", ("a b", 'c"d')),
        ("http://[::1]:81/", ("six", "six")),
        ("http://other.test/", None),
    ],
)
@pytest.mark.parametrize("default", [None, ("any", "body")])
def test_h11_netrc_hosts(
    netrc_file: Path, url: str, expected: tuple[str, str] | None, default: tuple[str, str] | None
) -> None:
    if default is not None:
        netrc_file.write_text(f"{NETRC}default login {default[0]} password {default[1]}\n")
        if "nopass" not in url:  # an entry without a password does not fall back (CVE-2024-11053)
            expected = expected or default
    for file in (netrc_file, str(netrc_file)):
        found = header_after(NetRCAuth(file), url)
        assert found == (None if expected is None else basic(*expected))


@pytest.mark.parametrize("login", [None, ""])
def test_h11_a_login_may_be_none(monkeypatch: pytest.MonkeyPatch, login: str | None) -> None:
    class Parsed:
        def __init__(self, file: Any) -> None:
            self.hosts = {"example.com": (login, None, "pass"), "nopass.test": ("a", None, None)}

    monkeypatch.setattr("netrc.netrc", Parsed)
    assert header_after(NetRCAuth("x")) == basic("", "pass")
    assert header_after(NetRCAuth("x"), "http://nopass.test/") is None


def test_h11_no_entry_leaves_the_request_alone(netrc_file: Path) -> None:
    auth = NetRCAuth(netrc_file)
    headers = {"Authorization": "own"}
    assert header_after(auth, "http://other.test/", headers=headers) == "own"


def test_h11_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        NetRCAuth(tmp_path / "missing")
    with pytest.raises(OSError):
        NetRCAuth(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"\.netrc"):
        NetRCAuth()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"machine a login b passwd secret\n", "line 1 is not legal"),
        (b"\n\nsecret\n", "line [34] is not legal"),
        (b"machine", "line 1 is not legal"),
        (b"macdef secret\nx", "line [23] is not legal"),
    ],
)
def test_h11_i9_a_file_that_is_not_legal(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "netrc"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=problem) as caught:
        NetRCAuth(path)
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_h11_a_file_that_is_not_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(file: Any) -> None:
        raise UnicodeDecodeError("utf-8", b"secret", 0, 1, "invalid start byte")

    monkeypatch.setattr("netrc.netrc", failing)
    with pytest.raises(ValueError, match="x: it is not text") as caught:
        NetRCAuth("x")
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o600])
def test_h11_the_users_own_file_must_be_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".netrc"
    path.write_text(NETRC)
    path.chmod(mode)
    if mode == 0o600:
        assert header_after(NetRCAuth()) == basic("user", "pass")
    else:
        with pytest.raises(ValueError, match=r"~/\.netrc: .*too permissive"):
            NetRCAuth()
        assert header_after(NetRCAuth(path)) == basic("user", "pass")  # one that was named


@pytest.mark.skipif(os.name != "posix", reason="owners are POSIX")
def test_h11_the_users_own_file_must_be_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".netrc"
    path.write_text(NETRC)
    path.chmod(0o600)
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ValueError, match="owner"):
        NetRCAuth()


def test_h11_a_login_that_basic_cannot_send(netrc_file: Path) -> None:
    netrc_file.write_text("machine example.com login a:b password secret\n")
    with pytest.raises(httpx.LocalProtocolError, match="netrc entry.*colon") as caught:
        header_after(NetRCAuth(netrc_file))
    assert "secret" not in str(caught.value)


def test_h11_the_file_is_read_once(netrc_file: Path) -> None:
    auth = NetRCAuth(netrc_file)
    netrc_file.unlink()
    assert header_after(auth) == basic("user", "pass")


# Copies, texts, costs


@pytest.mark.parametrize("clone", CLONES)
def test_l6_clones(clone: Callable[[Any], Any], netrc_file: Path) -> None:
    assert header_after(clone(BasicAuth("Aladdin", "open sesame"))) == BASIC
    assert header_after(clone(FunctionAuth(sign))) == "signed"
    assert header_after(clone(NetRCAuth(netrc_file))) == basic("user", "pass")
    auth = mufasa()
    fetch(auth, Server())
    other = clone(auth)
    assert (header_after(auth) is None, header_after(other) is None) == (False, True)
    assert fetch(other, Server()) == 200


def test_i9_texts_have_no_secrets(netrc_file: Path) -> None:
    netrc_file.write_text("machine example.com login secret password secret")
    auths: list[Auth] = [
        BasicAuth("secret", "secret"),
        DigestAuth("secret", "secret"),
        NetRCAuth(netrc_file),
    ]
    for auth in auths:
        assert header_after(auth) != ""
        for text in (repr(auth), str(auth), f"{auth}"):
            assert "secret" not in text
            assert type(auth).__name__ in text


def test_a_scheme_costs_what_it_uses() -> None:
    code = """
import sys, httpclient
from httpclient._auth import BasicAuth, FunctionAuth, build_auth
build_auth(("a", "b")), build_auth(print)
print(*sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    late = {"netrc", "hashlib", "secrets", "asyncio", "ssl", "httpcore_core._protocol.proxy_auth"}
    assert set(result.stdout.split()) & late == set()
