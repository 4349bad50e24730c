"""``python -m httpclient``, and the program ``httpclient``.

Rules of this file: what has to be said before anything else can be imported, and after everything
else has been done. The command line itself is in `_cli`.
"""

from __future__ import annotations

import os
import sys

_MISSING = "the command line needs {name!r}, which the extra `cli` installs: pip install {extra}"
_USAGE, _INTERRUPTED = 2, 130


def main(argv: list[str] | None = None) -> int:
    """Run the command line with `argv`, by default the process's; returns the exit code."""
    _open_missing()
    try:
        try:
            from ._cli.run import run
        except ModuleNotFoundError as exc:
            name = (exc.name or "").partition(".")[0]
            if name not in ("click", "rich"):
                raise
            text = _MISSING.format(name=name, extra="'httpclient[cli]'")
            print(f"httpclient: ({_USAGE}) {text}", file=sys.stderr)
            return _USAGE
        return run(argv)
    except KeyboardInterrupt:  # before there was anything to close, or after
        return _INTERRUPTED
    finally:
        _flush()


def _open_missing() -> None:
    """A stream that the process was started without is one that leads nowhere; otherwise the next
    socket would take its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # stays open as long as the process
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def _flush() -> None:
    """What could not be written has been told of, or is no matter, as where whoever read it has
    left; the interpreter would complain once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


if __name__ == "__main__":
    sys.exit(main())
