"""How a client proves to a server who it is: the `auth` of clients and requests.

Rules of this file: a scheme is a generator that is given a request, yields what to send, and is
sent the response; no I/O but reading the netrc file when `NetRCAuth` is made. Whoever runs a flow
closes it. Secrets appear in no text, neither `repr` nor an error. What a scheme needs is imported
where it is used.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

from httpcore_core import LocalProtocolError

from ._request import Request
from ._response import Response

if TYPE_CHECKING:
    import os

    from httpcore_core import DigestProxyAuth

AuthTypes: TypeAlias = "tuple[str | bytes, str | bytes] | Callable[[Request], Request] | Auth"

MAX_ROUNDS = 5
"""Answers to challenges for one request; Digest takes one or, if a nonce is stale, two."""

MAX_ORIGINS = 100
"""Origins whose nonces a `DigestAuth` remembers; the one not used for longest is forgotten."""


class Auth:
    """The base of all schemes. Subclasses define `auth_flow`, or where they do I/O of their own
    `sync_auth_flow` and `async_auth_flow`.

    With `requires_request_body` the request's body is in memory before the flow begins, and with
    `requires_response_body` that of a response before the flow is sent it.
    """

    requires_request_body = False
    requires_response_body = False

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Yield the request to send; be sent the response; yield another request, or return, which
        makes that response the result."""
        yield request

    def sync_auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """`auth_flow` with the bodies that it requires. To be closed on every way out."""
        if self.requires_request_body:
            request.read()
        flow = _generator(self.auth_flow(request))
        try:
            attempt = _first(flow)
            while True:
                response = yield _checked(attempt)
                if self.requires_response_body:
                    response.read()
                try:
                    attempt = flow.send(response)
                except StopIteration:
                    return
        finally:
            flow.close()

    def async_auth_flow(self, request: Request) -> AsyncGenerator[Request, Response]:
        """The same for async code. A subclass may write it as an async generator."""
        return _AsyncFlow(self, request)


class _AsyncFlow(AsyncGenerator[Request, Response]):
    """`Auth.sync_auth_flow`, async. A class, because an async generator that is dropped half-way
    needs the event loop once more."""

    def __init__(self, auth: Auth, request: Request) -> None:
        self._auth = auth
        self._request = request
        self._flow: Generator[Request, Response, None] | None = None
        self._closed = False

    async def asend(self, response: Response | None) -> Request:
        if self._closed:
            raise StopAsyncIteration
        if self._flow is None:
            if self._auth.requires_request_body:
                await self._request.aread()
            self._flow = _generator(self._auth.auth_flow(self._request))
            return _checked(_first(self._flow))
        if response is None:
            raise TypeError("an auth flow that has begun must be sent a response")
        if self._auth.requires_response_body:
            await response.aread()
        try:
            return _checked(self._flow.send(response))
        except StopIteration:
            raise StopAsyncIteration from None

    async def __anext__(self) -> Request:
        return await self.asend(None)

    async def athrow(self, *error: Any) -> Request:
        if self._flow is None or self._closed:
            self._closed = True
            raise error[0]
        try:
            return self._flow.throw(*error)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._closed = True
        if self._flow is not None:
            self._flow.close()


def _generator(flow: Generator[Request, Response, None]) -> Generator[Request, Response, None]:
    if not isinstance(flow, Generator):
        raise TypeError(f"auth_flow is a generator, it yields requests, not {type(flow).__name__}")
    return flow


def _checked(request: Request) -> Request:
    if not isinstance(request, Request):
        raise TypeError(f"auth_flow yields requests, not {type(request).__name__}")
    return request


def _first(flow: Generator[Request, Response, None]) -> Request:
    """A StopIteration must not get out into the generator that has called."""
    for request in flow:
        return request
    raise LocalProtocolError("an auth flow has to yield a request", phase="request")


class FunctionAuth(Auth):
    """A callable that is given the request and returns it, or another."""

    def __init__(self, func: Callable[[Request], Request]) -> None:
        self._func = func

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        signed = self._func(request)
        if not isinstance(signed, Request):
            raise TypeError(f"an auth callable returns the request, not {type(signed).__name__}")
        yield signed


class BasicAuth(Auth):
    """User and password, sent with every request (RFC 7617); text is encoded as UTF-8."""

    def __init__(self, username: str | bytes, password: str | bytes) -> None:
        self._header = _basic(username, password)

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        request.headers["Authorization"] = self._header
        yield request


class DigestAuth(Auth):
    """User and password, of which only a hash is sent, after the server has asked (RFC 7616).

    The nonce that an origin has given is used for further requests to it, until it gives another.
    That and the computation are the core's. Threads and tasks may share one object. A pickle or a
    copy begins without nonces.
    """

    def __init__(self, username: str | bytes, password: str | bytes) -> None:
        self._username = username
        self._password = password
        self._begin()
        self._state_of(("", "", None))  # what is illegal is so at once

    def _begin(self) -> None:
        self._states: OrderedDict[tuple[str, str, int | None], DigestProxyAuth] = OrderedDict()
        self._lock = threading.Lock()

    def _state_of(self, origin: tuple[str, str, int | None]) -> DigestProxyAuth:
        """An origin is never sent what another's nonce was hashed with."""
        from httpcore_core import DigestProxyAuth

        with self._lock:
            state = self._states.pop(origin, None)
            if state is None:
                state = DigestProxyAuth(self._username, self._password)
            self._states[origin] = state
            if len(self._states) > MAX_ORIGINS:
                self._states.popitem(last=False)
            return state

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        state = self._state_of(request.url.origin)
        rounds = state.flow(*_request_line(request))
        credentials = next(rounds)
        for _ in range(1 + MAX_ROUNDS):
            if credentials is not None:
                request.headers["Authorization"] = credentials
            response = yield request
            asked = response._request or request
            if response.status_code != 401 or asked.url.origin != request.url.origin:
                return
            if _request_line(asked) != _request_line(request):  # a redirect was followed
                rounds = state.flow(*_request_line(asked))
                next(rounds)
            request = asked
            try:
                credentials = rounds.send(_challenges(response))
            except StopIteration:  # the refusal stands
                return

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_states", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


def _request_line(request: Request) -> tuple[bytes, bytes]:
    """Method and target: what a digest is of."""
    target = request.extensions.get("target", request.url.raw_path)
    if isinstance(target, str):
        target = target.encode("ascii")
    return request.method.encode("ascii"), target


def _challenges(response: Response) -> list[bytes]:
    return [value for name, value in response.headers.raw if name.lower() == b"www-authenticate"]


class NetRCAuth(Auth):
    """Basic with the user and password that a netrc file has for the request's host.

    `file` is its path, None ``~/.netrc``, which must belong to the user and be readable by nobody
    else. It is read once, now. The host is that of the URL alone, whatever the port; the file's
    ``default`` entry is for those that it does not name. An entry without a password is as none.

    Raises `OSError` if there is no such file, and `ValueError` if it is not legal.
    """

    def __init__(self, file: str | os.PathLike[str] | None = None) -> None:
        self._entries = _read_netrc(file)

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        entry = self._entries.get(request.url.host) or self._entries.get(None)
        if entry is not None and entry[1]:
            try:
                request.headers["Authorization"] = _basic(*entry)
            except ValueError as exc:
                raise LocalProtocolError(f"the netrc entry: {exc}", phase="request") from exc
        yield request


def _read_netrc(file: str | os.PathLike[str] | None) -> dict[str | None, tuple[str, str]]:
    """User and password of each host, in lower case; None is the default entry. The library's
    error quotes from the file, where a password may be, and so does not go on as the cause."""
    import netrc

    try:
        hosts = netrc.netrc(file).hosts
    except netrc.NetrcParseError as exc:
        # Without a number it is about the file's owner or mode, and quotes nothing.
        problem = exc.msg if exc.lineno is None else f"line {exc.lineno} is not legal"
    except UnicodeDecodeError:
        problem = "it is not text"
    else:
        return {
            None if name == "default" else name.lower(): (login or "", password or "")
            for name, (login, _, password) in hosts.items()
        }
    raise ValueError(f"the netrc file {file or '~/.netrc'!s}: {problem}")


def _basic(username: str | bytes, password: str | bytes) -> bytes:
    """The value of Authorization: RFC 7617, section 2."""
    import binascii

    user = username.encode("utf-8") if isinstance(username, str) else username
    secret = password.encode("utf-8") if isinstance(password, str) else password
    if b":" in user:
        raise ValueError("a user name must not hold a colon")
    if any(byte < 32 or byte == 127 for byte in user + secret):
        raise ValueError("a user name and a password must not hold control characters")
    return b"Basic " + binascii.b2a_base64(b"%b:%b" % (user, secret), newline=False)


def build_auth(value: AuthTypes | None) -> Auth | None:
    """What the option `auth` means: a pair is `BasicAuth`, a callable `FunctionAuth`."""
    if value is None or isinstance(value, Auth):
        return value
    if isinstance(value, tuple) and len(value) == 2:
        return BasicAuth(*value)
    if callable(value):
        return FunctionAuth(value)
    raise TypeError(
        f"auth is a pair of user and password, a callable, or an Auth, not {type(value).__name__}"
    )
