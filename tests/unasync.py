"""Writes the sync twins of the async sources: drop `async` and `await`, rename a dozen names.

    python tests/unasync.py           write the twins, remove those whose source is gone
    python tests/unasync.py --check   only say what is missing, stale or orphaned

Rules: standard library only. Line numbers are kept, so that a traceback in a twin leads to the
line to change; hence a twin carries no header, and its package's docstring (or its own, for a twin
outside such a package) has to say where it comes from. Names are renamed as whole words,
everywhere, in strings and comments too; a rule that matches nothing in all sources is an error.
"""

from __future__ import annotations

import io
import itertools
import re
import sys
import tokenize
from pathlib import Path

PACKAGES = {
    "httpcore_core/_async": "httpcore_core/_sync",
    "httpclient/_async": "httpclient/_sync",
    "httpclient/transports/_async": "httpclient/transports/_sync",
    "tests/_async": "tests/_sync",
    "tests/client/_async": "tests/client/_sync",
    "tests/interop/_async": "tests/interop/_sync",
}
MODULES = {
    "httpcore_core/_backends/async_tls.py": "httpcore_core/_backends/sync_tls.py",
    "httpcore_core/_backends/async_tls_handshake.py": (
        "httpcore_core/_backends/sync_tls_handshake.py"
    ),
}
RULES = {
    r"__aenter__": "__enter__",
    r"__aexit__": "__exit__",
    r"__aiter__": "__iter__",
    r"__anext__": "__next__",
    r"StopAsyncIteration": "StopIteration",
    r"aclose": "close",
    r"aread": "read",
    r"asend": "send",
    r"aiter_(\w+)": r"iter_\1",
    r"async_auth_flow": "sync_auth_flow",
    r"handle_async_request": "handle_request",
    r"get_async_tracer": "get_tracer",
    r"spawn_async": "spawn",
    r"detach_async": "detach",
    r"soon_async": "soon",
    r"shielded_async": "shielded",
    r"call_back_async": "call_back",
    r"_async": "_sync",
    r"async_tls": "sync_tls",
    r"async_tls_handshake": "sync_tls_handshake",
    r"AutoBackend": "SyncBackend",
    r"_backends\.auto": "_backends.sync",
    r"AsyncByteStream": "SyncByteStream",
    r"Async(?!IO)(?=[A-Z])(\w+)": r"\1",  # all others; AsyncIOBackend has no twin
}
KEYWORDS = ("async", "await")
SAYS_SO = "tests/unasync.py"

_PATTERNS = [(rule, re.compile(rf"\b{rule}\b"), new) for rule, new in RULES.items()]


class UnasyncError(Exception):
    """The sources, or the rules, are not what this script can stand for."""


def drop_keywords(source: str, used: set[str]) -> str:
    """Remove `async` and `await`, with the blanks after them, wherever they are keywords."""
    lines = source.splitlines(keepends=True)
    depth = 0  # of f-strings; they are plain strings to the tokenizer before Python 3.12
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token, following in reversed(list(itertools.pairwise(tokens))):
        kind = tokenize.tok_name[token.type]
        depth += (kind == "FSTRING_END") - (kind == "FSTRING_START")
        row, column = token.start
        in_old_fstring = kind == "STRING" and re.search(
            r"(?is)^[a-z]*f.*\{[^}]*\b(async|await)\b", token.string
        )
        if in_old_fstring or (token.string in KEYWORDS and kind == "NAME" and depth):
            raise UnasyncError(f"line {row}: no async or await inside an f-string")
        if kind == "NAME" and token.string in KEYWORDS:
            if following.start[0] != row:
                raise UnasyncError(f"line {row}: {token.string} at the end of a line")
            used.add(token.string)
            line = lines[row - 1]
            lines[row - 1] = line[:column] + line[following.start[1] :]
    return "".join(lines)


def convert(source: str, used: set[str]) -> str:
    """Return the sync twin of `source`; the rules that matched are added to `used`."""
    text = drop_keywords(source, used)
    for rule, pattern, new in _PATTERNS:
        text, count = pattern.subn(new, text)
        if count:
            used.add(rule)
    if text.count("\n") != source.count("\n"):
        raise UnasyncError("the number of lines changed")
    return text


def pairs(root: Path) -> dict[Path, Path]:
    """Every source with the path of its twin."""
    found = {root / source: root / twin for source, twin in MODULES.items()}
    for source, twin in PACKAGES.items():
        for path in sorted((root / source).rglob("*.py")):
            found[path] = root / twin / path.relative_to(root / source)
    return found


def orphans(root: Path) -> list[Path]:
    """Files in the generated packages that no source stands behind."""
    twins = set(pairs(root).values())
    present = [path for twin in PACKAGES.values() for path in sorted((root / twin).rglob("*.py"))]
    return [path for path in present if path not in twins]


def run(root: Path, *, check: bool) -> list[str]:
    """Write the twins, or with `check` compare them; return what is wrong, one line each."""
    problems: list[str] = []
    used: set[str] = set()
    for source, twin in pairs(root).items():
        name, twin_name = (path.relative_to(root).as_posix() for path in (source, twin))
        if not source.exists():
            problems.append(f"{name}: listed as a source but missing")
            continue
        text = source.read_text(encoding="utf-8")
        try:
            expected = convert(text, used)
        except (UnasyncError, SyntaxError, tokenize.TokenError) as exc:
            problems.append(f"{name}: {exc}")
            continue
        if (name in MODULES or name in (f"{p}/__init__.py" for p in PACKAGES)) and (
            SAYS_SO not in text
        ):
            problems.append(f"{name}: the docstring must say that {SAYS_SO} makes the twin")
        if not check:
            twin.parent.mkdir(parents=True, exist_ok=True)
            if not twin.exists() or twin.read_text(encoding="utf-8") != expected:
                twin.write_text(expected, encoding="utf-8", newline="\n")
        elif not twin.exists():
            problems.append(f"{twin_name}: missing")
        elif twin.read_text(encoding="utf-8") != expected:
            problems.append(f"{twin_name}: stale")
    for orphan in orphans(root):
        if check:
            problems.append(f"{orphan.relative_to(root).as_posix()}: orphaned, its source is gone")
        else:
            orphan.unlink()
    empty = [name for name in PACKAGES if not any((root / name).rglob("*.py"))]
    problems += [f"{name}: listed as a package of sources but empty" for name in empty]
    dead = [rule for rule in (*KEYWORDS, *RULES) if rule not in used]
    return problems + [f"rule {rule!r} matches nothing in any source" for rule in dead]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    problems = run(Path(__file__).resolve().parent.parent, check=bool(arguments))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
