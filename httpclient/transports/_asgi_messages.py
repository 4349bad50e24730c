"""What an ASGI application is told of a request, and what it may say in reply.

Rules of this file: pure. Names and order of the messages are those of the ASGI specification, "HTTP
& WebSocket", version 2.4: the first in which `send` raises when the client has gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from httpcore_core import RemoteProtocolError

from ._apps import AppHead, AppRequest, Headers, checked_fields

START = "http.response.start"
BODY = "http.response.body"
TRAILERS = "http.response.trailers"


def build_scope(
    request: AppRequest, root_path: str, client: tuple[str, int] | None
) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method.decode("ascii"),
        "scheme": request.scheme,
        "path": unquote_to_bytes(request.path).decode("utf-8", "replace"),
        "raw_path": request.path,
        "query_string": request.query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in request.headers],
        "client": client,
        "server": (request.host, request.port),
        "extensions": {TRAILERS: {}},
    }


def request_message(body: bytes, more_body: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more_body}


def disconnect_message() -> dict[str, Any]:
    return {"type": "http.disconnect"}


class Reply:
    """The app's response, as far as it has been sent."""

    __slots__ = ("_has_trailers", "_request", "due", "head", "trailers")

    def __init__(self, request: AppRequest) -> None:
        self._request = request
        self._has_trailers = False
        self.due: str | None = START
        """The type of the message that must be next; None: the response is complete."""
        self.head: AppHead | None = None
        self.trailers: Headers = []

    def take(self, message: Mapping[str, Any]) -> bytes | None:
        """Note the app's next message; return what is part of the body, or None if nothing can be.

        Raises `RemoteProtocolError` where that message is not due, or is not what it should be.
        """
        kind = message.get("type")
        if self.due is None or kind != self.due:
            raise self.wrong(f"the app sent {kind!r}, due was {self.due or 'nothing'}")
        if kind == BODY:
            return self._take_body(message)
        if kind == START:
            self._take_start(message)
        else:
            self._take_trailers(message)
        return None

    def _take_start(self, message: Mapping[str, Any]) -> None:
        status = message.get("status")
        if not isinstance(status, int):
            raise self.wrong("the app's status is not an int")
        self.head = AppHead(self._request, status, message.get("headers", ()))
        self._has_trailers = bool(message.get("trailers"))
        self.due = BODY

    def _take_body(self, message: Mapping[str, Any]) -> bytes:
        body = message.get("body", b"")
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise self.wrong(f"the app's body has a {type(body).__name__} where bytes are due")
        assert self.head is not None
        more_body = bool(message.get("more_body"))
        if not self.head.has_body:
            body = b""
        else:
            self.head.length.add(len(body))
            if not more_body:
                self.head.length.end()
        if not more_body:
            self.due = TRAILERS if self._has_trailers else None
        return bytes(body)  # a copy of what can change

    def _take_trailers(self, message: Mapping[str, Any]) -> None:
        self.trailers += checked_fields(message.get("headers", ()), self.wrong)
        if not message.get("more_trailers"):
            self.due = None

    def wrong(self, problem: str) -> RemoteProtocolError:
        phase = "receive headers" if self.head is None else "receive body"
        return self._request.wrong_answer(problem, phase)
