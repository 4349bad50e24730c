"""Every Python example of README and docs runs as it is printed; only its addresses are changed.

Each runs in an interpreter of its own with warnings as errors, against a server in this process.
"""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = [README, *(p.read_text(encoding="utf-8") for p in sorted(ROOT.glob("docs/*.md")))]
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", "\n".join(TEXTS), re.DOTALL | re.MULTILINE)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = b"<title>Example</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def with_local_addresses(code: str, port: int) -> str:
    code = code.replace('b"https", b"www.example.com", None', f'b"http", b"127.0.0.1", {port}')
    code = code.replace("proxy.example.com:3128", f"127.0.0.1:{port}")
    code = re.sub(r"https?://www\.example\.com", f"http://127.0.0.1:{port}", code)
    assert "https" not in code
    return code


def test_readme_has_examples() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("code", EXAMPLES, ids=range(1, len(EXAMPLES) + 1))
def test_example_runs(code: str, port: int) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", with_local_addresses(code, port)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout or "assert" in code


def test_two_commands_are_there() -> None:
    """What a newcomer types first: it must name sessions that exist."""
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    commands = re.findall(r"python -m pip install nox && python -m nox -s (\w+)", README)
    assert commands == ["demo", "tests"]
    for session in commands:
        assert f"def {session}(" in noxfile
