"""Origins: what a connection is made to, checked and in canonical form, fit for the resolver.

Rules of this file: pure functions of a URL tuple's first three parts. A host is a DNS name or an
IP address in its usual notation; whatever a resolver could read in another way is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

from httpcore_core._exceptions import LocalProtocolError, UnsupportedProtocol
from httpcore_core._models import DEFAULT_PORTS, URL, Origin

_is_label = re.compile(rb"[a-z0-9_-]{1,63}").fullmatch
_is_number = re.compile(rb"[0-9]+|0x[0-9a-f]*").fullmatch
_is_ipv4 = re.compile(
    rb"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}"
).fullmatch


def _refuse(text: str) -> LocalProtocolError:
    return LocalProtocolError(text, phase="request")


def shown(value: bytes) -> str:
    """`value` for an error text, unless it may hold credentials, as the part before an "@" does."""
    return "(not shown, it may hold credentials)" if b"@" in value else repr(value[:80])


def origin_of(url: URL) -> Origin:
    """The origin that `url` belongs to, in canonical form, fit for the resolver.

    Raises `LocalProtocolError`, and `UnsupportedProtocol` for schemes other than http and https.
    """
    try:
        return canonical_origin(url[0], url[1], url[2])
    except (TypeError, ValueError, AttributeError, IndexError) as exc:
        raise _refuse("a URL is a tuple: (bytes, bytes, int or None, bytes)") from exc


@lru_cache(maxsize=1024)
def canonical_origin(scheme: bytes, host: bytes, port: int | None) -> Origin:
    """`origin_of` without the unpacking. What it has seen costs one look-up."""
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise UnsupportedProtocol(
            f"the scheme {scheme[:40]!r} is not http or https", phase="request"
        )
    if port is None:
        port = DEFAULT_PORTS[scheme]
    elif type(port) is not int or not 0 < port < 65536:
        raise _refuse(f"illegal port {port!r}")
    if host[:1] == b"[" and host[-1:] == b"]":
        return Origin(scheme, _ipv6(host[1:-1]), port)
    if b":" in host:
        return Origin(scheme, _ipv6(host), port)
    return Origin(scheme, _host_name(host), port)


def authority(origin: Origin) -> bytes:
    """Host and port, as CONNECT names its target (RFC 9112, section 3.2.3)."""
    return b"%b:%d" % (b"[%b]" % origin.host if b":" in origin.host else origin.host, origin.port)


def host_field(origin: Origin) -> bytes:
    """The value of `Host` (RFC 9110, section 7.2): without a default port."""
    name = authority(origin)
    if origin.port == DEFAULT_PORTS.get(origin.scheme):
        name = name.rpartition(b":")[0]
    return name


def _ipv6(host: bytes) -> bytes:
    import ipaddress  # costs milliseconds to import and few hosts need it

    try:
        if b"%" in host or b"@" in host:  # the latter would appear in the error's cause
            raise ValueError("zone identifiers and credentials are not supported")
        address = ipaddress.IPv6Address(host.decode("ascii"))
        # RFC 5952, section 5; Python itself writes it so from 3.13 on.
        mapped = address.ipv4_mapped
        text = address.compressed if mapped is None else f"::ffff:{mapped}"
        return text.encode("ascii")
    except ValueError as exc:
        raise _refuse(f"illegal IPv6 address {shown(host)}") from exc


def _host_name(host: bytes) -> bytes:
    """A DNS name (RFC 1035, section 2.3.4; underscores occur) or a dotted IPv4 address."""
    name = host.lower()
    if not name.isascii():
        raise _refuse(f"host {shown(host)} is not ASCII: encode it with IDNA first, as xn--...")
    labels = name.removesuffix(b".").split(b".")
    if len(name.removesuffix(b".")) > 253 or not all(map(_is_label, labels)):
        raise _refuse(f"illegal host {shown(host)}")
    # Resolvers read "127.1" and "0x7f000001" as addresses that nobody can see in them.
    if _is_number(labels[-1]) and not _is_ipv4(name):
        raise _refuse(f"host {host[:80]!r} is neither a name nor an IPv4 address")
    return name
