"""Proxies from the environment: which variable counts, what goes without, what is not a proxy."""

from __future__ import annotations

import logging
import os
import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import httpclient as httpx
from httpclient import URL
from httpclient._environment import EnvironmentProxies, NoProxy, environment_proxies

HTTP, HTTPS = URL("http://example.com/"), URL("https://example.com/")
P, Q, R = "http://p:1", "http://q:2", "http://r:3"


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": P}, P, None),
        ({"HTTP_PROXY": P}, P, None),
        ({"https_proxy": P}, None, P),
        ({"HTTPS_PROXY": P}, None, P),
        ({"all_proxy": P}, P, P),
        ({"ALL_PROXY": P}, P, P),
        ({"HTTP_PROXY": P, "HTTPS_PROXY": Q, "ALL_PROXY": R}, P, Q),
        ({"HTTPS_PROXY": Q, "ALL_PROXY": R}, R, Q),
        # Lower case wins, also if it is empty
        ({"http_proxy": P, "HTTP_PROXY": Q}, P, None),
        ({"https_proxy": P, "HTTPS_PROXY": Q}, None, P),
        ({"all_proxy": P, "ALL_PROXY": Q}, P, P),
        ({"http_proxy": "", "HTTP_PROXY": Q}, None, None),
        ({"http_proxy": " ", "ALL_PROXY": Q}, Q, Q),
        ({"Http_Proxy": P}, None, None),
        # CVE-2016-5385
        ({"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}, None, None),
        ({"HTTP_PROXY": P, "REQUEST_METHOD": ""}, None, None),
        ({"HTTP_PROXY": P, "http_proxy": Q, "REQUEST_METHOD": "GET"}, Q, None),
        ({"HTTP_PROXY": P, "ALL_PROXY": R, "REQUEST_METHOD": "GET"}, R, R),
        ({"HTTPS_PROXY": P, "REQUEST_METHOD": "GET"}, None, P),
        # Without a scheme, and with others
        ({"http_proxy": "localhost:8080"}, "http://localhost:8080", None),
        ({"http_proxy": "  p:1  "}, P, None),
        ({"http_proxy": "user:pass@p:1"}, "http://user:pass@p:1", None),
        ({"http_proxy": "[::1]:8080"}, "http://[::1]:8080", None),
        ({"all_proxy": "socks5h://p"}, "socks5h://p", "socks5h://p"),
        ({"https_proxy": "https://p/"}, None, "https://p/"),
        # What goes without
        ({"all_proxy": P, "no_proxy": "*"}, None, None),
        ({"all_proxy": P, "NO_PROXY": "*"}, None, None),
        ({"all_proxy": P, "NO_PROXY": "*", "no_proxy": ""}, P, P),
        ({"all_proxy": P, "no_proxy": "example.com:443"}, P, None),
    ],
)
def test_variables(environ: dict[str, str], http: str | None, https: str | None) -> None:
    proxies = environment_proxies(environ)
    for _ in range(2):
        assert (proxies.proxy_for(HTTP), proxies.proxy_for(HTTPS)) == (http, https)
    assert proxies.proxy_for(URL("ws://example.com/")) == http
    assert proxies.proxy_for(URL("wss://example.com/")) == https
    assert proxies.proxy_for(URL("ftp://example.com/")) is None
    assert proxies.proxy_for(URL("file:///x")) is None
    assert proxies.proxy_for(URL("/x")) is None


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    assert not environment_proxies()
    monkeypatch.setenv("all_proxy", P)
    proxies = environment_proxies()
    assert proxies
    monkeypatch.setenv("all_proxy", Q)
    assert proxies.proxy_for(HTTP) == P
    assert environment_proxies().proxy_for(HTTP) == Q


@pytest.mark.parametrize(
    "value",
    [
        "socks://secret:1", "ftp://secret", "http://", "http:///", "http://:1", "http://secret:x",
        "http://secret:0", "http://secret:65536", "http://secret/path", "http://secret?x",
        "http://user:secret@", "http://user:secret@host:secret", "user:secret", "http://1.2.3:1",
        "http://user:secret@ho st", "http://user:secret@h\xf6st", "http://user:se%cret@host%",
        "http://user@x:secret!", "http://user:pass@secret!", "http://a\nb",
        "http://user:secret\n@host", "://x",
    ],
)  # fmt: skip
def test_h18_i9_a_malformed_proxy_is_named_by_its_variable(value: str) -> None:
    proxies = environment_proxies({"HTTP_PROXY": value, "https_proxy": P})
    for _ in range(2):
        with pytest.raises(httpx.LocalProtocolError) as caught:
            proxies.proxy_for(HTTP)
        assert "the environment variable HTTP_PROXY is not the URL of a proxy" in str(caught.value)
        if "@" in value or value == "user:secret":
            assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None
    assert proxies.proxy_for(HTTPS) == P  # the other one does not care


def test_h18_a_malformed_proxy_that_is_not_used_does_no_harm() -> None:
    proxies = environment_proxies(
        {"all_proxy": "socks://127.0.0.1:1/", "http_proxy": P, "https_proxy": Q}
    )
    assert (proxies.proxy_for(HTTP), proxies.proxy_for(HTTPS)) == (P, Q)
    assert environment_proxies({"all_proxy": "?", "no_proxy": "*"}).proxy_for(HTTP) is None


def test_socks_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="socks"):
        environment_proxies({"all_proxy": "socks5://p"}).proxy_for(HTTP)


def test_i9_texts_have_no_secrets() -> None:
    proxies = environment_proxies({"HTTP_PROXY": "http://user:secret@p:1", "all_proxy": "secret"})
    assert repr(proxies) == "<EnvironmentProxies [HTTP_PROXY, all_proxy]>"
    assert bool(proxies)
    assert not EnvironmentProxies({"no_proxy": "*"})


def test_l6_pickles() -> None:
    proxies = environment_proxies({"all_proxy": P, "no_proxy": "a, 10.0.0.0/8"})
    other = pickle.loads(pickle.dumps(proxies))
    assert other.proxy_for(HTTP) == P
    assert other.proxy_for(URL("http://10.1.1.1/")) is None


# no_proxy


@pytest.mark.parametrize(
    ("text", "direct", "proxied"),
    [
        ("", [], ["http://example.com/", "http://localhost/", "http://127.0.0.1/"]),
        (" , ,", [], ["http://example.com/"]),
        ("*", ["http://example.com/", "http://127.0.0.1/", "http://[::1]/"], []),
        ("a, *", ["http://example.com/"], []),
        # Hosts and what is below them
        (
            "example.com",
            ["http://example.com/", "https://example.com:8443/", "http://a.b.example.com/",
             "http://EXAMPLE.com/", "http://example.com./"],
            ["http://xexample.com/", "http://example.com.evil.test/", "http://com/",
             "http://example.org/"],
        ),
        ("Example.COM.", ["http://example.com/", "http://a.example.com/"], ["http://com/"]),
        (
            ".example.com",
            ["http://www.example.com/", "http://a.b.example.com./"],
            ["http://example.com/", "http://xexample.com/"],
        ),
        ("*.example.com", ["http://www.example.com/"], ["http://example.com/"]),
        ("com", ["http://example.com/", "http://com/"], ["http://example.org/"]),
        ("localhost", ["http://localhost:1/", "http://a.localhost/"], ["http://127.0.0.1/"]),
        ("bücher.example", ["http://xn--bcher-kva.example/"], ["http://bucher.example/"]),
        ("a_b.test", ["http://a_b.test/"], ["http://ab.test/"]),
        ("a,b  c\td\n,e", [f"http://{name}/" for name in "abcde"], ["http://f/"]),
        # Ports
        (
            "example.com:8080, .b.test:80",
            ["http://example.com:8080/", "https://a.example.com:8080/", "http://a.b.test/"],
            ["http://example.com/", "https://a.b.test/", "http://b.test/"],
        ),
        ("a.test:443", ["https://a.test/", "http://a.test:443/", "wss://a.test/"],
            ["http://a.test/"]),
        # Addresses
        ("127.0.0.1", ["http://127.0.0.1:81/"], ["http://127.0.0.10/", "http://localhost/"]),
        ("127.0.0.1:81", ["http://127.0.0.1:81/"], ["http://127.0.0.1/"]),
        ("0.0.1", [], ["http://127.0.0.1/"]),
        (".0.0.1", [], ["http://127.0.0.1/"]),
        ("::1", ["http://[::1]/", "http://[0:0::1]:81/"], ["http://[::2]/"]),
        ("[::1]", ["http://[::1]/"], ["http://[::2]/"]),
        ("[::1]:81", ["http://[::1]:81/"], ["http://[::1]/"]),
        ("0:0::1", ["http://[::1]/"], []),
        ("::ffff:10.0.0.1", ["http://10.0.0.1/", "http://[::ffff:a00:1]/"], ["http://10.0.0.2/"]),
        # Ranges
        (
            "10.0.0.0/8 fd00::/8",
            ["http://10.1.2.3/", "https://10.255.255.255:1/", "http://[fd12::1]/",
             "http://[::ffff:10.1.2.3]/"],
            ["http://11.0.0.1/", "http://[fe80::1]/", "http://10.example.com/"],
        ),
        ("10.1.2.3/8", ["http://10.9.9.9/"], ["http://11.0.0.1/"]),
        ("10.0.0.0/255.0.0.0", ["http://10.9.9.9/"], ["http://11.0.0.1/"]),
        ("[fd00::]/8", ["http://[fd12::1]/"], ["http://[fe80::1]/"]),
        ("0.0.0.0/0", ["http://1.2.3.4/"], ["http://[::1]/", "http://example.com/"]),
        # What is none of these
        ("http://example.com, user:secret@b.test, a/b, 10.0.0.0/33, [::1, a:b, a:123456, a b:c:d",
            ["http://a/"], ["http://example.com/", "http://b.test/", "http://b/", "http://10.0.0.1/",
             "http://[::1]/"]),
        ("*., ., .., a..b, *a*, a?b, %61, fe80::1%eth0", [], ["http://a/", "http://a.b/"]),
    ],
)  # fmt: skip
def test_no_proxy(text: str, direct: list[str], proxied: list[str]) -> None:
    rules = NoProxy(text)
    assert [url for url in [*direct, *proxied] if rules.bypasses(URL(url))] == direct


def test_i9_what_is_ignored_is_logged_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "httpclient"):
        NoProxy("a, user:secret@b, c")
    assert [record.getMessage() for record in caplog.records] == ["entry 2 of no_proxy is ignored"]


LABEL = st.text(string.ascii_lowercase, min_size=1, max_size=2)
NAME = st.lists(LABEL, min_size=1, max_size=3).map(".".join)


@given(st.lists(st.tuples(st.sampled_from(["", ".", "*."]), NAME), max_size=4), NAME)
def test_names_match_at_the_borders_of_labels(entries: list[tuple[str, str]], host: str) -> None:
    expected = any(
        host.endswith(f".{name}") or (not prefix and host == name) for prefix, name in entries
    )
    rules = NoProxy(",".join(prefix + name for prefix, name in entries))
    assert rules.bypasses(URL(f"http://{host}/")) is expected


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 2**32 - 1))
def test_ranges_are_those_of_their_bits(base: int, length: int, address: int) -> None:
    def dotted(number: int) -> str:
        return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))

    rules = NoProxy(f"{dotted(base)}/{length}")
    shift = 32 - length
    url = URL(f"http://{dotted(address)}/")
    assert rules.bypasses(url) is (base >> shift == address >> shift)


@given(st.text(max_size=40))
def test_i2_any_text_is_understood_or_ignored(text: str) -> None:
    assert NoProxy(text).bypasses(HTTP) in (True, False)
    proxies = environment_proxies({"all_proxy": text, "no_proxy": text[::-1]})
    try:
        assert proxies.proxy_for(HTTP) is None or "://" in text or text.strip()
    except (httpx.LocalProtocolError, ImportError):
        pass
