"""`TLSEngine` against itself in memory: contracts N5 (verification), N6 (truncation), N9 (client
certificates), on TLS 1.2 and TLS 1.3."""

from __future__ import annotations

import os
import ssl
import threading

import pytest
import trustme

from httpcore_core import ConnectError, LocalProtocolError, ReadError, WriteError
from httpcore_core._tls_engine import TLSEngine
from tests.certificates import Certificates
from tests.tls.engines import connected, exchange, move, shake_hands

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def contexts(
    request: pytest.FixtureRequest, certificates: Certificates
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client, server = certificates.client_context(), certificates.server_context()
    client.maximum_version = client.minimum_version = request.param
    return client, server


@pytest.fixture
def pair(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> tuple[TLSEngine, TLSEngine]:
    return connected(*contexts)


def refusal(client_context: ssl.SSLContext, server_context: ssl.SSLContext, name: str) -> str:
    client, server = TLSEngine(client_context, name), TLSEngine(server_context, server_side=True)
    with pytest.raises(ConnectError) as caught:
        shake_hands(client, server)
    assert caught.value.phase == "tls"
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert client.has_outgoing()  # the alert
    return str(caught.value)


def test_data_both_ways(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    exchange(client, server)
    assert client.decrypt(100) is None
    assert not client.readable()


def test_handshake_and_data_byte_by_byte(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    client, server = TLSEngine(contexts[0], "localhost"), TLSEngine(contexts[1], server_side=True)
    shake_hands(client, server, step=1)
    server.encrypt(b"abc" * 100)
    data = server.outgoing()
    for position in range(len(data) - 1):
        client.feed(data[position : position + 1])
        assert client.decrypt(1000) is None
    client.feed(data[-1:])
    assert client.decrypt(1000) == b"abc" * 100


def test_large_data_is_exact_and_comes_in_large_pieces(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    data = os.urandom(1_000_000)
    server.encrypt(data)
    move(server, client)
    pieces = list(iter(lambda: client.decrypt(70_000), None))
    assert {len(piece) for piece in pieces[:-1]} == {70_000}
    assert b"".join(pieces) == data


def test_no_piece_is_so_large_that_it_costs_more(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    data = os.urandom(1_000_000)
    server.encrypt(data)
    move(server, client)
    pieces = list(iter(lambda: client.decrypt(10**6), None))
    assert {len(piece) for piece in pieces[:-1]} == {6 * 16384}  # whole records
    assert b"".join(pieces) == data


def test_small_reads_get_exactly_what_they_ask_for(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    server.encrypt(b"0123456789")
    move(server, client)
    assert client.readable()
    assert [client.decrypt(3) for _ in range(5)] == [b"012", b"345", b"678", b"9", None]


def test_looking_ahead_keeps_data_in_order(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    for message in (b"one", b"two"):
        server.encrypt(message)
    move(server, client)
    assert client.readable()
    assert client.readable()
    assert client.decrypt(100) == b"onetwo"


def test_n6_end_without_close_notify_is_an_error(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    server.encrypt(b"whole")
    move(server, client)
    client.feed(b"")
    assert client.decrypt(100) == b"whole"
    assert client.readable()
    for _ in range(2):
        with pytest.raises(ReadError, match="closed without close_notify"):
            client.decrypt(100)


def test_n6_end_inside_a_record_is_an_error(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    server.encrypt(b"whole")
    client.feed(server.outgoing()[:-1])
    client.feed(b"")
    with pytest.raises(ReadError, match="closed without close_notify"):
        client.decrypt(100)


def test_n6_a_context_that_ignores_truncation_does_not_make_it_an_end(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    contexts[0].options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    client, _ = connected(*contexts)
    client.feed(b"")
    with pytest.raises(ReadError, match="closed without close_notify"):
        client.decrypt(100)


def test_n6_close_notify_is_the_end(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    server.encrypt(b"last")
    client.feed(server.close_notify())
    client.feed(b"")
    assert client.decrypt(100) == b"last"
    assert client.decrypt(100) == b""
    assert client.decrypt(100) == b""
    assert client.readable()


def test_close_notify_of_both_sides(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    server.feed(client.close_notify())
    assert server.decrypt(100) == b""
    client.feed(server.close_notify())
    assert client.decrypt(100) == b""
    with pytest.raises(WriteError):
        client.encrypt(b"more")


def test_network_failure_comes_after_the_data_before_it(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    server.encrypt(b"data")
    move(server, client)
    try:
        raise ReadError("reset by the peer") from ConnectionResetError(104, "reset")
    except ReadError as exc:
        client.fail(exc)
    assert client.decrypt(100) == b"data"
    with pytest.raises(ReadError, match="reset by the peer") as caught:
        client.decrypt(100)
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_garbage_after_the_handshake_is_a_read_error(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    server.encrypt(b"good")
    move(server, client)
    client.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    assert client.decrypt(100) == b"good"
    for _ in range(2):
        with pytest.raises(ReadError, match="TLS failed") as caught:
            client.decrypt(100)
        assert isinstance(caught.value.__cause__, ssl.SSLError)


def test_garbage_in_the_handshake_is_a_connect_error(certificates: Certificates) -> None:
    client = TLSEngine(certificates.client_context(), "localhost")
    assert not client.handshake()
    client.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ConnectError, match=r"'localhost' failed: wrong version number"):
        client.handshake()


def test_end_in_the_handshake_is_a_connect_error(certificates: Certificates) -> None:
    client = TLSEngine(certificates.client_context(), "localhost")
    assert not client.handshake()
    client.feed(b"")
    with pytest.raises(ConnectError, match="'localhost' closed the connection during"):
        client.handshake()


HELLO_REQUEST = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"
"""Which asks for a handshake; during one it means nothing (RFC 5246, section 7.4.1.1)."""


def test_i1_a_handshake_that_does_not_end(certificates: Certificates) -> None:
    client = TLSEngine(certificates.client_context(), "localhost")
    assert not client.handshake()
    requests = HELLO_REQUEST * 1000
    with pytest.raises(ConnectError, match="'localhost' does not end"):
        for _ in range(100):
            client.feed(requests)
            assert not client.handshake()


def tickets(certificates: Certificates, count: int) -> tuple[TLSEngine, TLSEngine]:
    """A client and a server that has sent so many session tickets, of a few hundred bytes each."""
    context = certificates.server_context()
    context.num_tickets = count
    return connected(certificates.client_context(), context)


def test_messages_of_tls_own_are_taken_in(certificates: Certificates) -> None:
    client, server = tickets(certificates, 200)
    exchange(client, server)
    assert client.decrypt(100) is None
    assert not client.readable()


@pytest.mark.parametrize("looks_first", [False, True])
def test_i1_messages_of_tls_own_without_end(certificates: Certificates, looks_first: bool) -> None:
    client, server = tickets(certificates, 4000)
    move(server, client)
    if looks_first:
        assert client.readable()
    with pytest.raises(ReadError, match="TLS messages without end, and no data"):
        client.decrypt(100)
    assert client.readable()


def test_n5_expired(certificates: Certificates) -> None:
    server_context = certificates.server_context(certificates.expired)
    text = refusal(certificates.client_context(), server_context, "localhost")
    assert "'localhost' was not accepted: certificate has expired" in text


def test_n5_wrong_host(certificates: Certificates) -> None:
    server_context = certificates.server_context(certificates.wrong_host)
    text = refusal(certificates.client_context(), server_context, "localhost")
    assert "Hostname mismatch, certificate is not valid for 'localhost'" in text


def test_n5_wrong_address(certificates: Certificates) -> None:
    text = refusal(certificates.client_context(), certificates.server_context(), "127.0.0.2")
    assert "IP address mismatch" in text


def test_n5_unknown_authority(certificates: Certificates) -> None:
    server_context = certificates.server_context(certificates.self_signed)
    text = refusal(certificates.client_context(), server_context, "localhost")
    assert "unable to get local issuer certificate" in text


def test_n5_really_self_signed(certificates: Certificates) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    with authority.private_key_pem.tempfile() as key, authority.cert_pem.tempfile() as cert:
        context.load_cert_chain(cert, key)
    text = refusal(certificates.client_context(), context, "localhost")
    assert "self-signed certificate" in text or "self signed certificate" in text


@pytest.mark.parametrize("name", ["", ".example.com", "a" * 64 + ".com", "a\0b", "ü" * 64])
def test_server_names_that_tls_cannot_send(certificates: Certificates, name: str) -> None:
    with pytest.raises(LocalProtocolError, match="TLS cannot be started for the server name"):
        TLSEngine(certificates.client_context(), name)


def test_no_server_name_where_one_is_to_be_checked(certificates: Certificates) -> None:
    with pytest.raises(LocalProtocolError, match="there is none to compare"):
        TLSEngine(certificates.client_context(), None)


def test_n9_client_certificate(certificates: Certificates) -> None:
    server_context = certificates.server_context(client_certificate_required=True)
    client_context = certificates.client_context(client_certificate=True)
    client, server = connected(client_context, server_context)
    exchange(client, server)
    assert server.ssl_object.getpeercert()


def test_n9_missing_client_certificate(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], certificates: Certificates
) -> None:
    """In TLS 1.3 the client's handshake is over when the server finds out: the read tells."""
    server_context = certificates.server_context(client_certificate_required=True)
    client = TLSEngine(contexts[0], "localhost")
    server = TLSEngine(server_context, server_side=True)
    with pytest.raises(ConnectError, match="peer did not return a certificate"):
        shake_hands(client, server)
    move(server, client)
    if contexts[0].maximum_version == ssl.TLSVersion.TLSv1_2:
        with pytest.raises(ConnectError, match="alert handshake failure"):
            client.handshake()
    else:
        with pytest.raises(ReadError, match="alert certificate required") as caught:
            client.decrypt(100)
        assert caught.value.tls_reason == "tlsv13 alert certificate required"


def test_one_reader_and_one_writer_in_two_threads(pair: tuple[TLSEngine, TLSEngine]) -> None:
    client, server = pair
    sent = os.urandom(3_000_000)
    server.encrypt(sent)
    ciphertext = server.outgoing()
    outgoing: list[bytes] = []

    def write() -> None:
        for start in range(0, len(sent), 10_000):
            client.encrypt(sent[start : start + 10_000])
            outgoing.append(client.outgoing())

    writer = threading.Thread(target=write)
    writer.start()
    received = []
    for start in range(0, len(ciphertext), 10_000):
        client.feed(ciphertext[start : start + 10_000])
        received.append(client.decrypt(20_000) or b"")
    received += iter(lambda: client.decrypt(10**6), None)
    writer.join()
    assert b"".join(received) == sent
    server.feed(b"".join(outgoing))
    assert b"".join(iter(lambda: server.decrypt(10**6), None)) == sent
