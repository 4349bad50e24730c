"""Files that responses are saved in: written beside their place, and moved there when complete.

Rules of this file: bytes go into ``NAME.part``, and what tells their version into
``NAME.part.json``; whatever stops the download, ``NAME`` is what it was before, and the part is
kept for ``--continue``. The notes go before the bytes they speak of change, so that a part with
notes is always a beginning of what these describe. What is no regular file (a device, a pipe) is
written directly. One process at a time writes to a part, where the system has locks.
"""

from __future__ import annotations

import io
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .exit_codes import PARTIAL, WRITE, CommandError
from .resume import Saved, saved_from_json, url_hash
from .text import safe_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


def _failure(path: Path, exc: OSError) -> CommandError:
    reason = exc.strerror or type(exc).__name__
    return CommandError(f"cannot write {str(path)!r}: {reason}", WRITE)


class Download:
    """`begin`, `write` as often as there is something, `finish`; and `close` in any case."""

    def __init__(self, path: str) -> None:
        given = Path(path)
        self._is_direct = given.exists() and not given.is_file()
        # A link to a file stays one. Where a device's leads may have no name, as /dev/stdout.
        self.path = given if self._is_direct else Path(os.path.realpath(path))
        self.size = 0
        self.is_kept = False  # once closed: whether there is a part to go on with
        self._part = self.path.with_name(f"{self.path.name}.part")
        self._notes = self.path.with_name(f"{self.path.name}.part.json")
        self._file: io.FileIO | None = None
        self._total: int | None = None

    @property
    def part_name(self) -> str:
        return self._part.name

    @property
    def can_resume(self) -> bool:
        return not self._is_direct

    def earlier(self, url: str) -> Saved | None:
        """What is known of the part that is there, whose length is then `size`."""
        file = self._open()
        try:
            size = file.seek(0, os.SEEK_END)
            text = self._notes.read_text("utf-8") if size else ""
        except (OSError, UnicodeError):
            return None
        saved = saved_from_json(text)
        if saved is None or saved.url != url_hash(url):
            return None
        self.size = size
        return saved

    def begin(self, *, append: bool, saved: Saved | None, total: int | None) -> None:
        """Go on behind what is there, or from the beginning; `total` is how long the file is to
        be in the end, if that is known, and `saved` what the next attempt must know."""
        file = self._open()
        self._total = total
        if append or self._is_direct:
            return
        try:
            self._notes.unlink(missing_ok=True)
            file.seek(0)
            file.truncate()
            self.size = 0
            if saved is not None:
                self._notes.write_text(saved.to_json(), "utf-8")
        except OSError as exc:
            raise _failure(self._part, exc) from exc

    def write(self, chunk: bytes) -> None:
        file = self._open()
        try:
            view = memoryview(chunk)
            while view:
                view = view[file.write(view) :]
        except OSError as exc:
            raise _failure(self._part, exc) from exc
        finally:
            self.size += len(chunk) - len(view)

    def finish(self) -> None:
        """Everything has come: put the file in its place."""
        file = self._open()
        if self._total is not None and self.size != self._total:
            problem = f"{self.size} of {self._total} bytes came"
            raise CommandError(f"{safe_line(str(self.path))} is not complete: {problem}", PARTIAL)
        if self._is_direct:
            return
        try:
            with suppress(OSError):  # there was no file, or it is somebody else's
                os.chmod(self._part, stat.S_IMODE(self.path.stat().st_mode))
            if os.name == "nt":
                file.close()  # an open file cannot be moved there
            os.replace(self._part, self.path)
            self._notes.unlink(missing_ok=True)
        except OSError as exc:
            raise _failure(self.path, exc) from exc
        self._close()

    def close(self) -> None:
        """Let go. What has come so far is kept, if there is any."""
        if self._file is None:
            return
        if not self._is_direct:
            with suppress(OSError):
                self.is_kept = os.fstat(self._file.fileno()).st_size > 0
                if not self.is_kept:
                    self._notes.unlink(missing_ok=True)
                    self._part.unlink(missing_ok=True)
        self._close()

    def _open(self) -> io.FileIO:
        if self._file is not None:
            return self._file
        place = self.path if self._is_direct else self._part
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        if not self._is_direct:
            flags |= os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            flags |= getattr(os, "O_NONBLOCK", 0)  # or a pipe of that name would wait for a reader
        try:
            self._file = io.FileIO(os.open(place, flags, 0o666), "wb")
            if not self._is_direct:
                self._lock(self._file)
        except BlockingIOError as exc:
            self._close()
            problem = f"{str(place)!r} is being written by another process"
            raise CommandError(problem, WRITE) from exc
        except OSError as exc:
            raise _failure(place, exc) from exc
        return self._file

    def _lock(self, file: io.FileIO) -> None:
        """Raises `BlockingIOError` if another process has the part, or just had: then what was
        opened may be the finished file by now. The lock goes with the file."""
        try:
            import fcntl
        except ImportError:
            return
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            return  # a file system without locks
        if not self._part.exists() or not os.path.samestat(
            os.fstat(file.fileno()), os.stat(self._part)
        ):
            raise BlockingIOError

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class Bar:
    """A progress bar on a terminal."""

    def __init__(self, console: Console, name: str, total: int | None, completed: int) -> None:
        from rich import progress

        self._progress: Progress = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=console,
        )
        self._task: TaskID = self._progress.add_task(
            safe_line(name), total=total, completed=completed
        )
        self._progress.start()

    def advance(self, size: int) -> None:
        self._progress.advance(self._task, size)

    def stop(self) -> None:
        self._progress.stop()
