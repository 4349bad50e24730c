"""Opening regular files: never one outside of the root, never anything that hangs.

Rules of this file: the operating system's calls and nothing of HTTP.

Staying below the root. A path is first resolved, symbolic links included, and refused if that leads
out. Then the resolved path, which has no links, is walked down from the root by directory
descriptors, and a link met on the way is an error: whoever replaces a directory by a link between
the two steps gains nothing. (Where a system cannot open by steps, as Windows, he might.)

Never hanging. Opening a FIFO would wait for a writer, and opening a device may do things. So the
kind of file is asked for before it is opened, and again of what was opened, without waiting.
"""

from __future__ import annotations

import errno
import functools
import os
import stat

MISSING = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
)
"""Error numbers of a path that leads to nothing."""

FORBIDDEN = frozenset((errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENXIO, errno.ENODEV))
"""Those of something that is no regular file, or not ours to read."""


def _flags(*names: str) -> int:
    """Those of the flags of `os.open` that this system has."""
    return functools.reduce(lambda flags, name: flags | getattr(os, name, 0), names, os.O_RDONLY)


_FILE = _flags("O_NONBLOCK", "O_NOCTTY", "O_NOFOLLOW", "O_BINARY", "O_NOINHERIT")
_DIRECTORY = _flags("O_DIRECTORY", "O_NOFOLLOW", "O_PATH")  # O_PATH: needs no right to list it
_CAN_WALK = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")


def open_regular_file(root: str | None, names: list[str]) -> int | None:
    """The descriptor of the file that `names`, none of them "..", lead to from `root`, or from that
    of the file system. None if it is no regular file. Raises `OSError`."""
    base = os.path.realpath(root or os.sep)
    path = os.path.realpath(os.path.join(base, *names))
    prefix = os.path.join(os.path.normcase(base), "")
    if root is not None and not os.path.join(os.path.normcase(path), "").startswith(prefix):
        raise FileNotFoundError(errno.ENOENT, "it is not below the root")
    if not _CAN_WALK:
        return _open_regular(path, None)
    *parents, last = path[len(prefix) :].split(os.sep)
    directory = os.open(base, _DIRECTORY)
    try:
        for name in parents:
            below = os.open(name, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = below
        return _open_regular(last, directory) if last else None
    finally:
        os.close(directory)


def _open_regular(name: str, directory: int | None) -> int | None:
    mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):  # one that leads in circles, or that was not there before
        raise OSError(errno.ELOOP, "it is a symbolic link")
    if not stat.S_ISREG(mode):
        return None
    descriptor = os.open(name, _FILE, dir_fd=directory)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None
