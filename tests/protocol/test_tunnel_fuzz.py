"""X2 by chance: whatever a proxy says, in whatever pieces, ends in a tunnel or in `ProxyError`."""

from __future__ import annotations

import tracemalloc
from collections.abc import Generator
from itertools import count, pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpcore_core._exceptions import ProxyError
from httpcore_core._models import Origin
from httpcore_core._protocol.proxy_auth import (
    MAX_ROUNDS,
    DigestProxyAuth,
    ProxyAuth,
    parse_challenges,
)
from httpcore_core._protocol.request import is_value
from httpcore_core._protocol.socks5 import SOCKS5Tunnel
from httpcore_core._protocol.tunnel import Tunnel
from httpcore_core._proxy import Proxy
from tests.protocol import wire
from tests.protocol.wire import pieces, reply

on_each_engine = pytest.mark.usefixtures("engine")

ORIGIN = Origin(b"https", b"example.com", 443)
MAX_HEAD, MAX_COUNT = 4096, 50
CUTS = st.lists(st.integers(0, 10**6), max_size=12)
DAMAGE = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), max_size=4)


def cut_up(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(places) if a < b]


def damaged(data: bytes, damage: list[tuple[int, bytes]]) -> bytes:
    for place, replacement in damage:
        place %= len(data) + 1
        data = data[:place] + replacement + data[place + len(replacement or b"-") :]
    return data


class Endless(ProxyAuth):
    """Has an answer to everything."""

    def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
        for number in count():
            yield b"X %d" % number


AUTHS = st.one_of(
    st.sampled_from([None, ("user", "5ecret"), Endless()]),
    st.builds(DigestProxyAuth, st.just("user"), st.just("5ecret")),  # anew: it learns nonces
)


def new_tunnel(auth: Any = ("user", "5ecret")) -> Tunnel:
    parser = wire.PARSERS[wire._in_use[-1]]
    proxy = Proxy("http://p:3128", auth=auth)
    return Tunnel(proxy, ORIGIN, [], parser, MAX_HEAD, MAX_COUNT)


class Outcome(NamedTuple):
    """What came of one attempt; `detail` is what depends on nothing but the bytes."""

    opened: bool
    leftover: bytes = b""
    written: bytes = b""
    error: bool = False
    detail: tuple[Any, ...] = ()


# CONNECT


def outcome_of(data: bytes, cuts: list[int], *, eof: bool) -> Outcome:
    tunnel = new_tunnel()
    written = tunnel.begin()
    received = cut_up(data, cuts) + [b""] * eof
    try:
        for number, piece in enumerate(received):
            written += tunnel.receive(piece)
            if tunnel.is_open:
                rest = b"".join(received[number + 1 :])
                return Outcome(True, tunnel.leftover + rest, written, False, (tunnel.answer,))
    except ProxyError as exc:
        assert "5ecret" not in f"{exc}{exc.__cause__}"
        # How much of a broken body was handed on depends on how it was cut up.
        body = exc.body if exc.__cause__ is None else b""
        return Outcome(False, b"", written, True, (exc.status, exc.headers, body))
    assert not eof
    return Outcome(False, b"", written)


NAMES = st.sampled_from([b"Proxy-Authenticate", b"Connection", b"Content-Length", b"Via", b"X"])
VALUES = st.sampled_from(
    [
        b"", b"close", b"keep-alive", b"0", b"5", b"X", b'Digest realm="a", nonce="b", qop="auth"',
        b"Digest nonce=c, algorithm=SHA-256, stale=true", b"\xff", b"Basic realm=x, NTLM",
    ]
)  # fmt: skip
FRAMINGS = st.sampled_from(
    [b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked"]
)
BODIES = st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"\x16\x03\x01", b"hello!"])


@st.composite
def answers(draw: Any) -> bytes:
    status = draw(st.sampled_from([100, 101, 103, 200, 204, 302, 304, 403, 407, 407, 502, 999]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    fields = [b"%b: %b" % pair for pair in draw(st.lists(st.tuples(NAMES, VALUES), max_size=3))]
    fields += draw(st.lists(FRAMINGS, max_size=1))
    return reply(b"%b %d Reason" % (version, status), *fields, body=draw(BODIES))


@on_each_engine
@given(st.lists(answers(), max_size=3), CUTS, DAMAGE)
def test_h2_x2_the_outcome_does_not_depend_on_the_cuts(
    said: list[bytes], cuts: list[int], damage: list[tuple[int, bytes]]
) -> None:
    data = damaged(b"".join(said), damage)
    for eof in (False, True):
        assert outcome_of(data, cuts, eof=eof) == outcome_of(data, [], eof=eof)


@on_each_engine
@given(st.binary(max_size=300), CUTS, st.booleans())
def test_i2_arbitrary_bytes(data: bytes, cuts: list[int], has_start: bool) -> None:
    data = b"HTTP/1.1 " * has_start + data
    assert outcome_of(data, cuts, eof=True) == outcome_of(data, [], eof=True)


@on_each_engine
@given(AUTHS, st.lists(st.tuples(answers(), DAMAGE, CUTS, st.booleans()), min_size=1, max_size=9))
def test_i2_every_dialogue_ends(
    auth: Any, said: list[tuple[bytes, list[tuple[int, bytes]], list[int], bool]]
) -> None:
    """The proxy says something at any time, asked or not, and leaves when it likes. Nothing but
    `ProxyError` comes of it, and no more requests than the rounds that there may be."""
    tunnel = new_tunnel(auth)
    requests = connections = 0
    try:
        for data, damage, cuts, eof in said:
            if tunnel.needs_connection:
                connections += 1
                requests += tunnel.begin().startswith(b"CONNECT example.com:443 ")
            for piece in cut_up(damaged(data, damage), cuts) + [b""] * eof:
                following = tunnel.receive(piece)
                assert not following or following.startswith(b"CONNECT example.com:443 ")
                requests += bool(following)
                if tunnel.is_open:
                    assert tunnel.answer is not None
                    assert 200 <= tunnel.answer.status < 300
                    return
                if tunnel.needs_connection:
                    break
    except ProxyError:
        assert not tunnel.is_open
    finally:
        assert connections <= requests <= MAX_ROUNDS + 1


FLOODS = [
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    (b"HTTP/1.1 407 No\r\nProxy-Authenticate: ", b"Digest nonce=x, "),
    (b"HTTP/1.1 403 No\r\n\r\n", b"x"),
    (b"HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"8\r\nxxxxxxxx\r\n"),
    (b"HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 999 + b"\r\nx\r\n"),
    (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"fffffff\r\n" + b"x" * 65536),
    (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
    (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
]


@on_each_engine
@pytest.mark.parametrize(("start", "unit"), FLOODS)
def test_i8_floods_take_little_memory(start: bytes, unit: bytes) -> None:
    """Two megabytes or the error, whichever comes first, hold less than a tenth of it."""
    data = start + unit * (2_000_000 // len(unit))
    tunnel = new_tunnel(Endless())
    tunnel.begin()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for piece in pieces(data, 16384):
            tunnel.receive(piece)
            if tunnel.needs_connection:
                break
            assert tracemalloc.get_traced_memory()[0] - before < 200_000
    except ProxyError as exc:
        assert len(exc.body) <= 64 * 1024
    finally:
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    assert peak < 1_000_000


# SOCKS5

BOUND = st.sampled_from(
    [
        b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90",
        b"\x05\x00\x00\x03\x05bound\x00\x01",
        b"\x05\x00\x00\x04" + b"\x01" * 18,
        b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00",
        b"\x05\x00\x00\x03\xff" + b"x" * 257,
    ]
)
REPLACED = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=2)
METHODS = st.sampled_from([[b"\x05\x00"], [b"\x05\x02", b"\x01\x00"]])


def socks_outcome(messages: list[bytes], cuts: list[int], *, eof: bool) -> Outcome:
    """The cuts are within the messages: what comes before it was asked for is something else."""
    tunnel = SOCKS5Tunnel(Proxy("socks5://user:5ecret@p"), "example.com", 443)
    written = tunnel.begin()
    received = [piece for message in messages for piece in cut_up(message, cuts)] + [b""] * eof
    try:
        for number, piece in enumerate(received):
            written += tunnel.receive(piece)
            if tunnel.is_open:
                rest = b"".join(received[number + 1 :])
                return Outcome(True, tunnel.leftover + rest, written, False, (tunnel.answer,))
    except ProxyError as exc:
        assert "5ecret" not in f"{exc}{exc.__cause__}"
        return Outcome(False, b"", written, True, (str(exc), exc.socks_reply))
    assert not eof
    return Outcome(False, b"", written)


@given(METHODS, BOUND, st.binary(max_size=5), CUTS, REPLACED)
def test_f12_the_outcome_does_not_depend_on_the_cuts(
    methods: list[bytes], bound: bytes, extra: bytes, cuts: list[int], damage: list[tuple[int, int]]
) -> None:
    messages = [*methods, bound + extra]
    for place, value in damage:
        number, offset = place % len(messages), place // len(messages)
        message = messages[number]
        offset %= min(len(message), 6)  # where it matters: in the first bytes of a message
        messages[number] = message[:offset] + bytes([value]) + message[offset + 1 :]
    for eof in (False, True):
        assert socks_outcome(messages, cuts, eof=eof) == socks_outcome(messages, [], eof=eof)


@given(st.lists(st.binary(max_size=20), max_size=9), st.booleans())
def test_i2_arbitrary_socks_bytes(messages: list[bytes], has_start: bool) -> None:
    said = [b"\x05\x00"] * has_start + [message for message in messages if message]
    socks_outcome(said, [], eof=True)  # raises nothing


@given(
    st.sampled_from([b"\x05\x00", b"\x05\x02\x01\x00", b""]), st.binary(min_size=300, max_size=400)
)
def test_i8_a_socks_handshake_is_short(start: bytes, data: bytes) -> None:
    """Its longest answer has 262 bytes; then it is open, or it has failed."""
    outcome = socks_outcome([bytes([byte]) for byte in start + data], [], eof=False)
    assert outcome.opened or outcome.error
    if outcome.opened:
        assert len(outcome.leftover) >= len(data) - 262


# Challenges

TOKENS = st.text("!#$%&'*+.^_`|~09AZaz-", min_size=1, max_size=8).map(str.encode)
TEXTS = st.text('\t !"#,=\\az~\xff', max_size=8).map(lambda text: text.encode("latin-1"))
SPACES = st.sampled_from([b"", b" ", b"\t", b"  "])
SYNTAX = st.lists(
    st.sampled_from(
        [b'"', b"\\", b"=", b",", b" ", b"\t", b"a", b"nonce", b"Digest ", b"\xff", b"\r\n"]
    ),
    max_size=40,
).map(b"".join)


@given(st.lists(st.one_of(st.binary(max_size=60), SYNTAX), max_size=4))
def test_i2_any_challenge_can_be_parsed(values: list[bytes]) -> None:
    """Each header for itself, and nothing comes out that did not go in."""
    found = parse_challenges(values)
    assert found == [each for value in values for each in parse_challenges([value])]
    names = [scheme for scheme, _ in found]
    texts = [part for _, parameters in found for pair in parameters.items() for part in pair]
    assert sum(map(len, [*names, *texts])) <= sum(map(len, values))
    assert all(scheme == scheme.lower() != b"" for scheme in names)


@st.composite
def challenges(draw: Any) -> tuple[bytes, tuple[bytes, dict[bytes, bytes]]]:
    """A challenge as it may be written, and what is to be read."""
    scheme = draw(TOKENS)
    parameters = draw(st.dictionaries(TOKENS.map(bytes.lower), TEXTS, min_size=1, max_size=4))
    parts = []
    for name, value in parameters.items():
        text = b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        parts.append(name.upper() + draw(SPACES) + b"=" + draw(SPACES) + text + draw(SPACES))
    commas = draw(st.sampled_from([b",", b", ", b" ,\t,, "]))
    return scheme + b" " + commas.join(parts), (scheme.lower(), parameters)


@given(st.lists(challenges(), max_size=3))
def test_what_is_well_formed_is_read_as_it_was_written(written: list[Any]) -> None:
    """In one header or in several."""
    expected = [read for _, read in written]
    assert parse_challenges([text for text, _ in written]) == expected
    assert parse_challenges([b", ".join(text for text, _ in written)]) == expected


QUOTED = TEXTS.map(lambda text: b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
DIGESTS = st.lists(
    st.tuples(
        st.sampled_from([b"realm", b"nonce", b"nonce", b"opaque", b"algorithm", b"qop", b"stale"]),
        st.one_of(
            QUOTED, st.sampled_from([b"auth", b"MD5", b"SHA-256-sess", b"true", b'"auth,x"'])
        ),
    ),
    max_size=8,
).map(lambda pairs: b"Digest " + b", ".join(b"%b=%b" % pair for pair in pairs))


@given(st.lists(st.one_of(DIGESTS, SYNTAX), min_size=1, max_size=4))
def test_b13_what_a_digest_answers_is_a_legal_header_and_says_what_was_asked(
    values: list[bytes],
) -> None:
    """To any header that can be received; quotes and backslashes in it do not break out."""
    values = [value.strip() for value in values if is_value(value.strip())]
    flow = DigestProxyAuth("user", "5ecret").flow(b"CONNECT", b"example.com:443")
    assert next(flow) is None
    try:
        sent = flow.send(values)
    except StopIteration:  # there was nothing to answer
        return
    assert sent is not None
    assert is_value(sent)
    assert b"5ecret" not in sent
    [(scheme, answer)] = parse_challenges([sent])
    assert scheme == b"digest"
    assert (answer[b"username"], answer[b"uri"]) == (b"user", b"example.com:443")
    asked = [parameters for name, parameters in parse_challenges(values) if name == b"digest"]
    places = [(each.get(b"nonce"), each.get(b"realm", b"")) for each in asked]
    assert (answer[b"nonce"], answer[b"realm"]) in places
