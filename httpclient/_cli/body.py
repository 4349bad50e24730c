"""What is sent: from the options to the keywords of `Client.build_request`.

Rules of this file: a file is read while it is sent, never as a whole, but for JSON, which is
checked before; what cannot be read is a `CommandError`.
"""

from __future__ import annotations

import json
import mimetypes
import os
import re
import stat
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, BinaryIO, TypeVar

import click

from .exit_codes import READ, CommandError
from .settings import Settings
from .text import safe_line

T = TypeVar("T")

CHUNK = 65536

_FORM = "application/x-www-form-urlencoded"
_BYTES = "application/octet-stream"
_FORM_PART = re.compile(r";\s*(type|filename)=")


def _failure(name: str, exc: OSError) -> CommandError:
    reason = exc.strerror or type(exc).__name__
    return CommandError(f"cannot read {safe_line(name)!r}: {reason}", READ)


class Readable:
    """A file to be sent, whose failures say which it is. As much is read as there is, so that what
    comes through a pipe is passed on at once."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name

    def read(self, size: int) -> bytes:
        read: Callable[[int], bytes] = getattr(self._file, "read1", self._file.read)
        return self._guarded(read, size)

    def seekable(self) -> bool:
        """Whether what its size says can be believed: devices have none, and of the files in
        Linux's /proc it is 0."""
        try:
            status = os.fstat(self._file.fileno())
        except OSError:  # no file of the system's
            return self._file.seekable()
        if not stat.S_ISREG(status.st_mode) or not self._file.seekable():
            return False
        peek = getattr(self._file, "peek", None)
        return status.st_size > 0 or peek is None or not peek(1)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._guarded(self._file.seek, offset, whence)

    def _guarded(self, step: Callable[..., T], *arguments: int) -> T:
        try:
            return step(*arguments)
        except OSError as exc:
            raise _failure(self._name, exc) from exc


def _opened(path: str, stdin: BinaryIO, opened: ExitStack) -> Readable:
    """The file of that name; ``-`` is standard input."""
    if path == "-":
        return Readable(stdin, "standard input")
    try:
        return Readable(opened.enter_context(open(path, "rb")), path)
    except OSError as exc:
        raise _failure(path, exc) from exc


def body_of(settings: Settings, stdin: BinaryIO, opened: ExitStack) -> dict[str, Any]:
    """The body's keywords, and ``headers`` that follow from it; nothing where there is no body.
    The files are closed by `opened`."""
    if settings.json is not None:
        content = _checked_json(settings.json, stdin, opened)
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*;q=0.5"}
        return {"content": content, "headers": headers}
    if settings.form:
        return {"files": [_part(name, value, stdin, opened) for name, value in settings.form]}
    if settings.data:
        content, kind = _data(settings.data, stdin, opened)
        return {"content": content, "headers": {"Content-Type": kind}}
    return {}


def _data(values: tuple[str, ...], stdin: BinaryIO, opened: ExitStack) -> tuple[Any, str]:
    if not any(_names_file(value) for value in values):
        return b"&".join(os.fsencode(value) for value in values), _FORM
    if len(values) > 1:
        raise click.UsageError("a file, or standard input, is a --data of its own")
    path = values[0].removeprefix("@")
    return _opened(path, stdin, opened), mimetypes.guess_type(path)[0] or _BYTES


def _names_file(value: str) -> bool:
    return value == "-" or value.startswith("@")


def _checked_json(text: str, stdin: BinaryIO, opened: ExitStack) -> bytes:
    """The bytes that are sent are those that were given; they must be JSON (RFC 8259)."""
    content = os.fsencode(text)
    if _names_file(text):
        file = _opened(text.removeprefix("@"), stdin, opened)
        content = b"".join(iter(lambda: file.read(CHUNK), b""))
    try:
        json.loads(content.decode("utf-8"), parse_constant=_no_constant, parse_int=str)
    except (ValueError, RecursionError) as exc:
        raise click.UsageError(f"--json: this is not JSON: {exc}") from exc
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _part(name: str, value: str, stdin: BinaryIO, opened: ExitStack) -> tuple[str, tuple[Any, ...]]:
    """A field of a form with files, as `files` has it."""
    if not value.startswith("@"):
        return name, (None, os.fsencode(value))
    path, *options = _FORM_PART.split(value[1:])
    given = dict(zip(options[::2], options[1::2], strict=True))
    filename = given.get("filename", os.path.basename(path))
    kind = given.get("type") or mimetypes.guess_type(filename)[0] or _BYTES
    return name, (filename, _opened(path, stdin, opened), kind)
