"""The examples of HTTPX's documentation, with nothing changed but the import and the addresses.

Page by page: quickstart, then the advanced ones, async support, exceptions. Where an example of the
documentation cannot run as it is, `test_differences` says which and why.
"""

from __future__ import annotations

import io
import json
import os
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import httpclient as httpx
from httpcore_core import AutoBackend
from tests.certificates import Certificates
from tests.client.servers import ExamplesHandler, serve


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """The address of a server, without a slash at its end."""
    with serve(handler=ExamplesHandler) as started:
        yield started.url.rstrip("/")


# Quickstart


def test_quickstart_requests(base: str) -> None:
    r = httpx.get(f"{base}/get")
    assert repr(r) == "<Response [200 OK]>"
    assert r.status_code == 200
    assert r.headers["content-type"] == "application/json"
    assert r.text[0] == "{"
    r = httpx.post(f"{base}/post", data={"key": "value"})
    assert r.json()["form"] == {"key": ["value"]}
    assert httpx.put(f"{base}/put", data={"key": "value"}).json()["method"] == "PUT"
    assert httpx.delete(f"{base}/delete").json()["method"] == "DELETE"
    assert httpx.head(f"{base}/get").content == b""
    assert httpx.options(f"{base}/get").json()["method"] == "OPTIONS"
    assert httpx.patch(f"{base}/patch", json=1).json()["method"] == "PATCH"


def test_quickstart_parameters(base: str) -> None:
    params = {"key1": "value1", "key2": "value2"}
    r = httpx.get(f"{base}/get", params=params)
    assert r.url == f"{base}/get?key1=value1&key2=value2"
    assert isinstance(r.url, httpx.URL)
    params_with_a_list = {"key1": "value1", "key2": ["value2", "value3"]}
    r = httpx.get(f"{base}/get", params=params_with_a_list)
    assert r.url == f"{base}/get?key1=value1&key2=value2&key2=value3"


def test_quickstart_content(base: str) -> None:
    r = httpx.get(f"{base}/latin1/iso-8859-1")
    assert r.text == "<p>Überblick</p>"
    assert r.encoding == "iso-8859-1"
    r.encoding = "cp437"
    assert r.text == "<p>▄berblick</p>"
    r = httpx.get(f"{base}/gzip")
    assert r.json() == {"gzipped": True}
    assert json.load(io.BytesIO(r.content)) == {"gzipped": True}


def test_quickstart_headers_and_bodies(base: str, tmp_path: Path) -> None:
    url = f"{base}/post"
    r = httpx.get(f"{base}/headers", headers={"user-agent": "my-app/0.0.1"})
    assert r.json()["headers"]["user-agent"] == "my-app/0.0.1"
    r = httpx.post(url, data={"key1": ["value1", "value2"]})
    assert r.json()["form"] == {"key1": ["value1", "value2"]}
    report = tmp_path / "report.xls"
    report.write_bytes(b"<... binary content ...>")
    with open(report, "rb") as report_file:
        r = httpx.post(url, files={"upload-file": report_file})
    kind = "application/vnd.ms-excel"
    assert r.json()["files"] == {"upload-file": [["report.xls", kind, "<... binary content ...>"]]}
    with open(report, "rb") as report_file:
        files = {"upload-file": ("other.xls", report_file, "application/x-report")}
        r = httpx.post(url, data={"message": "Hello, world!"}, files=files)
    assert r.json()["files"]["upload-file"][0][:2] == ["other.xls", "application/x-report"]
    assert r.json()["form"] == {"message": ["Hello, world!"]}
    data = {"integer": 123, "boolean": True, "list": ["a", "b", "c"]}
    assert httpx.post(url, json=data).json()["json"] == data
    r = httpx.post(url, content=b"Hello, world", headers={"Content-Type": "text/x"})
    assert (r.json()["data"], r.json()["headers"]["Content-Type"]) == ("Hello, world", "text/x")


def test_quickstart_status(base: str) -> None:
    r = httpx.get(f"{base}/get")
    assert r.status_code == httpx.codes.OK
    not_found = httpx.get(f"{base}/status/404")
    assert not_found.status_code == 404
    with pytest.raises(httpx.HTTPStatusError, match="404 Not Found"):
        not_found.raise_for_status()
    assert r.raise_for_status() is r
    assert httpx.get(f"{base}/get").raise_for_status().json()["method"] == "GET"


def test_quickstart_response_headers(base: str) -> None:
    r = httpx.get(f"{base}/gzip")
    assert r.headers["Content-Type"] == r.headers.get("content-type") == "application/json"
    assert r.headers["content-encoding"] == "gzip"


def test_quickstart_streaming(base: str) -> None:
    with httpx.stream("GET", f"{base}/lines/3") as r:
        assert b"".join(data for data in r.iter_bytes()) == b"line 0\nline 1\nline 2\n"
    with httpx.stream("GET", f"{base}/lines/3") as r:
        assert "".join(text for text in r.iter_text()).startswith("line 0")
    with httpx.stream("GET", f"{base}/lines/3") as r:
        assert list(r.iter_lines()) == ["line 0", "line 1", "line 2"]
    with httpx.stream("GET", f"{base}/gzip") as r:
        assert b"".join(chunk for chunk in r.iter_raw())[:2] == b"\x1f\x8b"
    with httpx.stream("GET", f"{base}/bytes/10") as r:
        if int(r.headers["Content-Length"]) < 1000:
            r.read()
            assert r.content == bytes(10)


def test_quickstart_cookies(base: str) -> None:
    with httpx.Client() as client:
        r = client.get(f"{base}/cookies/set?chocolate=chip")
        assert r.cookies["chocolate"] == "chip"
    r = httpx.get(f"{base}/cookies", cookies={"peanut": "butter"})
    assert r.json() == {"cookies": {"peanut": "butter"}}
    cookies = httpx.Cookies()
    cookies.set("cookie_on_domain", "hello, there!", domain="127.0.0.1")
    cookies.set("cookie_off_domain", "nope.", domain="example.org")
    r = httpx.get(f"{base}/cookies", cookies=cookies)
    assert list(r.json()["cookies"]) == ["cookie_on_domain"]


def test_quickstart_redirects(base: str) -> None:
    r = httpx.get(f"{base}/redirect/1")
    assert r.status_code == 302
    assert r.history == []
    assert r.next_request is not None
    assert repr(r.next_request) == f"<Request('GET', '{base}/get')>"
    r = httpx.get(f"{base}/redirect/1", follow_redirects=True)
    assert r.url == f"{base}/get"
    assert r.status_code == 200
    assert repr(r.history) == "[<Response [302 Found]>]"


def test_quickstart_timeouts_and_authentication(base: str) -> None:
    assert httpx.get(f"{base}/get", timeout=10.0).is_success
    assert httpx.get(f"{base}/get", timeout=None).is_success
    url = f"{base}/basic-auth/my_user/password123"
    assert httpx.get(url, auth=("my_user", "password123")).is_success
    auth = httpx.DigestAuth("my_user", "password123")
    r = httpx.get(f"{base}/digest-auth", auth=auth)
    assert (r.status_code, repr(r.history)) == (200, "[<Response [401 Unauthorized]>]")


def test_quickstart_exceptions(base: str) -> None:
    seen = []
    for url in (f"{base}/status/500", "http://127.0.0.1:1/"):
        try:
            response = httpx.get(url)
            response.raise_for_status()
        except httpx.RequestError as exc:
            seen.append(f"An error occurred while requesting {exc.request.url!r}.")
        except httpx.HTTPStatusError as exc:
            status = exc.response.status_code
            seen.append(f"Error response {status} while requesting {exc.request.url!r}.")
    assert seen == [
        f"Error response 500 while requesting URL('{base}/status/500').",
        "An error occurred while requesting URL('http://127.0.0.1:1/').",
    ]


@pytest.mark.parametrize("path", ["/status/404", None])
def test_exceptions_have_one_base(base: str, path: str | None) -> None:
    url = "http://127.0.0.1:1/" if path is None else base + path
    try:
        response = httpx.get(url)
        response.raise_for_status()
    except httpx.HTTPError as exc:
        assert str(exc.request.url) == url
    else:
        raise AssertionError("not reached")


# Advanced: clients


def test_clients_share_configuration(base: str) -> None:
    with httpx.Client(headers={"X-Auth": "from-client"}, params={"client_id": "client1"}) as client:
        r = client.get(f"{base}/get", headers={"X-Custom": "value"}, params={"request_id": "r1"})
        assert r.request.url == f"{base}/get?client_id=client1&request_id=r1"
        assert r.request.headers["X-Auth"] == "from-client"
        assert r.request.headers["X-Custom"] == "value"
    with httpx.Client(auth=("tom", "mot123")) as client:
        r = client.get(f"{base}/basic-auth/alice/ecila123", auth=("alice", "ecila123"))
        assert r.status_code == 200
    with httpx.Client(base_url=f"{base}/api") as client:
        assert client.get("/headers").request.url == f"{base}/api/headers"
    client = httpx.Client()
    try:
        assert client.post(f"{base}/x", json=[1]).json()["json"] == [1]
    finally:
        client.close()
    assert client.is_closed


def test_clients_build_requests(base: str) -> None:
    request = httpx.Request("GET", f"{base}/get")
    with httpx.Client() as client:
        assert client.send(request).status_code == 200
    headers = {"X-Api-Key": "...", "X-Client-ID": "ABC123"}
    with httpx.Client(headers=headers) as client:
        request = client.build_request("GET", f"{base}/get")
        assert request.headers["X-Client-ID"] == "ABC123"
        del request.headers["X-Api-Key"]
        seen = client.send(request).json()["headers"]
        assert "X-Client-ID" in seen
        assert "X-Api-Key" not in seen


def test_clients_follow_redirects_by_hand(base: str) -> None:
    urls = []
    with httpx.Client() as client:
        request: httpx.Request | None = client.build_request("GET", f"{base}/redirect/3")
        while request is not None:
            response = client.send(request)
            urls.append(response.url.path)
            request = response.next_request
    assert urls == ["/redirect/3", "/redirect/2", "/redirect/1", "/get"]


def test_clients_monitor_downloads_and_uploads(base: str, tmp_path: Path) -> None:
    progress = []
    with open(tmp_path / "download", "wb") as download_file:
        with httpx.stream("GET", f"{base}/bytes/200000") as response:
            total = int(response.headers["Content-Length"])
            num_bytes_downloaded = response.num_bytes_downloaded
            for chunk in response.iter_bytes():
                download_file.write(chunk)
                progress.append(response.num_bytes_downloaded - num_bytes_downloaded)
                num_bytes_downloaded = response.num_bytes_downloaded
    assert sum(progress) == total == os.path.getsize(tmp_path / "download")
    data = io.BytesIO(b"x" * 3000)

    def gen() -> Iterator[bytes]:
        while chunk := data.read(1024):
            yield chunk

    assert httpx.post(f"{base}/post", content=gen()).json()["data"] == "x" * 3000


def test_clients_multipart(base: str) -> None:
    url = f"{base}/post"
    files = [
        ("images", ("foo.png", io.BytesIO(b"1"), "image/png")),
        ("images", ("bar.png", io.BytesIO(b"2"), "image/png")),
    ]
    seen = httpx.post(url, files=files).json()["files"]["images"]
    assert seen == [["foo.png", "image/png", "1"], ["bar.png", "image/png", "2"]]
    seen = httpx.post(url, files={"file": (None, "text content", "text/plain")}).json()
    assert (seen["form"], seen["files"]) == ({"file": ["text content"]}, {})
    headers = {"Content-Type": "multipart/form-data; boundary=--my-own--"}
    seen = httpx.post(url, files={"f": b"x"}, headers=headers).json()
    assert seen["files"] == {"f": [["upload", "application/octet-stream", "x"]]}


def test_clients_properties_can_be_set(base: str) -> None:
    with httpx.Client() as client:
        client.headers = {"X-Own": "1"}
        client.headers.update({"X-More": "2"})
        client.params = {"a": "b"}
        client.base_url = base
        client.cookies = {"c": "d"}
        client.auth = ("user", "pass")
        client.timeout = 3.0
        client.trust_env = False
        client.event_hooks = {"request": [], "response": []}
        seen = client.get("/x").json()
        assert isinstance(client.headers, httpx.Headers)
        assert isinstance(client.params, httpx.QueryParams)
        assert isinstance(client.base_url, httpx.URL)
        assert isinstance(client.cookies, httpx.Cookies)
        assert isinstance(client.auth, httpx.BasicAuth)
        assert client.timeout == httpx.Timeout(3.0)
    assert seen["target"] == "/x?a=b"
    assert {"X-Own": "1", "X-More": "2", "Cookie": "c=d"}.items() <= seen["headers"].items()
    assert seen["headers"]["Accept"] == "*/*"
    assert seen["headers"]["Authorization"].startswith("Basic ")


# Advanced: authentication


def test_authentication_schemes(base: str, tmp_path: Path) -> None:
    url = f"{base}/basic-auth/username/secret"
    auth = httpx.BasicAuth(username="username", password="secret")
    with httpx.Client(auth=auth) as client:
        assert client.get(url).is_success
    with httpx.Client(auth=httpx.DigestAuth(username="olivia", password="secret")) as client:
        assert client.get(f"{base}/digest-auth").is_success
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1\nlogin username\npassword secret\n")
    netrc.chmod(0o600)
    with httpx.Client(auth=httpx.NetRCAuth(file=str(netrc))) as client:
        assert client.get(url).is_success
        assert client.get(url, auth=None).status_code == 401
    assert httpx.get(url.replace("://", "://username:secret@")).is_success


class MyCustomAuth(httpx.Auth):
    def __init__(self, token: str) -> None:
        self.token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        # Send the request, with a custom `X-Authentication` header.
        request.headers["X-Authentication"] = self.token
        yield request


class RefreshingAuth(httpx.Auth):
    requires_response_body = True

    def __init__(self, access_token: str) -> None:
        self.access_token = access_token

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["X-Authentication"] = self.access_token
        response = yield request
        if response.status_code == 401:
            refresh_response = yield self.build_refresh_request(request)
            self.access_token = refresh_response.json()["access_token"]
            request.headers["X-Authentication"] = self.access_token
            yield request

    def build_refresh_request(self, request: httpx.Request) -> httpx.Request:
        return httpx.Request("GET", request.url.join("/token/fresh"))


class LockingAuth(httpx.Auth):
    """With I/O of its own, one way for each kind of client."""

    def __init__(self) -> None:
        self._sync_lock = threading.RLock()

    def sync_auth_flow(self, request: httpx.Request) -> Any:
        with self._sync_lock:
            request.headers["Authorization"] = "Token sync"
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> Any:
        await AutoBackend().sleep(0)
        request.headers["Authorization"] = "Token async"
        yield request


class BodyAuth(httpx.Auth):
    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["X-Signature"] = str(len(request.content))
        yield request


def test_authentication_of_ones_own(base: str) -> None:
    assert httpx.get(f"{base}/token/t", auth=MyCustomAuth("t")).is_success
    refreshing = RefreshingAuth("stale")
    with httpx.Client(auth=refreshing) as client:
        response = client.get(f"{base}/token/fresh")
    assert (response.status_code, refreshing.access_token) == (200, "fresh")
    seen = httpx.get(f"{base}/get", auth=LockingAuth()).json()
    assert seen["headers"]["Authorization"] == "Token sync"
    seen = httpx.post(f"{base}/post", content=iter([b"ab", b"c"]), auth=BodyAuth()).json()
    assert (seen["headers"]["X-Signature"], seen["data"]) == ("3", "abc")


async def test_authentication_of_ones_own_in_async_code(base: str) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"abc"

    async with httpx.AsyncClient() as client:
        response = await client.get(f"{base}/token/fresh", auth=RefreshingAuth("stale"))
        assert response.is_success
        seen = (await client.get(f"{base}/get", auth=LockingAuth())).json()
        assert seen["headers"]["Authorization"] == "Token async"
        seen = (await client.post(f"{base}/post", content=parts(), auth=BodyAuth())).json()
        assert (seen["headers"]["X-Signature"], seen["data"]) == ("3", "abc")


# Advanced: event hooks


def test_event_hooks(base: str) -> None:
    lines = []

    def log_request(request: httpx.Request) -> None:
        lines.append(f"Request event hook: {request.method} {request.url} - Waiting for response")

    def log_response(response: httpx.Response) -> None:
        request = response.request
        lines.append(
            f"Response event hook: {request.method} {request.url} - Status {response.status_code}"
        )

    def raise_on_4xx_5xx(response: httpx.Response) -> None:
        response.raise_for_status()

    def read_and_log(response: httpx.Response) -> None:
        lines.append(response.read().decode())

    hooks = {"request": [log_request], "response": [log_response]}
    with httpx.Client(event_hooks=hooks) as client:
        client.get(f"{base}/lines/1")
        client.event_hooks["response"] = [read_and_log, raise_on_4xx_5xx]
        client.get(f"{base}/lines/1")
        with pytest.raises(httpx.HTTPStatusError):
            client.get(f"{base}/status/500")
        client.event_hooks = {"request": [], "response": []}
        client.get(f"{base}/status/500")
    waiting = f"Request event hook: GET {base}/lines/1 - Waiting for response"
    failing = f"Request event hook: GET {base}/status/500 - Waiting for response"
    status = f"Response event hook: GET {base}/lines/1 - Status 200"
    assert lines == [waiting, status, waiting, "line 0\n", failing, ""]


# Advanced: transports


def test_transports_are_chosen(base: str, socket_path: str) -> None:
    transport = httpx.HTTPTransport(retries=1, local_address="127.0.0.1")
    with httpx.Client(transport=transport) as client:
        assert client.get(f"{base}/get").is_success
    transport.close()
    transport = httpx.HTTPTransport(uds=socket_path)
    with httpx.Client(transport=transport) as client:
        with pytest.raises(httpx.ConnectError):
            client.get("http://docker/info")
    transport.close()


def test_wsgi_transport() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['SCRIPT_NAME']} {environ['REMOTE_ADDR']} Hello World!".encode()]

    transport = httpx.WSGITransport(app=app, script_name="/app", remote_addr="1.2.3.4")
    with httpx.Client(transport=transport, base_url="http://testserver") as client:
        r = client.get("/")
        assert (r.status_code, r.text) == (200, "/app 1.2.3.4 Hello World!")
    transport = httpx.WSGITransport(app=app, raise_app_exceptions=False)
    with httpx.Client(transport=transport) as client:
        assert client.get("http://x/").is_success


async def test_asgi_transport() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
        await send(start)
        body = f"{scope['root_path']} {scope['client'][0]} Hello World!".encode()
        await send({"type": "http.response.body", "body": body})

    transport = httpx.ASGITransport(app=app, root_path="/sub", client=("1.2.3.4", 123))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        r = await client.get("/")
    assert (r.status_code, r.text) == (200, "/sub 1.2.3.4 Hello World!")


def test_mock_transport() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/message":
            return httpx.Response(404)
        return httpx.Response(200, json={"text": "Hello, world!"})

    with httpx.Client(transport=httpx.MockTransport(handler)) as client:
        assert client.get("https://testserver/message").json() == {"text": "Hello, world!"}
        assert client.get("https://testserver/").status_code == 404


def test_transports_are_mounted() -> None:
    def named(name: str) -> httpx.MockTransport:
        return httpx.MockTransport(lambda request: httpx.Response(200, text=name))

    mounts = {
        "http://": named("redirect"),
        "all://": named("all"),
        "https://example.org": named("host"),
        "all://*example.com": named("domain and below"),
        "all://*.example.net": named("below"),
        "https://*:1234": named("port"),
        "all://localhost:1234": named("host and port"),
    }
    with httpx.Client(mounts=mounts) as client:
        seen = {
            url: client.get(url).text
            for url in (
                "http://example.test",
                "https://example.test",
                "https://example.org",
                "https://example.com",
                "https://www.example.com",
                "https://www.example.net",
                "https://example.net",
                "https://example.test:1234",
                "http://localhost:1234",
            )
        }
    assert list(seen.values()) == [
        "redirect",
        "all",
        "host",
        "domain and below",
        "domain and below",
        "below",
        "all",
        "port",
        "host and port",
    ]


# Advanced: proxies, timeouts, limits, TLS


def test_proxies(base: str) -> None:
    """The example server takes a request in absolute form for one of its own."""
    url = "http://example.test/get"
    proxies: list[Any] = [
        base,
        httpx.URL(base),
        base.replace("://", "://username:password@"),
        httpx.Proxy(base, auth=("username", "password"), headers={"X-Proxy": "1"}),
    ]
    for proxy in proxies:
        with httpx.Client(proxy=proxy) as client:
            assert client.get(url).json()["target"] == url
    transport = httpx.HTTPTransport(proxy=base)
    with httpx.Client(mounts={"http://": transport}) as client:
        assert client.get(url).json()["target"] == url
    transport.close()
    assert httpx.get(url, proxy=base).json()["target"] == url


@pytest.mark.parametrize("way", ["proxy", "mount", "environment"])
def test_proxies_are_not_for_what_nothing_is_mounted_at(
    way: str, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"mounts": {"all://127.0.0.1": None}}
    if way == "proxy":
        options["proxy"] = base
    elif way == "mount":
        options["mounts"]["all://"] = httpx.HTTPTransport(proxy=base)
    else:
        monkeypatch.setenv("http_proxy", base)
    with httpx.Client(**options) as client:
        assert client.get("http://example.test/get").json()["target"] == "http://example.test/get"
        assert client.get(f"{base}/get").json()["target"] == "/get"
    if way == "mount":
        options["mounts"]["all://"].close()


def test_timeouts(base: str) -> None:
    with httpx.Client() as client:
        assert client.get(f"{base}/get", timeout=10.0).is_success
        assert client.get(f"{base}/get", timeout=None).is_success
    timeout = httpx.Timeout(10.0, connect=60.0)
    assert (timeout.connect, timeout.read, timeout.write, timeout.pool) == (60.0, 10.0, 10.0, 10.0)
    with httpx.Client(timeout=timeout) as client:
        request = client.get(f"{base}/get").request
    assert request.extensions["timeout"] == timeout.as_dict()
    assert httpx.Timeout(connect=1, read=2, write=3, pool=4) == httpx.Timeout((1, 2, 3, 4))


def test_resource_limits(base: str) -> None:
    limits = httpx.Limits(max_keepalive_connections=5, max_connections=10, keepalive_expiry=None)
    with httpx.Client(limits=limits) as client:
        assert client.get(f"{base}/get").is_success
    assert httpx.Limits() == httpx.Limits(
        max_connections=None, max_keepalive_connections=None, keepalive_expiry=5.0
    )


def test_tls(server_ssl_context: ssl.SSLContext, certificates: Certificates) -> None:
    with serve(server_ssl_context, ExamplesHandler) as server:
        url = f"{server.url}get"
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
        assert httpx.get(url, verify=False).is_success
        ctx = httpx.create_ssl_context(verify=False)
        with httpx.Client(verify=ctx) as client:
            assert client.get(url).is_success
        ctx = httpx.create_ssl_context()
        ctx.load_verify_locations(cafile=str(certificates.ca_file))
        assert httpx.get(url, verify=ctx).is_success
        ctx = ssl.create_default_context(cafile=str(certificates.ca_file))
        assert httpx.get(url, verify=ctx).is_success


# Advanced: text encodings, extensions


def test_text_encodings(base: str) -> None:
    def autodetect(content: bytes) -> str | None:
        return "iso-8859-1" if b"\xdc" in content else None

    with httpx.Client(default_encoding=autodetect) as client:
        response = client.get(f"{base}/latin1")
        assert (response.encoding, response.text) == ("iso-8859-1", "<p>Überblick</p>")
        assert client.get(f"{base}/lines/1").encoding == "utf-8"
    with httpx.Client(default_encoding="cp437") as client:
        response = client.get(f"{base}/latin1")
        assert (response.encoding, response.text) == ("cp437", "<p>▄berblick</p>")
        assert client.get(f"{base}/latin1/iso-8859-1").encoding == "iso-8859-1"


def test_extensions(base: str) -> None:
    events = []

    def log(event_name: str, info: dict[str, Any]) -> None:
        events.append(event_name)

    with httpx.Client() as client:
        response = client.get(f"{base}/get", extensions={"trace": log})
        assert response.extensions["http_version"] == b"HTTP/1.1"
        assert response.extensions["reason_phrase"] == b"OK"
        extensions: dict[str, Any] = {"target": b"/test^path"}
        assert client.get(f"{base}/x", extensions=extensions).json()["target"] == "/test^path"
        extensions = {"timeout": {"connect": 5.0}}
        assert client.get(f"{base}/get", extensions=extensions).is_success
        extensions = {"sni_hostname": "www.example.com"}
        assert client.get(f"{base}/get", extensions=extensions).is_success
        with client.stream("GET", f"{base}/get") as response:
            network_stream = response.extensions["network_stream"]
            port = httpx.URL(base).port
            assert network_stream.get_extra_info("server_addr") == ("127.0.0.1", port)
            assert network_stream.get_extra_info("client_addr")[0] == "127.0.0.1"
    assert events[-1] == "http11.response_closed.complete"


# Async support


async def test_async_support(base: str) -> None:
    async with httpx.AsyncClient() as client:
        r = await client.get(f"{base}/get")
        assert repr(r) == "<Response [200 OK]>"
        async with client.stream("GET", f"{base}/lines/2") as response:
            async for chunk in response.aiter_bytes():
                assert chunk.startswith(b"line 0")
        async with client.stream("GET", f"{base}/lines/2") as response:
            assert [line async for line in response.aiter_lines()] == ["line 0", "line 1"]
        async with client.stream("GET", f"{base}/lines/1") as response:
            assert "".join([text async for text in response.aiter_text()]) == "line 0\n"
        async with client.stream("GET", f"{base}/gzip") as response:
            assert b"".join([c async for c in response.aiter_raw()])[:2] == b"\x1f\x8b"
        async with client.stream("GET", f"{base}/lines/1") as response:
            assert await response.aread() == b"line 0\n"
        req = client.build_request("GET", f"{base}/lines/1")
        r = await client.send(req, stream=True)
        assert not r.is_closed
        await r.aclose()

        async def upload_bytes() -> AsyncIterator[bytes]:
            yield b"content"

        r = await client.post(f"{base}/post", content=upload_bytes())
        assert r.json()["data"] == "content"
    transport = httpx.AsyncHTTPTransport(retries=3)
    client = httpx.AsyncClient(transport=transport)
    assert (await client.get(f"{base}/get")).is_success
    await client.aclose()
    await transport.aclose()


async def test_async_event_hooks_and_mocks() -> None:
    seen = []

    async def log_request(request: httpx.Request) -> None:
        seen.append(f"{request.method} {request.url}")

    async def log_response(response: httpx.Response) -> None:
        seen.append((await response.aread()).decode())

    async def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="answer")

    hooks = {"request": [log_request], "response": [log_response]}
    transport = httpx.MockTransport(handler)
    async with httpx.AsyncClient(transport=transport, event_hooks=hooks) as client:
        assert (await client.get("http://h/")).text == "answer"
    assert seen == ["GET http://h/", "answer"]


# The API page


def test_urls_of_the_api_page() -> None:
    url = httpx.URL("https://jo%40email.com:a%20secret@example.org:1234/pa%20th?search=ab#anchor")
    assert (url.scheme, url.username, url.password) == ("https", "jo@email.com", "a secret")
    assert (url.userinfo, url.host, url.port) == (b"jo%40email.com:a%20secret", "example.org", 1234)
    assert (url.netloc, url.path, url.query) == (b"example.org:1234", "/pa th", b"search=ab")
    assert (url.raw_path, url.fragment) == (b"/pa%20th?search=ab", "anchor")
    for text in ("http://h:80", "https://h:443", "ws://h:80", "wss://h:443", "ftp://h:21"):
        assert httpx.URL(text).port is None
    assert httpx.URL("https://h", params={"a": 1}) == "https://h/?a=1"
    assert httpx.URL("https://h/").copy_with(path="/x", query=b"a=b") == "https://h/x?a=b"
    assert httpx.URL("https://h/a").join("b") == "https://h/b"
    assert httpx.URL("https://h/a").is_absolute_url
    assert httpx.URL("/a").is_relative_url
    assert httpx.URL("https://h/?a=1").copy_remove_param("a").query == b""


def test_headers_of_the_api_page() -> None:
    headers = httpx.Headers({"Content-Type": "application/json"})
    assert list(headers.keys()) == ["content-type"]
    assert headers["Content-Type"] == headers["content-type"] == "application/json"
    headers = httpx.Headers([("Vary", "a, b"), ("vary", "c")])
    assert headers["vary"] == "a, b, c"
    assert headers.get_list("vary") == ["a, b", "c"]
    assert headers.get_list("vary", split_commas=True) == ["a", "b", "c"]
    headers.update({"VARY": "d"})
    headers.setdefault("Other", "e")
    assert headers.multi_items() == [("vary", "d"), ("other", "e")]
    assert httpx.Headers({"a": "ü"}, encoding="iso-8859-1").raw == [(b"a", b"\xfc")]
    headers = httpx.Headers([(b"a", "ü".encode())])
    assert (headers.encoding, headers["a"]) == ("utf-8", "ü")
    headers.encoding = "iso-8859-1"
    assert headers["a"] == "Ã¼"
    assert httpx.Headers([(b"a", b"\xfc")]).encoding == "iso-8859-1"
    assert httpx.Headers().encoding == "ascii"


def test_responses_of_the_api_page(base: str) -> None:
    r = httpx.get(f"{base}/links")
    assert r.links == {"next": {"url": "https://h/?page=2", "rel": "next"}}
    assert r.elapsed.total_seconds() > 0
    assert (r.http_version, r.reason_phrase, r.is_error) == ("HTTP/1.1", "OK", False)
    response = httpx.Response(200, headers={"a": "b"}, content=b"abc", request=r.request)
    assert (response.text, response.is_closed, response.is_stream_consumed) == ("abc", True, True)
    assert response.url == r.url


def test_codes() -> None:
    assert httpx.codes.OK == httpx.codes.ok == 200
    assert httpx.codes.NOT_FOUND.phrase == httpx.codes.get_reason_phrase(404) == "Not Found"
    assert httpx.codes.get_reason_phrase(999) == ""
    assert str(httpx.codes.IM_A_TEAPOT) == "418"
    assert httpx.codes.is_redirect(301)
    assert httpx.codes.is_error(500)
    assert not httpx.codes.is_success(404)
