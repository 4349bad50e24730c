"""The policy of the cache: each directive and each rule of RFC 9111 by itself, with a clock of the
tests' own."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import httpclient
from httpclient.transports import _cache_fields as fields
from httpclient.transports import _cache_policy as policy
from httpclient.transports._cache_entry import MAX_HEURISTIC, Asked, Entry

NOW = 1_700_000_000.0
HUGE = fields.MAX_SECONDS
ORIGIN = (b"https", b"example.org", None)
FieldList = list[tuple[bytes, bytes]]


def date(seconds: float) -> bytes:
    return formatdate(NOW + seconds, usegmt=True).encode()


def headers(*lines: str) -> FieldList:
    """From lines as on the wire. ``{-60}`` is the date of 60 seconds before `NOW`."""
    found = []
    for line in lines:
        name, _, value = line.partition(": ")
        if value.startswith("{"):
            value = date(float(value.strip("{}"))).decode()
        found.append((name.encode(), value.encode("latin-1")))
    return found


def ask(*lines: str, method: bytes = b"GET", target: bytes = b"/", **options: Any) -> Asked:
    url = options.pop("url", (*ORIGIN, target))
    extensions = options.pop("extensions", {})
    return Asked(method, url, headers(*lines), extensions, options.pop("has_body", False))


def keep(*lines: str, status: int = 200, asked: Asked | None = None, took: float = 0) -> Entry:
    """What is stored of a response that arrived at `NOW`."""
    return policy.make_entry(asked or ask(), status, headers(*lines), {}, NOW - took, NOW)


def seconds(name: str, *lines: str, **options: Any) -> int | None:
    found = fields.directives([(b"Cache-Control", line.encode("latin-1")) for line in lines])
    return found.seconds(name, **options)


# Cache-Control


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ,, ", {}),
        ("no-store", {"no-store": [None]}),
        ("No-Store,MAX-AGE=1", {"no-store": [None], "max-age": ["1"]}),
        ('private="a, no-store", x', {"private": ["a, no-store"], "x": [None]}),
        (r'x="a\"b", y', {"x": ['a"b'], "y": [None]}),
        ("max-age=1, max-age=2", {"max-age": ["1", "2"]}),
        ("max-age=", {"max-age": [""]}),
        ("=1, no-cache", {"1": [None], "no-cache": [None]}),
        # What is malformed loses its argument; what stands behind it is still seen.
        ("max-age=1 no-store", {"max-age": ["?"], "no-store": [None]}),
        ("max-age=1; no-store", {"max-age": ["?"], "no-store": [None]}),
        ('max-age="1"0, a', {"max-age": ["?"], "0": [None], "a": [None]}),
        ('x="a, no-store', {"x": ["?"], "a": [None], "no-store": [None]}),
        ("max-stale x", {"max-stale": ["?"], "x": [None]}),
        ("max-age =1", {"max-age": ["?"], "1": [None]}),
    ],
)
def test_directives(text: str, expected: dict[str, list[str | None]]) -> None:
    assert fields.directives([(b"cache-CONTROL", text.encode())]) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), None),
        (("no-cache",), None),
        (("max-age=60",), 60),
        (('max-age="60"',), 60),
        (("max-age=060",), 60),
        (("max-age=60", "public, max-age=60"), 60),
        (("max-age=0",), 0),
        (("max-age=60, max-age=61",), 7),
        (("max-age=60", "max-age"), 7),
        (("max-age",), 7),
        (("max-age=",), 7),
        (("max-age=-1",), 7),
        (("max-age=1.5",), 7),
        (("max-age=1e3",), 7),
        (("max-age=+1",), 7),
        (("max-age=1_0",), 7),
        (("max-age=\xb2",), 7),
        (("max-age=ten",), 7),
        (("max-age=2147483648",), HUGE),
        (("max-age=99999999999999999999",), HUGE),
        (("max-age=" + "9" * 5000,), HUGE),
        (("max-age=" + "0" * 5000 + "1",), 1),
    ],
)
def test_argument_in_seconds(lines: tuple[str, ...], expected: int | None) -> None:
    assert seconds("max-age", *lines, invalid=7) == expected


def test_argument_that_may_be_missing() -> None:
    assert seconds("max-stale", "max-stale", bare=9) == 9
    assert seconds("max-stale", "max-stale=x", bare=9) == 0
    assert seconds("max-stale", "max-stale foo", bare=9) == 0


DIRECTIVE = st.sampled_from(
    ["max-age", "no-store", "no-cache", "=", ",", '"', "\\", " ", ";", "1", "-", "x", "\xff", "\t"]
)
HOSTILE = st.lists(DIRECTIVE, max_size=30).map("".join).map(lambda text: text.encode("latin-1"))
ANYTHING = st.one_of(HOSTILE, st.binary(max_size=60))


@given(st.lists(ANYTHING, max_size=4))
def test_parsing_cache_control_never_raises(values: list[bytes]) -> None:
    found = fields.directives([(b"Cache-Control", value) for value in values])
    for name in found:
        assert name == name.lower() != ""
        assert 0 <= (found.seconds(name) or 0) <= HUGE
    # "no-store" is never lost, whatever stands before it, unless it is inside a string.
    lone = [value for value in values if b'"' not in value]
    found = fields.directives([(b"Cache-Control", value + b", no-store") for value in lone])
    assert ("no-store" in found) == bool(lone)


@pytest.mark.parametrize("piece", [b'a="\\"', b'="', b"a=", b'"\\', b"a ", b"  ", b",", b'a="b'])
def test_parsing_takes_linear_time(piece: bytes) -> None:
    """With the square of its length this would take hours."""
    fields.directives([(b"Cache-Control", piece * (1_000_000 // len(piece)))])


NAMES = st.sampled_from(
    [
        b"Cache-Control",
        b"Date",
        b"Expires",
        b"Age",
        b"Last-Modified",
        b"ETag",
        b"Vary",
        b"Connection",
        b"Content-Length",
        b"Location",
        b"Content-Location",
        b"Host",
        b"Pragma",
        b"X",
    ]
)
DATES = st.sampled_from([date(0), date(-1000), date(1000), b"Mon, 99 Jan 2024 25:00:00 GMT", b"0"])
FIELDS = st.lists(st.tuples(NAMES, st.one_of(ANYTHING, DATES)), max_size=8)


@given(
    st.sampled_from([b"GET", b"HEAD", b"POST", b"\xff"]),
    st.sampled_from([b"/", b"*", b"", b"a:b", b"/\xff?x"]),
    FIELDS,
    st.sampled_from([200, 204, 206, 301, 304, 404, 500, 599]),
    FIELDS,
    FIELDS,
    st.floats(-1e9, 1e10),
)
def test_no_header_makes_the_policy_raise(
    method: bytes,
    target: bytes,
    sent: FieldList,
    status: int,
    received: FieldList,
    later: FieldList,
    now: float,
) -> None:
    asked = Asked(method, (*ORIGIN, target), sent, {}, False)
    entry = policy.make_entry(asked, status, received, {}, NOW - 1, NOW)
    assert asked.accepts(entry.selector)
    policy.is_storable(status, received, entry)
    assert min(entry.lifetime, entry.initial_age) >= 0
    assert policy.assess(asked, entry, now) in ("hit", "stale", None)
    policy.allows_stale_if_error(asked, entry, now)
    verdict = policy.judge(asked, entry, True, status, later, now)
    assert (verdict in ("confirmed", "mistaken")) == (status == 304)
    fresh = policy.freshened(asked, entry, later, NOW, NOW + 1)
    assert fresh.age(now) >= 0
    policy.expected_length(asked, status, received)
    policy.contradicts(asked, entry, status, later)
    keys = policy.outdated_keys(asked, status, received)
    assert bool(keys) == (method in (b"POST", b"\xff") and 200 <= status < 400)
    response = policy.answer(asked, entry, "hit", now)
    assert [name for name, _ in response.headers].count(b"Age") == 1


# What is stored (section 3)


@pytest.mark.parametrize(
    ("status", "lines", "expected"),
    [
        (200, ("Cache-Control: max-age=60",), True),
        (200, ("Expires: {60}",), True),
        (200, ('ETag: "a"',), True),
        (200, ("Last-Modified: {-100}",), True),
        (200, (), False),  # there would be no use in it
        (200, ("Cache-Control: max-age=0",), False),
        (200, ("Cache-Control: max-age=60", "Age: 60"), False),
        (200, ("Cache-Control: max-age=0", 'ETag: "a"'), True),
        (200, ("Cache-Control: max-age=0, stale-if-error=60",), True),
        (200, ("Cache-Control: max-age=60, no-store",), False),
        (200, ('Cache-Control: max-age=60, no-store="x"',), False),
        (200, ("Cache-Control: max-age=60", "Cache-Control: NO-STORE"), False),
        (200, ("Cache-Control: max-age=60, private",), True),
        (200, ('Cache-Control: max-age=60, private="Set-Cookie"',), True),
        (200, ("Cache-Control: max-age=60, no-cache",), True),
        (200, ("Cache-Control: s-maxage=60",), False),  # for shared caches
        (200, ("Cache-Control: max-age=60", "Set-Cookie: a=b"), True),
        (200, ("Cache-Control: max-age=60", "Vary: *"), False),
        (200, ("Cache-Control: max-age=60", "Vary: Accept, *"), False),
        (200, ("Cache-Control: max-age=60", "Vary: Accept", "Vary: *"), False),
        (200, ("Cache-Control: max-age=60", "Vary: a b"), False),
        (200, ("Cache-Control: max-age=60", "Vary: ,"), True),
        (
            200,
            ("Cache-Control: max-age=60", "Vary: " + ",".join(f"x{i}" for i in range(33))),
            False,
        ),
        (206, ("Cache-Control: max-age=60",), False),
        (304, ("Cache-Control: max-age=60",), False),
        (101, ("Cache-Control: max-age=60",), False),
        (302, ("Cache-Control: max-age=60",), True),
        (302, ("Expires: {60}",), True),
        (302, ('ETag: "a"',), False),  # not cacheable by default
        (302, ("Cache-Control: public", 'ETag: "a"'), True),
        (302, ("Cache-Control: private", 'ETag: "a"'), True),
        (500, ('ETag: "a"',), False),
        (599, ("Cache-Control: max-age=60",), True),
        (599, ("Cache-Control: max-age=60, must-understand",), False),
        (200, ("Cache-Control: max-age=60, must-understand",), True),
        (200, ("Cache-Control: max-age=60, must-understand, no-store",), True),
        (599, ("Cache-Control: max-age=60, must-understand, no-store",), False),
        *((status, ('ETag: "a"',), True) for status in (203, 204, 300, 301, 308)),
        *((status, ('ETag: "a"',), True) for status in (404, 405, 410, 414, 501)),
    ],
)
def test_storing(status: int, lines: tuple[str, ...], expected: bool) -> None:
    entry = keep(*lines, status=status)
    assert policy.is_storable(status, headers(*lines), entry) is expected


def test_no_store_counts_even_if_connection_hides_it() -> None:
    lines = ("Cache-Control: no-store", "Connection: cache-control", 'ETag: "a"')
    assert not policy.is_storable(200, headers(*lines), keep(*lines))


def test_what_is_not_stored_of_the_headers() -> None:
    entry = keep(
        "Connection: X-Hop, close",
        "X-HOP: 1",
        "Keep-Alive: 1",
        "Proxy-Authenticate: Basic",
        "Transfer-Encoding: chunked",
        "Trailer: x",
        "Upgrade: h2c",
        "Content-Encoding: gzip",
        "Set-Cookie: a",
        "Set-Cookie: b",
    )
    kept = headers("Content-Encoding: gzip", "Set-Cookie: a", "Set-Cookie: b")
    assert entry.headers == [*kept, (b"Date", date(0))]


# How long it is fresh (section 4.2)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("Cache-Control: max-age=60",), 60),
        (("Cache-Control: max-age=60", "Expires: {10}"), 60),
        (("Cache-Control: max-age=0", "Expires: {10}"), 0),
        (("Cache-Control: max-age=x", "Expires: {10}"), 0),
        (("Cache-Control: s-maxage=60", "Expires: {10}"), 10),
        (("Expires: {10}",), 10),
        (("Expires: {10}", "Date: {-20}"), 30),
        (("Expires: {10}", "Date: {3600}"), 0),
        (("Expires: {3610}", "Date: {3600}"), 10),  # the server's clock is an hour ahead
        (("Expires: {10}", "Date: never"), 10),
        (("Expires: 0",), 0),
        (("Expires: -1",), 0),
        (("Expires: Thu, 99 Jan 2099 00:00:00 GMT",), 0),
        (("Expires: Fri, 01 Jan 99999 00:00:00 GMT",), 0),
        (("Expires: {10}", "Expires: {10}"), 10),
        (("Expires: {10}", "Expires: {20}"), 0),
        (("Expires: 0", "Last-Modified: {-1000}"), 0),
        (("Last-Modified: {-1000}",), 100),
        (("Last-Modified: {-1000}", "Date: {-500}"), 50),
        (("Last-Modified: {-100000000}",), MAX_HEURISTIC),
        (("Last-Modified: {1000}",), 0),
        (("Last-Modified: long ago",), 0),
        ((), 0),
    ],
)
def test_lifetime(lines: tuple[str, ...], expected: float) -> None:
    assert keep(*lines).lifetime == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        (b"Sun Nov  6 08:49:37 1994", 784111777),
        (b"Sun, 06 Nov 1994 25:49:37 GMT", None),
        (b"Sun, 06 Foo 1994 08:49:37 GMT", None),
        (b"Sun, 06 Nov 1994 08:49:37 +9999", None),
        (b"\xff", None),
        (b"", None),
        (b"Sun, 06 Nov 1994 08:49:37 GMT" + b" " * 100, None),
        (None, None),
    ],
)
def test_dates(text: bytes | None, expected: float | None) -> None:
    assert fields.http_date(text) == expected


@given(st.one_of(st.binary(max_size=64), st.text(max_size=64).map(str.encode)))
def test_parsing_dates_never_raises(text: bytes) -> None:
    assert isinstance(fields.http_date(text), float | None)


def test_guessing_is_for_statuses_that_allow_it() -> None:
    assert keep("Last-Modified: {-1000}", status=302).lifetime == 0
    assert keep("Last-Modified: {-1000}", "Cache-Control: public", status=302).lifetime == 100


@pytest.mark.parametrize(
    ("lines", "took", "expected"),
    [
        (("Date: {0}",), 0, 0),
        ((), 0, 0),
        (("Date: {-30}",), 0, 30),
        (("Date: {30}",), 0, 0),
        (("Date: {0}", "Age: 10"), 0, 10),
        (("Date: {0}", "Age: 10"), 5, 15),
        (("Date: {-30}", "Age: 10"), 5, 30),
        (("Date: {0}", "Age: 10, 20"), 0, 10),
        (("Date: {0}", "Age: 10", "Age: 20"), 0, 10),
        (("Date: {0}", "Age: -10"), 0, 0),
        (("Date: {0}", "Age: ten"), 0, 0),
        (("Date: {0}", "Age: 99999999999999999999"), 0, HUGE),
        (("Date: {0}",), -100, 0),  # the clock was set back meanwhile
    ],
)
def test_age(lines: tuple[str, ...], took: float, expected: float) -> None:
    entry = keep(*lines, took=took)
    assert entry.initial_age == expected
    assert entry.age(NOW) == expected
    assert entry.age(NOW + 7) == expected + 7


def test_age_is_unknown_once_the_clock_is_set_back() -> None:
    assert policy.assess(ask(), keep("Cache-Control: max-age=60"), NOW - 1) is None


# What may be served (section 4.2, 5.2.1)


@pytest.mark.parametrize(
    ("response", "request_", "age", "expected"),
    [
        ("max-age=60", "", 0, "hit"),
        ("max-age=60", "", 59.9, "hit"),
        ("max-age=60", "", 60, None),
        ("max-age=60, no-cache", "", 0, None),
        ('max-age=60, no-cache="x"', "", 0, None),
        ("max-age=60", "no-cache", 0, None),
        ("max-age=60, immutable", "no-cache", 0, None),
        ("max-age=60", "max-age=10", 10, "hit"),
        ("max-age=60", "max-age=10", 11, None),
        ("max-age=60", "max-age=0", 0, None),
        ("max-age=60", "max-age=x", 5, None),
        ("max-age=60", "max-age=10, max-age=50", 5, None),
        ("max-age=60, immutable", "max-age=0", 59, "hit"),
        ("max-age=60, immutable", "max-age=0", 60, None),
        ("max-age=60", "min-fresh=10", 49, "hit"),
        ("max-age=60", "min-fresh=10", 50, None),
        ("max-age=60", "min-fresh=0", 59, "hit"),
        ("max-age=60", "min-fresh=x", 0, None),
        ("max-age=60", "min-fresh", 0, None),
        ("max-age=60", "max-stale", 1e6, "stale"),
        ("max-age=60", "max-stale", 5, "hit"),
        ("max-age=60", "max-stale=10", 70, "stale"),
        ("max-age=60", "max-stale=10", 71, None),
        ("max-age=60", "max-stale=x", 61, None),
        ("max-age=60", "max-stale=10, max-stale=20", 61, None),
        ("max-age=60", "max-stale=100, max-age=65", 65, "stale"),
        ("max-age=60", "max-stale=100, max-age=65", 66, None),
        ("max-age=60", "max-stale=100, min-fresh=1", 61, None),
        ("max-age=60, must-revalidate", "max-stale", 61, None),
        ("max-age=60, must-revalidate", "", 59, "hit"),
        ("max-age=60, no-cache", "max-stale", 61, None),
        ("max-age=60, proxy-revalidate", "max-stale", 61, "stale"),  # that is for shared caches
        ("max-age=60, stale-while-revalidate=60", "", 61, None),
        ("max-age=60, max-age=90", "", 1, None),
        ("max-age=-1", "", 0, None),
        ("max-age=9999999999999", "", 1e9, "hit"),
    ],
)
def test_serving(response: str, request_: str, age: float, expected: str | None) -> None:
    entry = keep(f"Cache-Control: {response}")
    asked = ask(*([f"Cache-Control: {request_}"] if request_ else []))
    assert policy.assess(asked, entry, NOW + age) == expected


def test_immutable_is_believed_over_https_only() -> None:
    entry = keep("Cache-Control: max-age=60, immutable")
    asked = ask("Cache-Control: max-age=0", url=(b"http", *ORIGIN[1:], b"/"))
    assert policy.assess(asked, entry, NOW + 1) is None


def test_pragma_counts_where_there_is_no_cache_control() -> None:
    entry = keep("Cache-Control: max-age=60")
    assert policy.assess(ask("Pragma: no-cache"), entry, NOW) is None
    assert policy.assess(ask("Pragma: x"), entry, NOW) == "hit"
    assert policy.assess(ask("Pragma: no-cache", "Cache-Control: x"), entry, NOW) == "hit"


@pytest.mark.parametrize(
    ("response", "request_", "age", "expected"),
    [
        ("max-age=60", "", 61, False),
        ("max-age=60, stale-if-error=10", "", 70, True),
        ("max-age=60, stale-if-error=10", "", 71, False),
        ("max-age=60, stale-if-error", "", 61, False),
        ("max-age=60, stale-if-error=x", "", 61, False),
        ("max-age=60", "stale-if-error=10", 70, True),
        ("max-age=60", "stale-if-error=10", 71, False),
        ("max-age=60, stale-if-error=5", "stale-if-error=10", 70, True),
        ("max-age=60, stale-if-error=10, must-revalidate", "", 61, False),
        ("max-age=60, stale-if-error=10, no-cache", "", 61, False),
        ("max-age=60, stale-if-error=10", "no-cache", 61, False),
        ("max-age=60, stale-if-error=10", "max-age=5", 61, False),
        ("max-age=60, stale-if-error=10", "min-fresh=5", 61, False),
        ("max-age=60, stale-if-error=10", "max-age=5, stale-if-error=10", 61, True),
    ],
)
def test_stale_if_error(response: str, request_: str, age: float, expected: bool) -> None:
    entry = keep(f"Cache-Control: {response}")
    asked = ask(*([f"Cache-Control: {request_}"] if request_ else []))
    assert policy.allows_stale_if_error(asked, entry, NOW + age) is expected
    verdict = "failed" if expected else "new"
    for status in (500, 502, 503, 504):
        assert policy.judge(asked, entry, True, status, [], NOW + age) == verdict
    assert policy.judge(asked, entry, True, 501, [], NOW + age) == "new"


# Which requests are for a cache


@pytest.mark.parametrize(
    ("method", "lines", "expected"),
    [
        (b"GET", (), True),
        (b"HEAD", (), True),
        (b"OPTIONS", (), False),
        (b"POST", (), False),
        (b"get", (), False),
        (b"GET", ("Authorization: x", "Cookie: y"), True),
        (b"GET", ("Cache-Control: no-store",), False),
        (b"GET", ("Range: bytes=0-1",), False),
        (b"GET", ("If-Range: x",), False),
        (b"GET", ('If-None-Match: "a"',), False),
        (b"GET", ("if-modified-since: {0}",), False),
        (b"GET", ("If-Unmodified-Since: {0}",), False),
        (b"GET", ("If-Match: *",), False),
        (b"GET", ("Upgrade: websocket",), False),
    ],
)
def test_requests_for_a_cache(method: bytes, lines: tuple[str, ...], expected: bool) -> None:
    assert ask(*lines, method=method).uses_cache is expected
    assert not ask(*lines, method=method, has_body=True).uses_cache


def test_only_if_cached_is_for_what_can_be_stored() -> None:
    assert ask("Cache-Control: only-if-cached").only_if_cached
    assert ask("Cache-Control: only-if-cached, no-store").only_if_cached
    assert not ask("Cache-Control: only-if-cached", method=b"POST").only_if_cached


@pytest.mark.parametrize(
    "arguments",
    [
        ("GET", (*ORIGIN, b"/"), None, {}),
        (b"GET", b"https://example.org/", [], {}),
        (b"GET", ("https", "example.org", None, "/"), [], {}),
        (b"GET", (*ORIGIN, b"/"), [(b"a", b"b"), (b"a", "c")], {}),
        (b"GET", (*ORIGIN, b"/"), [b"a: b"], {}),
        (b"GET", (*ORIGIN, b"/"), [], None),
    ],
)
def test_i2_what_are_no_primitives_is_a_public_error(arguments: Any) -> None:
    with pytest.raises(httpclient.LocalProtocolError) as caught:
        Asked(*arguments, False)
    assert caught.value.phase == "request"
    assert caught.value.__cause__ is not None


# Keys and selectors (section 4.1)


@pytest.mark.parametrize(
    ("url", "lines", "same"),
    [
        ((b"https", b"example.org", 443, b"/"), (), True),
        ((b"HTTPS", b"Example.ORG", None, b"/"), (), True),
        ((b"https", b"example.org", 444, b"/"), (), False),
        ((b"http", b"example.org", 443, b"/"), (), False),
        ((b"https", b"example.org", None, b"/?"), (), False),
        ((b"https", b"www.example.org", None, b"/"), (), False),
        ((b"https", b"example.org", None, b"/"), ("Host: other.example",), False),
    ],
)
def test_key(url: Any, lines: tuple[str, ...], same: bool) -> None:
    assert (ask(*lines, url=url).key == ask().key) is same


def test_key_with_and_without_brackets_and_default_port() -> None:
    first = ask("Host: [::1]", url=(b"http", b"[::1]", None, b"/"))
    assert first.key == ask("host: [::1]:80", url=(b"http", b"::1", 80, b"/")).key


def test_key_is_of_the_target_that_is_sent() -> None:
    assert ask(extensions={"target": b"*"}).key != ask().key
    assert ask(extensions={"target": b"/x"}).key == ask(target=b"/x").key


def test_keys_and_selectors_hold_no_secrets() -> None:
    asked = ask("Authorization: Basic c2VjcmV0", "Cookie: secret", target=b"/?secret")
    entry = keep("Vary: cookie, Authorization", asked=asked)
    for secret in (b"secret", b"c2VjcmV0"):
        assert secret not in asked.key + entry.selector
    other = ask("Authorization: Basic c2VjcmV0", "Cookie: secret", target=b"/other")
    names = {b"cookie"}
    assert asked.selector(names).split()[2] != other.selector(names).split()[2]


@pytest.mark.parametrize(
    ("vary", "stored", "asked", "matches"),
    [
        ((), ("Accept: a",), ("Accept: b",), True),
        (("Vary: Accept",), ("Accept: a",), ("Accept: a", "X: y"), True),
        (("Vary: Accept",), ("Accept: a",), ("ACCEPT:  a ",), True),
        (("Vary: Accept",), ("Accept: a",), ("Accept: b",), False),
        (("Vary: Accept",), ("Accept: a",), (), False),
        (("Vary: Accept",), (), (), True),
        (("Vary: Accept",), (), ("Accept: ",), False),
        (("Vary: Accept",), ("Accept: a", "Accept: b"), ("Accept: a, b",), True),
        (("Vary: Accept",), ("Accept: a", "Accept: b"), ("Accept: b, a",), False),
        (("Vary: A, b",), ("A: 1", "B: 2"), ("B: 2", "A: 1"), True),
        (("Vary: A", "Vary: B"), ("A: 1", "B: 2"), ("A: 1", "B: 3"), False),
        (("Vary: A, B",), ("A: 1",), ("B: 1",), False),
        (("Vary: Cookie",), ("Cookie: 1",), ("Cookie: 2",), False),
        # Not what the RFC asks of a private cache, but a transport may have several users.
        ((), ("Authorization: a",), ("Authorization: a",), True),
        ((), ("Authorization: a",), ("Authorization: b",), False),
        ((), ("Authorization: a",), (), False),
        ((), (), ("Authorization: a",), False),
    ],
)
def test_vary(
    vary: tuple[str, ...], stored: tuple[str, ...], asked: tuple[str, ...], matches: bool
) -> None:
    assert ask(*asked).accepts(keep(*vary, asked=ask(*stored)).selector) is matches


@pytest.mark.parametrize(
    ("stored", "asked", "matches"),
    [
        (b"GET", b"GET", True),
        (b"GET", b"HEAD", True),
        (b"HEAD", b"HEAD", True),
        (b"HEAD", b"GET", False),
    ],
)
def test_method_is_part_of_the_selector(stored: bytes, asked: bytes, matches: bool) -> None:
    entry = keep("Vary: Accept", asked=ask(method=stored))
    assert ask(method=asked).accepts(entry.selector) is matches


@pytest.mark.parametrize("selector", [b"", b"GET", b"GET ", b"GET  ", b"GET x y", b"\xff\x00"])
def test_selector_that_is_none_matches_nothing(selector: bytes) -> None:
    assert not ask().accepts(selector)


# Validation (section 4.3)


def test_conditions() -> None:
    assert keep().validators == []
    both = keep('ETag: W/"a"', "Last-Modified: {-60}")
    assert both.validators == [(b"If-None-Match", b'W/"a"'), (b"If-Modified-Since", date(-60))]


@pytest.mark.parametrize(
    ("stored", "received", "verdict"),
    [
        (('ETag: "a"',), ('ETag: "a"',), "confirmed"),
        (('ETag: "a"',), ('ETag: W/"a"',), "confirmed"),
        (('ETag: W/"a"',), ('ETag: "a"',), "confirmed"),
        (('ETag: "a"',), (), "confirmed"),
        (('ETag: "a"',), ('ETag: "b"',), "mistaken"),
        (("Last-Modified: {-60}",), ('ETag: "b"',), "mistaken"),
        (("Last-Modified: {-60}",), ("Last-Modified: {-60}",), "confirmed"),
        (("Last-Modified: {-60}",), ("Last-Modified: {-30}",), "mistaken"),
    ],
)
def test_which_entry_a_304_is_about(
    stored: tuple[str, ...], received: tuple[str, ...], verdict: str
) -> None:
    assert policy.judge(ask(), keep(*stored), True, 304, headers(*received), NOW) == verdict


def test_304_that_was_not_asked_for_is_a_response() -> None:
    assert policy.judge(ask(), keep(), False, 304, [], NOW) == "new"
    assert policy.judge(ask(), None, False, 304, [], NOW) == "new"


def test_304_updates_headers() -> None:
    stored = keep(
        "Date: {-100}",
        "Age: 50",
        "Cache-Control: max-age=10",
        "Content-Length: 3",
        "Content-Encoding: gzip",
        "Content-Type: text/plain",
        "X-Old: 1",
        "X-Old: 2",
        "X-Kept: 1",
        'ETag: "a"',
    )
    received = headers(
        "Date: {100}",
        "Cache-Control: max-age=60",
        "Content-Length: 0",
        "Content-Encoding: br",
        "Content-Range: bytes 0-1/2",
        "Content-Type: text/html",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Transfer-Encoding: chunked",
        "X-Old: 3",
        "X-New: 1",
        "X-New: 2",
    )
    fresh = policy.freshened(ask(), stored, received, NOW + 99, NOW + 100)
    assert sorted(fresh.headers) == sorted(
        headers(
            "Date: {100}",
            "Cache-Control: max-age=60",
            "Content-Length: 3",
            "Content-Encoding: gzip",
            "Content-Type: text/html",
            "X-Old: 3",
            "X-New: 1",
            "X-New: 2",
            "X-Kept: 1",
            'ETag: "a"',
        )
    )
    assert (fresh.age(NOW + 100), fresh.lifetime) == (1, 60)
    assert (stored.age(NOW), stored.lifetime) == (100, 10)


def test_304_without_a_date_is_dated() -> None:
    stored = keep("Date: {-100}", "Cache-Control: max-age=10", 'ETag: "a"')
    fresh = policy.freshened(ask(), stored, [], NOW + 50, NOW + 50)
    assert fields.values(fresh.headers, b"date") == [date(50)]
    assert fresh.age(NOW + 50) == 0


def test_304_may_change_what_the_response_depends_on() -> None:
    stored = keep('ETag: "a"')
    fresh = policy.freshened(ask("A: 1"), stored, headers("Vary: A"), NOW, NOW)
    assert ask("A: 1").accepts(fresh.selector)
    assert not ask("A: 2").accepts(fresh.selector)


def test_304_to_a_head_leaves_a_gets_entry_one() -> None:
    fresh = policy.freshened(ask(method=b"HEAD"), keep('ETag: "a"'), [], NOW, NOW)
    assert ask().accepts(fresh.selector)


@pytest.mark.parametrize(
    ("stored", "head", "expected"),
    [
        (('ETag: "a"',), ('ETag: "a"',), False),
        (('ETag: "a"',), ('ETag: "b"',), True),
        (('ETag: "a"',), (), False),
        ((), ("Content-Length: 5",), True),
        (("Content-Length: 5",), ("Content-Length: 5",), False),
        (("Last-Modified: {-9}",), ("Last-Modified: {-1}",), True),
    ],
)
def test_head_that_contradicts(
    stored: tuple[str, ...], head: tuple[str, ...], expected: bool
) -> None:
    entry, asked = keep(*stored), ask(method=b"HEAD")
    assert policy.contradicts(asked, entry, 200, headers(*head)) is expected
    assert not policy.contradicts(asked, entry, 404, headers(*head))
    assert not policy.contradicts(ask(), entry, 200, headers(*head))
    assert not policy.contradicts(asked, keep(asked=asked), 200, headers(*head))


# Completeness and invalidation (sections 3.3 and 4.4)


def test_expected_length() -> None:
    assert policy.expected_length(ask(), 200, headers("Content-Length: 5")) == 5
    assert policy.expected_length(ask(), 200, headers("Content-Length: x")) is None
    assert policy.expected_length(ask(), 200, []) is None
    assert policy.expected_length(ask(), 204, headers("Content-Length: 5")) is None
    head = ask(method=b"HEAD")
    assert policy.expected_length(head, 200, headers("Content-Length: 5")) is None


@pytest.mark.parametrize(
    ("method", "status", "outdated"),
    [
        (b"POST", 200, True),
        (b"PUT", 204, True),
        (b"DELETE", 303, True),
        (b"PATCH", 399, True),
        (b"BREW", 200, True),
        (b"POST", 400, False),
        (b"POST", 500, False),
        (b"GET", 200, False),
        (b"HEAD", 200, False),
        (b"OPTIONS", 200, False),
        (b"TRACE", 200, False),
    ],
)
def test_invalidation(method: bytes, status: int, outdated: bool) -> None:
    asked = ask(method=method)
    expected = [ask().key] if outdated else []
    assert policy.outdated_keys(asked, status, []) == expected


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("/c", b"/c"),
        ("c?x", b"/a/c?x"),
        ("../c", b"/c"),
        ("https://example.org/c", b"/c"),
        ("https://EXAMPLE.org:443/c#f", b"/c"),
        ("//example.org/c", b"/c"),
        ("", b"/a/b"),
        ("http://example.org/c", None),
        ("https://example.org:444/c", None),
        ("https://evil.example/c", None),
        ("//evil.example/c", None),
        ("https://example.org\\@evil.example/", None),
        ("\xff", None),
        ("a" * 100_000, None),
    ],
)
@pytest.mark.parametrize("name", ["Location", "content-location"])
def test_invalidation_of_related_urls(name: str, reference: str, target: bytes | None) -> None:
    host = "Host: example.org"
    asked = ask(host, method=b"POST", target=b"/a/b")
    keys = policy.outdated_keys(asked, 201, headers(f"{name}: {reference}"))
    related = [] if target is None else [ask(host, target=target).key]
    assert keys == [ask(host, target=b"/a/b").key, *related]


def test_invalidation_where_the_authority_is_not_the_address() -> None:
    """One address, two hosts: Location means the one that was asked."""
    url = (b"http", b"127.0.0.1", 8000)
    asked = ask("Host: a.example", method=b"POST", url=(*url, b"/"))
    keys = policy.outdated_keys(asked, 200, headers("Location: http://a.example/x"))
    assert keys[1:] == [ask("Host: a.example", url=(*url, b"/x")).key]
    assert policy.outdated_keys(asked, 200, headers("Location: http://127.0.0.1:8000/x"))[1:] == []


@pytest.mark.parametrize("target", [b"*", b"", b"\xff", b"example.org:443"])
def test_invalidation_of_odd_targets(target: bytes) -> None:
    asked = ask(method=b"POST", target=target)
    assert asked.key in policy.outdated_keys(asked, 200, headers("Location: /x"))


# Answers


def test_answer() -> None:
    received = headers("Cache-Control: max-age=60", "Age: 5", "AGE: 6", "Date: {0}")
    extensions = {"http_version": b"HTTP/2", "reason_phrase": b"Fine", "network_stream": object()}
    entry = policy.make_entry(ask(), 203, received, extensions, NOW, NOW)
    response = policy.answer(ask(), entry, "hit", NOW + 2.9)
    assert response.status == 203
    assert response.headers == headers("Cache-Control: max-age=60", "Date: {0}", "Age: 7")
    assert response.extensions == {
        "http_version": b"HTTP/2",
        "reason_phrase": b"Fine",
        "cache": {"status": "hit", "age": 7},
    }
    response.headers.clear()  # it is the caller's
    assert len(entry.headers) == 4


def test_answer_to_what_was_revalidated_has_only_the_age_that_came_with_it() -> None:
    stored = keep("Age: 5", 'ETag: "a"')
    for lines in ((), ("Age: 9",)):
        entry = policy.freshened(ask(), stored, headers(*lines), NOW, NOW)
        response = policy.answer(ask(), entry, "revalidated", NOW)
        assert fields.values(response.headers, b"age") == [b"9"] * len(lines)


def test_i9_entries_show_nothing_of_what_they_hold() -> None:
    entry = keep("Set-Cookie: secret", asked=ask("Authorization: secret"))
    assert repr(entry) == "<Entry [200, 0 bytes]>"
