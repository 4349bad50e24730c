"""Redirects: L1, and H01 to H07 of the faults."""

from __future__ import annotations

from typing import Any

import pytest

import httpclient as httpx

Head = tuple[int, list[tuple[bytes, bytes]]]

SECRETS = {
    "Authorization": "Bearer secret",
    "Cookie": "a=secret",
    "Proxy-Authorization": "Basic secret",
    "X-Api-Key": "secret",
}


class Body(httpx.SyncByteStream):
    """Without an end, unless it is closed."""

    def __init__(self) -> None:
        self.read = 0
        self.closed = False

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        assert not self.closed
        self.read += 1
        return bytes(1000)

    def close(self) -> None:
        self.closed = True


class Site(httpx.BaseTransport):
    """Redirects as `routes` say: from a URL to a status and a location. Everything else is 200."""

    def __init__(self, routes: dict[str, tuple[int, str]]) -> None:
        self.routes = routes
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.extensions: list[dict[str, Any]] = []
        self.bodies: list[Body] = []

    def handle_request(
        self, method: bytes, url: Any, headers: Any, stream: Any, extensions: Any
    ) -> tuple[int, list[tuple[bytes, bytes]], Any, dict[str, Any]]:
        scheme, host, port, target = url
        text = b"".join([scheme, b"://", host, b"" if port is None else b":%d" % port, target])
        seen = {name.decode().lower(): value.decode() for name, value in headers}
        body = stream.read()
        self.requests.append((method.decode(), text.decode(), seen, body))
        self.extensions.append(extensions)
        if text.decode() not in self.routes:
            return 200, [], httpx.ByteStream(b"here"), {}
        status, location = self.routes[text.decode()]
        self.bodies.append(Body())
        head = [(b"Location", location.encode()), (b"Content-Encoding", b"gzip")]
        return status, head, self.bodies[-1], {}

    def urls(self) -> list[str]:
        return [url for _, url, _, _ in self.requests]


def client(site: Site, **options: Any) -> httpx.Client:
    return httpx.Client(transport=site, **{"follow_redirects": True, **options})


def test_redirects_are_not_followed_unless_asked_for() -> None:
    site = Site({"http://a/": (302, "/b")})
    with client(site, follow_redirects=False) as http:
        with http.stream("GET", "http://a/") as response:
            assert (response.status_code, response.has_redirect_location) == (302, True)
            assert (response.history, site.urls()) == ([], ["http://a/"])
            assert response.next_request is not None
        with http.stream("GET", "http://a/", follow_redirects=True) as response:
            assert response.read() == b"here"
        then = http.send(response.history[0].next_request or response.request)
        assert then.url == "http://a/b"
    with client(Site(site.routes)) as http:
        with http.stream("GET", "http://a/", follow_redirects=False) as response:
            assert response.status_code == 302


def test_the_history_is_kept_and_its_bodies_are_closed_unread() -> None:
    """H06: they may be compressed, huge, or without an end."""
    site = Site({"http://a/1": (301, "2"), "http://a/2": (302, "http://a/3#frag")})
    with client(site) as http:
        response = http.get("http://a/1")
    assert (response.text, str(response.url)) == ("here", "http://a/3#frag")
    assert [str(old.url) for old in response.history] == ["http://a/1", "http://a/2"]
    assert [old.history for old in response.history] == [[], response.history[:1]]
    assert [(body.closed, body.read) for body in site.bodies] == [(True, 0), (True, 0)]
    with pytest.raises(httpx.ResponseNotRead):
        _ = response.history[0].content


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b", "http://a/b"),
        ("b?c=d", "http://a/x/b?c=d"),
        ("../b", "http://a/b"),
        ("//other/b", "http://other/b"),
        ("?q", "http://a/x/y?q"),
        ("", "http://a/x/y"),
        (" /blank ", "http://a/blank"),
        ("/a b/ü", "http://a/a%20b/%C3%BC"),
        ("HTTPS://B:443/", "https://b/"),
        ("http://user:secret@b/", "http://b/"),
        ("/b#new", "http://a/b"),
    ],
)
def test_locations(location: str, target: str) -> None:
    site = Site({"http://a/x/y": (302, location)})
    with client(site, max_redirects=1) as http:
        try:
            response = http.get("http://a/x/y#old")
        except httpx.TooManyRedirects:
            assert location == ""
        else:
            assert response.url.fragment == ("new" if "#" in location else "old")
    assert site.urls()[1] == target


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://", httpx.RemoteProtocolError),
        ("http://a b/", httpx.RemoteProtocolError),
        ("http://a:99999/", httpx.RemoteProtocolError),
        ("http://[::1/", httpx.RemoteProtocolError),
        ("/\\evil.test", httpx.RemoteProtocolError),
        ("file:///etc/passwd", httpx.UnsupportedProtocol),
        ("ftp://a/", httpx.UnsupportedProtocol),
        ("javascript:alert(1)", httpx.UnsupportedProtocol),
        ("data:,x", httpx.UnsupportedProtocol),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_l1_a_location_that_is_none_or_leads_out_of_the_web(
    scheme: str, location: str, error: type[httpx.TransportError]
) -> None:
    site = Site({f"{scheme}://a/": (302, location)})
    with client(site) as http:
        with pytest.raises(error) as caught:
            http.get(f"{scheme}://a/")
        assert vars(caught.value)["request"].url == f"{scheme}://a/"
        assert site.bodies[0].closed
        with http.stream("GET", f"{scheme}://a/", follow_redirects=False) as response:
            assert (response.status_code, response.next_request) == (302, None)


@pytest.mark.parametrize(
    "target", ["http://b/", "http://a:81/", "https://a/", "http://sub.a/", "http://a.evil/"]
)
def test_l1_h01_what_tells_of_the_sender_stays_within_the_origin(target: str) -> None:
    site = Site({"http://a/": (302, "/same"), "http://a/same": (302, target)})
    with client(site) as http:
        http.get("http://a/", headers={**SECRETS, "X-Other": "kept"})
    first, same, other = [seen for _, _, seen, _ in site.requests]
    assert all(first[name.lower()] == same[name.lower()] == SECRETS[name] for name in SECRETS)
    assert not {name.lower() for name in SECRETS} & set(other)
    assert (other["x-other"], other["host"]) == ("kept", target.split("/")[2])


def test_h01_every_copy_of_a_header_goes() -> None:
    site = Site({"http://a/": (302, "http://b/")})
    with client(site) as http:
        fields = [("Authorization", "1"), ("authorization", "2"), ("COOKIE", "3"), ("Host", "a")]
        http.get("http://a/", headers=fields)
    assert set(site.requests[1][2]) == {"host", "accept", "accept-encoding", "user-agent"}


def test_h02_what_has_been_dropped_does_not_come_back() -> None:
    routes = {
        "http://a/": (302, "http://b/1"),
        "http://b/1": (302, "http://b/2"),
        "http://b/2": (302, "http://a/end"),
    }
    site = Site(routes)
    with client(site, cookies={"everywhere": "1"}) as http:
        http.get("http://a/", headers={"Authorization": "secret"}, auth=None)
    assert site.urls() == ["http://a/", *[target for _, target in routes.values()]]
    seen = [{"authorization", "cookie"} & set(headers) for _, _, headers, _ in site.requests]
    assert seen == [{"authorization", "cookie"}, set(), set(), set()]


def test_h01_an_auth_object_does_not_answer_for_another_origin() -> None:
    class Challenged(httpx.Auth):
        asked = 0

        def auth_flow(self, request: httpx.Request) -> Any:
            request.headers["Authorization"] = "first secret"
            response = yield request
            self.asked += 1
            request.headers["Authorization"] = "second secret"
            yield response.request

    site = Site({"http://a/": (302, "http://b/")})
    auth = Challenged()
    with client(site, auth=auth) as http:
        response = http.get("http://a/")
    assert (auth.asked, response.url) == (0, "http://b/")
    assert "authorization" not in site.requests[1][2]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_l1_h05_method_and_body(status: int, method: str) -> None:
    """RFC 9110, 15.4: 303 makes it GET; 301 and 302 do that with POST only."""
    site = Site({"http://a/": (status, "/b")})
    with client(site) as http:
        http.request(method, "http://a/", json={"a": 1})
    changes = (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST")
    changed, _, headers, body = site.requests[1]
    if changes and method != "GET":
        assert (changed, body) == ("GET", b"")
        assert not {"content-type", "content-length", "transfer-encoding"} & set(headers)
    else:
        assert (changed, body) == (method, b'{"a":1}')
        assert (headers["content-type"], headers["content-length"]) == ("application/json", "7")


class OneShot(httpx.SyncByteStream):
    def __init__(self) -> None:
        self.parts = [b"once"]

    def __iter__(self) -> OneShot:
        return self

    def __next__(self) -> bytes:
        if self.parts:
            return self.parts.pop()
        raise StopIteration


@pytest.mark.parametrize(("status", "works"), [(302, True), (303, True), (307, False)])
def test_l1_a_one_shot_body_is_never_replayed(status: int, works: bool) -> None:
    site = Site({"http://a/": (status, "/b")})
    with client(site) as http:
        if works:
            assert (http.post("http://a/", content=OneShot())).text == "here"
        else:
            with pytest.raises(httpx.StreamConsumed):
                http.post("http://a/", content=OneShot())
            assert site.urls() == ["http://a/"]
    assert site.bodies[0].closed


@pytest.mark.parametrize("limit", [0, 1, 20])
def test_h06_loops_end(limit: int) -> None:
    site = Site({"http://a/": (302, "/")})
    with client(site, max_redirects=limit) as http:
        with pytest.raises(httpx.TooManyRedirects, match=f"{limit} redirects") as caught:
            http.get("http://a/")
    assert len(site.requests) == limit + 1
    assert all(body.closed for body in site.bodies)
    assert vars(caught.value)["request"].url == "http://a/"


def test_a_redirect_without_a_location_is_a_response() -> None:
    class Plain(Site):
        def handle_request(self, *request: Any) -> Any:
            return 302, [], httpx.ByteStream(b"nowhere"), {}

    with client(Plain({})) as http:
        response = http.get("http://a/")
    assert (response.status_code, response.text, response.has_redirect_location) == (
        302,
        "nowhere",
        False,
    )


def test_the_total_limit_does_not_begin_anew() -> None:
    site = Site({"http://a/": (302, "/b")})
    with client(site, timeout={"total": 1000.0, "read": 3.0}) as http:
        http.get("http://a/")
    first, then = [extensions["timeout"] for extensions in site.extensions]
    assert first["total"] == 1000.0
    assert 0.0 < then["total"] < 1000.0
    assert first["read"] == then["read"] == 3.0


def test_cookies_of_a_redirect_are_sent_to_its_target() -> None:
    class Login(Site):
        def handle_request(self, *request: Any) -> Any:
            status, headers, stream, extensions = super().handle_request(*request)
            if status == 302:
                headers.append((b"Set-Cookie", b"session=1; Path=/in"))
            return status, headers, stream, extensions

    site = Login({"http://a/": (302, "/in"), "http://a/in": (302, "/out")})
    with client(site) as http:
        response = http.get("http://a/", cookies={"own": "2"})
        assert dict(http.cookies) == {"session": "1"}
    seen = [headers.get("cookie") for _, _, headers, _ in site.requests]
    assert seen[0] == "own=2"
    assert sorted((seen[1] or "").split("; ")) == ["own=2", "session=1"]
    assert seen[2] == "own=2"
    assert response.history[0].cookies["session"] == "1"


def test_h07_the_clients_settings_apply_to_each_method() -> None:
    for name in ("get", "options", "head", "post", "put", "patch", "delete"):
        site = Site({"http://a/": (307, "/")})
        with client(site, follow_redirects=False) as http:
            with http.stream(name.upper(), "http://a/") as response:
                assert response.status_code == 307
            with pytest.raises(httpx.TooManyRedirects):
                http.max_redirects = 2
                getattr(http, name)("http://a/", follow_redirects=True)
        assert len(site.requests) == 4


def test_a_digest_of_one_target_is_not_sent_to_another() -> None:
    site = Site({"http://a/": (302, "/b")})
    with client(site) as http:
        http.get("http://a/", headers={"Authorization": 'Digest uri="/", response="x"'})
    assert [("authorization" in headers) for _, _, headers, _ in site.requests] == [True, False]
