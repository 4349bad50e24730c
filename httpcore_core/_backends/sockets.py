"""What the backends share about sockets: addresses, name resolution, options, errors.

Rules of this file: it never waits. It makes sockets and plans, the backends do the waiting.
Everything that fails here is raised (or handed over) as one of our exceptions, its text naming the
address and its ``__cause__`` being the low-level error.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from .._exceptions import ConnectError, ConnectTimeout, ReadError, TransportError, WriteError
from .base import SocketOption

try:
    from fcntl import ioctl as _ioctl
except ImportError:  # Windows
    _ioctl = None  # type: ignore[assignment]

T = TypeVar("T")

_LINGER_NOT = (1).to_bytes(4, sys.byteorder) + bytes(4)
"""POSIX: ``struct linger {int l_onoff; int l_linger;}``."""

_SIOCOUTQNSD = 0x894B
"""Linux, linux/sockios.h: how many bytes wait to be sent. Elsewhere the call fails."""

ATTEMPT_DELAY = 0.25
"""Seconds before the next address is tried beside the ones under way: the "Connection Attempt
Delay" that RFC 8305, section 5, recommends."""

UNIX_RETRY_DELAY = 0.01
"""Seconds between tries where a unix socket's backlog is full. Unlike TCP, such a `connect` has not
started anything that could be waited for; Linux answers EAGAIN."""

IN_PROGRESS = frozenset(
    (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, getattr(errno, "WSAEWOULDBLOCK", -1))
)
"""What `connect_ex` of a non-blocking TCP socket returns when the attempt is under way."""

# ---------------------------------------------------------------------------------------------
# Addresses


class Address(NamedTuple):
    """One place to connect to, in the form that the socket module takes."""

    family: int
    sockaddr: Any

    @property
    def host(self) -> str:
        """The IP address as text, with its zone, without brackets."""
        host = str(self.sockaddr[0])
        scope = self.sockaddr[3] if len(self.sockaddr) == 4 else 0
        return f"{host}%{scope}" if scope and "%" not in host else host

    @property
    def port(self) -> int:
        return int(self.sockaddr[1])

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"


@functools.lru_cache(maxsize=1024)
def shared_address(family: int, sockaddr: Any) -> Address:
    """The same object for the same address: every connection holds on to one."""
    return Address(family, sockaddr)


def order_addresses(addrinfos: Iterable[Sequence[Any]]) -> list[Address]:
    """The answer of `getaddrinfo` in the order of RFC 8305, section 4: the first address first,
    then the families in turn, each in its own order; duplicates dropped."""
    families: dict[int, list[Address]] = {}
    for info in addrinfos:
        address = shared_address(info[0], info[4])
        same_family = families.setdefault(address.family, [])
        if address not in same_family:
            same_family.append(address)
    longest = max(map(len, families.values()), default=0)
    return [
        same_family[place]
        for place in range(longest)
        for same_family in families.values()
        if place < len(same_family)
    ]


def _check_target(host: str, port: int) -> None:
    """Refuse what would mislead `getaddrinfo`: it stops reading at a NUL and wraps ports around."""
    if not host or any(char <= " " or char == "\x7f" for char in host):
        raise ConnectError(f"{host!r} is not a host name", phase="connect")
    if not 0 < port < 65536:
        raise ConnectError(f"{port} is not a port", phase="connect")


def literal_addresses(host: str, port: int) -> list[Address] | None:
    """The address that `host` spells out (IPv6 without brackets, a zone allowed), or None if it is
    a name. Never waits. Raises `ConnectError` for a host or port that cannot be one."""
    _check_target(host, port)
    try:
        if ":" in host:  # only getaddrinfo knows zones
            flags = socket.AI_NUMERICHOST
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
            return order_addresses(found)
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, UnicodeError):
        return None
    return [shared_address(socket.AF_INET, (host, port))]


def resolver_addresses(answer: Iterable[object], host: str, port: int) -> list[Address]:
    """What a caller's resolver answered, in the order of `order_addresses`."""
    infos: list[Sequence[Any]] = []
    for item in answer:
        found = literal_addresses(str(item), port)
        if found is None:
            text = f"the resolver's answer for {host!r} has {item!r}, which is no IP address"
            raise ConnectError(text, phase="connect")
        infos += [(address.family, 0, 0, "", address.sockaddr) for address in found]
    if not infos:
        raise ConnectError(f"the resolver knows no address of {host!r}", phase="connect")
    return order_addresses(infos)


def usable_addresses(addresses: list[Address], local_address: str | None) -> list[Address]:
    """Those of `addresses` that can be reached from `local_address`: the ones of its family."""
    if local_address is None:
        return addresses
    family = _local(local_address).family
    usable = [address for address in addresses if address.family == family]
    if not usable:
        raise ConnectError(
            f"no address of the family of local_address {local_address!r}: "
            + ", ".join(map(str, addresses)),
            phase="connect",
        )
    return usable


def _local(local_address: str) -> Address:
    found = literal_addresses(local_address, 1)  # any port: bound is port 0
    if found is None:
        text = f"local_address {local_address!r} is not an IP address"
        raise ConnectError(text, phase="connect")
    return found[0]


def unix_address(path: str | bytes | os.PathLike[str]) -> str | bytes:
    """`path` checked for what the socket module would cut off silently. A name that begins with
    NUL is in Linux's abstract namespace, where every byte counts."""
    if not hasattr(socket, "AF_UNIX"):
        raise ConnectError("this platform has no unix domain sockets", phase="connect")
    name = os.fspath(path)
    cut_off = "\0" in name[1:] if isinstance(name, str) else b"\0" in name[1:]
    if not name or (cut_off and name[:1] not in ("\0", b"\0")):
        raise ConnectError(f"{name!r} is not a path", phase="connect")
    return name


# ---------------------------------------------------------------------------------------------
# Name resolution


def getaddrinfo_in_thread(
    host: str, port: int, done: Callable[[list[Address] | BaseException], object]
) -> None:
    """Look `host` up in a daemon thread of its own, because it may take minutes and cannot be
    interrupted; neither a pool of threads nor the interpreter's exit must wait for it.

    `done` is called once, in that thread, with the ordered addresses or with a `ConnectError`.
    """

    def look_up() -> list[Address]:
        _check_target(host, port)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:  # UnicodeError: a label too long, or empty
            raise resolve_error(exc, host) from exc
        if not found:
            raise ConnectError(f"{host!r} has no address", phase="connect")
        return order_addresses(found)

    call_in_thread(look_up, done)


def call_in_thread(work: Callable[[], T], done: Callable[[T | BaseException], object]) -> None:
    """Run `work` in a daemon thread, in the caller's context, and hand its result or its error to
    `done` there (here, if there cannot be another thread)."""
    import contextvars  # late, as `threading`: an IP address needs neither
    import threading

    context = contextvars.copy_context()

    def run() -> None:
        try:
            result = context.run(work)
        except BaseException as exc:
            done(exc)
        else:
            done(result)

    try:
        threading.Thread(target=run, name="httpcore_core resolver", daemon=True).start()
    except RuntimeError as exc:  # no more threads, or the interpreter is shutting down
        done(_caused(ConnectError(f"cannot start a resolver thread: {exc}", phase="connect"), exc))


# ---------------------------------------------------------------------------------------------
# Sockets


def make_socket(
    family: int,
    local_address: str | None = None,
    socket_options: Iterable[SocketOption] | None = None,
    *,
    target: object = "",
) -> socket.socket:
    """A non-blocking stream socket with its options set and bound, not yet connected.

    TCP sockets get TCP_NODELAY; `socket_options` come after it and may undo it. `target` is named
    in the `ConnectError` that anything going wrong is raised as, the socket being closed.
    """
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in socket_options or ():
            sock.setsockopt(*option)
        if local_address is not None:
            sockaddr = _local(local_address).sockaddr
            sock.bind((sockaddr[0], 0, *sockaddr[2:]))
        return sock
    except BaseException as exc:
        if sock is not None:
            sock.close()
        if isinstance(exc, (OSError, TypeError, ValueError, OverflowError)):
            text = f"cannot make a socket for {target}: {exc}"
            raise ConnectError(text, phase="connect") from exc
        raise


def shut_down(sock: socket.socket, may_reset: bool) -> bool:
    """Tell the peer that this is the end, at once. Where the kernel still holds bytes for which the
    peer has no room, the end would come behind them. Then, if it `may_reset`, closing the socket
    will reset the connection, and the answer is false. (Linux tells; elsewhere the end waits.)"""
    is_told = True
    try:
        if may_reset and _ioctl is not None:
            unsent = _ioctl(sock.fileno(), _SIOCOUTQNSD, bytes(4))
            if int.from_bytes(unsent, sys.byteorder):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                is_told = False
        sock.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError):
        pass  # not connected any more, or no TCP
    return is_told


def close_socket(sock: socket.socket) -> None:
    """Close a socket that no stream has taken over, so that the peer sees it at once: uvloop keeps
    those which it has been connecting open for another turn of its loop."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # not connected
    sock.close()


def connect_result(sock: socket.socket, address: Address) -> ConnectError | None:
    """How the attempt under way on `sock` has ended, once it is writable: None if connected."""
    try:
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # A port of our own machine that nobody listens on may be given to this very socket, which
        # TCP then connects to itself.
        if not number and sock.getsockname() == address.sockaddr:
            number = errno.ECONNREFUSED
    except OSError as exc:
        return map_connect_error(exc, address)
    return error_of_number(number, address) if number else None


def this_process() -> int:
    """`os.getpid`, but always the same object, of which every connection has a reference."""
    return _same_number(os.getpid())


@functools.lru_cache(maxsize=8)
def _same_number(number: int) -> int:
    return number


_REMEMBERED = {"client_addr": "_client_addr", "server_addr": "_server_addr"}


def stream_info(stream: Any, info: str) -> Any:
    """`NetworkStream.get_extra_info` for a plain socket. Addresses that were asked for while the
    socket was open are remembered, in `_client_addr` and `_server_addr`, and known for ever."""
    if info == "socket":
        return stream._sock
    name = _REMEMBERED.get(info)
    if name is None:
        return None
    address = getattr(stream, name)
    if address is None:
        address = _ask_address(stream._sock, info)
        setattr(stream, name, address)
    return address


def _ask_address(sock: socket.socket, info: str) -> Any:
    try:
        if info == "server_addr":
            return _shared(sock.getpeername())
        own = sock.getsockname()
    except OSError:
        return None  # closed, or reset by the peer
    return (sys.intern(own[0]), *own[1:]) if isinstance(own, tuple) else own


@functools.lru_cache(maxsize=1024)
def _shared(sockaddr: Any) -> Any:
    """One object for the peer of many connections."""
    return sockaddr


# ---------------------------------------------------------------------------------------------
# Errors


E = TypeVar("E", bound=TransportError)


def _caused(error: E, cause: BaseException | None) -> E:
    error.__cause__ = cause
    return error


def resolve_error(exc: Exception, host: str) -> ConnectError:
    """`exc`, which came out of looking up `host`, as ours; this and those below have their cause
    set, so that they can be handed over as well as raised."""
    return _caused(ConnectError(f"cannot resolve {host!r}: {exc}", phase="connect"), exc)


def map_connect_error(exc: Exception, address: object) -> ConnectError:
    """`exc`, which came out of connecting to `address` (an `Address`, a path)."""
    what = "refused" if isinstance(exc, ConnectionRefusedError) else "failed"
    text = f"connection to {address} {what}: {exc}"
    return _caused(ConnectError(text, phase="connect"), exc)


def error_of_number(number: int, address: object) -> ConnectError:
    """The same for an error number, as `connect_ex` and SO_ERROR give it."""
    return map_connect_error(OSError(number, os.strerror(number)), address)


def read_error(exc: Exception, peer: object) -> ReadError:
    return _caused(ReadError(f"reading from {peer} failed: {exc}"), exc)


def write_error(exc: Exception, peer: object) -> WriteError:
    return _caused(WriteError(f"writing to {peer} failed: {exc}"), exc)


def attempts_failed(errors: Sequence[ConnectError]) -> ConnectError:
    """The one error for a connection that no address would take; its text has all of them."""
    if len(errors) == 1:
        return errors[0]
    text = f"all {len(errors)} addresses failed: " + "; ".join(error.message for error in errors)
    return _caused(ConnectError(text, phase="connect"), errors[0].__cause__ or errors[0])


def connect_timed_out(
    target: object, limit: float | None, errors: Sequence[ConnectError] = ()
) -> ConnectTimeout:
    """The deadline over resolving and all attempts has passed; `errors` are those that failed."""
    text = f"connecting to {target} timed out"
    if errors:
        text += " after " + "; ".join(error.message for error in errors)
    return ConnectTimeout(text, phase="connect", limit=limit)
