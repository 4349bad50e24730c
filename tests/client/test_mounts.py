"""The patterns of `mounts`: what they match, which goes first, and what is none."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpclient import URL
from httpclient._mounts import URLPattern, pick, sorted_mounts


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("all://", ["http://a/", "https://a.b:1/", "ftp://a/", "file:///x", "http://[::1]/"], []),
        ("all://*", ["http://a/", "https://a.b:1/", "file:///x"], []),
        ("ALL://", ["http://a/"], []),
        ("http://", ["http://a/", "http://a:81/"], ["https://a/", "ftp://a/"]),
        ("HTTP://", ["http://a/"], ["https://a/"]),
        ("http://*", ["http://a/"], ["https://a/"]),
        ("file://", ["file:///x", "file://a/x"], ["http://a/"]),
        (
            "https://example.com",
            ["https://example.com/", "https://example.com:8443/x", "https://EXAMPLE.com/"],
            ["http://example.com/", "https://www.example.com/", "https://xexample.com/",
             "https://example.com.evil.test/", "https://example.org/"],
        ),
        ("https://example.com/", ["https://example.com/x"], ["https://example.org/"]),
        ("all://example.com", ["http://example.com/", "ftp://example.com/"], ["http://a/"]),
        # A dot at the end is the same host
        ("all://example.com", ["http://example.com./"], []),
        ("all://Example.com.", ["http://example.com/"], []),
        # Subdomains
        (
            "all://*.example.com",
            ["http://www.example.com/", "https://a.b.example.com/", "http://www.example.com./"],
            ["http://example.com/", "http://wwwexample.com/", "http://www.example.com.test/"],
        ),
        (
            "all://*example.com",
            ["http://example.com/", "http://www.example.com/"],
            ["http://wwwexample.com/", "http://example.org/"],
        ),
        # Ports; those that a URL leaves out are known
        ("all://example.com:1234", ["http://example.com:1234/"],
            ["http://example.com/", "https://example.com:123/", "http://a:1234/"]),
        ("all://example.com:443", ["https://example.com/", "http://example.com:443/"],
            ["http://example.com/"]),
        ("http://example.com:80", ["http://example.com/", "http://example.com:80/"],
            ["http://example.com:81/"]),
        ("all://*:8080", ["http://a:8080/"], ["http://a/"]),
        ("all://:8080", ["http://a:8080/"], ["http://a/"]),
        ("wss://a:443", ["wss://a/"], ["ws://a/"]),
        ("all://a:99", ["x://a:99/"], ["x://a/"]),
        # Hosts of other kinds
        ("all://localhost", ["http://localhost:8000/"], ["http://a.localhost/"]),
        ("all://127.0.0.1", ["http://127.0.0.1/"], ["http://127.0.0.2/"]),
        ("all://[::1]", ["http://[::1]:81/"], ["http://[::2]/"]),
        ("all://[0:0::1]:81", ["http://[::1]:81/"], ["http://[::1]/"]),
        ("all://bücher.example", ["http://bücher.example/", "http://xn--bcher-kva.example/"],
            ["http://bucher.example/"]),
        ("all://*.BÜCHER.example", ["http://a.bücher.example/"], ["http://bücher.example/"]),
        ("all://a_b", ["http://a_b/"], ["http://ab/"]),
    ],
)  # fmt: skip
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    found = [url for url in [*matching, *others] if URLPattern(pattern).matches(URL(url))]
    assert found == matching


@pytest.mark.parametrize(
    "pattern",
    [
        "", "all", "http", "example.com", "localhost:8000", "http:", "http:/", "://", "://a", "*://a",
        "http://example.com/path", "http://example.com?x", "http://example.com/#x", "http:///x",
        "http://user:secret@example.com", "http://a b", " http://a", "http://a\n", "http://a:",
        "http://a:b", "http://a:0", "http://a:65536", "http://a:123456", "http://a:1:2", "http://a*",
        "http://*.", "http://*.*.a", "http://a.*.b", "http://**", "http://.a", "http://a..b",
        "http://::1", "http://[::1", "http://[::1%25eth0]", "http://[a]", "http://1.2.3",
        "http://a\\b", "http://%61", "http://" + "a" * 64,
    ],
)  # fmt: skip
def test_i9_nonsense_is_an_error_that_says_so(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a URL pattern: ") as caught:
        URLPattern(pattern)
    assert "secret" not in str(caught.value)
    assert (repr(pattern) in str(caught.value)) is ("@" not in pattern)


@pytest.mark.parametrize("pattern", [None, b"all://", URL("http://a/"), 1])
def test_a_pattern_is_text(pattern: Any) -> None:
    with pytest.raises(TypeError, match="is a str"):
        URLPattern(pattern)


@given(st.text(max_size=20), st.sampled_from(["", "all://", "http://*.", "http://a:", "x://["]))
def test_any_text_is_a_pattern_or_an_error(text: str, start: str) -> None:
    try:
        pattern = URLPattern(start + text)
    except ValueError:
        return
    assert pattern == URLPattern(start + text)
    pattern.matches(URL("http://example.com/"))


ORDER = [
    "https://example.com:8443",
    "all://example.com:8443",
    "all://*.example.com:8443",
    "all://*:8443",
    "https://www.example.com",
    "all://www.example.com",
    "all://example.com",
    "all://*.www.example.com",
    "https://*.example.com",
    "all://*.example.com",
    "all://*example.com",
    "all://*.com",
    "https://",
    "all://",
]


def test_the_most_specific_goes_first() -> None:
    for shift in range(len(ORDER)):
        order = ORDER[shift:] + ORDER[:shift]
        mounts = sorted_mounts({pattern: pattern for pattern in order})
        kinds = [value for _, value in mounts]
        # Of two kinds of wildcards the plain one goes first, whatever their lengths.
        exact = [each for each in kinds if "*" not in each]
        assert exact == [each for each in ORDER if "*" not in each]
        below = [each for each in kinds if "*." in each]
        assert below == [each for each in ORDER if "*." in each]
        assert kinds.index("all://*example.com") > kinds.index("all://example.com")
        assert kinds[:2] == ORDER[:2]
        assert kinds[-1] == "all://"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com:8443/", "https://example.com:8443"),
        ("http://example.com:8443/", "all://example.com:8443"),
        ("http://a.example.com:8443/", "all://*.example.com:8443"),
        ("http://a:8443/", "all://*:8443"),
        ("https://www.example.com/", "https://www.example.com"),
        ("ftp://www.example.com/", "all://www.example.com"),
        ("https://example.com/", "all://example.com"),
        ("https://a.www.example.com/", "all://*.www.example.com"),
        ("https://a.example.com/", "https://*.example.com"),
        ("http://a.example.com/", "all://*.example.com"),
        ("http://other.com/", "all://*.com"),
        ("https://other.org/", "https://"),
        ("http://other.org/", "all://"),
        ("file:///x", "all://"),
    ],
)
def test_pick(url: str, expected: str) -> None:
    for order in (ORDER, ORDER[::-1]):
        mounts = sorted_mounts({pattern: pattern for pattern in order})
        assert pick(mounts, URL(url)) == expected


def test_pick_where_nothing_is_mounted() -> None:
    assert pick(sorted_mounts(None), URL("http://a/")) is None
    assert pick(sorted_mounts({}), URL("http://a/")) is None
    mounts = sorted_mounts({"https://": 1, "all://localhost": None, "all://*.local": 2})
    assert pick(mounts, URL("http://a/")) is None
    assert pick(mounts, URL("https://localhost/")) is None
    assert pick(mounts, URL("https://a/")) == 1
    with pytest.raises(ValueError):
        sorted_mounts({"nonsense": 1})


def test_equal_patterns() -> None:
    same = ["all://example.com:80", "ALL://Example.COM.:80/"]
    assert len({URLPattern(pattern) for pattern in same}) == 1
    different = ["all://a", "http://a", "all://*.a", "all://*a", "all://a:1", "all://", "all://b"]
    for first, second in itertools.combinations(different, 2):
        assert URLPattern(first) != URLPattern(second)
    assert URLPattern("all://") != "all://"
    assert repr(URLPattern("all://a")) == "URLPattern('all://a')"
