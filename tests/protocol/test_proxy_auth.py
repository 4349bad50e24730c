"""Basic and Digest to a proxy (RFC 7617, RFC 7616), their rounds, and the challenges they read."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from httpcore_core._protocol.proxy_auth import (
    MAX_ROUNDS,
    AuthRounds,
    BasicProxyAuth,
    DigestProxyAuth,
    ProxyAuth,
    parse_challenges,
)

SECRET = b"Circle of Life"
REALM = b"http-auth@example.org"
NONCE = b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = b"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
TARGET = b"example.com:443"


def challenge(**parameters: str | None) -> bytes:
    """The one of RFC 7616, section 3.9.1, with other `parameters`, or without those of None."""
    fields: dict[str, str | None] = {
        "realm": f'"{REALM.decode()}"',
        "qop": '"auth, auth-int"',
        "algorithm": "SHA-256",
        "nonce": f'"{NONCE.decode()}"',
        "opaque": f'"{OPAQUE.decode()}"',
    }
    fields.update(parameters)
    given = (f"{name}={value}" for name, value in fields.items() if value is not None)
    return f"Digest {', '.join(given)}".encode()


def mufasa(make_cnonce: Callable[[], str] = lambda: CNONCE) -> DigestProxyAuth:
    return DigestProxyAuth("Mufasa", SECRET, make_cnonce=make_cnonce)


def numbered() -> DigestProxyAuth:
    """One whose cnonces are "c1", "c2" and so on."""
    numbers = count(1)
    return mufasa(lambda: f"c{next(numbers)}")


def fields_of(value: bytes | None) -> dict[bytes, bytes]:
    """The parameters as they were sent, quotes included; each is there once."""
    assert value is not None
    assert value.startswith(b"Digest ")
    pairs = re.findall(
        rb'([a-z]+)=("(?:[^"\\]|\\.)*"|[^",]*)(?:, |\Z)', value.removeprefix(b"Digest ")
    )
    assert b"Digest " + b", ".join(b"%b=%b" % pair for pair in pairs) == value
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def answers(auth: ProxyAuth, *refusals: list[bytes], target: bytes = TARGET) -> list[bytes | None]:
    """What a CONNECT is sent with at first, and after each refusal; ends where the flow does."""
    flow = auth.flow(b"CONNECT", target)
    values = [next(flow)]
    for challenges in refusals:
        try:
            values.append(flow.send(challenges))
        except StopIteration:
            break
    return values


def digest_of(name: str, *parts: bytes) -> bytes:
    return hashlib.new(name, b":".join(parts)).hexdigest().encode()


# RFC 7616, section 3.9.1: both challenges are for the same request


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", b"8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", b"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_example(algorithm: str, response: bytes) -> None:
    flow = mufasa().flow(b"GET", b"/dir/index.html")
    assert next(flow) is None
    assert fields_of(flow.send([challenge(algorithm=algorithm)])) == {
        b"username": b'"Mufasa"',
        b"realm": b'"%b"' % REALM,
        b"uri": b'"/dir/index.html"',
        b"algorithm": algorithm.encode(),
        b"nonce": b'"%b"' % NONCE,
        b"nc": b"00000001",
        b"cnonce": b'"%b"' % CNONCE.encode(),
        b"qop": b"auth",
        b"response": b'"%b"' % response,
        b"opaque": b'"%b"' % OPAQUE,
    }


def test_rfc_2617_example_in_which_no_algorithm_is_named() -> None:
    """Section 3.5. What is not named is MD5, and is not named in the answer either."""
    auth = DigestProxyAuth("Mufasa", "Circle Of Life", make_cnonce=lambda: "0a4f113b")
    flow = auth.flow(b"GET", b"/dir/index.html")
    next(flow)
    asked = (
        b'Digest realm="testrealm@host.com", qop="auth,auth-int",'
        b' nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    fields = fields_of(flow.send([asked]))
    assert fields[b"response"] == b'"6629fae49393a05397450978507c4ef1"'
    assert b"algorithm" not in fields


@pytest.mark.parametrize("algorithm", ["MD5", "md5", "SHA-256", "SHA-512-256", "sha-512-256"])
@pytest.mark.parametrize(
    ("session", "qop"),
    [
        *(("", qop) for qop in ('"auth"', "auth", '"AUTH"', '"auth-int,auth"', None)),
        ("-sess", '"auth"'),
        ("-SESS", '"auth"'),
    ],
)
def test_every_algorithm(algorithm: str, session: str, qop: str | None) -> None:
    """RFC 7616, section 3.4, computed once more; for CONNECT the uri is the authority."""
    name = algorithm.lower().replace("sha-512-", "sha512_").replace("-", "")
    if name not in hashlib.algorithms_available:
        pytest.skip("this OpenSSL has no SHA-512/256")
    asked = challenge(algorithm=algorithm + session, qop=qop)
    fields = fields_of(answers(mufasa(), [asked])[1])
    secret = digest_of(name, b"Mufasa", REALM, SECRET)
    if session:
        secret = digest_of(name, secret, NONCE, CNONCE.encode())
    parts = [NONCE] if qop is None else [NONCE, b"00000001", CNONCE.encode(), b"auth"]
    response = digest_of(name, secret, *parts, digest_of(name, b"CONNECT", TARGET))
    assert fields[b"response"] == b'"%b"' % response
    assert fields[b"uri"] == b'"%b"' % TARGET
    assert fields[b"algorithm"] == (algorithm + session).encode()
    assert ({b"qop", b"nc"} <= fields.keys()) is (qop is not None)


def test_what_the_proxy_quoted_is_unquoted_to_be_hashed_and_quoted_to_be_sent() -> None:
    asked = challenge(realm=r'"a \"b\" \\c"', nonce=r'"\n\"1\""', algorithm="MD5", qop=None)
    fields = fields_of(answers(mufasa(), [asked])[1])
    secret = digest_of("md5", b"Mufasa", b'a "b" \\c', SECRET)
    response = digest_of("md5", secret, b'n"1"', digest_of("md5", b"CONNECT", TARGET))
    assert fields[b"response"] == b'"%b"' % response
    assert fields[b"realm"] == rb'"a \"b\" \\c"'
    assert fields[b"nonce"] == rb'"n\"1\""'


def test_what_the_challenge_leaves_out_is_left_out() -> None:
    asked = challenge(opaque=None, algorithm=None, qop=None)
    fields = fields_of(answers(mufasa(), [asked])[1])
    assert list(fields) == [b"username", b"realm", b"nonce", b"uri", b"response"]


def test_user_and_password_of_any_encoding() -> None:
    for user, password in (("J\xe4s\xf8n", "\u20ac:"), (b"J\xc3\xa4s\xc3\xb8n", b"\xe2\x82\xac:")):
        auth = DigestProxyAuth(user, password, make_cnonce=lambda: CNONCE)
        fields = fields_of(answers(auth, [challenge(algorithm="MD5", qop=None)])[1])
        secret = digest_of("md5", b"J\xc3\xa4s\xc3\xb8n", REALM, b"\xe2\x82\xac:")
        asked = digest_of("md5", b"CONNECT", TARGET)
        assert fields[b"response"] == b'"%b"' % digest_of("md5", secret, NONCE, asked)


@pytest.mark.parametrize("user", ['a"b', "a\\b", "a\r\nX: y", "a\x00", "a\x7f", b"a\n"])
def test_b13_user_names_that_cannot_be_quoted(user: str | bytes) -> None:
    with pytest.raises(ValueError) as caught:
        DigestProxyAuth(user, SECRET)
    assert "Circle" not in str(caught.value)


def test_each_answer_has_its_own_cnonce_of_128_bits_or_more() -> None:
    auth = DigestProxyAuth("Mufasa", SECRET)
    cnonces = {fields_of(answers(auth, [challenge()])[1])[b"cnonce"] for _ in range(20)}
    assert len(cnonces) == 20
    assert all(len(cnonce) >= 2 + 22 for cnonce in cnonces)


# Which challenge is answered


def test_the_strongest_is_answered_wherever_it_stands() -> None:
    """RFC 7616, section 3.7, prefers the first that is supported; a downgrade is worse."""
    weak, strong = challenge(algorithm="MD5"), challenge(algorithm="SHA-256")
    for values in ([weak, strong], [strong, weak], [weak + b", " + strong], [strong + b"," + weak]):
        assert fields_of(answers(mufasa(), values)[1])[b"algorithm"] == b"SHA-256"
    for values in ([challenge(algorithm=None), weak], [weak, challenge(algorithm=None)]):
        assert fields_of(answers(mufasa(), values)[1])[b"algorithm"] == b"MD5"
    values = [challenge(), challenge(nonce='"second"')]
    assert fields_of(answers(mufasa(), values)[1])[b"nonce"] == b'"%b"' % NONCE


def test_other_schemes_and_what_is_not_supported_are_passed_over() -> None:
    good = challenge(nonce='"good"')
    others = [
        b'Basic realm="Digest nonce=x"', b"Negotiate", b"NTLM TlRMTVNTUAAB==", b"",
        challenge(algorithm="SHA-1"), challenge(qop='"auth-int"'), challenge(nonce=None),
    ]  # fmt: skip
    for values in ([*others, good], [good, *others], [b", ".join([*others, good])]):
        assert fields_of(answers(mufasa(), values)[1])[b"nonce"] == b'"good"'
    for other in others:
        assert answers(mufasa(), [other]) == [None]
    assert answers(mufasa(), []) == [None]


@pytest.mark.parametrize(
    "algorithm",
    ["token", "-sess", "MD5-", "MD5-sess-sess", "SHA-512", "SHA-1", "sha256", '"-sess"'],
)
def test_rfc_7616_an_unknown_algorithm_is_ignored(algorithm: str) -> None:
    """Section 3.3: "If the algorithm is not understood, the challenge should be ignored"."""
    assert answers(mufasa(), [challenge(algorithm=algorithm)]) == [None]


# Nonces


def test_a_nonce_is_used_again_and_counted() -> None:
    """RFC 7616, section 3.4: nc counts the requests sent with this nonce, in hexadecimal."""
    auth = numbered()
    sent = answers(auth, [challenge()])[1:]
    for _ in range(16):
        sent += answers(auth)
    counts = [fields_of(value)[b"nc"] for value in sent]
    assert counts == [b"%08x" % number for number in range(1, 18)]
    assert {fields_of(value)[b"nonce"] for value in sent} == {b'"%b"' % NONCE}
    assert len({fields_of(value)[b"response"] for value in sent}) == 17


def test_flows_at_once_share_the_count() -> None:
    auth = mufasa()
    answers(auth, [challenge()])
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: answers(auth)[0], range(400)))
    assert len({fields_of(value)[b"nc"] for value in values}) == 400


def test_a_new_nonce_is_counted_from_one() -> None:
    auth = mufasa()
    answers(auth, [challenge()])
    sent = answers(auth, [challenge(nonce='"new"')])
    assert fields_of(sent[0])[b"nc"] == b"00000002"
    assert (fields_of(sent[1])[b"nonce"], fields_of(sent[1])[b"nc"]) == (b'"new"', b"00000001")
    assert fields_of(answers(auth)[0])[b"nonce"] == b'"new"'


def test_each_uri_has_its_own_response() -> None:
    auth = mufasa()
    answers(auth, [challenge()])
    fields = fields_of(answers(auth, target=b"[::1]:8443")[0])
    assert fields[b"uri"] == b'"[::1]:8443"'


def test_rfc_7616_a_session_key_is_made_once_for_its_nonce() -> None:
    """Section 3.4.2: of the cnonce of the first answer, "calculated only once".

    A cnonce that is kept for as long as the nonce will do, too.
    """
    auth = numbered()
    first = fields_of(answers(auth, [challenge(algorithm="MD5-sess")])[1])
    secret = digest_of("md5", b"Mufasa", REALM, SECRET)
    key = digest_of("md5", secret, NONCE, first[b"cnonce"].strip(b'"'))
    later = fields_of(answers(auth)[0])
    parts = [NONCE, b"00000002", later[b"cnonce"].strip(b'"'), b"auth"]
    response = digest_of("md5", key, *parts, digest_of("md5", b"CONNECT", TARGET))
    assert later[b"response"] == b'"%b"' % response


def test_a_refusal_of_ones_own_nonce_stands() -> None:
    """The password is wrong: asking again would lock the account."""
    values = answers(mufasa(), [challenge()], [challenge(nonce='"other"')])
    assert [value is None for value in values] == [True, False]


@pytest.mark.parametrize("stale", ["true", "TRUE", '"true"'])
def test_a_stale_nonce_is_replaced(stale: str) -> None:
    again = challenge(nonce='"new"', stale=stale)
    values = answers(mufasa(), [challenge()], [again])
    assert fields_of(values[2])[b"nonce"] == b'"new"'


@pytest.mark.parametrize("stale", ["false", "1", "", '""'])
def test_what_is_not_stale_is_a_refusal(stale: str) -> None:
    assert len(answers(mufasa(), [challenge()], [challenge(stale=stale)])) == 2


def test_a_nonce_of_an_earlier_flow_may_have_been_forgotten_without_being_called_stale() -> None:
    auth = mufasa()
    answers(auth, [challenge()])
    new = challenge(nonce='"new"')
    values = answers(auth, [new], [new])
    assert [fields_of(value)[b"nonce"] for value in values] == [b'"%b"' % NONCE, b'"new"']


# Basic, and rounds


def test_basic_is_sent_at_once_and_a_refusal_stands() -> None:
    """RFC 7617, section 2: its example, and that of UTF-8 in section 2.1."""
    auth = BasicProxyAuth(b"Aladdin", b"open sesame")
    assert answers(auth, [b'Basic realm="x"']) == [b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]
    assert answers(BasicProxyAuth(b"test", b"123\xc2\xa3")) == [b"Basic dGVzdDoxMjPCow=="]
    assert auth == BasicProxyAuth(b"Aladdin", b"open sesame") != BasicProxyAuth(b"Aladdin", b"")
    with pytest.raises(ValueError):
        BasicProxyAuth(b"a:b", b"c")


class Counting(ProxyAuth):
    """Answers for ever, and notes what it was told."""

    def __init__(self) -> None:
        self.told: list[list[bytes]] = []

    def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
        for number in count():
            self.told.append((yield b"%b %b %d" % (method, target, number)))


def test_rounds_end() -> None:
    assert 2 < MAX_ROUNDS < 10  # NTLM takes two
    rounds = AuthRounds(Counting(), b"CONNECT", TARGET)
    assert rounds.first() == b"CONNECT example.com:443 0"
    given = [rounds.answer([]) for _ in range(MAX_ROUNDS + 3)]
    assert given[MAX_ROUNDS - 1] == b"CONNECT example.com:443 %d" % MAX_ROUNDS
    assert given[MAX_ROUNDS:] == [None] * 3


def test_rounds_of_a_proxy_that_calls_every_nonce_stale_end() -> None:
    rounds = AuthRounds(mufasa(), b"CONNECT", TARGET)
    assert rounds.first() is None
    stale = (b"Proxy-Authenticate", challenge(stale="true"))
    given = [rounds.answer([stale]) for _ in range(MAX_ROUNDS + 3)]
    assert sum(value is not None for value in given) == MAX_ROUNDS


def test_rounds_tell_the_flow_the_proxys_challenges_and_no_others() -> None:
    auth = Counting()
    rounds = AuthRounds(auth, b"GET", b"http://o/")
    rounds.first()
    names = (b"Proxy-Authenticate", b"PROXY-AUTHENTICATE", b"proxy-authenticate")
    fields = [(name, b"%d" % number) for number, name in enumerate(names)]
    rounds.answer([(b"WWW-Authenticate", b"x"), *fields, (b"Proxy-Authentication-Info", b"y")])
    rounds.answer([])
    assert auth.told == [[b"0", b"1", b"2"], []]


def test_rounds_without_answers() -> None:
    class Silent(ProxyAuth):
        def flow(self, method: bytes, target: bytes) -> Generator[bytes | None, list[bytes], None]:
            yield from ()

    for auth in (None, Silent(), BasicProxyAuth(b"a", b"b")):
        rounds = AuthRounds(auth, b"CONNECT", TARGET)
        assert (rounds.first() is None) is not isinstance(auth, BasicProxyAuth)
        assert rounds.answer([(b"Proxy-Authenticate", challenge())]) is None
        assert rounds.answer([]) is None


# What challenges look like: RFC 9110, section 11.6.1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", []),
        (b" , ,\t,", []),
        (b"Negotiate", [(b"negotiate", {})]),
        (b"Negotiate, NTLM", [(b"negotiate", {}), (b"ntlm", {})]),
        (b"NTLM TlRM/+-._~==", [(b"ntlm", {})]),
        (b"NTLM YQ==, Basic realm=x", [(b"ntlm", {}), (b"basic", {b"realm": b"x"})]),
        (b"Basic realm=x", [(b"basic", {b"realm": b"x"})]),
        (b'BASIC  REALM = "X" ,', [(b"basic", {b"realm": b"X"})]),
        (b'a x="1, b y=2"', [(b"a", {b"x": b"1, b y=2"})]),
        (b'a x="\\"\\\\\\z"', [(b"a", {b"x": b'"\\z'})]),
        (b'a x=""', [(b"a", {b"x": b""})]),
        (b'a x="\xff"', [(b"a", {b"x": b"\xff"})]),
        (b"a x=1, x=2", [(b"a", {b"x": b"1"})]),
        (b"a x=1,,y=2, b", [(b"a", {b"x": b"1", b"y": b"2"}), (b"b", {})]),
        (b"a x=1, b, c z=3", [(b"a", {b"x": b"1"}), (b"b", {}), (b"c", {b"z": b"3"})]),
        (b"a , x=1", [(b"a", {b"x": b"1"})]),
        # What cannot be understood ends its header
        (b"x=1", []),
        (b'"a" x=1', []),
        (b'a x="1', [(b"a", {})]),
        (b"a x=", [(b"a", {})]),
        (b"a =1, b", [(b"a", {})]),
        (b'a x="1\\', [(b"a", {})]),
        (b'a x="1" y="2"', [(b"a", {})]),
        (b'a x=1, y="2', [(b"a", {b"x": b"1"})]),
        (b"a x=\xff, b", [(b"a", {})]),
        (b"\xff, b", []),
        (b"a/b, c", []),
    ],
)  # fmt: skip
def test_parse_challenges(value: bytes, expected: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
    assert parse_challenges([value]) == expected
    assert parse_challenges([value, b"next"]) == [*expected, (b"next", {})]


@pytest.mark.parametrize(
    "unit",
    [
        b"a", b",", b" ", b"a,", b"a ", b"a a=1,", b'a="', b'a a="', b'a="1",', b"\\", b'a a="\\',
        b"=", b'a a=""',
        b"a =", b"a=", b"a= ", b'"', b'a a="x" ', b"a\t", b"a  ,", b"\xff",
    ],
)  # fmt: skip
def test_i8_hostile_challenges_take_linear_time(unit: bytes) -> None:
    """As large as a head may be, alone and behind what makes the parser look far ahead."""
    for start in (b"", b"a ", b"a b=", b'a b="'):
        began = time.process_time()
        parse_challenges([start + unit * (100_000 // len(unit))])
        assert time.process_time() - began < 1.0  # a quadratic one takes a minute
