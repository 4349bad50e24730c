"""The client that sends the request, from the options.

Rules of this file: configuration, no I/O but reading the files of certificates. Whatever is wrong
with a value that only the client can judge is a `click.UsageError`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import click

from .._config import Timeout
from .._exceptions import InvalidURL
from .._sync.client import Client
from .._urls import URL
from ..transports.http import HTTPTransport
from .exit_codes import USAGE, CommandError
from .settings import Settings

if TYPE_CHECKING:
    from .._auth import Auth
    from .._request import Request


def url_of(settings: Settings) -> URL:
    """The URL with the query's additions. Raises `InvalidURL`."""
    if "://" not in settings.url:  # of "localhost:80" the scheme would be "localhost"
        raise InvalidURL("the URL does not begin with http:// or https://")
    url = URL(settings.url)
    if settings.query:
        pairs = [(os.fsencode(name), os.fsencode(value)) for name, value in settings.query]
        added = urlencode(pairs, quote_via=quote)
        before = url.query.decode("ascii")
        url = url.copy_with(query=f"{before}&{added}" if before else added)
    return url


def client_of(settings: Settings) -> Client:
    """The client, which the caller closes."""
    trust_env = not settings.no_env
    transport = _transport(settings, trust_env)
    try:
        return _Owner(
            transport=transport,
            trust_env=trust_env,
            follow_redirects=settings.follow,
            max_redirects=settings.max_redirects,
            max_decoded=None,  # it is not kept
            timeout=_timeout(settings),
            event_hooks=_hooks(settings, trust_env),
        )
    except BaseException:
        transport.close()
        raise


class _Owner(Client):
    """A client that closes the transport it was given."""

    def close(self) -> None:
        super().close()
        self._transport.close()


def _timeout(settings: Settings) -> Timeout:
    limits: dict[str, float | None] = {
        "connect": settings.connect_timeout,
        "read": settings.read_timeout,
        "write": settings.read_timeout,
    }
    if settings.max_time is not None:
        limits["total"] = settings.max_time
    return Timeout(None, **limits)


def _transport(settings: Settings, trust_env: bool) -> HTTPTransport:
    certificate = settings.cert
    try:
        return HTTPTransport(
            verify=False if settings.insecure else settings.cacert or True,
            cert=(certificate, settings.key) if certificate and settings.key else certificate,
            trust_env=trust_env,
            http1=not settings.http2_prior_knowledge,
            http2=not settings.http11,
            proxy=settings.proxy,
            uds=settings.unix_socket,
            resolver=_resolver(settings.resolve) if settings.resolve else None,
            **_local(settings.interface),
        )
    except (ValueError, TypeError, ImportError, OSError) as exc:  # ssl.SSLError is an OSError
        raise click.UsageError(str(exc)) from exc


def _local(interface: str | None) -> dict[str, Any]:
    """An address to connect from, or an interface to connect through."""
    import ipaddress

    if interface is None:
        return {}
    try:
        return {"local_address": str(ipaddress.ip_address(interface.strip("[]")))}
    except ValueError:
        pass
    option = getattr(socket, "SO_BINDTODEVICE", None)
    if option is None:
        raise click.UsageError(f"--interface {interface}: this system takes addresses only")
    if interface not in (name for _, name in socket.if_nameindex()):
        raise click.UsageError(f"--interface {interface}: neither an address nor an interface")
    return {"socket_options": [(socket.SOL_SOCKET, option, interface.encode())]}


def _resolver(
    entries: Iterable[tuple[str, int, tuple[str, ...]]],
) -> Callable[[str, int], list[str]]:
    """A resolver that knows some names, and asks the system for the others."""
    known = {(host, port): list(addresses) for host, port, addresses in entries}

    def resolve(host: str, port: int) -> list[str]:
        addresses = known.get((host.lower(), port)) or known.get(("*", port))
        if addresses is None:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(info[4][0]) for info in found]
        return addresses

    return resolve


def _hooks(settings: Settings, trust_env: bool) -> dict[str, list[Callable[[Any], None]]]:
    """The environment's proxy for each URL on the way. A client looks for it by itself, but not
    if it is given its transport."""
    if not trust_env or settings.proxy is not None or settings.unix_socket is not None:
        return {}
    from .._environment import environment_proxies

    proxies = environment_proxies()

    def choose(request: Request) -> None:
        try:
            request.extensions["proxy"] = proxies.proxy_for(request.url)
        except ImportError as exc:
            raise CommandError(f"a proxy in the environment: {exc}", USAGE) from exc

    return {"request": [choose]} if proxies else {}


def auth_of(settings: Settings) -> Auth | None:
    """What `auth` of a request is to be; None for what the URL says."""
    from .._auth import BasicAuth, DigestAuth, NetRCAuth

    try:
        if settings.user is not None:
            return (DigestAuth if settings.digest else BasicAuth)(*settings.user)
        return NetRCAuth() if settings.netrc else None
    except (OSError, ValueError) as exc:
        raise click.UsageError(f"credentials: {exc}") from exc
