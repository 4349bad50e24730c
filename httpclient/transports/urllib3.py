"""HTTP through urllib3, for whoever has its pools and proxies in place already.

Rules of this file: urllib3 sends and receives, and that is all it does: it follows no redirect,
repeats no request, decodes no body, and adds no header but the one that frames a body where that is
missing. It is imported when the first transport is made. What may go in and come out is decided in
`_urllib3_rules`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from httpcore_core import (
    LocalProtocolError,
    PoolClosed,
    PoolTimeout,
    ReadError,
    ReadTimeout,
    Response,
    SyncByteStream,
    TimeoutException,
    TransportError,
    WriteTimeout,
    default_ssl_context,
)

from ._configured import Configured
from ._urllib3_rules import Plan, check_head, check_parsed, innermost, meaning, plan_request
from .base import BaseTransport

if TYPE_CHECKING:
    import ssl

    import urllib3

_CHUNK = 65536
_VERSIONS = {10: b"HTTP/1.0", 11: b"HTTP/1.1"}


class URLLib3Transport(Configured, BaseTransport):
    """Sends requests through a `urllib3.PoolManager` (extra ``urllib3``), HTTP/1.1 only.

    A `pool_manager` passed in, which may be a `ProxyManager`, is used as it is and not closed.
    Otherwise one is made with `pool_options`; these include urllib3's own options of TLS, in place
    of which `verify` may be an `ssl.SSLContext`. urllib3 sets what such a context offers by ALPN,
    so it must not be shared with what speaks HTTP/2. True is for the usual authorities.

    Of the `timeout` extension `connect` holds for connecting, for TLS and for each write, `read`
    for each read, `pool` for the wait in a pool made with ``block=True`` (others never wait);
    `write` has no counterpart. `total` limits each of these too, and is looked at between them and
    between the parts of either body: a request ends at `total`, or with the wait that was going on
    then. Resolving a name has no limit.

    The extensions `target` and `sni_hostname` work; `trace`, `informational` and `expect_continue`
    have no effect; a proxy, trailers, CONNECT and an upgrade are refused, and so is an
    informational response other than 100. In a target urllib3 percent-encodes what RFC 3986 does
    not allow. Raises `TransportError`, with urllib3's own error as its cause.
    """

    def __init__(
        self,
        pool_manager: urllib3.PoolManager | None = None,
        *,
        verify: ssl.SSLContext | bool = True,
        **pool_options: Any,
    ) -> None:
        library = _import_urllib3()
        if verify is False:
            raise ValueError("verify must be True or an ssl.SSLContext")
        if pool_manager is not None and (verify is not True or pool_options):
            raise TypeError("a pool manager that is passed in has options of its own")
        self._owns_manager = pool_manager is None
        # The usual authorities, unless somebody has said something else.
        tls_options = set(pool_options).intersection(library.poolmanager.SSL_KEYWORDS)
        self._makes_context = self._owns_manager and verify is True and not tls_options
        self._context: ssl.SSLContext | None = None
        if verify is not True:
            pool_options["ssl_context"] = verify
        self._manager: urllib3.PoolManager = pool_manager or library.PoolManager(**pool_options)
        self._is_closed = False

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        if self._is_closed:
            raise PoolClosed("the transport was closed", phase="request")
        exchange = _Exchange(plan_request(method, url, headers, stream, extensions), stream)
        try:
            answer = self._send(exchange)
        except Exception as exc:
            error = exchange.explain(exc)
            if error is exc:
                raise
        else:
            return _response(answer, exchange)
        raise error

    def _send(self, exchange: _Exchange) -> urllib3.BaseHTTPResponse:
        from urllib3.util import Timeout
        from urllib3.util.proxy import connection_requires_http_tunnel

        manager, plan = self._manager, exchange.plan
        is_forwarded = manager.proxy is not None and not connection_requires_http_tunnel(
            manager.proxy, manager.proxy_config, plan.scheme
        )
        limits, upload = plan.limits, exchange.upload
        wait: Any = exchange.within_total(limits.pool)  # its type there is int
        try:
            return self._pool(plan).urlopen(
                plan.method,
                plan.absolute_target if is_forwarded else plan.target,
                body=plan.content or None if upload is None else upload,
                headers=_Fields(exchange),
                timeout=Timeout(limits.total, limits.connect, limits.read),
                pool_timeout=wait,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        finally:
            if upload is not None:
                upload.close()

    def _pool(self, plan: Plan) -> urllib3.HTTPConnectionPool:
        options: dict[str, Any] = {}
        if plan.scheme == "https":
            if self._makes_context:
                # Not the one that everybody shares: urllib3 sets things on it.
                self._context = self._context or default_ssl_context(shared=False)
                options["ssl_context"] = self._context
            if plan.sni_hostname is not None:
                options["server_hostname"] = plan.sni_hostname
        return self._manager.connection_from_host(plan.host, plan.port, plan.scheme, options)

    def close(self) -> None:
        """Close idle connections; those in use are closed when their response is."""
        self._is_closed = True
        if self._owns_manager:
            pools = self._manager.pools
            for pool in [pools.get(key) for key in pools.keys()]:  # noqa: SIM118 (no iteration)
                if pool is not None:
                    pool.close()
            self._manager.clear()


def _import_urllib3() -> Any:
    try:
        import urllib3
    except ImportError as exc:
        text = "URLLib3Transport needs urllib3: pip install 'httpclient[urllib3]'"
        raise ImportError(text, name="urllib3") from exc
    return urllib3


class _Exchange:
    """A request on its way: how far it has got, how much time it has, what its errors mean."""

    def __init__(self, plan: Plan, stream: Any) -> None:
        self.plan = plan
        self.phase = "connect"  # until urllib3 has a connection
        self.upload = None if plan.content is not None else _Upload(self, stream)
        total = plan.limits.total
        self._deadline = None if total is None else time.monotonic() + total

    def within_total(self, limit: float | None) -> float | None:
        """The time for the next wait: its own limit, or what `total` leaves of it."""
        if self._deadline is None:
            return limit
        left = self._deadline - time.monotonic()
        if left <= 0.0:
            raise self._error(WriteTimeout if self.phase == "send" else ReadTimeout, self.phase)
        return left if limit is None else min(limit, left)

    def explain(self, exc: Exception) -> Exception:
        """What to raise in place of `exc`; that itself, if it is no error of urllib3's."""
        from urllib3.exceptions import HTTPError

        if isinstance(exc, _UploadFailed):
            return exc.error
        if not isinstance(exc, (HTTPError, ValueError)):
            return exc
        kind, phase = meaning(exc, self.phase)
        inner = innermost(exc)
        error = self._error(kind, phase, str(inner) or type(inner).__name__)
        reason = getattr(inner, "reason", None)
        if isinstance(error, ReadError) and isinstance(reason, str):
            error.tls_reason = reason.replace("_", " ").lower()
        error.__cause__ = exc
        return error

    def _error(self, kind: type[TransportError], phase: str, text: str = "") -> TransportError:
        origin, limits = self.plan.origin, self.plan.limits
        if not issubclass(kind, TimeoutException):
            return kind(text, origin=origin, phase=phase)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            text, limit = "the total deadline passed", limits.total
        elif kind is PoolTimeout:
            text, limit = "no connection became free in time", limits.pool
        else:
            text, limit = "timed out", limits.read if kind is ReadTimeout else limits.connect
        return kind(text, origin=origin, phase=phase, limit=limit)


class _Fields(Mapping[str, str]):
    """Header fields in their order, names repeated as they are. urllib3 asks for them as soon as it
    has a connection."""

    def __init__(self, exchange: _Exchange) -> None:
        from urllib3.util import SKIP_HEADER

        self._exchange = exchange
        self._fields = list(exchange.plan.headers)
        for name in ("Accept-Encoding", "User-Agent"):
            if name not in self:
                self._fields.append((name, SKIP_HEADER))

    def items(self) -> Any:
        self._exchange.phase = "receive headers" if self._exchange.upload is None else "send"
        return self._fields

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._fields])

    def __len__(self) -> int:
        return len(self._fields)

    def __getitem__(self, name: str) -> str:
        found = [value for key, value in self._fields if key.lower() == name.lower()]
        if not found:
            raise KeyError(name)
        return ", ".join(found)

    def copy(self) -> _Fields:
        return self  # it is for this request only

    def update(self, others: Mapping[str, str]) -> None:
        """Take over what a proxy that forwards is told."""
        replaced = {name.lower() for name in others}
        self._fields = [field for field in self._fields if field[0].lower() not in replaced]
        self._fields += others.items()


class _UploadFailed(Exception):
    """Passes through urllib3, which takes many an error of the caller's code for one of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Upload:
    """The request's body on its way, counted: one that is longer than it was said to be would be
    read as the next request."""

    def __init__(self, exchange: _Exchange, stream: Any) -> None:
        self._exchange = exchange
        self._stream = stream
        self._left = exchange.plan.length
        self._chunks: Iterator[Any] | None = None
        self._has_ended = False

    def __iter__(self) -> _Upload:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._next()
        except Exception as exc:
            if isinstance(exc, LocalProtocolError):
                exc.located(self._exchange.plan.origin, "send")
            raise _UploadFailed(exc) from exc
        if chunk is None:
            raise StopIteration
        return chunk

    def _next(self) -> bytes | None:
        data = self._pull()
        if data is not None and self._left == 0:
            # What completes the body is held back until it is known that nothing follows.
            while self._pull() is not None:
                pass
        return data

    def _pull(self) -> bytes | None:
        self._exchange.within_total(None)
        if self._chunks is None:
            self._chunks = iter(self._stream)
        chunk = None if self._has_ended else next(self._chunks, None)
        if chunk is None:
            self._has_ended = True
            if self._left:
                raise LocalProtocolError(f"the body ends {self._left} bytes too early")
            self._exchange.phase = "receive headers"
            return None
        if not isinstance(chunk, (bytes, bytearray, memoryview)):
            raise LocalProtocolError(f"a body is made of bytes, not {type(chunk).__name__}")
        data = bytes(chunk)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise LocalProtocolError("the body is longer than its Content-Length")
        return data

    def close(self) -> None:
        # A generator may be left half-way. Other iterators, such as files, are their owner's.
        if isinstance(self._chunks, Generator):
            self._chunks.close()


def _response(answer: urllib3.BaseHTTPResponse, exchange: _Exchange) -> Response:
    exchange.phase = "receive body"
    body = _Body(answer, exchange)
    try:
        headers = check_head(answer.status, list(answer.headers.items()))
        check_parsed(getattr(answer, "_original_response", None))
    except BaseException as exc:
        body.discard()
        if isinstance(exc, TransportError):
            exc.located(exchange.plan.origin, None)
        raise
    version = _VERSIONS.get(answer.version, b"HTTP/1.1")
    reason = (answer.reason or "").encode("latin-1")
    extensions = {"http_version": version, "reason_phrase": reason}
    return Response(answer.status, headers, body, extensions)


class _Body(SyncByteStream):
    """The response's body. Read to its end, it returns the connection; closed before, it closes
    that."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, exchange: _Exchange) -> None:
        self._answer = answer
        self._exchange = exchange
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._is_over:
            raise StopIteration
        try:
            data = self._read()
        except Exception as exc:
            self.discard()
            error = self._exchange.explain(exc)
            if error is exc:
                raise
        except BaseException:
            self.discard()
            raise
        else:
            if data:
                return data
            self.discard()
            raise StopIteration
        raise error

    def _read(self) -> bytes:
        limit = self._exchange.plan.limits.read
        budget = self._exchange.within_total(limit)
        if budget != limit:
            # Without a socket there it is the response's alone, and not to be got at.
            sock = getattr(self._answer.connection, "sock", None)
            if sock is not None:
                sock.settimeout(budget)
        return self._answer.read1(_CHUNK, decode_content=False)

    def close(self) -> None:
        """May be called again."""
        if not self._is_over and self._answer.length_remaining == 0:
            self._answer.drain_conn()  # does not wait: there is nothing to come
        self.discard()

    def discard(self) -> None:
        """Close the connection, unless it was returned; its place in the pool is free then."""
        if not self._is_over:
            self._is_over = True
            self._answer.close()
            self._answer.release_conn()
