"""README and docs: every Python example runs as it is printed, every command line parses.

Each example runs in an interpreter of its own, with warnings as errors and with a server in this
process for all of the internet (`readme_server`). It must leave nothing open, print or assert
something, and say nothing on standard error.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import httpclient
import httpcore_core
import httpcore_core.testing
from httpclient import _auth, _config, _content_coding, _cookie_jar, _cookie_rules, _url_parsing
from httpclient.transports import _cache_storage, _ftp_replies
from httpclient.transports._sync import cache
from httpclient.transports.retry import RetryPolicy
from httpcore_core import _options
from httpcore_core._protocol import (
    chunked,
    http2_frames,
    http2_state,
    http11,
    proxy_auth,
    retry,
    tunnel,
)
from httpcore_core._sync import http11 as driver
from tests.certificates import Certificates
from tests.readme_server import Internet

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {"README": README} | {
    path.relative_to(ROOT / "docs").with_suffix("").as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(ROOT.glob("docs/**/*.md"))
}
RUNNER = str(Path(__file__).with_name("readme_runner.py"))

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

# What an example may find in the directory where it runs.
FILES = {"notes.txt": "Some notes.\n", "site/index.html": "<title>A file</title>"}


def blocks(*languages: str) -> list[Any]:
    """The code blocks of these languages, each with a name that says where it is."""
    fence = re.compile(
        rf"^```({'|'.join(languages)})\b[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE
    )
    return [
        pytest.param(match[2], id=f"{page}:{number}")
        for page, text in PAGES.items()
        for number, match in enumerate(fence.finditer(text), 1)
    ]


@pytest.fixture(autouse=True)
def nothing_left_open() -> None:
    """In place of the check of all tests. Examples run elsewhere, where what they leave open is an
    error; the server here holds on to a connection for some seconds after its client has left."""


@pytest.fixture(scope="module")
def internet(certificates: Certificates) -> Iterator[Internet]:
    with tempfile.TemporaryDirectory(prefix="h") as directory:  # short: it is for a socket, too
        with Internet(certificates, Path(directory)) as server:
            yield server


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(internet: Internet) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    ours = {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "SSL_CERT_FILE": internet.ca_file}
    return inherited | ours


@pytest.mark.parametrize("code", blocks("python"))
def test_example_runs(code: str, internet: Internet, workplace: Path) -> None:
    ports = dict(internet.ports)
    if "/run/app.sock" in code:
        if internet.socket_path is None:
            pytest.skip("no unix domain sockets here")
        code = code.replace("/run/app.sock", internet.socket_path)
    if "ftp://" in code:
        from tests.client.transports.ftp_server import serve

        files = {"pub/": b"", "pub/README": b"Hello!\r\n"}
        with serve(files=files) as server:
            run(code, {**ports, 21: server.port}, environment(internet), workplace)
    else:
        run(code, ports, environment(internet), workplace)


def run(code: str, ports: dict[int, int], env: dict[str, str], directory: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", RUNNER, json.dumps(ports)],
        input=code,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=directory,
        env=env,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout or "assert" in code
    return result.stdout


def outputs() -> list[Any]:
    """The examples that say what they print, in a block of text; an ellipsis is anything."""
    lines = r"((?:(?!```)[^\n]*\n)*)"
    told = re.compile(
        rf"^```python\n{lines}```\n\nprints[^\n]*\n\n```text\n{lines}```$", re.MULTILINE
    )
    return [
        pytest.param(match[1], match[2], id=f"{page}:{number}")
        for page, text in PAGES.items()
        for number, match in enumerate(told.finditer(text), 1)
    ]


@pytest.mark.parametrize(("code", "text"), outputs())
def test_example_prints(code: str, text: str, internet: Internet, workplace: Path) -> None:
    printed = run(code, internet.ports, environment(internet), workplace).splitlines()
    patterns = [re.escape(line).replace("…", ".*") for line in text.splitlines()]
    for line, pattern in itertools.zip_longest(printed, patterns, fillvalue=""):
        assert re.fullmatch(pattern, line), (line, pattern)


def test_no_python_is_left_out() -> None:
    assert len(blocks("python")) > 50
    assert len(outputs()) > 1
    assert not blocks("py", "python3", "pycon")


def commands() -> Iterator[Any]:
    """What shell blocks run of our program. Lines of a console block are output, but for ``$``."""
    for kind in ("shell", "console"):
        for block in blocks(kind):
            lines = block.values[0].splitlines()
            if kind == "console":
                lines = [line[2:] for line in lines if line.startswith("$ ")]
            for line in lines:
                words = shlex.split(line, comments=True)
                for is_mark, part in itertools.groupby(words, ("|", "&&", ">").__contains__):
                    command = [] if is_mark else list(part)
                    if command[:3] == ["python", "-m", "httpclient"]:
                        command = command[2:]
                    if command[:1] == ["httpclient"]:
                        yield pytest.param(command[1:], id=f"{block.id}: {shlex.join(command[1:])}")


@pytest.mark.parametrize("arguments", list(commands()))
def test_command_line_parses(arguments: list[str], workplace: Path) -> None:
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from httpclient._cli.options import parse

    assert not isinstance(parse(arguments), int) or arguments in (["--help"], ["--version"])


@pytest.mark.parametrize(
    ("module", "page"),
    [
        (httpcore_core, "api/core"),
        (httpclient, "api/client"),
        (httpcore_core.testing, "api/testing"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_reference_has_every_public_name(module: Any, page: str) -> None:
    """By the name that users import; what the client takes from the core is described there."""
    listed = re.findall(
        rf"^::: {re.escape(module.__name__)}[\w.]*\.(\w+)$", PAGES[page], re.MULTILINE
    )
    assert len(listed) == len(set(listed))
    elsewhere = {*httpcore_core.__all__, "RequestError"} if module is httpclient else set()
    assert set(module.__all__) - set(listed) <= elsewhere
    assert set(listed) <= {*module.__all__, "conformance"}


OPTIONS = [
    (httpcore_core.ConnectionPool, ("transport", "http2", "proxies")),
    (httpcore_core.Proxy, ("proxies",)),
    (httpclient.Client, ("client",)),
    *(
        (getattr(httpclient, name), ("transports", "transport"))
        for name in httpclient.__all__
        if name.endswith(("Transport", "Storage")) and "Base" not in name
    ),
]


FOR_TESTS = {"network_backend", "random", "wall_clock", "clock"}
"""Of wrappers: what makes time and chance the test's own."""


@pytest.mark.parametrize(
    ("cls", "pages"), OPTIONS, ids=lambda value: getattr(value, "__name__", "")
)
def test_every_option_is_described(cls: type, pages: tuple[str, ...]) -> None:
    text = "".join(PAGES[page] for page in pages)
    named = set(
        re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`|^```.*?^```", text, re.DOTALL | re.M)))
    )
    options = inspect.signature(cls).parameters.values()
    given = {option.name for option in options if option.kind is not option.VAR_KEYWORD}
    assert given - named <= FOR_TESTS


LIMITS = [
    ("response head", _options.DEFAULT_MAX_HEADER_BYTES),
    ("fields of a head, of trailers", _options.DEFAULT_MAX_HEADER_COUNT),
    ("1xx responses", http11.MAX_INFORMATIONAL_COUNT, http11.MAX_INFORMATIONAL_BYTES),
    ("line of a chunk's size", chunked.MAX_LINE),
    ("framing of chunks", chunked.MAX_EXCESS),
    ("body dropped to keep", driver.DRAIN_SIZE, round(1000 * driver.DRAIN_SECONDS)),
    ("HTTP/2: unread body of one", _options.DEFAULT_STREAM_WINDOW),
    ("HTTP/2: unread bodies of one", _options.DEFAULT_CONNECTION_WINDOW),
    ("HTTP/2: streams", _options.DEFAULT_MAX_CONCURRENT_STREAMS),
    ("HTTP/2: frames of one", http2_frames.MAX_BLOCK_FRAMES),
    ("HTTP/2: frames that help", http2_state.FIRST_BUDGET),
    ("HTTP/2: answers", http2_state.MAX_ACKS),
    ("refusal of a proxy", tunnel.MAX_REFUSAL),
    ("attempts at a request", retry.MAX_ATTEMPTS),
    ("challenges of a proxy", proxy_auth.MAX_ROUNDS),
    ("connections, idle ones, seconds idle", *httpclient.Client.__init__.__kwdefaults__["limits"]),
    ("each of connect, read, write, pool", _config.DEFAULT_TIMEOUT),
    ("redirects", _config.DEFAULT_MAX_REDIRECTS),
    ("a body, once its content coding", _config.DEFAULT_MAX_DECODED),
    ("content codings of a body", _content_coding.MAX_CODINGS),
    ("window of zstd", 2**_content_coding._ZSTD_WINDOW_LOG),
    ("empty parts of a coded body", _content_coding._MAX_EMPTY),
    ("rounds of a challenge", _auth.MAX_ROUNDS),
    ("length of a URL", _url_parsing.MAX_LENGTH),
    ("a cookie, its", _cookie_rules.MAX_SIZE, _cookie_rules.MAX_ATTRIBUTE_SIZE),
    ("cookies of a domain", _cookie_jar.MAX_PER_DOMAIN, _cookie_jar.MAX_COOKIES),
    ("a response in the cache", cache.MAX_ENTRY_SIZE, 64 * 2**20, 256 * 2**20),
    ("variants of a URL", _cache_storage.MAX_VARIANTS),
    ("attempts of `RetryTransport`", RetryPolicy().attempts, round(RetryPolicy().max_retry_after)),
    ("a line, a reply of an FTP", _ftp_replies.MAX_LINE, _ftp_replies.MAX_REPLY),
]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit[0])
def test_limits_are_what_the_page_says(limit: tuple[Any, ...]) -> None:
    rows = [line for line in PAGES["security"].splitlines() if line.startswith(f"| {limit[0]}")]
    assert len(rows) == 1
    shown = rows[0].split("|")[2]
    found = [
        float(number.replace(",", "")) * UNITS.get(unit, 1)
        for number, unit in re.findall(r"([0-9][0-9,]*)(?: ([KMG]iB))?", shown)
    ]
    assert found[: len(limit) - 1] == list(limit[1:])


def test_figures_of_the_readme_are_measured() -> None:
    """By the same name in the table that the benchmarks write."""
    figures = re.findall(r"^\| (\w+ / [^|]+?) \| ([0-9.]+) \|$", README, re.MULTILINE)
    assert len(figures) >= 5
    for row, figure in figures:
        found = re.search(
            rf"^\| {re.escape(row)} \|.*?\*\*([0-9.]+)\*\*", PAGES["performance"], re.MULTILINE
        )
        assert found is not None, row
        assert f"{float(found[1]):.2f}" == figure, row


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_two_commands_are_there() -> None:
    """What a newcomer types first: it must name sessions that exist."""
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    commands = re.findall(r"python -m pip install nox && python -m nox -s (\w+)", README)
    assert commands == ["demo", "tests"]
    for session in commands:
        assert f"def {session}(" in noxfile
