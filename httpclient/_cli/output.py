"""What is shown of a response: its head and its body, to a pipe as they are, to a terminal in a
form that can be read and does no harm.

Rules of this file: writing, nothing of it decided by what a server sends but the form. To a pipe
not a byte is added or changed. To a terminal nothing goes that has not been made `safe`; a body is
held only while it may be JSON that can be laid out, and no longer than `MAX_PRETTY`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, TextIO

from rich.console import Console

from .._decoding import TextStep, charset_of
from .exit_codes import WRITE, CommandError
from .text import SafeText, field_text, is_binary, is_json, pretty_json, safe_line

if TYPE_CHECKING:
    from .secrets import Fields

MAX_PRETTY = 1024 * 1024
"""Bytes of JSON that are laid out and coloured; a longer body is shown as it comes."""

REFUSAL = (
    "the body is binary, which a terminal cannot show: save it with -o FILE, pipe it on, "
    "or force it with -o -"
)


class Head(NamedTuple):
    """What is shown of a response before its body."""

    version: str
    status: int
    reason: bytes
    headers: Fields

    @property
    def content_type(self) -> str:
        found = (value for name, value in self.headers if name.lower() == b"content-type")
        return field_text(next(found, b""))


class ReaderLeft(Exception):
    """Whoever read our output wants no more of it."""


class PlainConsole(Console):
    """For text that means what it says, on a terminal or not."""

    def __init__(self, stream: TextIO, is_terminal: bool, is_colored: bool) -> None:
        super().__init__(
            file=stream,
            force_terminal=is_terminal,
            color_system="auto" if is_terminal and is_colored else None,
            markup=False,
            emoji=False,
            highlight=False,
        )

    def on_broken_pipe(self) -> None:
        raise ReaderLeft


class Output(Protocol):
    def head(self, head: Head) -> None: ...

    def begin(self, head: Head) -> None:
        """The body of the response with this head comes next."""

    def write(self, chunk: bytes) -> None: ...

    def finish(self) -> None: ...


class PipeOutput:
    """Bytes as they came."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def head(self, head: Head) -> None:
        status = b"%b %d %b" % (head.version.encode("ascii", "replace"), head.status, head.reason)
        lines = [status, *(name + b": " + value for name, value in head.headers), b"", b""]
        self.write(b"\r\n".join(lines))

    def begin(self, head: Head) -> None:
        """Nothing to prepare."""

    def write(self, chunk: bytes) -> None:
        write_out(self._stream, chunk)

    def finish(self) -> None:
        """Nothing is added."""


def write_out(stream: BinaryIO, data: bytes) -> None:
    """Write and flush. Raises `CommandError`, or `ReaderLeft` where nobody reads any more."""
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError as exc:
        raise ReaderLeft from exc
    except OSError as exc:
        if exc.errno == errno.EPIPE or (exc.errno == errno.EINVAL and exc.strerror is None):
            raise ReaderLeft from exc
        reason = exc.strerror or type(exc).__name__
        raise CommandError(f"cannot write the output: {reason}", WRITE) from exc


class ScreenOutput:
    """Text for a terminal; `console` makes the colours. JSON is shown as it comes, too, unless it
    `lays_out`."""

    def __init__(
        self, stream: BinaryIO, encoding: str, console: Console, *, lays_out: bool
    ) -> None:
        self._stream = stream
        self._encoding = encoding
        self._console = console
        self._lays_out = lays_out
        self._held: list[bytes] | None = None  # of what may become pretty JSON
        self._held_size = 0
        self._is_begun = False
        self._ends_line = True

    def head(self, head: Head) -> None:
        with self._console.capture() as capture:
            print_head(self._console, head)
        self._put(capture.get() + "\n")

    def begin(self, head: Head) -> None:
        self._content_type = head.content_type
        self._charset = charset_of(self._content_type) or "utf-8"
        self._decoder = TextStep(self._charset)
        self._safe = SafeText()
        self._held = [] if self._lays_out and is_json(self._content_type) else None

    def write(self, chunk: bytes) -> None:
        if not self._is_begun and chunk:
            self._is_begun = True
            if is_binary(self._content_type, self._charset, chunk):
                raise CommandError(REFUSAL, WRITE)
        if self._held is None:
            self._show(self._decoder.feed(chunk))
            return
        self._held.append(chunk)
        self._held_size += len(chunk)
        if self._held_size > MAX_PRETTY:
            held, self._held = b"".join(self._held), None
            self._show(self._decoder.feed(held))

    def finish(self) -> None:
        """What is held, and an end for the last line: the shell's prompt comes next."""
        if self._held is not None:
            self._show_json(b"".join(self._held))
        self._show(self._decoder.flush())
        self._put(self._safe.flush())
        if not self._ends_line:
            self._put("\n")

    def _show_json(self, body: bytes) -> None:
        text = "".join([*self._decoder.feed(body), *self._decoder.flush()])
        pretty = pretty_json(text)
        if pretty is None:
            self._put(self._safe.feed(text))
            return
        harmless = self._safe.feed(pretty) + self._safe.flush()
        if self._console.color_system is None:
            self._put(harmless)
            return
        from rich.syntax import Syntax

        coloured = Syntax("", "json", theme="ansi_dark").highlight(harmless)
        coloured.rstrip()
        with self._console.capture() as capture:
            self._console.print(coloured, soft_wrap=True, end="")
        self._put(capture.get())

    def _show(self, pieces: Iterable[str]) -> None:
        for text in pieces:
            self._put(self._safe.feed(text))

    def _put(self, text: str) -> None:
        if text:
            self._ends_line = text.endswith("\n")
            write_out(self._stream, text.encode(self._encoding, "backslashreplace"))


def print_head(console: Console, head: Head, prefix: str = "") -> None:
    """The lines of a head: first the status, then the fields with their names coloured."""
    status = f"{head.version} {head.status} {field_text(head.reason)}".rstrip()
    print_line(console, prefix, safe_line(status), style="bold")
    for name, value in head.headers:
        print_field(console, prefix, name, value)


def print_field(console: Console, prefix: str, name: bytes, value: bytes) -> None:
    from rich.text import Text

    line = Text(f"{prefix}{safe_line(field_text(name))}", style="cyan")
    line.append(f": {safe_line(field_text(value))}", style="default")
    console.print(line, soft_wrap=True)


def print_line(console: Console, prefix: str, text: str, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(f"{prefix}{text}", style=style), soft_wrap=True)
