"""The sending half of HTTP/1.1: a request's head, its body, and the proof that the body is whole.

Rules of this file: those of `http11`, which has the receiving half and the theory of operation.
"""

from __future__ import annotations

from httpcore_core._exceptions import LocalProtocolError
from httpcore_core._models import Headers

from .chunked import encode_chunk, encode_last_chunk
from .request import RequestPlan, check_trailers

JOINED_BODY_SIZE = 64 * 1024
"""A body up to this size leaves with the head in one write; copying it costs less than a call."""


class HTTP11Sender:
    """What is sent of the exchange in progress. `HTTP11Protocol` is the whole."""

    __slots__ = (
        "_held_back",
        "_plan",
        "_to_send",
        "awaiting_continue",
        "request_complete",
    )

    request_complete: bool

    def _start_sending(self, plan: RequestPlan) -> bytes:
        self._plan = plan
        self._held_back: bytes | None = None  # what completes a body of declared length
        self._to_send = plan.content_length or 0  # bytes still to be given to `send_data`
        is_unproved = plan.is_said_to_be_empty()
        self.request_complete = plan.content_length == 0 and not is_unproved
        self.awaiting_continue = plan.expect_continue
        fields = b"\r\n".join(map(b": ".join, plan.headers))
        # RFC 9112, sections 3 and 5.
        head = b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (plan.method, plan.target, fields)
        if not self.request_complete and self._may_join(plan):
            assert plan.body is not None
            return head + self.send_data(plan.body) + self.end_of_body()
        if is_unproved:
            # The end of the head is that of the message: it leaves when the stream has proved to be
            # as empty as its length says.
            self._held_back = head[-2:]
            return head[:-2]
        return head

    @staticmethod
    def _may_join(plan: RequestPlan) -> bool:
        body = plan.body
        return body is not None and len(body) <= JOINED_BODY_SIZE and not plan.expect_continue

    def send_data(self, chunk: bytes) -> bytes:
        """Frame a piece of the body; returns what to write, which may be nothing yet."""
        if type(chunk) is not bytes:
            chunk = self._as_bytes(chunk)
        if not chunk:
            return b""
        if self.request_complete:
            raise self._misused("the body is longer than declared")
        if self.awaiting_continue:
            raise self._misused("the body has to wait for 100 Continue")
        if self._plan.chunked:
            return encode_chunk(chunk)
        if len(chunk) > self._to_send:
            raise self._misused("the body is longer than its Content-Length")
        self._to_send -= len(chunk)
        if self._to_send:
            return chunk
        self._held_back = chunk
        return b""

    def end_of_body(self, trailers: Headers | None = None) -> bytes:
        """Confirm that the body is complete; returns the last of it, to be written."""
        if self.request_complete:
            return b""
        if self.awaiting_continue:
            raise self._misused("the body has to wait for 100 Continue")
        if self._plan.chunked:
            last = self._last_chunk(trailers or self._plan.trailers or [])
        elif trailers:
            raise self._misused("trailers need Transfer-Encoding: chunked")
        elif self._held_back is None:
            raise self._misused(f"the body is {self._to_send} bytes short of its Content-Length")
        else:
            last = self._held_back
            self._held_back = None
        self._plan.stream_has_ended()
        self.request_complete = True
        return last

    def _last_chunk(self, trailers: Headers) -> bytes:
        try:
            check_trailers(trailers)
        except LocalProtocolError as exc:
            raise self._misused(exc.message) from exc
        return encode_last_chunk(trailers)

    def _as_bytes(self, chunk: object) -> bytes:
        """What callers' iterators may yield beside bytes; copied, for they may change it later."""
        if isinstance(chunk, (bytes, bytearray, memoryview)):
            return bytes(chunk)
        raise self._misused(f"a body is made of bytes, not {type(chunk).__name__}")

    def _misused(self, text: str) -> LocalProtocolError:
        self._fail()
        return LocalProtocolError(text)

    def _fail(self) -> None:
        """Nothing may be sent or received any more."""
        raise NotImplementedError

    def give_up_waiting(self) -> None:
        """Send the body without having seen a 100; servers may ignore the expectation."""
        self.awaiting_continue = False
