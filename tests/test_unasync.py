"""The sync twins are what the script would write, and the script notices when it is not so.

The committed twins are compared with their sources; the script's own strictness is tested on small
trees of its shape in temporary directories.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import unasync

ROOT = Path(__file__).resolve().parent.parent

# Something for every rule to match, so that a small tree is without fault.
EVERY_RULE = f'''\
"""tests/unasync.py makes the twin."""
class AsyncThing:
    async def __aenter__(self): return await self.aread() or self.aiter_raw()
# {" ".join(rule.replace(chr(92), "") for rule in unasync.RULES)}
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with one source behind each kind of twin, converted without fault."""
    for source in unasync.PACKAGES:
        (tmp_path / source).mkdir(parents=True)
        (tmp_path / source / "__init__.py").write_text(EVERY_RULE)
    for source in unasync.MODULES:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).write_text(EVERY_RULE)
    assert unasync.run(tmp_path, check=False) == []
    return tmp_path


def only_problem(root: Path) -> str:
    [problem] = unasync.run(root, check=True)
    return problem


def test_committed_twins_are_fresh() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "tests" / "unasync.py", "--check"], capture_output=True, text=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_every_twin_has_the_line_numbers_of_its_source() -> None:
    for source, twin in unasync.pairs(ROOT).items():
        definitions = [
            [
                number
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
                if re.match(r"\s*(async def|def|class) ", line)
            ]
            for path in (source, twin)
        ]
        assert definitions[0] == definitions[1], source


def test_fresh_tree_has_no_problem(tree: Path) -> None:
    assert unasync.run(tree, check=True) == []


def test_stale_twin_is_detected(tree: Path) -> None:
    twin = tree / next(iter(unasync.PACKAGES.values())) / "__init__.py"
    twin.write_text(twin.read_text() + "# by hand\n")
    assert only_problem(tree).endswith("__init__.py: stale")


def test_missing_twin_is_detected(tree: Path) -> None:
    (tree / next(iter(unasync.MODULES.values()))).unlink()
    assert only_problem(tree).endswith(": missing")


@pytest.mark.parametrize("name", ["gone.py", "deeper/gone.py"])
def test_orphaned_twin_is_detected_and_removed(tree: Path, name: str) -> None:
    orphan = tree / next(iter(unasync.PACKAGES.values())) / name
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_text("")
    assert "orphaned" in only_problem(tree)
    assert unasync.run(tree, check=False) == []
    assert not orphan.exists()


def test_missing_source_is_detected(tree: Path) -> None:
    (tree / next(iter(unasync.MODULES))).unlink()
    assert only_problem(tree).endswith("listed as a source but missing")


def test_empty_package_is_detected(tree: Path) -> None:
    (tree / next(iter(unasync.PACKAGES)) / "__init__.py").unlink()
    assert unasync.run(tree, check=False)[0].endswith("listed as a package of sources but empty")


def test_source_that_does_not_tell_of_its_twin_is_detected(tree: Path) -> None:
    source = tree / next(iter(unasync.MODULES))
    source.write_text(source.read_text().replace("tests/unasync.py", "a script"))
    assert "docstring must say" in unasync.run(tree, check=False)[0]


@pytest.mark.parametrize("rule", [*unasync.KEYWORDS, *unasync.RULES])
def test_dead_rule_is_detected(tree: Path, rule: str) -> None:
    for source in unasync.pairs(tree):
        source.write_text(re.sub(rf"\b{rule}\b", "other", source.read_text()))
    problems = unasync.run(tree, check=False)
    assert f"rule {rule!r} matches nothing in any source" in problems


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("return await f()\n", "return f()\n"),
        ("x = (await f()).y\n", "x = (f()).y\n"),
        ("x = [await f(a) async for a in b]\n", "x = [f(a) for a in b]\n"),
        ("async with a as b, c:\n    pass\n", "with a as b, c:\n    pass\n"),
        ("if await a and not await b: # we await\n", "if a and not b: # we await\n"),
        ("é = 'await'; await  é\n", "é = 'await'; é\n"),
        ("await f(\n    await g(),\n)\n", "f(\n    g(),\n)\n"),
        ("# AsyncHTTPConnection, AsyncIOBackend\n", "# HTTPConnection, AsyncIOBackend\n"),
        ("x: AsyncIterator[bytes]\n", "x: Iterator[bytes]\n"),
        ("x = f'{AsyncThing.aread}'\n", "x = f'{Thing.read}'\n"),
        ("from tests._async.a import b\n", "from tests._sync.a import b\n"),
        ("my_async = Asynchronous\n", "my_async = Asynchronous\n"),
    ],
)
def test_conversion(source: str, expected: str) -> None:
    assert unasync.convert(source, set()) == expected


@pytest.mark.parametrize("source", ["x = f'{await y}'\n", "x = rf'''{a} {b}{await y}'''\n"])
def test_await_inside_an_fstring_is_refused(source: str) -> None:
    with pytest.raises(unasync.UnasyncError, match="f-string"):
        unasync.convert(source, set())


def test_keyword_at_the_end_of_a_line_is_refused() -> None:
    with pytest.raises(unasync.UnasyncError, match="at the end of a line"):
        unasync.convert("x = await \\\n     y\n", set())


def test_unknown_argument_prints_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert unasync.main(["--help"]) == 2
    assert "--check" in capsys.readouterr().out
