"""Requests that a proxy forwards, and those it carries unseen: X1, X3, F07, F09, B02, B13."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from httpcore_core._exceptions import LocalProtocolError, TransportError
from httpcore_core._models import URL, ByteStream, Headers, Origin, Request
from httpcore_core._protocol.exchange import Exchange
from httpcore_core._protocol.forwarding import (
    Forwarding,
    absolute_form,
    check_tunnelled,
    is_forwarded,
)
from httpcore_core._protocol.proxy_auth import MAX_ROUNDS, BasicProxyAuth, ProxyAuth
from httpcore_core._protocol.request import RequestPlan, plan_request
from httpcore_core._proxy import Proxy
from tests.protocol.wire import Stream

PLAIN = Proxy("http://p:3128")
BASIC = Proxy("https://user:5ecret@p:3129")
SOCKS = Proxy("socks5h://user:5ecret@p")
CREDENTIALS = (b"Proxy-Authorization", b"Basic dXNlcjo1ZWNyZXQ=")
OWN = (b"proxy-AUTHORIZATION", b"own 5ecret")
CHALLENGE = [(b"Proxy-Authenticate", b"X")]
HTTP: URL = (b"http", b"example.com", None, b"/path?query")
HTTPS: URL = (b"https", b"example.com", None, b"/path?query")
HOST = (b"Host", b"example.com")


def request(
    url: URL = HTTP,
    headers: Headers | None = None,
    method: bytes = b"GET",
    stream: Any = None,
    **extensions: Any,
) -> Request:
    return Request(method, url, [HOST, *(headers or [])], stream or ByteStream(b""), extensions)


def plan(*arguments: Any, **named: Any) -> RequestPlan:
    return plan_request(request(*arguments, **named))


def exchange(*arguments: Any, **named: Any) -> Exchange:
    return Exchange(request(*arguments, **named), None)


class Numbered(ProxyAuth):
    """Credentials "X 0" up to "X 9"; at first none."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
        self.told.append((method, target))
        self.told.append((yield None))
        for number in range(10):
            self.told.append((yield b"X %d" % number))


# Which requests


@pytest.mark.parametrize("proxy", [PLAIN, BASIC])
def test_x1_http_is_forwarded_https_is_tunnelled(proxy: Proxy) -> None:
    """Whichever way the proxy itself is spoken to."""
    assert is_forwarded(plan(HTTP), proxy, True)
    assert is_forwarded(plan(HTTP, method=b"POST", stream=Stream(b"x")), proxy, True)
    assert not is_forwarded(plan(HTTPS), proxy, True)


@pytest.mark.parametrize("url", [HTTP, HTTPS])
def test_x1_socks_forwards_nothing(url: URL) -> None:
    assert not is_forwarded(plan(url), SOCKS, True)


def test_x1_what_is_http_2_only_is_tunnelled() -> None:
    """RFC 9113, section 3.3: with prior knowledge, of the origin and not of the proxy."""
    assert not is_forwarded(plan(HTTP), PLAIN, False)


def test_x1_what_becomes_something_else_is_tunnelled() -> None:
    upgrade = [(b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]
    tunnel: URL = (b"http", b"example.com", None, b"other.example:443")
    assert not is_forwarded(plan(HTTP, upgrade), PLAIN, True)
    assert not is_forwarded(plan(tunnel, method=b"CONNECT"), PLAIN, True)
    assert not is_forwarded(plan(HTTP, method=b"CONNECT", protocol=b"websocket"), PLAIN, True)


# How they are sent: RFC 9112, sections 3.2.2 and 3.2.4


@pytest.mark.parametrize(
    ("method", "url", "target"),
    [
        (b"GET", (b"http", b"example.com", None, b"/"), b"http://example.com/"),
        (b"GET", (b"HTTP", b"Example.COM", 80, b"/a?b"), b"http://example.com/a?b"),
        (b"GET", (b"http", b"example.com", 8080, b"/"), b"http://example.com:8080/"),
        (b"GET", (b"http", b"example.com", 443, b"/"), b"http://example.com:443/"),
        (b"GET", (b"http", b"example.com.", None, b"/"), b"http://example.com./"),
        (b"GET", (b"http", b"127.0.0.1", 1, b"/"), b"http://127.0.0.1:1/"),
        (b"GET", (b"http", b"::1", None, b"/a"), b"http://[::1]/a"),
        (b"GET", (b"http", b"[2001:DB8::0]", 8080, b"/a"), b"http://[2001:db8::]:8080/a"),
        (b"GET", (b"http", b"example.com", None, b"//evil/a"), b"http://example.com//evil/a"),
        (b"GET", (b"http", b"example.com", None, b"/http://b/"), b"http://example.com/http://b/"),
        (b"OPTIONS", (b"http", b"example.com", None, b"/"), b"http://example.com/"),
        (b"OPTIONS", (b"http", b"example.com", None, b"*"), b"http://example.com"),
        (b"OPTIONS", (b"http", b"::1", 8080, b"*"), b"http://[::1]:8080"),
        (b"GET", (b"http", b"example.com", None, b"http://other/x"), b"http://other/x"),
        (b"GET", (b"http", b"example.com", None, b"HTTP://other"), b"HTTP://other"),
    ],
)
def test_f09_the_target_is_absolute(method: bytes, url: URL, target: bytes) -> None:
    """And it is for the origin of the URL, unless the caller has made it absolute already."""
    made = plan(url, method=method)
    assert absolute_form(made) == target
    assert Forwarding(made, PLAIN, []).first().target == target


@pytest.mark.parametrize(
    "target",
    [
        b"/a b",
        b"/a\r\nX: y",
        b"/\x00",
        b"/\xff",
        b"/#a",
        b"*",
        b"",
        b"a",
        b"http://",
        b"http://u@o/",
    ],
)
def test_b02_illegal_targets_do_not_get_so_far(target: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        exchange((b"http", b"example.com", None, target))


def test_f09_host_is_the_origins_and_stays_the_first_header() -> None:
    assert Forwarding(plan(HTTP, [(b"X", b"1")]), PLAIN, []).first().headers == [HOST, (b"X", b"1")]


def test_the_plan_that_was_made_stays_as_it_is() -> None:
    made = plan(HTTP, [(b"X", b"1")], b"PUT", ByteStream(b"body"))
    before = dict(vars(made), headers=list(made.headers))
    sent = Forwarding(made, BASIC, [(b"Y", b"2")]).first()
    assert vars(made) == before
    changed = {name for name, value in vars(sent).items() if value != before.get(name)}
    assert changed == {"target", "headers"}
    assert (b"Content-Length", b"4") in sent.headers


# Headers


def test_x3_the_proxys_headers_come_behind_the_requests() -> None:
    fields = [(b"Y", b"2"), (b"y", b"3"), (b"User-Agent", b"p")]
    sent = Forwarding(plan(HTTP, [(b"X", b"1")]), PLAIN, fields).first()
    assert sent.headers == [HOST, (b"X", b"1"), *fields]


def test_x3_the_requests_own_field_wins() -> None:
    """Whatever its case, and also where the proxy has more of the name."""
    fields = [(b"x-token", b"proxy"), (b"X-TOKEN", b"proxy too"), (b"Y", b"2")]
    sent = Forwarding(plan(HTTP, [(b"X-Token", b"request")]), PLAIN, fields).first()
    assert sent.headers == [HOST, (b"X-Token", b"request"), (b"Y", b"2")]


@pytest.mark.parametrize(
    ("own", "field", "proxy", "expected"),
    [
        ([], [], PLAIN, []),
        ([], [], BASIC, [CREDENTIALS]),
        ([], [(b"proxy-authorization", b"field")], PLAIN, [(b"proxy-authorization", b"field")]),
        ([], [(b"proxy-authorization", b"field")], BASIC, [CREDENTIALS]),
        ([OWN], [], PLAIN, [OWN]),
        ([OWN], [], BASIC, [OWN]),
        ([OWN], [(b"proxy-authorization", b"field")], BASIC, [OWN]),
    ],
)
def test_f07_one_proxy_authorization_the_requests_before_the_proxys(
    own: Headers, field: Headers, proxy: Proxy, expected: Headers
) -> None:
    forwarding = Forwarding(plan(HTTP, own), proxy, field)
    assert forwarding.first().headers == [HOST, *expected]
    assert forwarding.answer(CHALLENGE) is None  # Basic has said all; the request's own more so


def test_f07_credentials_for_a_proxy_do_not_go_through_a_tunnel() -> None:
    """Neither in the request nor in the error."""
    check_tunnelled(plan(HTTPS, [(b"Authorization", b"x"), (b"Proxy-Connection", b"y")]))
    for url in (HTTP, HTTPS):
        with pytest.raises(LocalProtocolError) as caught:
            check_tunnelled(plan(url, [OWN]))
        assert "5ecret" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [b"X 5ecret\r\nY: z", b"X 5ecret\n", b" 5ecret", b"\x005ecret", "X 5ecret", bytearray(b"5")],
)
@pytest.mark.parametrize("late", [False, True])
def test_b13_credentials_that_no_header_can_hold(value: Any, late: bool) -> None:
    class Broken(ProxyAuth):
        def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
            if late:
                yield None
            yield value

    forwarding = Forwarding(plan(), Proxy("http://p", auth=Broken()), [])
    with pytest.raises(TransportError) as caught:
        forwarding.first()
        forwarding.answer(CHALLENGE)
    assert type(caught.value) is LocalProtocolError
    assert "5ecret" not in f"{caught.value}{caught.value.__cause__!r}"


# Challenges


def test_f01_challenges_are_answered_in_the_forwarded_request() -> None:
    auth = Numbered()
    made = plan(HTTP, [(b"X", b"1")], b"PUT", ByteStream(b"body"))
    forwarding = Forwarding(made, Proxy("http://p", auth=auth), [(b"Proxy-Authorization", b"old")])
    assert (b"Proxy-Authorization", b"old") in forwarding.first().headers
    for number in range(MAX_ROUNDS):
        sent = forwarding.answer(CHALLENGE)
        assert sent is not None
        given = [field for field in sent.headers if field[0].lower() == b"proxy-authorization"]
        assert given == [(b"Proxy-Authorization", b"X %d" % number)]
        assert (b"X", b"1") in sent.headers
        assert (sent.method, sent.body, sent.content_length) == (b"PUT", b"body", 4)
    assert forwarding.answer(CHALLENGE) is None
    assert auth.told[:2] == [(b"PUT", b"http://example.com/path?query"), [b"X"]]
    assert len(auth.told) == MAX_ROUNDS + 1


def forwarded(auth: ProxyAuth | None, **named: Any) -> Exchange:
    """A request that has been sent to a proxy and answered by it."""
    made = exchange(**named)
    made.send_through(Proxy("http://p", auth=auth), True)
    made.forward([])
    made.wrote = made.body_started = made.reused = made.refused = True
    made.phase = "receive body"
    return made


def test_f01_the_exchange_begins_anew_with_credentials() -> None:
    made = forwarded(Numbered(), method=b"POST", stream=ByteStream(b"body"))
    assert made.answer_challenge(407, CHALLENGE)
    assert made.plan.headers[-1] == (b"Proxy-Authorization", b"X 0")
    assert (made.wrote, made.body_started, made.reused, made.refused) == (False,) * 4
    assert made.phase == "request"
    assert not made.retried  # a challenge is no failure


@pytest.mark.parametrize("status", [200, 401, 403, 408, 502])
def test_only_407_is_a_challenge(status: int) -> None:
    made = forwarded(Numbered())
    sent = made.plan
    assert not made.answer_challenge(status, CHALLENGE)
    assert made.plan is sent
    assert made.wrote


def test_a_407_that_no_proxy_was_asked_for_is_the_callers() -> None:
    """From an origin, reached directly or through a tunnel, and where there is nothing to say."""
    assert not exchange().answer_challenge(407, CHALLENGE)
    for proxy in (BASIC, SOCKS, Proxy("http://p", auth=Numbered())):
        made = exchange(HTTPS)
        made.send_through(proxy, True)
        assert not made.answer_challenge(407, CHALLENGE)
    assert not forwarded(None).answer_challenge(407, CHALLENGE)
    assert not forwarded(BasicProxyAuth(b"a", b"b")).answer_challenge(407, CHALLENGE)


def test_p6_a_one_shot_body_that_has_started_is_not_sent_twice() -> None:
    made = forwarded(Numbered(), method=b"POST", stream=Stream(b"body"))
    assert not made.answer_challenge(407, CHALLENGE)
    made.body_started = False  # it had waited for a 100
    assert made.answer_challenge(407, CHALLENGE)


# What a connection must match


def test_f09_a_forwarding_proxy_is_the_peer_of_all_origins() -> None:
    keys = set()
    for host in (b"a.example", b"b.example"):
        made = exchange((b"http", host, None, b"/"))
        assert made.peer == made.origin
        made.send_through(PLAIN, True)
        assert made.forwards
        assert made.peer == PLAIN.origin == Origin(b"http", b"p", 3128)
        assert made.origin.host == host
        keys.add(made.key)
    assert keys == {PLAIN}


def test_f09_what_differs_shares_no_connection() -> None:
    """Origins behind tunnels, names that TLS verifies, proxies, credentials, ways of sending."""
    other = Proxy("https://user:other@p:3129")
    keys = [exchange(HTTP).key, exchange(HTTPS).key]
    for proxy in (PLAIN, BASIC, other, SOCKS):
        for made in (exchange(HTTP), exchange(HTTPS), exchange(HTTPS, sni_hostname="x.example")):
            made.send_through(proxy, True)
            assert made.forwards is (made.origin.scheme == b"http" and proxy is not SOCKS)
            assert made.forwards or made.peer == made.origin
            keys.append(made.key)
        made = exchange(HTTP)
        made.send_through(proxy, False)
        assert not made.forwards
        if proxy is not SOCKS:  # for which it has been above
            keys.append(made.key)
    assert len(set(keys)) == len(keys)


def test_f07_own_credentials_are_refused_where_the_request_is_tunnelled() -> None:
    exchange(HTTP, [OWN]).send_through(PLAIN, True)
    for made, proxy in ((exchange(HTTPS, [OWN]), PLAIN), (exchange(HTTP, [OWN]), SOCKS)):
        with pytest.raises(LocalProtocolError):
            made.send_through(proxy, True)
    with pytest.raises(LocalProtocolError):
        exchange(HTTP, [OWN]).send_through(PLAIN, False)


@pytest.mark.parametrize("name", ["http://p:3128", b"http://p:3128", PLAIN])
def test_the_proxy_extension(name: Any) -> None:
    made = exchange(proxy=name)
    assert (made.chooses_proxy, made.proxy) == (True, PLAIN)
    assert not made.forwards


def test_the_proxy_extension_may_say_none() -> None:
    made = exchange(proxy=None)
    assert (made.chooses_proxy, made.proxy) == (True, None)
    assert not exchange().chooses_proxy


@pytest.mark.parametrize(
    "value", ["", "p:3128", "ftp://user:5ecret@p", "http://user:5ecret@p/x", 5, True, (), b"\xff"]
)
def test_an_illegal_proxy_extension(value: Any) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        exchange(proxy=value)
    assert "5ecret" not in f"{caught.value}{caught.value.__cause__!r}"
    assert caught.value.phase == "request"
