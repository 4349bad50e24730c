"""The architecture, read from the imports: who may know whom, and what is paid for by whom.

Layers: values -> `_protocol`, `_tls`, `_trace`, `_concurrency`, `_line` -> `_backends` ->
`_async`/`_sync` -> `__init__` -> `testing`, `httpx`, `httpclient`. An import under
``if TYPE_CHECKING`` costs nothing and is free, except where a layer must not even know the name.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from httpcore_core.testing.http_server import HTTPServer

ROOT = Path(__file__).resolve().parent.parent
CORE = "httpcore_core"

# The lowest layer first; a module may import from its own layer and from those before it.
LAYERS: list[tuple[str, ...]] = [
    ("_exceptions", "_models", "_options"),
    ("_protocol", "_proxy", "_tls", "_tls_engine", "_trace", "_concurrency", "_line"),
    ("_backends",),
    ("_async", "_sync"),
    ("_api", "__init__"),
    ("testing", "httpx"),
]

RUNTIMES = {"asyncio", "trio", "uvloop", "anyio", "sniffio"}
ENGINES = {"h11", "h2", "hpack", "hyperframe", "httptools", "socksio"}
OUTSIDE_WORLD = {"socket", "ssl", "select", "selectors", "threading", "time", "os", "subprocess"}

# Heavy imports are made where they are used, by whoever uses them; at module level only in the one
# module that exists for them and is itself imported late.
HEAVY = {"asyncio", "trio", "uvloop", "ssl", "certifi", *ENGINES}
HOMES = {
    f"{CORE}/_tls_engine.py": {"ssl"},
    f"{CORE}/_backends/asyncio.py": {"asyncio"},
    f"{CORE}/_backends/asyncio_protocol.py": {"asyncio"},
    f"{CORE}/_backends/asyncio_stream.py": {"asyncio"},
    f"{CORE}/_backends/trio.py": {"trio"},
    f"{CORE}/_backends/trio_stream.py": {"trio"},
    f"{CORE}/_backends/trio_timers.py": {"trio"},
    f"{CORE}/_protocol/h11_engine.py": {"h11"},
    f"{CORE}/_protocol/httptools_engine.py": {"httptools"},
    f"{CORE}/_protocol/http2_engine.py": {"h2", "hpack"},
    f"{CORE}/_protocol/http2_hpack.py": {"hpack"},
    f"{CORE}/_protocol/socks5.py": {"socksio"},
}

MAX_LINES = 400
MAX_DRIVER_LINES = 3000  # without comments, docstrings and blank lines


class Import(NamedTuple):
    module: str  # absolute, as "httpcore_core._models"
    name: str | None  # of ``from module import name``
    line: int
    at_module_level: bool
    for_types_only: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def sources(*folders: str) -> list[str]:
    """Paths of all modules in `folders`, relative to the root."""
    return [
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


@functools.cache
def imports_of(path: str) -> tuple[Import, ...]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), path)
    return tuple(_walk(tree, path, at_module_level=True, for_types_only=False))


def _walk(
    node: ast.AST, path: str, *, at_module_level: bool, for_types_only: bool
) -> Iterator[Import]:
    flags = (at_module_level, for_types_only)
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, None, node.lineno, *flags)
    elif isinstance(node, ast.ImportFrom):
        module = _absolute(node, path)
        for alias in node.names:
            yield Import(module, alias.name, node.lineno, *flags)
    elif isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    ):
        for inner in node.body:
            yield from _walk(inner, path, at_module_level=at_module_level, for_types_only=True)
        for inner in node.orelse:
            yield from _walk(
                inner, path, at_module_level=at_module_level, for_types_only=for_types_only
            )
    else:
        in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _walk(
                child,
                path,
                at_module_level=at_module_level and not in_function,
                for_types_only=for_types_only,
            )


def _absolute(node: ast.ImportFrom, path: str) -> str:
    if not node.level:
        return node.module or ""
    package = path.split("/")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def layer_of(module: str) -> int:
    """The layer of ``httpcore_core._x.y``; the package itself is its `__init__`."""
    part = [*module.split("."), "__init__"][1]
    for number, names in enumerate(LAYERS):
        if part in names:
            return number
    raise AssertionError(f"{module}: belongs to no layer; add it to LAYERS")


def targets(found: Import) -> str:
    """The module that ``from httpcore_core import _models`` names, too."""
    if found.name is not None and found.module == CORE and found.name.startswith("_"):
        return f"{CORE}.{found.name}"
    return found.module


def where(path: str, found: Import) -> str:
    return f"{path}:{found.line} imports {found.module}" + (f".{found.name}" if found.name else "")


def offences(paths: list[str], forbidden: set[str], *, typed_too: bool = True) -> list[str]:
    return [
        where(path, found)
        for path in paths
        for found in imports_of(path)
        if found.package in forbidden and (typed_too or not found.for_types_only)
    ]


def test_layers_import_downwards_only() -> None:
    wrong = []
    for path in sources(CORE):
        own = layer_of(path.removesuffix(".py").replace("/", "."))
        for found in imports_of(path):
            if found.package != CORE or found.for_types_only:
                continue
            # `__getattr__` of the package and function-level imports of `_api` reach down as well.
            if layer_of(targets(found)) > own:
                wrong.append(where(path, found))
    assert wrong == []


def test_sync_and_async_do_not_know_each_other() -> None:
    pairs = (("_async", "_sync"), ("_sync", "_async"))
    wrong = [
        where(path, found)
        for own, other in pairs
        for path in sources(f"{CORE}/{own}")
        for found in imports_of(path)
        if other in found.module.split(".") or found.name == other
    ]
    assert wrong == []


def test_protocol_meets_no_socket_clock_lock_or_runtime() -> None:
    assert offences(sources(f"{CORE}/_protocol"), OUTSIDE_WORLD | RUNTIMES) == []


def test_values_import_nothing_from_the_outside_world() -> None:
    values = [f"{CORE}/{name}.py" for name in LAYERS[0] if (ROOT / CORE / f"{name}.py").exists()]
    assert offences(values, (OUTSIDE_WORLD - {"ssl"}) | RUNTIMES | ENGINES) == []
    assert offences(values, {"ssl"}, typed_too=False) == []


def test_engines_are_imported_in_protocol_only() -> None:
    others = [path for path in sources(CORE) if not path.startswith(f"{CORE}/_protocol/")]
    assert offences(others, ENGINES) == []


def test_an_engine_is_imported_in_its_home_only() -> None:
    wrong = [
        where(path, found)
        for path in sources(CORE)
        if not path.startswith(f"{CORE}/testing/")
        for found in imports_of(path)
        if found.package in ENGINES & HEAVY - HOMES.get(path, set())
    ]
    assert wrong == []


def test_who_chooses_an_engine_imports_it() -> None:
    """Whoever imports both, or one that is not installed, has to be ready for it."""
    parsers = {"h11_engine", "httptools_engine"}
    found_at = [
        (path, found.at_module_level)
        for path in sources(CORE)
        for found in imports_of(path)
        if parsers & {found.name, *found.module.split(".")}
    ]
    assert found_at == [(f"{CORE}/_protocol/engine.py", False)] * 2


def test_drivers_import_no_runtime_socket_or_engine() -> None:
    drivers = sources(f"{CORE}/_async", f"{CORE}/_sync")
    # A clock and `os.getpid` are theirs to use; what they need of threads is in `_concurrency`.
    assert offences(drivers, RUNTIMES | ENGINES | (OUTSIDE_WORLD - {"ssl", "time", "os"})) == []
    assert offences(drivers, {"ssl"}, typed_too=False) == []


@pytest.mark.parametrize("folder", ["_protocol", "_async", "_sync"])
def test_there_are_no_async_generators(folder: str) -> None:
    """A body is an iterator class: nobody closes a generator in time that a caller drops."""
    wrong = [
        f"{path}:{node.lineno}"
        for path in sources(f"{CORE}/{folder}")
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.AsyncFunctionDef)
        and any(isinstance(inner, ast.Yield) for inner in ast.walk(node))
    ]
    assert wrong == []


def test_heavy_modules_are_imported_when_used() -> None:
    wrong = [
        where(path, found)
        for path in sources(CORE)
        if not path.startswith(f"{CORE}/testing/")
        for found in imports_of(path)
        if found.at_module_level
        and not found.for_types_only
        and found.package in HEAVY - HOMES.get(path, set())
    ]
    assert wrong == []


def test_import_loads_no_runtime_and_no_optional_part() -> None:
    unwanted = sorted((HEAVY | RUNTIMES | ENGINES) - {"sniffio"})
    code = f"import sys, {CORE}; print(*sorted(set({unwanted!r}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert result.stdout.split() == []


def test_a_plain_sync_request_loads_only_what_it_needs() -> None:
    """Neither what only async code, TLS, names or logs need, nor the other engine."""
    unwanted = HEAVY - {"h11", "httptools"}
    unwanted |= {"anyio", "concurrent", "ipaddress", "logging", "queue", "traceback"}
    code = f"""if True:
        import sys
        before = set(sys.modules)
        import {CORE}
        with {CORE}.ConnectionPool() as pool:
            assert pool.request("GET", sys.argv[1]).status == 200
        print(pool.http1_engine, *sorted(set(sys.modules) - before))
    """
    with HTTPServer() as server:
        command = [sys.executable, "-c", code, f"{server.url}/bytes/10"]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    engine, *loaded = result.stdout.split()
    unwanted |= {"h11", "httptools"} - {engine}
    if engine == "httptools":
        unwanted.add("dataclasses")  # which h11 imports
    assert unwanted.intersection(loaded) == set()


def test_client_uses_public_names_of_the_core_only() -> None:
    public = set(importlib.import_module(CORE).__all__)
    wrong = [
        where(path, found)
        for path in [*sources("httpclient"), f"{CORE}/httpx.py"]
        for found in imports_of(path)
        if found.package == CORE
        and (found.module != CORE or (found.name is not None and found.name not in public))
    ]
    wrong += [
        f"{path}:{node.lineno} uses {CORE}.{node.attr}"
        for path in [*sources("httpclient"), f"{CORE}/httpx.py"]
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == CORE
        and node.attr not in public
    ]
    assert wrong == []


def test_core_does_not_know_the_client() -> None:
    assert offences(sources(CORE), {"httpclient"}) == []


def test_public_names_are_sorted_complete_and_documented() -> None:
    core = importlib.import_module(CORE)
    names = list(core.__all__)
    # Case-sensitive within the three kinds, as isort and ruff (RUF022) do: constants, classes,
    # functions. Underscored names have no place in it, `__version__` apart.
    assert names == sorted(names, key=_sort_key)
    assert len(names) == len(set(names))
    assert not [name for name in names if name.startswith("_") and name != "__version__"]
    undocumented = []
    for name in names:
        value = getattr(core, name)
        if (inspect.isclass(value) or inspect.isroutine(value)) and not (
            inspect.getdoc(value) or ""
        ).strip():
            undocumented.append(name)
    assert undocumented == []
    visible = {name for name, value in vars(core).items() if not name.startswith("_")}
    submodules = {name for name in visible if inspect.ismodule(vars(core)[name])}
    assert visible - submodules - {"annotations", "Any", "TYPE_CHECKING"} <= set(names)


def _sort_key(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Numbers in names count as such: HTTP2 comes before HTTP11."""
    kind = 1 if name[:1].isupper() else 2
    parts = re.split(r"(\d+)", name)
    key = [(int(part), "") if part.isdigit() else (0, part) for part in parts]
    return (0 if name.isupper() and len(name) > 1 else kind), key


@pytest.mark.parametrize("path", sources(CORE, "httpclient"))
def test_module_is_short_enough_to_read(path: str) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_drivers_are_short_enough_to_read() -> None:
    assert sum(map(code_lines, sources(f"{CORE}/_async"))) <= MAX_DRIVER_LINES


def code_lines(path: str) -> int:
    """Lines that hold more than a comment or a docstring."""
    text = (ROOT / path).read_text(encoding="utf-8")
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    code = {
        line
        for token in tokens
        if token.type not in layout
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            code.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(code)


@pytest.mark.parametrize("path", sources(CORE, "httpclient"))
def test_module_states_its_rules(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path} opens with no docstring"
