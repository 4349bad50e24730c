"""One TLS connection without a network: ciphertext in, plaintext out, and the other way round.

Rules of this file: no I/O, no clock. What `ssl` raises is turned into our exceptions here and
leaves no further. One reader and one writer may use an engine at the same time, from two threads
too; the lock is held for single calls into OpenSSL.

End of stream. A peer that means to end says so inside the encryption (close_notify); a bare end of
the network stream proves nothing, anybody on the path can make one. OpenSSL can be told to treat
the two alike, and a caller's context may do so. Hence OpenSSL is never told of the bare end: the
engine remembers it, and reports it as an error when OpenSSL asks for bytes that will not come.
"""

from __future__ import annotations

import ssl

from ._concurrency import Lock
from ._exceptions import ConnectError, LocalProtocolError, ReadError, TransportError, WriteError
from ._tls import SessionStore, session_store

__all__ = ["TLSEngine"]

# The longest plaintext of one record (RFC 8446, section 5.1). OpenSSL never returns more than one
# at a time, and asking for more only costs a larger allocation.
_RECORD = 16384
# The most that one `decrypt` returns. Several records in one object spare their reader turns, but
# have to be copied together: 100 MB with AES-GCM cost least between 64 and 128 KiB, up to a tenth
# more at 256 KiB, where the pieces have left the processor's caches before they are copied.
_MOST = 6 * _RECORD

MAX_FRUITLESS = 256 * 1024
"""Bytes that a peer may send in TLS messages of its own, without data or the end of a handshake: a
long chain of certificates takes 100 KiB, a ticket or a new key some hundred bytes. A peer that
never ends would keep whoever reads busy for ever, and no time limit would see him wait."""


class TLSEngine:
    """A client's end of a connection, or with `server_side` the other one (for tests)."""

    __slots__ = (
        "_ahead",
        "_ended",
        "_eof",
        "_failure",
        "_fruitless",
        "_has_more",
        "_incoming",
        "_is_quiet",
        "_lock",
        "_name",
        "_outgoing",
        "_session_key",
        "_session_saved",
        "_store",
        "_tried_to_save",
        "ssl_object",
    )

    def __init__(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        *,
        server_side: bool = False,
    ) -> None:
        self._lock = Lock()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ahead = b""  # plaintext that `readable` came upon
        self._eof = False  # the network stream has ended
        self._ended = False  # close_notify has arrived
        # Nothing can be decrypted before more is fed: spares asking OpenSSL once more, which is
        # what most calls of `decrypt` and `readable` would do. Read without the lock, so it is
        # never true for a moment only.
        self._is_quiet = False
        self._has_more = True  # there may be more plaintext in what was fed
        self._fruitless = 0  # bytes fed since there was plaintext, or a handshake
        # An exception that is kept keeps the frames it passed, and with them the whole connection:
        # these are the text and the cause of one to be made.
        self._failure: tuple[str, BaseException | None] | None = None
        self._name = "the peer" if server_hostname is None else repr(server_hostname)
        self._store: SessionStore | None = None
        self._tried_to_save = self._session_saved = False
        self._session_key = (server_hostname, ssl_context.verify_mode, ssl_context.check_hostname)
        session = None
        if server_hostname is not None and not server_side and _is_plain(ssl_context):
            self._store = session_store(ssl_context)
            session = self._store.take(self._session_key)
        try:
            if ssl_context.check_hostname and server_hostname is None and not server_side:
                # `ssl` itself would go on, and check no name at all.
                raise ValueError("there is none to compare the certificate with")
            self.ssl_object = ssl_context.wrap_bio(
                self._incoming,
                self._outgoing,
                server_side=server_side,
                server_hostname=server_hostname,
                session=session,
            )
        except (ValueError, TypeError, ssl.SSLError) as exc:  # a UnicodeError is a ValueError
            text = f"TLS cannot be started for the server name {server_hostname!r}: {exc}"
            raise LocalProtocolError(text, phase="tls") from exc

    # The handshake

    def handshake(self) -> bool:
        """Go on with the handshake; true when it is complete. Either way there may be `outgoing`
        bytes, after an error too: the alert that tells the peer why. Raises `ConnectError`."""
        try:
            with self._lock:
                self.ssl_object.do_handshake()
                self._fruitless = 0
            return True
        except ssl.SSLWantReadError:
            if self._eof:
                text = f"{self._name} closed the connection during the TLS handshake"
                raise ConnectError(text, phase="tls") from None
            if self._fruitless > MAX_FRUITLESS:
                text = f"the TLS handshake with {self._name} does not end"
                raise ConnectError(text, phase="tls") from None
            return False
        except ssl.SSLCertVerificationError as exc:
            text = f"the certificate of {self._name} was not accepted: {_verdict(exc)}"
            raise ConnectError(text, phase="tls") from exc
        except ssl.SSLError as exc:
            if self._store is not None:
                self._store.discard(self._session_key)
            text = f"the TLS handshake with {self._name} failed: {_reason(exc)}"
            raise ConnectError(text, phase="tls") from exc

    # Receiving

    def feed(self, ciphertext: bytes | memoryview) -> None:
        """Take what the network stream brought; ``b""`` is its end."""
        with self._lock:
            self._is_quiet = False
            if ciphertext:
                self._incoming.write(ciphertext)
                self._fruitless += len(ciphertext)
            else:
                self._eof = True

    def fail(self, error: TransportError) -> None:
        """The network stream failed: what has been fed can still be read, then comes `error`."""
        with self._lock:
            self._is_quiet = False
            self._failure = (error.message, _without_frames(error.__cause__))

    def decrypt(self, max_bytes: int) -> bytes | None:
        """Return up to `max_bytes` of plaintext, as much of it as there is, but never more than
        `_MOST`; ``b""`` after close_notify; None if the network has to be read first. Raises
        `ReadError`."""
        if self._is_quiet:
            return None
        if max_bytes > _MOST:
            max_bytes = _MOST
        with self._lock:
            data, self._ahead = self._ahead, b""
            if len(data) > max_bytes:
                data, self._ahead = data[:max_bytes], data[max_bytes:]
            elif len(data) < max_bytes:
                data = self._decrypt(max_bytes - len(data), data)
                self._is_quiet = not (self._has_more or self._is_over())
            if data:
                return data
            if self._ended:
                return b""
            if self._failure is not None:
                text, cause = self._failure
                error = ReadError(text)
                if isinstance(cause, ssl.SSLError):
                    error.tls_reason = _reason(cause)
                raise error from cause
            if self._eof:
                text = f"the TLS connection to {self._name} was closed without close_notify"
                raise ReadError(text)
            return None

    def _decrypt(self, room: int, first: bytes = b"") -> bytes:
        """As much plaintext as there is, `first` in front; the caller holds the lock."""
        if self._ended:
            return first
        ssl_object, incoming = self.ssl_object, self._incoming
        pieces = [first] if first else []
        try:
            # Whatever OpenSSL has taken from `incoming` beyond what `pending` counts is part of
            # a record, so this asks only where there may be an answer.
            may_have_more = incoming.pending or ssl_object.pending()
            while may_have_more and room > 0:
                size = room if room < _RECORD else _RECORD
                data = ssl_object.read(size)
                if not data:
                    self._ended = True
                    break
                pieces.append(data)
                room -= len(data)
                # Less than was asked for is the rest of a record.
                may_have_more = incoming.pending or (len(data) == size and ssl_object.pending())
            self._has_more = bool(may_have_more)
        except ssl.SSLWantReadError:
            self._has_more = False
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as exc:
            self._incoming.read()  # nothing of it can be read any more
            self._failure = (f"TLS failed: {_reason(exc)}", _without_frames(exc))
        if pieces:
            self._fruitless = 0
            if not self._tried_to_save:
                self._save_session()
        elif self._fruitless > MAX_FRUITLESS and not self._is_over():
            self._incoming.read()
            self._failure = (f"{self._name} sends TLS messages without end, and no data", None)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readable(self) -> bool:
        """Whether `decrypt` would return (or raise) something: TLS has messages of its own, so
        that there are bytes from the network proves nothing."""
        if self._is_quiet:
            return False
        with self._lock:
            if not self._ahead:
                self._ahead = self._decrypt(_RECORD)
                self._is_quiet = not (self._ahead or self._has_more or self._is_over())
            return bool(self._ahead) or self._is_over()

    def _is_over(self) -> bool:
        """Whether there is something to report once the plaintext is used up."""
        return self._ended or self._eof or self._failure is not None

    # Sending

    def encrypt(self, plaintext: bytes | memoryview) -> None:
        """Turn `plaintext` into `outgoing` bytes, in full. Raises `WriteError`."""
        if not plaintext:
            return
        try:
            with self._lock:
                self.ssl_object.write(plaintext)
        except ssl.SSLWantReadError as exc:
            # TLS 1.2 only, and only where the caller's context allows it.
            raise WriteError("the peer renegotiates TLS while it is being written to") from exc
        except ssl.SSLError as exc:
            raise WriteError(f"TLS failed: {_reason(exc)}") from exc

    def outgoing(self) -> bytes:
        """Take the bytes that the network stream is to send next, in this order."""
        with self._lock:
            return self._outgoing.read()

    def has_outgoing(self) -> bool:
        return self._outgoing.pending > 0

    def close_notify(self) -> bytes:
        """Everything that is still to be sent, our close_notify last. Never waits and never
        raises: if another thread is inside OpenSSL just now, there is nothing to send."""
        if not self._lock.acquire(blocking=False):
            return b""
        try:
            self._save_session()
            try:
                self.ssl_object.unwrap()
            except (ssl.SSLError, ValueError):
                pass  # the peer's half may follow, and nobody will wait for it
            return self._outgoing.read()
        finally:
            self._lock.release()

    # Sessions

    def _save_session(self) -> None:
        """File the session: as soon as there is data, for TLS 1.3 tickets come ahead of it, and
        failing that at the end. Not more often, as OpenSSL's copy takes a tenth of a millisecond.
        """
        self._tried_to_save = True
        if self._store is None or self._session_saved:
            return
        session = self.ssl_object.session
        once = self.ssl_object.version() == "TLSv1.3"
        if session is not None and (session.has_ticket or (session.id and not once)):
            self._store.put(self._session_key, session, once=once)
            self._session_saved = True


def _is_plain(context: ssl.SSLContext) -> bool:
    """Whether it is `ssl` alone that verifies the peer. A context which adds checks of its own
    (the system's trust store, pins) may need the certificates that a resumed handshake omits."""
    return context.sslobject_class is ssl.SSLObject and (
        type(context).wrap_bio is ssl.SSLContext.wrap_bio
    )


def _reason(exc: ssl.SSLError) -> str:
    """OpenSSL's reason in words: ``WRONG_VERSION_NUMBER`` is "wrong version number"."""
    return exc.reason.replace("_", " ").lower() if exc.reason else str(exc)


def _verdict(exc: ssl.SSLCertVerificationError) -> str:
    """Why a certificate was not accepted; contexts with checks of their own may give less."""
    return str(getattr(exc, "verify_message", "") or exc)


def _without_frames(exc: BaseException | None) -> BaseException | None:
    return None if exc is None else exc.with_traceback(None)
