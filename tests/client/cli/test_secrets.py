"""What is hidden, and what is not."""

from __future__ import annotations

import pytest

from httpclient._cli.secrets import without_secrets, without_userinfo


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ((b"Authorization", b"Basic dTpw"), b"Basic [hidden]"),
        ((b"AUTHORIZATION", b"Bearer abc.def"), b"Bearer [hidden]"),
        ((b"Authorization", b"token-without-scheme"), b"[hidden]"),
        ((b"Authorization", b'Digest username="u", response="x"'), b"Digest [hidden]"),
        ((b"Proxy-Authorization", b"Basic dTpw"), b"Basic [hidden]"),
        ((b"Cookie", b"a=b"), b"[hidden]"),
        ((b"Set-Cookie", b"a=b; Path=/"), b"[hidden]"),
        ((b"X-Api-Key", b"k"), b"[hidden]"),
        ((b"Location", b"https://u:p@h/x?y=a@b"), b"https://[hidden]@h/x?y=a@b"),
        ((b"Referer", b"https://h/x@y"), b"https://h/x@y"),
        ((b"Accept", b"*/*"), b"*/*"),
        ((b"WWW-Authenticate", b'Basic realm="x"'), b'Basic realm="x"'),
    ],
)
def test_fields(field: tuple[bytes, bytes], shown: bytes) -> None:
    assert without_secrets([field]) == [(field[0], shown)]


def test_userinfo_with_an_at_sign_is_hidden_as_a_whole() -> None:
    assert without_userinfo(b"http://user:p@ss@host/") == b"http://[hidden]@host/"
