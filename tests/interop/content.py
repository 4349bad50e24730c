"""What the servers serve, made once per run: files in which a misplaced byte shows."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MIB = 1024 * 1024
LARGE = 100 * MIB

SMALL = b"A small file.\n"
NUMBERED = [(b"%02d," % number) * number * number for number in range(100)]
"""No two are alike, in length or in content: from nothing to two HTTP/2 frames."""

TEXT = b"".join(b"Line %d of a text that can be compressed.\n" % number for number in range(8000))


def pieces(size: int) -> Iterator[bytes]:
    """`size` bytes in pieces of 64 KiB, each different from all others."""
    filler = bytes(range(256)) * 256
    for start in range(0, size, len(filler)):
        yield (start.to_bytes(8) + filler[8:])[: size - start]


def digest_of(size: int) -> str:
    digest = hashlib.sha256()
    for piece in pieces(size):
        digest.update(piece)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Content:
    """The directory `path` has ``small.txt``, ``text.txt``, ``medium.bin`` (10 MiB), ``large.bin``
    (100 MiB) and ``numbered/0.txt`` to ``99.txt``; every server has it at its root."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="h"))
        self.path.chmod(0o755)
        (self.path / "small.txt").write_bytes(SMALL)
        (self.path / "text.txt").write_bytes(TEXT)
        (self.path / "numbered").mkdir()
        for number, body in enumerate(NUMBERED):
            (self.path / f"numbered/{number}.txt").write_bytes(body)
        for name, size in (("medium.bin", 10 * MIB), ("large.bin", LARGE)):
            with open(self.path / name, "wb") as file:
                file.writelines(pieces(size))
        self.digests = {size: digest_of(size) for size in (10 * MIB, LARGE)}

    def remove(self) -> None:
        shutil.rmtree(self.path)
