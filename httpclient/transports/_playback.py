"""Playing a recording back: which exchange answers a request, and what it answers.

Rules of this file: pure. Exchanges are those that `_record_file.py` has read; see `record.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any

from httpcore_core import ProxyError, TransportError

from .record import (
    ERRORS,
    URL,
    Exchange,
    Filters,
    RecordingError,
    UnexpectedRequest,
    body_text,
    request_of,
    without_values,
)

PARTS = ("method", "url", "headers", "body")
"""What requests can be compared by. Names of headers in any case, and in any order."""


class Take:
    """One recorded exchange."""

    __slots__ = ("exchange", "is_played")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.is_played = False

    @property
    def shown(self) -> str:
        return shown(self.exchange["request"])

    def answers(self, body: bytes) -> bool:
        """Whether it is for a request with this body. Of one that was answered before it was sent
        to its end, the beginning is known."""
        recorded = self.exchange["request"]
        whole: bytes = recorded["body"]
        return body.startswith(whole) if recorded["truncated"] else body == whole

    def head(self) -> tuple[int, list[tuple[bytes, bytes]], dict[str, Any]]:
        """Status, headers and extensions. Raises the error, where that is what was recorded."""
        response = self.exchange.get("response")
        if response is None:
            raise self.error()
        headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in response["headers"]]
        names = ("http_version", "reason_phrase")
        extensions = {name: response[name].encode("latin-1") for name in names if name in response}
        return response["status"], headers, extensions

    def body(self) -> tuple[bytes, bool]:
        """What is known of the response's body, and whether that is all."""
        response = self.exchange["response"]
        return response["body"], not (response["truncated"] or "error" in self.exchange)

    def error(self) -> TransportError:
        """What happened instead of a response, or where its body ended."""
        fields = self.exchange.get("error")
        if fields is None:
            text = f"of the response to {self.shown} no more than this was recorded"
            return RecordingError(text, phase="receive body")
        cls = ERRORS[fields["type"]]
        options = {name: fields[name] for name in ("origin", "phase", "limit")}
        if issubclass(cls, ProxyError):
            options["status"] = fields["status"]
        return cls(fields["message"], **options)


class Tape:
    """The exchanges of a recording, each of which is played once, in its order among those that
    match the same requests. With `allow_repeats` the last of these is played again."""

    def __init__(
        self,
        exchanges: Iterable[Exchange],
        filters: Filters,
        *,
        match: Collection[str] = ("method", "url", "body"),
        allow_repeats: bool = False,
    ) -> None:
        unknown = set(match).difference(PARTS)
        if unknown:
            raise ValueError(f"match is some of {PARTS}, not {', '.join(sorted(unknown))}")
        self._match = frozenset(match)
        self._filters = filters
        self._allow_repeats = allow_repeats
        self._takes = [Take(exchange) for exchange in exchanges]
        self._unplayed = deque(self._takes)  # and those that were played before their turn
        self._fresh: dict[object, deque[Take]] = {}
        self._played: dict[object, list[Take]] = {}
        for take in self._takes:
            self._fresh.setdefault(self._key(take.exchange["request"]), deque()).append(take)

    @property
    def unplayed(self) -> list[Take]:
        return [take for take in self._takes if not take.is_played]

    def play(
        self,
        method: bytes,
        url: URL,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        extensions: dict[str, Any],
    ) -> Take:
        """The exchange that answers this request. Raises `UnexpectedRequest`."""
        request = request_of(method, url, headers, extensions)
        request["body"] = body_text(body)
        name = shown(request)
        filtered = self._filters.apply({"request": request})
        if filtered is None:
            raise self._unexpected(name, "is filtered out of the recording")
        request = filtered["request"]
        name = shown(request)
        body = _as_bytes(request["body"])
        key = self._key(request)
        fresh, played = self._fresh.get(key, deque()), self._played.get(key, [])
        for index, take in enumerate(fresh):
            if self._answers(take, body):
                del fresh[index]
                take.is_played = True
                self._played.setdefault(key, []).append(take)
                return take
        for take in reversed(played):
            if self._answers(take, body):
                if self._allow_repeats:
                    return take
                raise self._unexpected(name, "has been played as often as it was recorded")
        if fresh or played:
            raise self._unexpected(name, "was recorded with another body")
        raise self._unexpected(name, "was not recorded")

    def _key(self, request: dict[str, Any]) -> object:
        """What requests are compared by, the body apart."""
        key = [request[part] for part in ("method", "url") if part in self._match]
        if "headers" in self._match:
            key.append(tuple(sorted((name.lower(), value) for name, value in request["headers"])))
        return tuple(key)

    def _answers(self, take: Take, body: bytes) -> bool:
        return "body" not in self._match or take.answers(body)

    def _unexpected(self, name: str, problem: str) -> UnexpectedRequest:
        while self._unplayed and self._unplayed[0].is_played:
            self._unplayed.popleft()
        next_one = "nothing is left to be played"
        if self._unplayed:
            next_one = f"expected next is {self._unplayed[0].shown}"
        return UnexpectedRequest(f"{name} {problem}; {next_one}", phase="request")


def shown(request: dict[str, Any]) -> str:
    """A request in an error text."""
    return f"{request['method']} {without_values(request['url'])}"


def _as_bytes(body: str | bytes) -> bytes:
    return body.encode("utf-8") if isinstance(body, str) else body
