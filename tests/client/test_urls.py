"""L4: a URL names the host that it shows, or it is an error."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import httpclient as httpx


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("https://h/some/path?query", (b"https", b"h", None, b"/some/path?query")),
        ("http://example.org", (b"http", b"example.org", None, b"/")),
        ("http://example.org?a=b", (b"http", b"example.org", None, b"/?a=b")),
        ("http://example.org/?", (b"http", b"example.org", None, b"/?")),
        ("HTTP://EXAMPLE.org:80/A", (b"http", b"example.org", None, b"/A")),
        ("https://example.org:443/", (b"https", b"example.org", None, b"/")),
        ("https://example.org:80/", (b"https", b"example.org", 80, b"/")),
        ("http://example.org:/", (b"http", b"example.org", None, b"/")),
        ("http://127.0.0.1:8000/x#y", (b"http", b"127.0.0.1", 8000, b"/x")),
        ("http://[::1]:8000/", (b"http", b"::1", 8000, b"/")),
        ("http://[0:0::0001]/", (b"http", b"::1", None, b"/")),
        ("http://under_score.example./", (b"http", b"under_score.example.", None, b"/")),
        ("http://faß.de/ü?ü=ß", (b"http", b"xn--fa-hia.de", None, b"/%C3%BC?%C3%BC=%C3%9F")),
        ("http://\uff25xampl\uff25\u3002org/", (b"http", b"example.org", None, b"/")),
        ("http://h/a b?c d", (b"http", b"h", None, b"/a%20b?c%20d")),
        ("http://h/100%?%zz%41", (b"http", b"h", None, b"/100%25?%25zz%41")),
        ("http://h/a%2Fb", (b"http", b"h", None, b"/a%2Fb")),
        ("http://h/a/./b/../c/.%2e/d/..", (b"http", b"h", None, b"/a/")),
        ("http://h/../../x", (b"http", b"h", None, b"/x")),
        ("http://h/?a\\b", (b"http", b"h", None, b"/?a%5Cb")),
        ("http://h/'\"<>`{}|^", (b"http", b"h", None, b"/'%22%3C%3E%60%7B%7D%7C%5E")),
        ("ftp://h/x", (b"ftp", b"h", None, b"/x")),
        ("file:///etc/motd", (b"file", b"", None, b"/etc/motd")),
        ("/only/path", (b"", b"", None, b"/only/path")),
    ],
)  # fmt: skip
def test_l4_raw_is_the_four_tuple(text: str, raw: tuple[bytes, bytes, int | None, bytes]) -> None:
    assert httpx.URL(text).raw == raw
    assert httpx.URL(str(httpx.URL(text))) == httpx.URL(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://user@a@example.org/",
        "http://user:sec@ret@example.org/",
        "http://user@/",
        "http://user:secret@:80/",
        "http://example.org\\@evil.test/",
        "http://example.org\\.evil.test/",
        "http:\\\\example.org/",
        "http://example.org/a\\b",
        "/\\evil.test/",
        "http://exam\tple.org/",
        "http://example.org/\r\nX: y",
        "http://example.org/\x00",
        " http://example.org/",
        "http://example.org/ ",
        "http://example.org /",
        "http://exa%6dple.org/",
        "http://example.org:65536/",
        "http://example.org:0/",
        "http://example.org:99999999999999999999/",
        "http://example.org:-1/",
        "http://example.org:+80/",
        "http://example.org:\uff18\uff10/",
        "http://example.org:80:80/",
        "http://::1/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://\uff11\uff12\uff17.1/",
        "http://256.0.0.1/",
        "http:///path",
        "http:example.org",
        "http:",
        "http://a..b/",
        "http://.a/",
        "http://-a/",
        "http://a-.b/",
        "http://a,b/",
        "http://a\uff0fb/",
        "http://\u2100.example/",
        "http://xn--ü/",
        "http://\u200d.example/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}a/",
        f"http://{'ü' * 100_00}/",
        "http://h/" + "a" * 70_000,
        "http://\ud800/",
    ],
)
def test_l4_confusing_url_is_an_error(text: str) -> None:
    with pytest.raises(httpx.InvalidURL) as caught:
        httpx.URL(text)
    assert "secret" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("/x", "https://h:8443/x"),
        ("x?y", "https://h:8443/a/x?y"),
        ("../x", "https://h:8443/x"),
        ("?q", "https://h:8443/a/b?q"),
        ("//other/x", "https://other/x"),
        ("http://other", "http://other/"),
        ("", "https://h:8443/a/b"),
    ],
)
def test_join(reference: str, expected: str) -> None:
    assert str(httpx.URL("https://h:8443/a/b").join(reference)) == expected


@given(st.text(alphabet="/\\.:@?#%[]ab 2e\t", max_size=12))
def test_l4_path_never_changes_the_host(text: str) -> None:
    try:
        joined = httpx.URL("http://h/a/b").join("/x/" + text)
    except httpx.InvalidURL:
        return
    assert (joined.host, joined.port) == ("h", None)
    assert httpx.URL(str(joined)) == joined


@given(st.text(max_size=30))
def test_l4_any_text_is_a_url_or_an_invalid_url(text: str) -> None:
    for candidate in (text, f"http://{text}", f"http://h/{text}"):
        try:
            url = httpx.URL(candidate)
        except httpx.InvalidURL:
            continue
        assert httpx.URL(str(url)).raw == url.raw
        assert str(url).isascii()


def test_parts() -> None:
    url = httpx.URL("https://h:8443/a%20b?c=%20#d%20")
    assert (url.scheme, url.host, url.port) == ("https", "h", 8443)
    assert (url.path, url.query, url.fragment) == ("/a b", b"c=%20", "d ")
    assert (url.netloc, url.raw_path) == (b"h:8443", b"/a%20b?c=%20")
    assert httpx.URL("http://[::1]:1/").netloc == b"[::1]:1"
    assert url.is_absolute_url
    assert not httpx.URL("/x").is_absolute_url
    assert repr(httpx.URL("http://h")) == "URL('http://h/')"


def test_urls_compare_hash_copy_and_pickle() -> None:
    url = httpx.URL("HTTP://H:80")
    assert url == "http://h/"
    assert url != "http://h:81/"
    assert url != "http://h:99999/"
    assert url != 1
    assert {url: 1}[httpx.URL("http://h/")] == 1
    assert copy.deepcopy(url) == copy.copy(url) == pickle.loads(pickle.dumps(url)) == url
    with pytest.raises(TypeError):
        httpx.URL(b"http://h/")  # type: ignore[arg-type]


def test_l4_what_stands_before_an_at_sign_is_no_host() -> None:
    url = httpx.URL("http://example.org:80@evil.test/")
    assert (url.host, url.raw[1]) == ("evil.test", b"evil.test")
    assert (url.username, url.password, url.userinfo) == ("example.org", "80", b"example.org:80")
    assert repr(url) == "URL('http://example.org:[secure]@evil.test/')"
    assert httpx.URL("http://a%40b:c%3Ad@h/").password == "c:d"
    assert str(httpx.URL("http://ü:ß@h/")) == "http://%C3%BC:%C3%9F@h/"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"scheme": "https"}, "https://u:p@h:81/a?b#c"),
        ({"host": "other"}, "http://u:p@other:81/a?b#c"),
        ({"host": "::1"}, "http://u:p@[::1]:81/a?b#c"),
        ({"port": None}, "http://u:p@h/a?b#c"),
        ({"port": 80}, "http://u:p@h/a?b#c"),
        ({"netloc": b"x:1"}, "http://u:p@x:1/a?b#c"),
        ({"userinfo": b""}, "http://h:81/a?b#c"),
        ({"username": "a@b", "password": "/:"}, "http://a%40b:%2F%3A@h:81/a?b#c"),
        ({"path": "/x?y#z"}, "http://u:p@h:81/x%3Fy%23z?b#c"),
        ({"path": "/a\\b"}, "http://u:p@h:81/a%5Cb?b#c"),
        ({"path": "x"}, "http://u:p@h:81/x?b#c"),
        ({"raw_path": b"/x?y=1"}, "http://u:p@h:81/x?y=1#c"),
        ({"query": b"q=#"}, "http://u:p@h:81/a?q=%23#c"),
        ({"query": None}, "http://u:p@h:81/a#c"),
        ({"params": {"q": ["1", "2"], "r": None}}, "http://u:p@h:81/a?q=1&q=2&r=#c"),
        ({"params": {}}, "http://u:p@h:81/a#c"),
        ({"fragment": "d e"}, "http://u:p@h:81/a?b#d%20e"),
    ],
)
def test_copies_with_other_parts(changes: dict[str, Any], text: str) -> None:
    assert str(httpx.URL("http://u:p@h:81/a?b#c").copy_with(**changes)) == text
    assert str(httpx.URL("http://u:p@h:81/a?b#c", **changes)) == text


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "ht tp"},
        {"host": "evil.test/x"},
        {"host": "a@b"},
        {"host": ""},
        {"port": 0},
        {"port": 65536},
        {"netloc": b"u@evil.test"},
    ],
)
def test_l4_no_part_becomes_another(changes: dict[str, Any]) -> None:
    with pytest.raises(httpx.InvalidURL):
        httpx.URL("http://h/").copy_with(**changes)


@pytest.mark.parametrize("path", ["//evil.test", "http://evil.test", "a:b"])
def test_l4_a_path_does_not_become_a_host(path: str) -> None:
    with pytest.raises(httpx.InvalidURL):
        httpx.URL("/x").copy_with(path=path)


@pytest.mark.parametrize("changes", [{"port": "80"}, {"port": True}, {"nothing": 1}, {"path": 1}])
def test_parts_have_types(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        httpx.URL("http://h/").copy_with(**changes)


def test_params_of_a_url() -> None:
    url = httpx.URL("http://h/?a=1&b=2&a=3")
    assert url.params.get_list("a") == ["1", "3"]
    assert str(url.copy_set_param("a", 5)) == "http://h/?a=5&b=2"
    assert str(url.copy_add_param("c", True)) == "http://h/?a=1&b=2&a=3&c=true"
    assert str(url.copy_remove_param("a")) == "http://h/?b=2"
    assert str(url.copy_merge_params({"b": [7, 8], "d": ""})) == "http://h/?a=1&b=7&b=8&a=3&d="
