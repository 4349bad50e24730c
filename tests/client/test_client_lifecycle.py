"""A client in threads, forks and event loops, in pickles and copies: L5, L6, P11, P12."""

from __future__ import annotations

import copy
import http.cookiejar
import inspect
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import httpclient as httpx
from tests.client.servers import ExamplesHandler, serve
from tests.drivers.test_lifecycle import in_child, leave_open, unclosed_is_no_news
from tests.flavours import FLAVOURS, run_async

CLONES = [
    lambda value: pickle.loads(pickle.dumps(value)),
    copy.copy,
    copy.deepcopy,
]
clones = pytest.mark.parametrize("clone", CLONES, ids=["pickle", "copy", "deepcopy"])


@pytest.fixture
def base() -> Iterator[str]:
    with serve(handler=ExamplesHandler) as started:
        yield started.url.rstrip("/")


# Threads


def test_p12_threads_share_a_client(base: str) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                target = f"{base}/{number}/{turn}"
                response = client.post(target, content=b"%d" % number, params={"t": turn})
                assert response.json()["target"] == f"/{number}/{turn}?t={turn}"
                assert response.json()["data"] == str(number)
                client.get(f"{base}/cookies/set?c{number}={turn}", follow_redirects=True)
        except BaseException as exc:
            errors.append(exc)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with httpx.Client() as client:
            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == []
            assert dict(client.cookies) == {f"c{number}": "9" for number in range(8)}
    finally:
        sys.setswitchinterval(interval)


def test_p12_two_threads_that_come_first_have_the_same_cookies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both are inside when the jar is made."""
    barrier = threading.Barrier(2, timeout=10.0)
    made = httpx.Cookies

    class Slow(made):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any) -> None:
            barrier.wait()
            super().__init__(*args)

    monkeypatch.setattr("httpclient._cookies.Cookies", Slow)
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(client.cookies)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 2
    assert found[0] is found[1] is client.cookies


# Forks


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")


@needs_fork
def test_p11_a_forked_child_uses_the_client_and_so_does_its_parent(base: str) -> None:
    with httpx.Client(base_url=base) as client:
        client.get("/cookies/set?a=1", follow_redirects=True)
        with client.stream("GET", "/bytes/300000") as response:

            def child() -> bool:
                return client.get("/cookies").json() == {"cookies": {"a": "1"}}

            assert in_child(child) == 0
            assert response.read() == bytes(300_000)
        again = client.get("/get")
        assert again.is_success
        assert again.extensions["connection"]["reused"]


# Event loops


@pytest.mark.parametrize("first", FLAVOURS)
@pytest.mark.parametrize("second", FLAVOURS)
def test_p11_a_client_in_two_event_loops_one_after_the_other(
    first: str, second: str, base: str
) -> None:
    limits = httpx.Limits(max_connections=1)
    client = httpx.AsyncClient(base_url=base, limits=limits)

    async def use() -> None:
        response = await client.get("/cookies/set?a=1", follow_redirects=True)
        assert response.json() == {"cookies": {"a": "1"}}
        async with client.stream("GET", "/lines/2") as response:
            assert [line async for line in response.aiter_lines()] == ["line 0", "line 1"]

    async def use_and_close() -> None:
        await use()
        await client.aclose()

    with unclosed_is_no_news():
        leave_open(first, use)
        run_async(second, use_and_close)
    assert client.is_closed


# Noise


NOISE = """
    import sys, warnings, gc
    import httpclient as httpx
    sys.path.insert(0, {root!r})
    from tests.flavours import run_async

    async def main():
        async with httpx.AsyncClient(base_url={base!r}) as client:
            async with client.stream("GET", "/lines/100000") as response:
                async for line in response.aiter_lines():
                    break
            async with client.stream("GET", "/lines/100000") as response:
                iterator = response.aiter_bytes(3)
                await iterator.__anext__()
                del iterator
            try:
                async with client.stream("GET", "/lines/100000") as response:
                    async for text in response.aiter_text():
                        raise KeyError
            except KeyError:
                pass
            request = client.build_request("GET", "/lines/100000")
            response = await client.send(request, stream=True)
            async for chunk in response.aiter_raw():
                break
            await response.aclose()
            await cancelled(client)
            gc.collect()
            await client.get("/get")

    async def read(client):
        async with client.stream("GET", "/lines/100000") as response:
            async for line in response.aiter_lines():
                await pause()

    async def cancelled(client):
        if {flavour!r} == "trio":
            import trio
            global pause
            pause = trio.lowlevel.checkpoint
            with trio.move_on_after(0.01):
                await read(client)
        else:
            import asyncio
            pause = lambda: asyncio.sleep(0)
            try:
                async with asyncio.timeout(0.01):
                    await read(client)
            except TimeoutError:
                pass

    run_async({flavour!r}, main)
    print("done")
"""


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_l5_no_noise_until_the_interpreter_has_ended(flavour: str, base: str) -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = textwrap.dedent(NOISE).format(root=root, base=base, flavour=flavour)
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


# Pickles and copies: L6


def signed(request: httpx.Request) -> httpx.Request:
    return request


REQUEST = httpx.Request("POST", "http://h/?a=b", json={"a": 1}, cookies={"c": "d"})
VALUES: dict[str, Any] = {
    "Auth": httpx.Auth(),
    "AsyncHTTPTransport": httpx.AsyncHTTPTransport(retries=2),
    "BasicAuth": httpx.BasicAuth("user", "pass"),
    "ByteStream": httpx.ByteStream(b"abc"),
    "Cookies": httpx.Cookies({"a": "b"}),
    "DigestAuth": httpx.DigestAuth("user", "pass"),
    "FunctionAuth": httpx.FunctionAuth(signed),
    "HTTPTransport": httpx.HTTPTransport(retries=2, limits=httpx.Limits(7)),
    "Headers": httpx.Headers([("A", "b"), ("a", "c")], encoding="iso-8859-1"),
    "Limits": httpx.Limits(max_connections=3),
    "MockTransport": httpx.MockTransport(signed),
    "Proxy": httpx.Proxy("http://h:3128", auth=("user", "pass")),
    "QueryParams": httpx.QueryParams("a=1&a=2"),
    "Request": REQUEST,
    "Response": httpx.Response(404, text="gone", request=REQUEST, history=[httpx.Response(302)]),
    "Timeout": httpx.Timeout(3.0, connect=None, total=9.0),
    "URL": httpx.URL("http://u:p@h/?a#b"),
    "URLPattern": httpx.URLPattern("all://*.h:80"),
    "USE_CLIENT_DEFAULT": httpx.USE_CLIENT_DEFAULT,
}


def content_of(value: Any) -> Any:
    """What has to be the same in the twin: the value where it says so itself, else what it has."""
    if isinstance(value, httpx.Response):
        head = value.status_code, value.headers, value.content, value.request.url
        return *head, [old.status_code for old in value.history]
    if isinstance(value, httpx.Request):
        return value.method, value.url, value.headers.raw, value.content, value.extensions
    if isinstance(value, httpx.Cookies):
        return dict(value)
    if isinstance(value, (httpx.HTTPTransport, httpx.AsyncHTTPTransport)):
        return value._made_of
    if isinstance(value, (httpx.Headers, httpx.Timeout, httpx.QueryParams)):
        return repr(value), getattr(value, "encoding", None)
    if isinstance(value, httpx.URL):
        return str(value), value.raw
    if type(value).__eq__ is not object.__eq__:
        return value
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    state = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return type(value), {**state, **getattr(value, "__dict__", {})}.keys()


@clones
@pytest.mark.parametrize("name", sorted(VALUES))
def test_l6_values(name: str, clone: Callable[[Any], Any]) -> None:
    twin = clone(VALUES[name])
    assert type(twin) is type(VALUES[name])
    assert content_of(twin) == content_of(VALUES[name])


def test_l6_every_public_class_is_tested() -> None:
    named = {name for name in httpx.__all__ if inspect.isclass(getattr(httpx, name))}
    errors = {name for name in named if issubclass(getattr(httpx, name), Exception)}
    streams = {"AsyncByteStream", "SyncByteStream", "AsyncBaseTransport", "BaseTransport"}
    elsewhere = {name for name in named if name.endswith(("Transport", "Storage"))}
    clients = {"AsyncClient", "Client", "NetRCAuth"}  # below
    enumeration = {"codes"}
    assert named - errors - streams - elsewhere - clients - enumeration <= set(VALUES)


@clones
def test_l6_errors(clone: Callable[[Any], Any]) -> None:
    names = [name for name in httpx.__all__ if inspect.isclass(getattr(httpx, name))]
    kinds = {name: getattr(httpx, name) for name in names}
    errors = {name: kind for name, kind in kinds.items() if issubclass(kind, Exception)}
    assert len(errors) > 25
    for name, kind in errors.items():
        if name == "HTTPStatusError":
            error = kind("text", request=REQUEST, response=VALUES["Response"])
        else:
            error = kind("text")
            error.request = REQUEST
        error.__cause__ = ValueError("below")
        twin = clone(error)
        assert type(twin) is kind
        assert (str(twin), twin.args[0]) == (str(error), "text")
        assert twin.request.url == REQUEST.url
        if name == "HTTPStatusError":
            assert twin.response.text == "gone"


@clones
def test_l6_what_a_client_has_received(clone: Callable[[Any], Any], base: str) -> None:
    jar = http.cookiejar.CookieJar()
    for cookie in httpx.Cookies({"own": "1"}).jar:
        jar.set_cookie(cookie)

    def guess(content: bytes) -> str:
        return "cp437"

    hooks = {"response": [lambda response: None]}
    with httpx.Client(default_encoding=guess, event_hooks=hooks) as client:
        response = client.get(f"{base}/cookies/set?a=b", cookies=jar, follow_redirects=True)
        twin = clone(response)
        assert twin.json() == response.json() == {"cookies": {"a": "b", "own": "1"}}
        assert twin.history[0].headers["Location"] == "/cookies"
        assert twin.elapsed == response.elapsed
        assert clone(client.get(f"{base}/latin1")).text == "<p>▄berblick</p>"
        with client.stream("GET", f"{base}/latin1") as streamed:
            twin = clone(streamed)
            assert twin.encoding == "utf-8"
            with pytest.raises(httpx.StreamClosed):
                twin.read()
        sent = client.send(clone(client.build_request("GET", f"{base}/cookies", cookies=jar)))
        assert sent.json() == {"cookies": {"a": "b", "own": "1"}}


def test_l6_a_copy_of_a_client_has_connections_of_its_own(base: str) -> None:
    client = httpx.Client(base_url=base, headers={"X-Own": "1"})
    client.get("/get")
    twins = [clone(client) for clone in CLONES]
    for twin in twins:
        assert twin.get("/get").json()["headers"]["X-Own"] == "1"
        twin.close()
    assert client.get("/get").extensions["connection"]["reused"]
    client.close()
    again = copy.copy(client)
    assert not again.is_closed
    assert again.get("/get").is_success
    again.close()


def test_l6_a_copy_of_a_client_shares_the_transport_that_is_not_its_own() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="mock"))
    twin = copy.copy(httpx.Client(transport=transport))
    assert twin._transport is transport
    assert twin.get("http://h/").text == "mock"


def test_l6_netrc(tmp_path: Any) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine h login user password pass\n")
    file.chmod(0o600)
    auth = httpx.NetRCAuth(file)
    file.unlink()
    for clone in CLONES:
        request = httpx.Request("GET", "http://h/")
        next(clone(auth).auth_flow(request))
        assert request.headers["Authorization"] == "Basic dXNlcjpwYXNz"


def test_l6_pickles_warn_of_nothing() -> None:
    """As of coroutines that nobody has awaited, in what is left behind."""

    async def parts() -> Any:
        yield b"a"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        request = httpx.Request("POST", "http://h/", content=parts())
        twin = pickle.loads(pickle.dumps(request))
        with pytest.raises(httpx.StreamClosed):
            iter(twin.stream)
        assert request.stream is not twin.stream
