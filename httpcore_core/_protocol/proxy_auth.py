"""How a client proves itself to an HTTP proxy: a hook, and the two schemes that come with it.

Rules of this file: pure functions of what the proxy said; the drivers send and receive. A scheme
that takes several rounds (NTLM, Negotiate) keeps its state in the generator that `flow` returns:
there is one for each tunnel, and its rounds follow each other on one connection for as long as the
proxy keeps that open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import re
import secrets
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

from httpcore_core._exceptions import LocalProtocolError
from httpcore_core._models import Headers

from .request import is_value

MAX_ROUNDS = 5
"""Answers to challenges within one `flow`. NTLM takes two, Digest one or two."""


class ProxyAuth:
    """Answers a proxy's challenges. Subclasses implement `flow`; one object serves many requests,
    in many threads at once."""

    def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
        """Yield the value of ``Proxy-Authorization`` for each attempt in turn, None to send none.

        `method` and `target` are those of the request line: ``b"CONNECT"`` and ``b"host:port"``, or
        those of a request that is forwarded. After a refusal with status 407 the generator is sent
        the values of its ``Proxy-Authenticate`` headers; what it yields then is tried next. When it
        returns, the refusal stands. It has to yield once at least.
        """
        raise NotImplementedError(f"{type(self).__name__} must define flow")


class AuthRounds:
    """The rounds of one tunnel, or of one request that is forwarded; `auth` None has no answers."""

    def __init__(self, auth: ProxyAuth | None, method: bytes, target: bytes) -> None:
        self._flow = None if auth is None else auth.flow(method, target)
        self._left = MAX_ROUNDS

    def first(self) -> bytes | None:
        """The credentials that are sent unasked; None for none. Raises `LocalProtocolError`."""
        return None if self._flow is None else _checked(next(self._flow, None))

    def answer(self, headers: Headers) -> bytes | None:
        """The credentials that answer a refusal with these headers; None if it stands."""
        if self._flow is None or not self._left:
            return None
        self._left -= 1
        challenges = [value for name, value in headers if name.lower() == b"proxy-authenticate"]
        try:
            return _checked(self._flow.send(challenges))
        except StopIteration:
            return None


def _checked(credentials: Any) -> bytes | None:
    if credentials is None or (type(credentials) is bytes and is_value(credentials)):
        return credentials
    text = "a ProxyAuth must yield None, or bytes that a header can hold"
    raise LocalProtocolError(text, phase="proxy")


class BasicProxyAuth(ProxyAuth):
    """User and password, sent at once (RFC 7617)."""

    def __init__(self, user: bytes, password: bytes) -> None:
        if b":" in user:
            raise ValueError("a user name must not hold a colon: RFC 7617, section 2")
        self._value = b"Basic " + base64.b64encode(b"%b:%b" % (user, password))

    def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
        yield self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BasicProxyAuth) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class _Challenge(NamedTuple):
    """What a Digest challenge asks for (RFC 7616, section 3.3)."""

    realm: bytes
    nonce: bytes
    opaque: bytes | None
    algorithm: bytes  # as the proxy spelled it; b"" where it did not
    has_qop: bool
    is_stale: bool
    cnonce: bytes  # ours, for as long as the nonce is used: a session key is made once
    counts: Iterator[int]  # the nonce count: how often the nonce has been used


class DigestProxyAuth(ProxyAuth):
    """User and password, of which only a hash is sent (RFC 7616). A nonce that the proxy has given
    is used for further requests until the proxy says that it is stale."""

    def __init__(
        self,
        user: str | bytes,
        password: str | bytes,
        *,
        make_cnonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._user = user.encode() if isinstance(user, str) else user
        self._password = password.encode() if isinstance(password, str) else password
        if b'"' in self._user or b"\\" in self._user or re.search(rb"[\x00-\x1f\x7f]", self._user):
            raise ValueError("a user name must not hold quotes, backslashes or control characters")
        self._make_cnonce = make_cnonce
        self._challenge: _Challenge | None = None

    def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
        known = self._challenge
        challenges = yield None if known is None else self._answer(known, method, target)
        has_answered = False  # with a nonce of this flow's own
        while (challenge := _strongest(challenges, self._make_cnonce)) is not None:
            if has_answered and not challenge.is_stale:
                self._challenge = None  # the password is wrong: the next flow asks anew
                return
            has_answered = True
            self._challenge = challenge
            challenges = yield self._answer(challenge, method, target)

    def _answer(self, challenge: _Challenge, method: bytes, target: bytes) -> bytes:
        """RFC 7616, section 3.4."""
        digest = _ALGORITHMS[challenge.algorithm.lower().removesuffix(b"-sess")]

        def hashed(*parts: bytes) -> bytes:
            return binascii.hexlify(digest(b":".join(parts)).digest())

        cnonce = challenge.cnonce
        count = b"%08x" % next(challenge.counts)
        secret = hashed(self._user, challenge.realm, self._password)
        if challenge.algorithm.lower().endswith(b"-sess"):
            secret = hashed(secret, challenge.nonce, cnonce)
        asked = hashed(method, target)
        if challenge.has_qop:
            response = hashed(secret, challenge.nonce, count, cnonce, b"auth", asked)
        else:
            response = hashed(secret, challenge.nonce, asked)
        fields = [
            (b"username", _quoted(self._user)),
            (b"realm", _quoted(challenge.realm)),
            (b"nonce", _quoted(challenge.nonce)),
            (b"uri", _quoted(target)),
            (b"response", _quoted(response)),
        ]
        if challenge.algorithm:
            fields.append((b"algorithm", challenge.algorithm))
        if challenge.opaque is not None:
            fields.append((b"opaque", _quoted(challenge.opaque)))
        if challenge.has_qop:
            fields += [(b"qop", b"auth"), (b"nc", count), (b"cnonce", _quoted(cnonce))]
        return b"Digest " + b", ".join(b"%b=%b" % field for field in fields)


def _md5(data: bytes) -> Any:
    return hashlib.md5(data, usedforsecurity=False)


_ALGORITHMS: dict[bytes, Callable[[bytes], Any]] = {
    b"sha-512-256": lambda data: hashlib.new("sha512_256", data),
    b"sha-256": hashlib.sha256,
    b"md5": _md5,
    b"": _md5,
}
"""RFC 7616, section 3.2, the strongest first; what is not named is MD5."""
if "sha512_256" not in hashlib.algorithms_available:
    del _ALGORITHMS[b"sha-512-256"]


def _strongest(values: list[bytes], make_cnonce: Callable[[], str]) -> _Challenge | None:
    """The Digest challenge to answer, of all that the headers hold."""
    found: dict[bytes, _Challenge] = {}
    for scheme, parameters in parse_challenges(values):
        if scheme != b"digest":
            continue
        challenge = _read_digest(parameters, make_cnonce)
        if challenge is not None:
            name = challenge.algorithm.lower().removesuffix(b"-sess")
            found.setdefault(name, challenge)
    return next((found[name] for name in _ALGORITHMS if name in found), None)


def _read_digest(
    parameters: dict[bytes, bytes], make_cnonce: Callable[[], str]
) -> _Challenge | None:
    """None where it is one that we cannot answer: RFC 7616, section 3.3."""
    qop, algorithm = parameters.get(b"qop"), parameters.get(b"algorithm", b"")
    if b"nonce" not in parameters or algorithm.lower() == b"-sess":
        return None
    if algorithm.lower().endswith(b"-sess") and qop is None:
        return None  # the proxy would not be told the cnonce that is in the session key
    if qop is not None and b"auth" not in [each.strip() for each in qop.lower().split(b",")]:
        return None  # "auth-int" would need the body's hash before the body
    return _Challenge(
        realm=parameters.get(b"realm", b""),
        nonce=parameters[b"nonce"],
        opaque=parameters.get(b"opaque"),
        algorithm=algorithm,
        has_qop=qop is not None,
        is_stale=parameters.get(b"stale", b"").lower() == b"true",
        counts=itertools.count(1),
        cnonce=make_cnonce().encode("ascii"),
    )


_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_skip = re.compile(rb"[ \t,]*").match
_match_parameter = re.compile(
    rb"(%b)[ \t]*=[ \t]*(?:(%b)|\"((?:[^\"\\]|\\.)*)\")[ \t]*(?=,|\Z)" % (_TOKEN, _TOKEN)
).match
_match_scheme = re.compile(
    rb"(%b)(?:[ \t]*(?=,|\Z)|[ ]+[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|\Z)|[ ]+)" % _TOKEN
).match
_unescape = re.compile(rb"\\(.)", re.DOTALL).sub


def parse_challenges(values: list[bytes]) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Schemes, in lower case, with their parameters (RFC 9110, section 11.6.1): one header may hold
    several, and commas stand between them as well as between their parameters. What cannot be
    understood ends its header."""
    found: list[tuple[bytes, dict[bytes, bytes]]] = []
    for value in values:
        position = 0
        parameters: dict[bytes, bytes] | None = None
        while (position := _skip(value, position).end()) < len(value):  # type: ignore[union-attr]
            match = None if parameters is None else _match_parameter(value, position)
            if match is not None and parameters is not None:
                name, token, quoted = match.groups()
                text = token if quoted is None else _unescape(rb"\1", quoted)
                parameters.setdefault(name.lower(), text)
            else:
                match = _match_scheme(value, position)
                if match is None:
                    break
                parameters = {}
                found.append((match[1].lower(), parameters))
            position = match.end()
    return found


def _quoted(value: bytes) -> bytes:
    """A quoted-string: RFC 9110, section 5.6.4."""
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
