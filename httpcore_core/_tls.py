"""TLS settings: the contexts that pools share, and the sessions that connections resume.

Rules of this file: configuration and bookkeeping, no I/O on connections. `ssl` is imported where a
context is made and nowhere else, so that whoever speaks plain HTTP does not pay for it.

*Trust* is certifi's list, unless ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` is set; then it is what
these name and nothing more. A name that leads nowhere is a `ConnectError`: falling back to another
list would trust authorities that the variable was meant to exclude. ``SSLKEYLOGFILE`` is a
debugging aid; where it cannot be written, that is logged and traffic goes on.

*Contexts of callers* are used as they are and never changed: neither ALPN nor anything else is set
on them. *Our own* are built once per ALPN offer and environment. Because everyone shares them,
they refuse to be altered.

*Sessions.* OpenSSL does not check a resumed peer again, so a session may only be used where its
first handshake would have been just as good: same context, same server name, same verification
settings. A `ssl.SSLSession` keeps its context alive, and so a store filed under the context, even
weakly, would keep both for ever. Stores are therefore held by whoever uses them (a pool, an open
connection, our cache of contexts), and are only *found* through the context, by weak references at
both ends.
"""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ._concurrency import Lock
from ._exceptions import ConnectError

if TYPE_CHECKING:
    import ssl

__all__ = ["SessionStore", "default_ssl_context", "session_store"]

HTTP11_ALPN = ("http/1.1",)

# Contexts kept: one for each ALPN offer, and again for each change of the environment.
_MAX_CONTEXTS = 8
_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")

_contexts: OrderedDict[tuple[object, ...], tuple[ssl.SSLContext, SessionStore]] = OrderedDict()
_contexts_lock = Lock()


def default_ssl_context(
    alpn: tuple[str, ...] = HTTP11_ALPN, *, shared: bool = True, trust_env: bool = True
) -> ssl.SSLContext:
    """The context used where the caller gives none: TLS 1.2 or later, certificate and host name
    verified against certifi's authorities, or those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.

    It is built at the first call and the same for everyone, as building takes tens of
    milliseconds; altering it raises `TypeError`. With ``shared=False`` it is a new one, yours to
    alter. `alpn` is the list of protocols to offer, the preferred one first. Without `trust_env`
    no environment variable has a say.

    Raises `ConnectError` if the environment names authorities that cannot be loaded.
    """
    environment = tuple(os.environ.get(name) if trust_env else None for name in _ENVIRONMENT)
    if not shared:
        return _new_context(alpn, environment, frozen=False)
    key = (alpn, *environment)
    with _contexts_lock:
        entry = _contexts.get(key)
        if entry is None:
            context = _new_context(alpn, environment, frozen=True)
            entry = _contexts[key] = context, session_store(context)
            if len(_contexts) > _MAX_CONTEXTS:
                _contexts.popitem(last=False)
        else:
            _contexts.move_to_end(key)
        return entry[0]


def _new_context(
    alpn: tuple[str, ...], environment: tuple[str | None, ...], *, frozen: bool
) -> ssl.SSLContext:
    import ssl

    cert_file, cert_dir, keylog_file = environment
    context = (_frozen_class() if frozen else ssl.SSLContext)(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    if sys.version_info >= (3, 13):  # what `ssl.create_default_context` asks for there
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    _load_authorities(context, cert_file, cert_dir)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if keylog_file:
        try:
            context.keylog_filename = keylog_file
        except OSError as exc:
            import logging

            logger = logging.getLogger("httpcore_core.connection")
            logger.warning("SSLKEYLOGFILE is ignored, it cannot be written: %s", exc)
    if frozen:
        object.__setattr__(context, "frozen", True)
    return context


def _load_authorities(context: ssl.SSLContext, cert_file: str | None, cert_dir: str | None) -> None:
    if not cert_file and not cert_dir:
        import certifi

        context.load_verify_locations(cafile=certifi.where())
        return
    if cert_dir and not any(map(os.path.isdir, cert_dir.split(os.pathsep))):
        raise ConnectError(f"SSL_CERT_DIR names no directory: {cert_dir!r}", phase="tls")
    if cert_file:
        try:
            context.load_verify_locations(cafile=cert_file)
        except OSError as exc:  # ssl.SSLError is one too: a file without certificates
            text = f"SSL_CERT_FILE cannot be loaded: {cert_file!r}: {exc.strerror or exc}"
            raise ConnectError(text, phase="tls") from exc
    if cert_dir:
        context.load_verify_locations(capath=cert_dir)


def _refuse(context: object, *args: object, **kwargs: object) -> NoReturn:
    raise TypeError(
        "this SSLContext is shared by everyone who uses the default; "
        "default_ssl_context(shared=False) makes one that may be altered"
    )


@functools.cache
def _frozen_class() -> type[ssl.SSLContext]:
    import ssl

    class SharedSSLContext(ssl.SSLContext):
        frozen = False

        def __setattr__(self, name: str, value: Any) -> None:
            if self.frozen:
                _refuse(self)
            super().__setattr__(name, value)

        def __getattribute__(self, name: str) -> Any:
            if name.startswith(("load_", "set_")) and super().__getattribute__("frozen"):
                _refuse(self)
            return super().__getattribute__(name)

    return SharedSSLContext


SessionKey: TypeAlias = tuple[object, ...]


class SessionStore:
    """The TLS sessions of one context, by server name and whatever else the key holds.

    A TLS 1.3 ticket is handed out once, so that nobody on the path can link two connections by it
    (RFC 8446, appendix C.4). An earlier session may be used any number of times.
    """

    MAX_KEYS = 256
    MAX_PER_KEY = 4  # one per connection of a small burst; they are about 5 KiB each

    __slots__ = ("__weakref__", "_lock", "_sessions")

    def __init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """With no sessions. In a forked child they are the parent's, and some for one use only;
        and the lock may be held by a thread that does not exist there."""
        self._lock = Lock()
        self._sessions: OrderedDict[SessionKey, list[tuple[ssl.SSLSession, bool]]] = OrderedDict()

    def take(self, key: SessionKey) -> ssl.SSLSession | None:
        """The newest session for `key`, if there is one."""
        with self._lock:
            sessions = self._sessions.get(key)
            if not sessions:
                return None
            self._sessions.move_to_end(key)
            session, once = sessions[-1]
            if once:
                sessions.pop()
                if not sessions:
                    del self._sessions[key]
            return session

    def put(self, key: SessionKey, session: ssl.SSLSession, *, once: bool) -> None:
        with self._lock:
            sessions = self._sessions.setdefault(key, [])
            self._sessions.move_to_end(key)
            sessions.append((session, once))
            del sessions[: -self.MAX_PER_KEY if once else -1]
            if len(self._sessions) > self.MAX_KEYS:
                self._sessions.popitem(last=False)

    def discard(self, key: SessionKey) -> None:
        """Forget what is known for `key`: a handshake with it went wrong."""
        with self._lock:
            self._sessions.pop(key, None)

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))


_stores: weakref.WeakKeyDictionary[ssl.SSLContext, weakref.ref[SessionStore]] = (
    weakref.WeakKeyDictionary()
)
_stores_lock = Lock()


def session_store(context: ssl.SSLContext) -> SessionStore:
    """The store of `context`. It lives as long as someone holds it: a pool keeps this for its own
    life, so that sessions outlive the connections which brought them."""
    with _stores_lock:
        found = _stores.get(context)
        store = None if found is None else found()
        if store is None:
            store = SessionStore()
            _stores[context] = weakref.ref(store)
        return store


def _after_fork() -> None:
    """Another thread of the parent may have held the locks, and does not exist in the child."""
    global _contexts_lock, _stores_lock
    _contexts_lock, _stores_lock = Lock(), Lock()
    for found in list(_stores.values()):
        store = found()
        if store is not None:
            store.start_over()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
