"""Requests to a WSGI application in this process (PEP 3333).

Rules of this file: the app runs in the caller's thread, and only while the caller waits: for the
head until the app's first data or its end, for each part of the body until the next one. So both
bodies are streamed, and no timeout can apply. What the app passes to `write` it says in one go; it
is kept until then. Whatever happens, the app's iterable is closed once.
"""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from httpcore_core import ByteStream, RemoteProtocolError, Response, SyncByteStream

from ._apps import AppHead, AppRequest, BodyLength
from ._configured import Configured
from .base import BaseTransport

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_STATUS = re.compile(r"([0-9]{3})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_NO_MORE = object()
_CUT_SHORT = "the app failed in the middle of its response"


class WSGITransport(Configured, BaseTransport):
    """Sends each request to `app`, a WSGI application.

    What the app raises is raised in the request, or while the body is read. Without
    `raise_app_exceptions` it is what it would be over a network: a response with the status 500,
    or a `RemoteProtocolError` in the middle of the body. `script_name` is the path under which the
    app is to find itself, decoded; a request's path may begin with it or not. `wsgi_errors` is a
    text file for the app's ``wsgi.errors``, `sys.stderr` where it is None.

        client = Client(transport=WSGITransport(app), base_url="http://testserver")
    """

    def __init__(
        self,
        app: WSGIApplication,
        raise_app_exceptions: bool = True,
        script_name: str = "",
        remote_addr: str = "127.0.0.1",
        wsgi_errors: Any = None,
    ) -> None:
        self.app = app
        self.raise_app_exceptions = raise_app_exceptions
        self.script_name = script_name
        self.remote_addr = remote_addr
        self.wsgi_errors = wsgi_errors

    def handle_request(
        self,
        method: bytes,
        url: tuple[bytes, bytes, int | None, bytes],
        headers: list[tuple[bytes, bytes]],
        stream: Any,
        extensions: dict[str, Any],
    ) -> Response:
        request = AppRequest(method, url, headers, extensions)
        request.check_body(stream, "__iter__")
        body = _RequestBody(stream, request.length)
        environ = _request_environ(request, self.script_name) | {
            "REMOTE_ADDR": self.remote_addr,
            "wsgi.version": (1, 0),
            "wsgi.input": io.BufferedReader(body),
            "wsgi.input_terminated": True,  # read it to its end, whatever CONTENT_LENGTH says
            "wsgi.errors": sys.stderr if self.wsgi_errors is None else self.wsgi_errors,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        return _Answer(request, body, self.raise_app_exceptions).begin(self.app, environ)


def _request_environ(request: AppRequest, script_name: str) -> dict[str, Any]:
    """The variables that describe the request: RFC 3875, section 4.1, with text as PEP 3333 has
    it, each character a byte."""
    path = unquote_to_bytes(request.path).decode("latin-1")
    root = script_name.rstrip("/").encode("utf-8").decode("latin-1")
    if root and f"{path}/".startswith(f"{root}/"):
        path = path[len(root) :]
    environ = {
        "REQUEST_METHOD": request.method.decode("ascii"),
        "SCRIPT_NAME": root,
        "PATH_INFO": path,
        "QUERY_STRING": request.query.decode("ascii"),
        "SERVER_NAME": f"[{request.host}]" if ":" in request.host else request.host,
        "SERVER_PORT": str(request.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": request.scheme,
    }
    for name, value in request.headers:
        # With an underscore it could be taken for another one, which has a dash in its place.
        if b"_" not in name:
            key = name.decode("ascii").upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            text = value.decode("latin-1")
            if key in environ and key != "CONTENT_LENGTH":  # whose values are all the same
                text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ', '}{text}"
            environ[key] = text
    return environ


class _RequestBody(io.RawIOBase):
    """The request's body as a file, read from the caller's iterator when the app asks for it."""

    def __init__(self, stream: Iterable[bytes], length: BodyLength) -> None:
        self._chunks = iter(stream)
        self._length = length
        self._rest = memoryview(b"")
        self.error: BaseException | None = None  # the caller's own, on its way through the app

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            while not self._rest:
                chunk = next(self._chunks, _NO_MORE)
                if chunk is _NO_MORE:
                    self._length.end()
                    return 0
                self._rest = memoryview(chunk).cast("B")  # type: ignore[arg-type]  # or TypeError
                self._length.add(len(self._rest))
        except BaseException as exc:
            self.error = exc
            raise
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def finish(self) -> None:
        """Nothing more is read. A generator may be left half-way; other iterators, such as files,
        are their owner's."""
        self.error = None
        if isinstance(self._chunks, Generator):
            self._chunks.close()


class _Answer(SyncByteStream):
    """What the app says: its head by way of `start_response`, and then the body."""

    def __init__(self, request: AppRequest, body: _RequestBody, raises: bool) -> None:
        self._request = request
        self._request_body = body
        self._raises = raises
        self._head: AppHead | None = None
        self._reason = b""
        self._is_sent = False  # there is data, so that the head cannot be another one any more
        self._ready: deque[bytes] = deque()
        self._iterable: Iterable[bytes] | None = None
        self._iterator: Iterator[bytes] = iter(())

    def begin(self, app: WSGIApplication, environ: dict[str, Any]) -> Response:
        """Call the app, and go on until it has to be known what the head is."""
        try:
            self._iterable = app(environ, self._start_response)
            self._iterator = iter(self._iterable)
            while not self._is_sent and self._advance():
                pass  # empty strings: the app has nothing to say yet
        except BaseException as exc:
            if self._give_up(exc):
                raise
            if self._is_sent:
                raise self._wrong(_CUT_SHORT) from exc
            return Response(500, [], ByteStream(), {"http_version": b"HTTP/1.1"})
        head = self._head
        if head is None:
            self.close()
            raise self._wrong("the app did not call start_response")
        self._is_sent = True
        extensions = {"http_version": b"HTTP/1.1", "reason_phrase": self._reason}
        if head.has_body:
            return Response(head.status, head.headers, self, extensions)
        self.close()
        return Response(head.status, head.headers, ByteStream(), extensions)

    # What the app calls

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self._is_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # its traceback has this frame: no cycle
        elif self._head is not None:
            raise self._wrong("the app called start_response twice, without exc_info")
        match = _STATUS.fullmatch(status) if isinstance(status, str) else None
        if match is None:
            raise self._wrong("the app's status is not three digits and a reason")
        fields = [self._encoded_field(field) for field in headers]
        self._head = AppHead(self._request, int(match[1]), fields)
        self._reason = (match[2] or "").encode("latin-1")
        return self._write

    def _encoded_field(self, field: tuple[str, str]) -> tuple[bytes, bytes]:
        try:
            name, value = field
            return name.encode("latin-1"), value.encode("latin-1")
        except (AttributeError, TypeError, ValueError) as exc:
            problem = "the app's headers are not pairs of str with Latin-1 characters"
            raise self._wrong(problem) from exc

    def _write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise self._wrong(f"the app's body has a {type(data).__name__} where bytes are due")
        if self._head is None:
            raise self._wrong("the app's body begins before start_response is called")
        if data:
            self._is_sent = True
            if self._head.has_body:
                self._head.length.add(len(data))
                self._ready.append(data)

    # What the client calls

    def _advance(self) -> bool:
        """Have the app yield once more; false at the end."""
        data: Any = next(self._iterator, _NO_MORE)
        if data is _NO_MORE:
            return False
        if data or self._head is not None:  # empty ones may come before `start_response`
            self._write(data)
        return True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._ready:
            if self._iterable is None:
                raise StopIteration
            try:
                if self._advance() or self._ready:
                    continue
                assert self._head is not None  # or `begin` would have failed
                self._head.length.end()
            except BaseException as exc:
                if self._give_up(exc):
                    raise
                raise self._wrong(_CUT_SHORT) from exc
            self.close()
        return self._ready.popleft()

    def close(self) -> None:
        """End the app's iteration. May be called again."""
        iterable, self._iterable = self._iterable, None
        self._iterator = iter(())
        self._ready.clear()
        self._request_body.finish()
        close = getattr(iterable, "close", None)
        if close is not None:
            try:
                close()
            except Exception:
                if self._raises:
                    raise

    def __del__(self) -> None:
        if self._iterable is not None:
            self.close()
            warnings.warn(
                f"a response of an app for {self._request.origin} was neither read nor closed",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    # What goes wrong

    def _wrong(self, problem: str) -> RemoteProtocolError:
        phase = "receive body" if self._is_sent else "receive headers"
        return self._request.wrong_answer(problem, phase)

    def _give_up(self, exc: BaseException) -> bool:
        """Close; whether `exc` is to be raised as it is, not what a server would keep to itself.
        An error of the request's body is the caller's own."""
        is_callers = exc is self._request_body.error
        self.close()
        return self._raises or is_callers or not isinstance(exc, Exception)
