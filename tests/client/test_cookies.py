"""Cookies: RFC 6265bis as a table, the mapping around them, and what hostile servers set."""

from __future__ import annotations

import copy
import datetime
import http.cookiejar
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import httpclient as httpx
from httpclient import _cookie_jar, _cookie_rules, _cookies
from httpclient._cookie_rules import (
    MAX_AGE,
    MAX_SIZE,
    Place,
    SetCookie,
    parse_date,
    parse_set_cookie,
    path_matches,
    scope_of,
)
from httpclient._cookies import Cookies
from httpclient._exceptions import CookieConflict

NOW = 1_700_000_000
CLONES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda value: pickle.loads(pickle.dumps(value)),
]


class Clock:
    """Stands for the `time` module."""

    def __init__(self) -> None:
        self.now: float = NOW

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_cookies, "time", clock)
    return clock


@pytest.fixture(params=["all suffixes", "common suffixes"])
def suffixes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the library that knows all public suffixes, and without."""
    kind: str = request.param
    if kind == "common suffixes":
        monkeypatch.setattr(_cookie_rules, "_suffix_list", lambda: None)
    return kind


def visit(cookies: Cookies, url: str, *headers: str | bytes) -> None:
    """A response from `url` with these Set-Cookie headers."""
    fields = [("Set-Cookie", header) for header in headers]
    response = httpx.Response(200, headers=fields, request=httpx.Request("GET", url))
    cookies.extract_cookies(response)


def sent(cookies: Cookies, url: str, **options: Any) -> str | None:
    request = httpx.Request("GET", url)
    cookies.set_cookie_header(request, **options)
    return request.headers.get("Cookie")


def after(url: str, *headers: str | bytes) -> Cookies:
    cookies = Cookies()
    visit(cookies, url, *headers)
    return cookies


# RFC 6265bis: who gets a cookie

H = "https://example.com/"
W = "https://www.example.com/"


@pytest.mark.parametrize(
    ("origin", "header", "to", "not_to"),
    [
        # Without a domain: that host alone, section 5.7, step 12
        (H, "a=1", [H, "https://EXAMPLE.com:8443/x?y"], [W, "https://example.org/"]),
        (W, "a=1", [W], [H, "https://a.www.example.com/", "https://xwww.example.com/"]),
        (H, "a=1; Domain=", [H], [W]),
        (H, "a=1; Domain", [H], [W]),
        (H, "a=1; Domain=.", [H], [W]),
        # With one: it and all below
        (H, "a=1; Domain=example.com", [H, W, "https://a.b.example.com/"], []),
        (W, "a=1; domain=.EXAMPLE.Com", [H, W], ["https://xexample.com/", "https://com/"]),
        (W, "a=1; Domain=other.test; Domain=example.com", [H, W], []),
        (W, "a=1; Domain=example.com; Domain=", [W], [H]),
        # What is not one's own
        (H, "a=1; Domain=www.example.com", [], [H, W]),
        (H, "a=1; Domain=example.org", [], [H, "https://example.org/"]),
        (H, "a=1; Domain=ample.com", [], [H, "https://ample.com/"]),
        (H, "a=1; Domain=..example.com", [], [H, W]),
        (H, "a=1; Domain=*.example.com", [], [H, W]),
        (H, "a=1; Domain=example.com:443", [], [H]),
        (H, "a=1; Domain=\xe9xample.com", [], [H]),
        # A dot at the end makes another host of it
        (H, "a=1; Domain=example.com.", [], [H, "https://example.com./"]),
        (H, "a=1", [H], ["https://example.com./"]),
        ("https://example.com./", "a=1", ["https://example.com./"], [H]),
        ("https://example.com./", "a=1; Domain=com.", [], ["https://example.com./"]),
        # Addresses: exactly
        ("http://127.0.0.1/", "a=1", ["http://127.0.0.1:81/"], ["http://127.0.0.2/"]),
        ("http://127.0.0.1/", "a=1; Domain=127.0.0.1", ["http://127.0.0.1/"], []),
        ("http://127.0.0.1/", "a=1; Domain=0.0.1", [], ["http://127.0.0.1/"]),
        ("http://127.0.0.1/", "a=1; Domain=1", [], ["http://127.0.0.1/"]),
        ("http://[::1]/", "a=1", ["http://[::1]:81/"], ["http://[::2]/"]),
        ("http://[::1]/", "a=1; Domain=[::1]", ["http://[::1]/"], []),
        # One label: itself, but nothing below
        ("http://localhost/", "a=1", ["http://localhost:8000/"], ["http://a.localhost/"]),
        ("http://localhost/", "a=1; Domain=localhost", ["http://localhost/"],
            ["http://a.localhost/"]),
        ("http://a.localhost/", "a=1; Domain=localhost", [], ["http://a.localhost/"]),
        (H, "a=1; Domain=com", [], [H, "https://example.org/", "https://other.com/"]),
        # Ports and other schemes do not matter
        ("https://example.com:8443/", "a=1; Port=\"8443\"", [H], []),
        ("wss://example.com/", "a=1; Secure", [H, "wss://example.com/"], ["ws://example.com/"]),
    ],
)  # fmt: skip
def test_h08_l3_hosts(origin: str, header: str, to: list[str], not_to: list[str]) -> None:
    cookies = after(origin, header)
    assert [url for url in [*to, *not_to] if sent(cookies, url) == "a=1"] == to
    assert len(cookies) == bool(to)


@pytest.mark.parametrize(
    "suffix",
    ["co.uk", "com.au", "org.br", "or.jp", "github.io", "s3.amazonaws.com", "vercel.app", "com"],
)
def test_h08_public_suffixes(suffix: str, suffixes: str) -> None:
    victim, host = f"https://victim.{suffix}/", f"https://{suffix}/"
    for domain in (suffix, f".{suffix}", suffix.upper()):
        assert not after(f"https://evil.{suffix}/", f"a=1; Domain={domain}")
    assert not after(f"https://evil.{suffix}./", f"a=1; Domain={suffix}.")
    own = after(host, f"a=1; Domain={suffix}")  # section 5.7, step 9: for itself alone
    assert (sent(own, host), sent(own, victim)) == ("a=1", None)
    below = after(f"https://a.evil.{suffix}/", f"a=1; Domain=evil.{suffix}")
    assert sent(below, f"https://evil.{suffix}/") == "a=1"


def test_h08_second_levels_are_public_below_countries_only(suffixes: str) -> None:
    for domain in ("net.com", "example.uk"):
        assert after(f"https://a.{domain}/", f"a=1; Domain={domain}")


def test_h08_the_library_knows_more_suffixes() -> None:
    pytest.importorskip("publicsuffixlist")
    for suffix in ("kawasaki.jp", "any.ck", "xn--55qx5d.cn", "blogspot.com"):
        assert not after(f"https://evil.{suffix}/", f"a=1; Domain={suffix}")
    assert after("https://a.www.ck/", "a=1; Domain=www.ck")  # an exception of the list


def test_the_short_list_is_part_of_the_long_one() -> None:
    pytest.importorskip("publicsuffixlist")
    countries = {"br", "au", "uk"}
    short = _cookie_rules._PUBLIC | {f"com.{country}" for country in countries - {"uk"}}
    assert [name for name in short if not _cookie_rules.is_public_suffix(name)] == []


@pytest.mark.parametrize(
    ("url", "header", "to", "not_to"),
    [
        # The default path, section 5.1.4
        ("/", "a=1", ["/", "/x", "/x/y"], []),
        ("/x", "a=1", ["/", "/y"], []),
        ("/x/", "a=1", ["/x", "/x/", "/x/y", "/x?q"], ["/", "/xy", "/X"]),
        ("/x/y?z=/1/2", "a=1", ["/x", "/x/z"], ["/", "/xy"]),
        ("/a//b", "a=1", ["/a/", "/a//c"], ["/a"]),
        # Those given; prefixes end where segments do
        ("/", "a=1; Path=/foo", ["/foo", "/foo/", "/foo/bar", "/foo?x"], ["/foobar", "/", "/fo"]),
        ("/", "a=1; Path=/foo/", ["/foo/", "/foo/bar"], ["/foo", "/foobar"]),
        ("/x/y", "a=1; Path=/", ["/", "/z"], []),
        ("/x/y", "a=1; path=/q; PATH=/p", ["/p"], ["/q", "/x/y"]),
        ("/x/y", "a=1; Path=", ["/x"], ["/"]),
        ("/x/y", "a=1; Path=foo", ["/x/foo"], ["/", "/foo"]),
        ("/x/y", 'a=1; Path="/"', ["/x"], ["/"]),
        # As they are sent: neither side is decoded
        ("/", "a=1; Path=/%66oo", ["/%66oo"], ["/foo"]),
        ("/", "a=1; Path=/ü", [], ["/%C3%BC", "/ü"]),
    ],
)
def test_h08_l3_paths(url: str, header: str, to: list[str], not_to: list[str]) -> None:
    cookies = after(f"https://example.com{url}", header)
    every = [*to, *not_to]
    assert [path for path in every if sent(cookies, f"https://example.com{path}")] == to


@given(st.text("/ab", max_size=8), st.text("/ab", max_size=8))
def test_path_rule_is_that_of_segments(path: str, cookie_path: str) -> None:
    """Section 5.1.4, said in another way: of two paths that begin with a slash."""
    path, cookie_path = f"/{path}", f"/{cookie_path}"
    below = f"{cookie_path}/" if not cookie_path.endswith("/") else cookie_path
    assert path_matches(path, cookie_path) == (path == cookie_path or path.startswith(below))


@pytest.mark.parametrize(
    ("url", "header", "kept"),
    [
        ("https://example.com/", "a=1; Secure", True),
        ("https://example.com/", "a=1; secure=0", True),
        ("http://example.com/", "a=1; Secure", False),
        # Section 5.4: what the name promises
        ("https://example.com/", "__Secure-a=1; Secure", True),
        ("https://example.com/", "__Secure-a=1", False),
        ("http://example.com/", "__Secure-a=1", False),
        ("http://example.com/", "__Secure-a=1; Secure", False),
        ("https://example.com/", "__SECURE-a=1", False),
        ("https://example.com/", "__Host-a=1; Secure; Path=/", True),
        ("https://example.com/", "__host-a=1; Secure; Path=/", True),
        ("https://example.com/", "__Host-a=1; Secure", False),
        ("https://example.com/x/y", "__Host-a=1; Secure; Path=/x", False),
        ("https://example.com/", "__Host-a=1; Path=/", False),
        ("https://example.com/", "__host-a=1; Path=/", False),
        ("https://example.com/", "__Host-a=1; Secure; Path=/; Domain=example.com", False),
        ("https://example.com/", "_Host-a=1", True),
        # A value without a name looks to a server like a name
        ("https://example.com/", "__Host-a", False),
        ("https://example.com/", "=__Secure-a; Secure", False),
        ("https://example.com/", "=a=1", False),
        ("https://example.com/", "=__Host-a=1", False),
    ],
)
def test_h08_secure_and_prefixes(url: str, header: str, kept: bool) -> None:
    cookies = after(url, header)
    assert len(cookies) == kept
    assert (sent(cookies, "https://example.com/") is not None) is kept
    if "secure" in header.lower():
        assert sent(cookies, "http://example.com/") is None


@pytest.mark.parametrize(
    ("url", "header", "replaced"),
    [
        ("http://example.com/", "a=2", False),
        ("http://example.com/", "a=2; Domain=example.com", False),
        ("http://www.example.com/", "a=2; Domain=example.com", False),
        ("http://www.example.com/", "a=2", False),
        ("http://example.com/", "a=2; Path=/x", False),
        ("http://example.com/", "a=2; Max-Age=0", False),
        ("http://example.com/", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", False),
        ("http://example.com/", "b=2", True),
        ("http://example.org/", "a=2", True),
        ("https://example.com/", "a=2", True),
    ],
)
def test_h08_http_leaves_secure_cookies_alone(url: str, header: str, replaced: bool) -> None:
    """Section 5.7, step 16."""
    cookies = after("https://example.com/", "a=1; Secure; Path=/")
    visit(cookies, url, header)
    values = [cookie.value for cookie in cookies.jar]
    assert ("2" in values) is replaced
    if not replaced:
        assert values == ["1"]


def test_h08_http_does_not_hide_a_secure_cookie_of_a_subdomain() -> None:
    cookies = after(W, "a=1; Secure; Path=/")
    visit(cookies, "http://www.example.com/", "a=2; Domain=example.com")
    assert sent(cookies, W) == "a=1"


def test_h08_http_may_set_the_same_name_above_a_secure_cookies_path() -> None:
    cookies = after("https://example.com/", "a=1; Secure; Path=/login")
    visit(cookies, "http://example.com/", "a=2; Path=/")
    assert sent(cookies, "https://example.com/login") == "a=1; a=2"


def test_a_cookie_of_another_host_is_not_removed() -> None:
    for header in ("a=; Domain=example.com; Max-Age=0", "a=; Max-Age=0"):
        cookies = after("https://example.com/", "a=1")
        visit(cookies, "https://evil.test/", header)
        assert sent(cookies, "https://example.com/") == "a=1"


def test_a_response_from_no_host_sets_nothing() -> None:
    assert not after("file:///etc/motd", "a=1")


# What the header says


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a=1", ("a", "1")),
        (" \ta \t=\t 1 ", ("a", "1")),
        ("a=", ("a", "")),
        ("a", ("", "a")),
        ("=a", ("", "a")),
        ('a="x, y"', ("a", '"x, y"')),
        ('a="x;y"', ("a", '"x')),
        ("a=b=c==", ("a", "b=c==")),
        ("a=b c", ("a", "b c")),
        ("a=b\tc", ("a", "b\tc")),
        ("a b=c", ("a b", "c")),
        ("$Version=1", ("$Version", "1")),
        ("Secure", ("", "Secure")),
        ("a=1;;; ;=;=x;Secure", ("a", "1")),
        ("a=%3B", ("a", "%3B")),
        ("a=ü", ("a", "ü")),
        (b"a=\xe9", ("a", "\udce9")),
        ("a=" + "x" * (MAX_SIZE - 1), ("a", "x" * (MAX_SIZE - 1))),
        ("a=1; Path=/" + "x" * 1100, ("a", "1")),
        ("", None),
        ("=", None),
        (";", None),
        (" ; Secure", None),
        ("a=" + "x" * MAX_SIZE, None),
        ("a=" + "ü" * (MAX_SIZE // 2), None),
        *((f"a=1{control}", None) for control in "\x00\x01\x08\n\r\x1f\x7f"),
        *((f"a{control}b=1", None) for control in "\x00\n\r\x7f"),
        ("a=1; Path=/\x00", None),
        ("a=1; x\r\ny", None),
    ],
)
def test_h08_names_and_values(header: str | bytes, expected: tuple[str, str] | None) -> None:
    raw = header.encode() if isinstance(header, str) else header
    said = parse_set_cookie(raw, NOW)
    assert (said and (said.name, said.value)) == expected


def test_h08_what_a_server_sets_it_gets_back_byte_by_byte() -> None:
    cookies = after(H, 'a="1, 2"', b"b=\xe9\xff", "c=\u20ac", "novalue")
    request = httpx.Request("GET", H)
    cookies.set_cookie_header(request)
    (value,) = (value for name, value in request.headers.raw if name == b"Cookie")
    assert value == b'a="1, 2"; b=\xe9\xff; c=\xe2\x82\xac; novalue'


@given(st.binary(max_size=200), st.sampled_from([b"", b"a=1; ", b"a=1; Expires=", b"a; Max-Age="]))
def test_i2_any_header_is_a_cookie_or_none(tail: bytes, head: bytes) -> None:
    said = parse_set_cookie(head + tail, NOW)
    if said is not None:
        assert said.name or said.value
        assert said.expires is None or said.expires <= NOW + MAX_AGE
        text = f"{said.name}{said.value}".encode("utf-8", "surrogateescape")
        assert len(text) <= MAX_SIZE
        assert not set(text) & {0, 10, 13, 59, 127}
        for place in (Place(True, "www.example.com", "/x"), Place(False, "::1", "/")):
            scope = scope_of(said, place)
            assert scope is None or place.host.endswith(scope.domain)
            assert scope is None or scope.path.startswith("/")


@given(
    st.from_regex(r"[a-z0-9_]{1,8}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_characters=";", exclude_categories=["Cc"])),
)
def test_whatever_has_been_set_is_sent(name: str, value: str) -> None:
    cookies = after(H, f"{name}={value}")
    assert (sent(cookies, H) or f"{name}=").encode() == f"{name}={value}".strip(" ").encode()


# Times


@pytest.mark.parametrize(
    ("attributes", "expires"),
    [
        ("", None),
        ("Max-Age=60", NOW + 60),
        ("max-AGE=060", NOW + 60),
        ("Max-Age=0", 0),
        ("Max-Age=-1", 0),
        ("Max-Age=-99999999999999999999999999", 0),
        ("Max-Age=" + "9" * 1024, NOW + MAX_AGE),
        ("Max-Age=" + "9" * 1025, None),
        ("Max-Age=99999999999", NOW + MAX_AGE),
        ("Max-Age", None),
        ("Max-Age=", None),
        ("Max-Age=-", None),
        ("Max-Age=+60", None),
        ("Max-Age=6e1", None),
        ("Max-Age=60.0", None),
        ('Max-Age="60"', None),
        ("Max-Age=\u0666", None),
        ("Max-Age=60; Max-Age=x", NOW + 60),
        ("Max-Age=60; Max-Age=70", NOW + 70),
        ("Expires=Tue, 14 Nov 2023 22:13:21 GMT", NOW + 1),
        ("Expires=Fri, 31 Dec 9999 23:59:59 GMT", NOW + MAX_AGE),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Expires=Mon, 01 Jan 1601 00:00:00 GMT", -11644473600),
        ("Expires=Mon, 01 Jan 1600 00:00:00 GMT", None),
        ("Expires=Mon, 01 Jan 99999 00:00:00 GMT", None),
        ("Expires=0", None),
        ("Expires=", None),
        ("Expires=never", None),
        ("Expires=Tue, 14 Nov 2023 22:13:21 GMT; Max-Age=60", NOW + 60),
        ("Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", NOW + 60),
        ("Max-Age=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_h08_expiry(attributes: str, expires: int | None) -> None:
    said = parse_set_cookie(f"a=1; {attributes}".encode(), NOW + 0.9)
    assert said is not None
    assert said.expires == expires


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06 08:49:37"),
        ("Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06 08:49:37"),
        ("Sun Nov  6 08:49:37 1994", "1994-11-06 08:49:37"),
        ("Mon, 10-Dec-69 1:2:3 GMT", "2069-12-10 01:02:03"),
        ("10-Dec-70 1:2:3", "1970-12-10 01:02:03"),
        ("08:49:37 2010 NOVEMBER 6th", "2010-11-06 08:49:37"),
        ("6 Nov 2010 08:49:37 -0800", "2010-11-06 08:49:37"),
        ("1601 01 jan 00:00:00", "1601-01-01 00:00:00"),
        ("12 34 jan 00:00:00", "2034-01-12 00:00:00"),
        ("29 Feb 2023 00:00:00", None),
        ("29 Feb 2024 00:00:00", "2024-02-29 00:00:00"),
        ("0 Jan 2024 00:00:00", None),
        ("1 Jan 2024 24:00:00", None),
        ("1 Jan 2024 00:60:00", None),
        ("1 Jan 2024 00:00:60", None),
        ("1 Jan 2024 00:00", None),
        ("1 Jan 2024 000:00:00", None),
        ("1 Foo 2024 00:00:00", None),
        ("001 Jan 2024 00:00:00", None),
        ("1 Jan 02024 00:00:00", None),
        ("", None),
    ],
)
def test_dates(text: str, expected: str | None) -> None:
    """Section 5.1.1."""
    moment = expected and datetime.datetime.fromisoformat(f"{expected}+00:00").timestamp()
    assert parse_date(text.encode()) == moment


@given(st.datetimes(datetime.datetime(1601, 1, 1), timezones=st.just(datetime.UTC)))
def test_every_date_is_understood(date: datetime.datetime) -> None:
    text = date.strftime("%%s, %d %%s %%04d %H:%M:%S GMT")
    text %= ("Mon", "JanFebMarAprMayJunJulAugSepOctNovDec"[date.month * 3 - 3 :][:3], date.year)
    assert parse_date(text.encode()) == int(date.replace(microsecond=0).timestamp())


@given(st.binary(max_size=60))
def test_i2_no_date_is_too_strange(text: bytes) -> None:
    moment = parse_date(text)
    assert moment is None or moment >= -11644473600


def test_expired_cookies_are_not_sent_and_do_not_stay(clock: Clock) -> None:
    cookies = after(H, "a=1; Max-Age=10", "b=2", "c=3; Max-Age=20")
    clock.now += 9.9
    assert sent(cookies, H) == "a=1; b=2; c=3"
    clock.now += 0.1
    assert sent(cookies, H) == "b=2; c=3"
    assert list(cookies) == ["b", "c"]
    clock.now += 10
    visit(cookies, "https://example.org/", "d=4")
    assert list(cookies) == ["b", "d"]
    visit(cookies, H, "b=; Max-Age=0", "e=; Max-Age=0")
    assert list(cookies) == ["d"]


# Order and bounds


def test_longest_path_first_then_the_oldest(clock: Clock) -> None:
    """Section 5.8.3. One that is replaced keeps its place."""
    cookies = Cookies()
    for header in ("a=1; Path=/", "b=2; Path=/x/y", "c=3; Path=/x", "d=4; Domain=example.com"):
        clock.now += 1
        visit(cookies, W.replace("www.", ""), header)
    clock.now += 1
    visit(cookies, H, "e=5", "a=6; Path=/")
    assert sent(cookies, f"{H}x/y/z") == "b=2; c=3; a=6; d=4; e=5"


def test_h08_i8_ten_thousand_cookies(clock: Clock) -> None:
    """The oldest go, and of one domain those first that plain HTTP may see."""
    cookies = after(H, "safe=1; Secure")
    cookies.set("mine", "1", domain="example.com")
    for number in range(0, 10_000, 100):
        clock.now += 1
        visit(cookies, H, *(f"a{each}=1; Path=/{each}" for each in range(number, number + 100)))
    names = list(cookies)
    assert len(names) == _cookie_jar.MAX_PER_DOMAIN + 1
    assert {"safe", "mine", "a9999", "a9821"} <= set(names)
    assert "a9820" not in names
    paths = [path for paths in vars(cookies.jar)["_cookies"].values() for path in paths]
    assert len(paths) <= len(names)  # nothing of what has gone


def test_h08_i8_many_domains(clock: Clock) -> None:
    cookies = Cookies({"mine": "1"})
    for number in range(40):
        clock.now += 1
        visit(cookies, f"https://h{number}.test/", *(f"a{each}=1" for each in range(100)))
    assert len(cookies) == _cookie_jar.MAX_COOKIES + 1
    assert "mine" in cookies
    kept = {cookie.domain for cookie in cookies.jar}
    assert kept == {"", *(f"h{number}.test" for number in range(10, 40))}
    assert set(vars(cookies.jar)["_cookies"]) == kept


def test_h08_ten_thousand_in_one_response() -> None:
    cookies = after(H, *(f"a{number}=1" for number in range(10_000)))
    assert list(cookies) == [f"a{number}" for number in range(10_000 - 180, 10_000)]


# The mapping


def test_cookies_of_the_user_are_sent_everywhere() -> None:
    sources: list[Any] = [
        {"a": "1", "b": "2"},
        [("a", "1"), ("b", "2")],
        (("a", "1"), ("b", "2")),
        Cookies({"a": "1", "b": "2"}),
    ]
    for source in sources:
        cookies = Cookies(source)
        assert sent(cookies, H) == sent(cookies, "http://127.0.0.1/x") == "a=1; b=2"
        assert dict(cookies) == {"a": "1", "b": "2"}
        assert sent(cookies, H, with_unscoped=False) is None


def test_h01_a_redirect_gets_only_what_is_for_its_host() -> None:
    cookies = after(H, "server=1")
    cookies["everywhere"] = "2"
    cookies.set("mine", "3", domain="example.com")
    assert sent(cookies, H) == "mine=3; everywhere=2; server=1"
    assert sent(cookies, H, with_unscoped=False) == "mine=3; server=1"
    assert sent(cookies, "https://evil.test/", with_unscoped=False) is None


@pytest.mark.parametrize(
    ("domain", "to", "not_to"),
    [
        ("example.com", [H, W], ["https://example.org/", "https://xexample.com/"]),
        (".Example.com", [H, W], ["https://example.org/"]),
        ("www.example.com", [W], [H]),
        ("bücher.example", ["https://xn--bcher-kva.example/"], ["https://bucher.example/"]),
        ("127.0.0.1", ["http://127.0.0.1/"], ["http://127.0.0.2/"]),
        ("::1", ["http://[::1]/"], ["http://[::2]/"]),
        ("localhost", ["http://localhost:1/", "http://a.localhost/"], [H]),
    ],
)
def test_set_with_a_domain(domain: str, to: list[str], not_to: list[str]) -> None:
    cookies = Cookies()
    cookies.set("a", "1", domain=domain)
    assert [url for url in [*to, *not_to] if sent(cookies, url)] == to


def test_set_with_a_path() -> None:
    cookies = Cookies()
    cookies.set("a", "1", path="/x")
    assert (sent(cookies, f"{H}x/y"), sent(cookies, f"{H}xy")) == ("a=1", None)


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("a", "secret\r\nX: y", {}),
        ("a", "secret\x00", {}),
        ("a", "secret; b=2", {}),
        ("a", "secret\ud800", {}),
        ("a=b", "secret", {}),
        ("a;b", "secret", {}),
        ("a\n", "secret", {}),
        ("a", "secret", {"path": "x"}),
        ("a", "secret", {"path": "/;x"}),
        ("a", "secret", {"domain": "a b"}),
        ("a", "secret", {"domain": "example.com/x\\"}),
        ("a", "secret", {"domain": "user@example.com"}),
    ],
)
def test_i9_set_refuses_what_a_cookie_cannot_hold(
    name: str, value: str, options: dict[str, str]
) -> None:
    cookies = Cookies()
    with pytest.raises(httpx.LocalProtocolError) as caught:
        cookies.set(name, value, **options)
    assert "secret" not in str(caught.value)
    assert not cookies


@pytest.mark.parametrize("value", [1, b"x", None])
def test_set_takes_text(value: Any) -> None:
    with pytest.raises(TypeError, match="a cookie's value is a str"):
        Cookies({"a": value})


@pytest.mark.parametrize("source", ["a=1", b"a=1", 1, {"a", "b"}, iter([("a", "1")])])
def test_cookies_are_made_of_what_is_documented(source: Any) -> None:
    with pytest.raises(TypeError, match="cookies are"):
        Cookies(source)


def test_conflicts() -> None:
    cookies = Cookies({"a": "1"})
    cookies.set("a", "2", domain="example.com")
    cookies.set("a", "3", domain="example.com", path="/x")
    cookies.set("a", "4", domain="example.org")
    assert "a" in cookies
    with pytest.raises(CookieConflict, match="4 cookies with the name 'a'"):
        cookies["a"]
    with pytest.raises(CookieConflict, match="2 cookies with the name 'a'"):
        cookies.get("a", domain="example.com")
    assert cookies.get("a", domain="example.com", path="/x") == "3"
    assert cookies.get("a", domain="") == "1"
    assert cookies.get("a", domain="example.org") == "4"
    assert cookies.get("a", "no", domain="org") == "no"
    assert cookies.get("b") is None
    cookies.delete("a", domain="example.com", path="/x")
    assert cookies.get("a", domain="EXAMPLE.com") == "2"
    cookies.delete("a", domain="example.com")
    cookies.delete("a", path="/nowhere")
    assert len(cookies) == 2
    cookies.delete("a")
    assert not cookies


def test_a_domain_without_a_dot_finds_what_has_one() -> None:
    cookies = after(W, "a=1; Domain=example.com", "b=2")
    assert cookies.get("a", domain="example.com") == cookies.get("a", domain=".example.com") == "1"
    assert cookies.get("b", domain="example.com") is None
    visit(cookies, H, "a=3")
    assert cookies.get("a", domain="example.com") == "3"
    assert cookies.get("a", domain=".example.com") == "1"


def test_a_mapping() -> None:
    cookies = Cookies()
    assert (bool(cookies), len(cookies), list(cookies), "a" in cookies) == (False, 0, [], False)
    with pytest.raises(KeyError):
        cookies["a"]
    with pytest.raises(KeyError):
        del cookies["a"]
    cookies["a"] = "1"
    cookies["a"] = "2"
    assert cookies == {"a": "2"}
    assert cookies.setdefault("b", "3") == "3"
    assert cookies.pop("b") == "3"
    cookies.update({"c": "4"})
    cookies.update(None)
    cookies.update()
    assert (list(cookies), bool(cookies)) == (["a", "c"], True)
    del cookies["a"]
    cookies.clear()
    cookies.clear()
    assert len(cookies) == 0


def test_clear_by_domain_and_path() -> None:
    cookies = after(W, "a=1; Domain=example.com", "b=2; Path=/x", "c=3")
    cookies.clear(domain="www.example.com", path="/x")
    assert list(cookies) == ["a", "c"]
    cookies.clear(domain="example.com")
    assert list(cookies) == ["c"]
    cookies.clear(domain="nowhere.test")
    assert list(cookies) == ["c"]


def test_update_replaces_and_adds() -> None:
    cookies = after(H, "a=1", "b=2")
    cookies.update(after(H, "a=3", "c=4"))
    assert sent(cookies, H) == "a=3; b=2; c=4"


def test_copies_are_independent() -> None:
    first = Cookies({"a": "1"})
    second = Cookies(first)
    second["a"] = "2"
    visit(second, H, "b=3")
    assert (dict(first), sent(second, H)) == ({"a": "1"}, "a=2; b=3")


def test_a_header_that_the_user_has_set_stays() -> None:
    request = httpx.Request("GET", H, headers={"COOKIE": "x=y"})
    Cookies({"a": "1"}).set_cookie_header(request)
    assert request.headers["Cookie"] == "x=y"


def test_i9_texts_have_no_values() -> None:
    cookies = after(H, "a=secret; HttpOnly; SameSite=Lax")
    cookies["b"] = "secret"
    for value in (cookies, cookies.jar, list(cookies.jar)):
        for text in (repr(value), str(value), f"{value}"):
            assert "secret" not in text
            assert "a" in text


def test_attributes_that_the_library_knows() -> None:
    (cookie,) = after(H, "a=1; HttpOnly; SameSite=Lax; Secure; Max-Age=5").jar
    assert cookie.has_nonstandard_attr("HTTPOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Lax"
    assert (cookie.secure, cookie.discard, cookie.expires) == (True, False, NOW + 5)
    (cookie,) = after(H, "a=1").jar
    assert (cookie.secure, cookie.discard, cookie.expires) == (False, True, None)
    assert not cookie.has_nonstandard_attr("HTTPOnly")


# Copies, threads, costs


@pytest.mark.parametrize("clone", CLONES)
def test_l6_clones(clone: Callable[[Any], Any], clock: Clock) -> None:
    cookies = after(W, "a=1; Max-Age=10; Domain=example.com", "b=2")
    cookies["c"] = "3"
    other = clone(cookies)
    assert sent(other, W) == sent(cookies, W) == "c=3; a=1; b=2"
    assert sent(other, H) == "c=3; a=1"
    other["d"] = "4"
    assert "d" not in cookies
    clock.now += 10
    assert sent(other, H) == "c=3; d=4"
    assert not clone(Cookies())


def test_threads() -> None:
    """Each has its own cookies in one jar, while another sends and clears."""
    cookies = Cookies()
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait(10)
            for turn in range(50):
                host = f"https://h{number}.test/"
                visit(cookies, host, f"a={turn}", f"b={turn}; Path=/{turn}")
                assert sent(cookies, host) == f"a={turn}"
                cookies.delete("b", domain=f"h{number}.test")
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(cookies) == 4


def test_without_cookies_nothing_is_imported() -> None:
    code = """
import sys, httpclient
from httpclient._cookies import Cookies
request = httpclient.Request("GET", "http://example.org/")
cookies = Cookies(Cookies({}))
cookies.set_cookie_header(request)
cookies.extract_cookies(httpclient.Response(200, headers={"X": "y"}, request=request))
cookies.get("a"), cookies.clear(), cookies.update(Cookies()), len(cookies), repr(cookies)
print(*sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    late = {"http.cookiejar", "urllib.request", "email", "publicsuffixlist"}
    assert set(result.stdout.split()) & (late | {"httpclient._cookie_jar"}) == set()


# Jars of the library, and policies


def test_a_jar_of_the_user_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    jar = http.cookiejar.MozillaCookieJar(path)
    cookies = Cookies(jar)
    assert cookies.jar is jar
    visit(cookies, W, "a=1; Max-Age=60; Domain=example.com", "b=2; Max-Age=60", "c; Max-Age=60")
    jar.save(ignore_expires=True)
    jar = http.cookiejar.MozillaCookieJar(path)
    jar.load(ignore_expires=True)
    loaded = Cookies(jar)
    assert sent(loaded, W) == "a=1; b=2; c"
    assert sent(loaded, H) == "a=1"
    copied = Cookies(loaded)
    copied["d"] = "4"
    assert "d" not in loaded


def test_h08_the_rules_hold_in_a_jar_of_the_user() -> None:
    cookies = Cookies(http.cookiejar.CookieJar())
    visit(cookies, "https://evil.co.uk/", "a=1; Domain=co.uk", "__Host-b=2")
    visit(cookies, H, "a=" + "x" * MAX_SIZE, "c=3; Max-Age=99999999999999999999999999999")
    assert list(cookies) == ["c"]
    assert sent(cookies, W) is None


@pytest.mark.parametrize(
    ("policy", "set_by", "sent_to"),
    [
        (http.cookiejar.DefaultCookiePolicy(), {"a", "b"}, {"a", "b"}),
        (http.cookiejar.DefaultCookiePolicy(allowed_domains=[]), set(), set()),
        (http.cookiejar.DefaultCookiePolicy(netscape=False), set(), set()),
        (http.cookiejar.DefaultCookiePolicy(blocked_domains=["b.test"]), {"a"}, {"a"}),
    ],
)
def test_lists_of_domains_in_a_policy(
    policy: http.cookiejar.CookiePolicy, set_by: set[str], sent_to: set[str]
) -> None:
    first = Cookies(http.cookiejar.CookieJar(policy))
    full = Cookies(http.cookiejar.CookieJar())
    for host in ("a", "b"):
        visit(first, f"https://{host}.test/", f"{host}=1")
        visit(full, f"https://{host}.test/", f"{host}=1")
    assert set(first) == set_by
    full.jar.set_policy(policy)
    for cookies in (full, Cookies(full), pickle.loads(pickle.dumps(full))):
        hosts = {host for host in ("a", "b") if sent(cookies, f"https://{host}.test/")}
        assert hosts == sent_to


class Choosy(http.cookiejar.DefaultCookiePolicy):
    """Wants no cookie whose name begins with "x" and sends none that begins with "y"."""

    def set_ok(self, cookie: http.cookiejar.Cookie, request: Any) -> bool:
        return not cookie.name.startswith("x") and super().set_ok(cookie, request)

    def return_ok(self, cookie: http.cookiejar.Cookie, request: Any) -> bool:
        return not cookie.name.startswith("y") and super().return_ok(cookie, request)


class Nothing(http.cookiejar.CookiePolicy):
    netscape = True
    rfc2965 = hide_cookie2 = False

    def set_ok(self, cookie: http.cookiejar.Cookie, request: Any) -> bool:
        return False

    return_ok = set_ok


@pytest.mark.parametrize(
    "url",
    [
        H,
        "http://localhost/",
        "http://127.0.0.1:80/",
        "http://[::1]/",
        "http://[::ffff:1.2.3.4]/x/",
        "https://user:pass@example.com:8443/x?y",
    ],
)
def test_a_policy_of_the_user_can_only_refuse_more(url: str) -> None:
    cookies = Cookies(http.cookiejar.CookieJar(Choosy()))
    visit(cookies, url, "x=1", "y=2", "z=3", "a=4; Domain=other.test")
    assert list(cookies) == ["y", "z"]
    assert sent(cookies, url) == "z=3"
    assert sent(pickle.loads(pickle.dumps(cookies)), url) == "z=3"
    nothing = Cookies(http.cookiejar.CookieJar(Nothing()))
    visit(nothing, url, "a=1")
    nothing["b"] = "2"
    assert (list(nothing), sent(nothing, url)) == (["b"], None)


def test_a_policy_sees_cookies_for_domains() -> None:
    cookies = Cookies(http.cookiejar.CookieJar(Choosy()))
    visit(cookies, W, "y=2; Domain=example.com", "z=3; Domain=example.com")
    assert (sent(cookies, W), sent(cookies, H)) == ("z=3", "z=3")


def test_i2_what_a_jar_holds_that_cannot_be_sent() -> None:
    scope = _cookie_rules.Scope("example.com", True, "/")
    cookies = Cookies()
    cookies.jar.set_cookie(_cookie_jar.make_cookie("a", "secret\ud800", scope))
    with pytest.raises(httpx.LocalProtocolError) as caught:
        sent(cookies, H)
    assert "secret" not in str(caught.value)


def test_h08_what_a_jar_holds_for_the_end_of_an_address() -> None:
    cookies = Cookies()
    for domain in ("1", ".0.1", "0.0.1"):
        scope = _cookie_rules.Scope(domain, False, "/")
        cookies.jar.set_cookie(_cookie_jar.make_cookie("a", "1", scope))
    assert sent(cookies, "http://127.0.0.1/") is None


def test_cookies_as_the_library_makes_them() -> None:
    """One without a value has a name only, and those of one label end in ".local"."""
    said = SetCookie("a", "1", "", "", None, False, False, "")
    cookie = _cookie_jar.make_cookie("a", "1", _cookie_rules.Scope("example.com", True, "/"), said)
    cookie.value = None
    cookies = Cookies()
    cookies.jar.set_cookie(cookie)
    assert (sent(cookies, H), cookies["a"]) == ("a", "")
