"""Runs the command line in this process, on streams that say whether they are terminals."""

from __future__ import annotations

import io
import os
import threading
from typing import BinaryIO, NamedTuple

from httpclient._cli.run import Streams, run


class Result(NamedTuple):
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode("utf-8")


def httpclient(
    *arguments: str,
    stdin: bytes | BinaryIO = b"",
    screen: bool = False,
    stderr_screen: bool = False,
    encoding: str = "utf-8",
) -> Result:
    """`screen`: standard output is a terminal."""
    source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    code = run(list(arguments), Streams(source, out, err, screen, stderr_screen))
    results = []
    for stream in (out, err):
        stream.flush()
        results.append(stream.buffer.getvalue())  # type: ignore[attr-defined]  # a BytesIO
    return Result(code, results[0], results[1].decode("utf-8"))


class pipe:
    """A pipe with some bytes in it, open for reading."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __enter__(self) -> io.BufferedReader:
        reading, writing = os.pipe()
        self._thread = threading.Thread(target=self._write, args=(writing,))
        self._thread.start()
        self._file = open(reading, "rb")
        return self._file

    def _write(self, writing: int) -> None:
        with open(writing, "wb") as file:
            file.write(self._data)

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._file.close()
