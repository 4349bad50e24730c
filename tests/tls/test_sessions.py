"""N8: sessions are resumed, and only where the first handshake would have been as good."""

from __future__ import annotations

import gc
import ssl
import weakref
from typing import Any, cast

import pytest

from httpcore_core import ConnectError
from httpcore_core._tls import SessionStore, session_store
from httpcore_core._tls_engine import TLSEngine
from tests.certificates import Certificates
from tests.tls.engines import connected, exchange, shake_hands

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def is_resumed(client_context: ssl.SSLContext, server_context: ssl.SSLContext, **name: str) -> bool:
    """Whether one more connection, which is used and closed, begins with an earlier session."""
    client, server = connected(client_context, server_context, **name)
    exchange(client, server)
    server.feed(client.close_notify())
    server.close_notify()  # without it OpenSSL's server forgets the session
    reused = client.ssl_object.session_reused
    assert reused == server.ssl_object.session_reused
    return bool(reused)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_n8_sessions_are_resumed(certificates: Certificates, version: ssl.TLSVersion) -> None:
    client, server = certificates.client_context(), certificates.server_context()
    client.maximum_version = version
    store = session_store(client)
    assert [is_resumed(client, server) for _ in range(4)] == [False, True, True, True]
    assert len(store) == 1


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_n8_server_side_sessions_without_tickets(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    client, server = certificates.client_context(), certificates.server_context()
    client.maximum_version = version
    server.options |= ssl.OP_NO_TICKET
    store = session_store(client)
    assert [is_resumed(client, server) for _ in range(3)] == [False, True, True]
    assert len(store) == 1


def test_n8_a_session_is_saved_at_the_end_if_no_data_came(certificates: Certificates) -> None:
    client_context, server_context = certificates.client_context(), certificates.server_context()
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    store = session_store(client_context)
    client, _ = connected(client_context, server_context)
    assert len(store) == 0
    client.close_notify()
    assert len(store) == 1


def test_a_tls13_ticket_is_used_once(certificates: Certificates) -> None:
    client_context, server_context = certificates.client_context(), certificates.server_context()
    store = session_store(client_context)
    assert not is_resumed(client_context, server_context)
    first, _ = connected(client_context, server_context)
    second, _ = connected(client_context, server_context)
    assert first.ssl_object.session_reused
    assert not second.ssl_object.session_reused
    assert len(store) == 0


def test_n5_sessions_belong_to_a_server_name(certificates: Certificates) -> None:
    client, server = certificates.client_context(), certificates.server_context()
    store = session_store(client)
    assert not is_resumed(client, server, name="localhost")
    assert not is_resumed(client, server, name="127.0.0.1")
    assert is_resumed(client, server, name="127.0.0.1")
    assert len(store) == 2


def test_n5_a_session_made_without_verification_is_not_resumed_with_it(
    certificates: Certificates,
) -> None:
    client, server = (
        certificates.client_context(),
        certificates.server_context(certificates.self_signed),
    )
    store = session_store(client)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    assert not is_resumed(client, server)
    client.verify_mode, client.check_hostname = ssl.CERT_REQUIRED, True
    with pytest.raises(ConnectError, match="not accepted"):
        connected(client, server)
    assert len(store) == 1


def test_without_a_server_name_nothing_is_saved(certificates: Certificates) -> None:
    client_context = certificates.client_context()
    client_context.check_hostname = False
    store = session_store(client_context)
    client = TLSEngine(client_context, None)
    server = TLSEngine(certificates.server_context(), server_side=True)
    shake_hands(client, server)
    exchange(client, server)
    client.close_notify()
    assert len(store) == 0


def test_contexts_with_checks_of_their_own_are_not_resumed(certificates: Certificates) -> None:
    class Pinning(ssl.SSLContext):
        def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
            return super().wrap_bio(*args, **kwargs)

    client, server = Pinning(ssl.PROTOCOL_TLS_CLIENT), certificates.server_context()
    certificates.authority.configure_trust(client)
    store = session_store(client)
    assert not is_resumed(client, server)
    assert not is_resumed(client, server)
    assert len(store) == 0


def test_a_server_that_has_forgotten_the_session(certificates: Certificates) -> None:
    client = certificates.client_context()
    store = session_store(client)
    assert not is_resumed(client, certificates.server_context())
    assert not is_resumed(client, certificates.server_context())
    assert len(store) == 1


def test_a_failed_handshake_discards_sessions(certificates: Certificates) -> None:
    client_context = certificates.client_context()
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    store = session_store(client_context)
    assert not is_resumed(client_context, certificates.server_context())
    client = TLSEngine(client_context, "localhost")
    assert not client.handshake()
    client.feed(b"x" * 100)
    with pytest.raises(ConnectError):
        client.handshake()
    assert len(store) == 0


def test_the_store_lives_as_long_as_someone_holds_it(certificates: Certificates) -> None:
    """A session keeps its context alive: filed under it, both would stay for ever."""
    client, server = certificates.client_context(), certificates.server_context()
    store = session_store(client)
    assert session_store(client) is store
    assert not is_resumed(client, server)
    gone = weakref.ref(client)
    gc.collect()
    gc.disable()
    try:
        del client, store
        assert gone() is None
    finally:
        gc.enable()


def test_an_open_connection_holds_the_store(certificates: Certificates) -> None:
    client_context, server_context = certificates.client_context(), certificates.server_context()
    client, server = connected(client_context, server_context)
    exchange(client, server)
    assert is_resumed(client_context, server_context)


def session(name: str) -> ssl.SSLSession:
    """The store never looks into a session."""
    return cast("ssl.SSLSession", name)


def names(*sessions: ssl.SSLSession | None) -> list[str]:
    return [str(session) for session in sessions]


def test_the_store_is_bounded_and_forgets_the_least_recently_used() -> None:
    store = SessionStore()
    for number in range(store.MAX_KEYS):
        store.put((number,), session(str(number)), once=False)
    assert names(store.take((0,))) == ["0"]
    store.put(("new",), session("new"), once=False)
    assert len(store) == store.MAX_KEYS
    assert store.take((1,)) is None
    assert names(store.take((0,))) == ["0"]


def test_the_store_keeps_the_newest_of_a_key() -> None:
    store = SessionStore()
    for number in range(store.MAX_PER_KEY + 1):
        store.put(("key",), session(str(number)), once=True)
    taken = [store.take(("key",)) for _ in range(store.MAX_PER_KEY + 1)]
    assert names(*taken) == ["4", "3", "2", "1", "None"]
    assert len(store) == 0
