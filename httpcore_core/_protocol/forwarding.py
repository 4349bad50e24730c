"""Requests that are sent to a proxy, to be forwarded, and those that need a tunnel through it.

Rules of this file: pure functions of a `RequestPlan` and a `Proxy`. A proxy *forwards* requests to
``http`` origins: they are sent to the proxy itself, which sees them whole (RFC 9112, section
3.2.2). For all else it opens a *tunnel* (see `tunnel` and `socks5`), and sees nothing but bytes.
"""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING

from httpcore_core._exceptions import LocalProtocolError
from httpcore_core._models import Headers

from .origin import host_field
from .proxy_auth import AuthRounds
from .request import RequestPlan

if TYPE_CHECKING:
    from httpcore_core._proxy import Proxy


def is_forwarded(plan: RequestPlan, proxy: Proxy, http1: bool) -> bool:
    """Whether the request is sent to the proxy itself, and not through a tunnel.

    Not if the connection is to become something else, a WebSocket or a tunnel of the caller's, and
    not if the origin is known to speak HTTP/2 (RFC 9113, section 3.3).
    """
    return (
        plan.origin.scheme == b"http"
        and http1
        and not proxy.is_socks
        and not (plan.upgrade or plan.connect or plan.protocol)
    )


def forwarding_key(plan: RequestPlan, proxy: Proxy) -> object:
    """What connections to the proxy are kept apart by. One serves all origins, but not those who
    bring credentials of their own: some schemes let in a connection, not a request."""
    own = [value for name, value in plan.headers if name.lower() == b"proxy-authorization"]
    return (proxy, hashlib.sha256(b"\n".join(own)).hexdigest()) if own else proxy


def check_tunnelled(plan: RequestPlan) -> None:
    """Credentials for a proxy do not belong in what it cannot see, but the origin can."""
    if any(name.lower() == b"proxy-authorization" for name, _ in plan.headers):
        text = "Proxy-Authorization would reach the origin: give the Proxy its `auth` instead"
        raise LocalProtocolError(text, phase="request")


def absolute_form(plan: RequestPlan) -> bytes:
    """The target that a forwarding proxy is sent: RFC 9112, sections 3.2.2 and 3.2.4."""
    target = plan.target
    if target == b"*":
        target = b""
    elif target[:1] != b"/":
        return target
    return b"http://%b%b" % (host_field(plan.origin), target)


class Forwarding:
    """A request that a proxy forwards: what it is sent, and how its challenges are answered."""

    def __init__(self, plan: RequestPlan, proxy: Proxy, fields: Headers) -> None:
        """`fields` are the proxy's headers. Of the same name the request's own go first."""
        assert not isinstance(proxy.auth, tuple)
        present = {name.lower() for name, _ in plan.headers}
        self._plan = copy.copy(plan)
        self._plan.target = absolute_form(plan)
        self._plan.headers = plan.headers + [
            pair for pair in fields if pair[0].lower() not in present
        ]
        auth = None if b"proxy-authorization" in present else proxy.auth
        self._rounds = AuthRounds(auth, plan.method, self._plan.target)

    def first(self) -> RequestPlan:
        return self._with(self._rounds.first())

    def answer(self, headers: Headers) -> RequestPlan | None:
        """The request once more, after a response 407 with these headers; None if that stands."""
        credentials = self._rounds.answer(headers)
        return None if credentials is None else self._with(credentials)

    def _with(self, credentials: bytes | None) -> RequestPlan:
        if credentials is None:
            return self._plan
        field = (b"Proxy-Authorization", credentials)
        plan = copy.copy(self._plan)
        plan.headers = [*self._others(), field]
        return plan

    def _others(self) -> Headers:
        """What the proxy's headers say of credentials gives way to what its `auth` says."""
        fields = self._plan.headers
        return [pair for pair in fields if pair[0].lower() != b"proxy-authorization"]
