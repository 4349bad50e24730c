"""What an FTP server says: replies, their numbers, and what they come to in HTTP.

Rules of this file: pure; bytes in, values out. Replies are those of RFC 959, section 4.2, the
server's port that of sections 4.1.2 (PASV) and of RFC 2428 (EPSV), sizes, dates and listings those
of RFC 3659. Nothing that a server says is trusted: lines and replies have a greatest length, the
address in its answer to PASV is not looked at, and text is rid of what a terminal would obey.
"""

from __future__ import annotations

import calendar
import email.utils
import json
import re
import time
from typing import Any, NamedTuple

from httpcore_core import RemoteProtocolError

MAX_LINE = 8192
"""Bytes. The standard library's ftplib accepts as much; paths are at most half as long."""

MAX_REPLY = 64 * 1024
"""Bytes of a reply of several lines, such as a long welcome."""

_REPLY_LINE = re.compile(rb"([1-5][0-9][0-9])([ -].*)?", re.DOTALL)
_EXTENDED_PASSIVE = re.compile(r"\(([!-~])\1\1([0-9]{1,5})\1\)")
_PASSIVE = re.compile(r"[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},([0-9]{1,3}),([0-9]{1,3})")
_SIZE = re.compile(r"[0-9]{1,18}")
_TIME = re.compile(r"([0-9]{14})(?:\.[0-9]+)?")
_NOT_PRINTABLE = re.compile(r"[^ -~]")

_STATUSES = {
    430: 401,  # in no RFC, but in use for wrong passwords
    452: 507,  # no room, now
    530: 401,
    532: 401,
    550: 404,  # "unavailable": there are servers that mean "forbidden", and none can be told apart
    552: 507,  # no room for you
    553: 403,
}


class Reply(NamedTuple):
    """`text` is that of the first line, `lines` are all of them, without the code where it is."""

    code: int
    text: str
    lines: tuple[str, ...] = ()

    @property
    def kind(self) -> int:
        """1: wait for another one; 2: done; 3: go on; 4: not now; 5: no."""
        return self.code // 100

    @property
    def is_unknown_command(self) -> bool:
        """RFC 959, section 4.2.1: not recognized, not implemented, not for that parameter."""
        return self.code in (500, 502, 504)

    @property
    def reason(self) -> bytes:
        """The text as a reason phrase."""
        return _NOT_PRINTABLE.sub("?", self.text[:200]).strip().encode("ascii")

    def __str__(self) -> str:
        return f"{self.code} {self.reason.decode('ascii')}".rstrip()


class Refused(Exception):
    """The server has said no, or something that has no place here; `reply` is what."""

    def __init__(self, reply: Reply, status: int | None = None) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.status = status or status_of(reply)


def status_of(reply: Reply) -> int:
    """The status for a refusal: of those with no number of their own the passing ones are 503, and
    all others, for we are a gateway to the client and not understood, 502."""
    return _STATUSES.get(reply.code) or (503 if reply.kind == 4 else 502)


def expect(reply: Reply, kind: int) -> Reply:
    """The reply, if it is of this kind. Raises `Refused`, and `RemoteProtocolError` for one that
    makes no sense."""
    if reply.kind == kind:
        return reply
    if reply.kind < 4:
        raise RemoteProtocolError(f"the server's reply has no place here: {reply}")
    raise Refused(reply)


class ReplyParser:
    """Cuts what arrives into replies."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []  # of the reply that has begun
        self._size = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing has arrived beyond the replies that were taken."""
        return not (self._rest or self._lines)

    def feed(self, data: bytes) -> None:
        self._rest += data

    def next_reply(self) -> Reply | None:
        """The next reply, None if it is not complete. Raises `RemoteProtocolError`."""
        while True:
            line, end, rest = self._rest.partition(b"\n")
            if len(line) > MAX_LINE:
                raise RemoteProtocolError("the server's reply has too long a line")
            if not end:
                return None
            self._rest = rest
            self._size += len(line)
            if self._size > MAX_REPLY:
                raise RemoteProtocolError("the server's reply is too long")
            self._lines.append(line.removesuffix(b"\r"))
            if self._is_complete():
                lines, self._lines, self._size = self._lines, [], 0
                return _reply(lines)

    def _is_complete(self) -> bool:
        first, last = self._lines[0], self._lines[-1]
        match = _REPLY_LINE.fullmatch(first)
        if match is None:
            shown = _NOT_PRINTABLE.sub("?", first[:40].decode("latin-1"))
            raise RemoteProtocolError(f"the server does not speak FTP: {shown!r}")
        if first[3:4] != b"-":
            return True
        return len(self._lines) > 1 and last[:3] == match[1] and last[3:4] != b"-"


def _reply(lines: list[bytes]) -> Reply:
    texts = [line.decode("utf-8", "replace") for line in lines]
    code = texts[0][:3]
    return Reply(int(code), texts[0][4:], tuple(text.removeprefix(f"{code} ") for text in texts))


# What replies tell


def passive_port(reply: Reply) -> int:
    """The port where the server waits for the data connection. Its address is that of the control
    connection, whatever the reply says: it could send us to anybody's."""
    match = _EXTENDED_PASSIVE.search(reply.text)
    if reply.code == 229 and match:
        port = int(match[2])
    elif reply.code == 227 and (match := _PASSIVE.search(reply.text)):
        high, low = int(match[1]), int(match[2])
        port = high * 256 + low if high < 256 and low < 256 else 0
    else:
        raise RemoteProtocolError(f"the server did not say where its data will be: {reply}")
    if not 0 < port < 65536:
        raise RemoteProtocolError(f"the server's data are at an impossible port: {reply}")
    return port


def size_of(reply: Reply) -> int | None:
    """The answer to SIZE (RFC 3659, section 4), in bytes."""
    text = reply.text.strip()
    return int(text) if reply.code == 213 and _SIZE.fullmatch(text) else None


def last_modified(reply: Reply) -> bytes | None:
    """The answer to MDTM (section 3), as HTTP has dates."""
    moment = _moment(reply.text.strip()) if reply.code == 213 else None
    if moment is None:
        return None
    return email.utils.formatdate(calendar.timegm(moment), usegmt=True).encode("ascii")


def has_feature(reply: Reply, name: str) -> bool:
    """Whether the answer to FEAT (RFC 2389, section 3) has a line for `name`."""
    return reply.code == 211 and any(
        line.split()[:1] == [name] for line in map(str.upper, reply.lines[1:-1])
    )


def _moment(text: str) -> time.struct_time | None:
    """RFC 3659, section 2.3: YYYYMMDDHHMMSS, with an optional fraction, in UTC."""
    match = _TIME.fullmatch(text)
    try:
        return time.strptime(match[1], "%Y%m%d%H%M%S") if match else None
    except ValueError:
        return None


# Listings


class Listing:
    """Turns a listing into a JSON array of one object for each entry, as it arrives.

    With `has_facts` it is that of MLSD (RFC 3659, section 7): objects have "name" and, as far as
    the server tells, "type" ("file", "dir" or what it says else), "size" in bytes and "modified",
    in the form of RFC 3339. That of NLST has names only. The directory itself and its parent are
    left out, and names are rid of directories before them.
    """

    def __init__(self, has_facts: bool) -> None:
        self._has_facts = has_facts
        self._rest = b""
        self._is_empty = True

    def feed(self, data: bytes) -> bytes:
        """Raises `RemoteProtocolError`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if max(map(len, (self._rest, *lines))) > MAX_LINE:
            raise RemoteProtocolError("the server's listing has too long a line")
        return b"".join(map(self._encoded, lines))

    def flush(self) -> bytes:
        last, self._rest = self._rest, b""
        return self._encoded(last) + (b"[]\n" if self._is_empty else b"\n]\n")

    def _encoded(self, line: bytes) -> bytes:
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        entry = _entry(text) if self._has_facts else {"name": _base_name(text)}
        if entry is None or entry["name"] in ("", ".", ".."):
            return b""
        start = b"[\n" if self._is_empty else b",\n"
        self._is_empty = False
        return start + json.dumps(entry, ensure_ascii=False).encode("utf-8")


def _entry(line: str) -> dict[str, Any] | None:
    facts, _, path = line.partition(" ")
    entry: dict[str, Any] = {"name": _base_name(path)}
    for fact in facts.split(";"):
        name, _, value = fact.partition("=")
        name = name.lower()
        if name == "type":
            if value.lower() in ("cdir", "pdir"):
                return None
            entry["type"] = value.lower()
        elif name == "size" and _SIZE.fullmatch(value):
            entry["size"] = int(value)
        elif name == "modify" and (moment := _moment(value)):
            entry["modified"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
    return entry


def _base_name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
