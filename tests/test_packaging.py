"""Two distributions from one repository: what is in each wheel, and that each works by itself.

Nothing is downloaded: the wheels are built with the build back-end that is installed for the tests,
and what they require is copied from the tests' own environment.
"""

from __future__ import annotations

import email.message
import email.parser
import importlib.metadata
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = {"httpcore_core": ROOT, "httpclient": ROOT / "httpclient"}

pytestmark = pytest.mark.slow

# A whole exchange with a server of the standard library's, in a process that has only the core.
REQUEST = """
import http.server, threading
import httpcore_core

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *args): pass

with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with httpcore_core.ConnectionPool() as pool:
        response = pool.request("GET", f"http://127.0.0.1:{server.server_port}/")
    print(response.status, response.content.decode())
    server.shutdown()
try:
    import httpclient
except ImportError:
    print("no client")
"""


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("wheels")
    for project in PROJECTS.values():
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, project)
    found = {path.name.partition("-")[0]: path for path in directory.glob("*.whl")}
    assert set(found) == set(PROJECTS)
    return found


def install(directory: Path, *wheels: Path) -> Path:
    """Make an environment with `wheels` and what they require; return its Python."""
    venv.create(directory)
    python = directory / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip("--python", python, "install", "--no-deps", "--no-index", *wheels)
    [packages] = [path for path in directory.rglob("site-packages") if path.is_dir()]
    for name in set().union(*map(required, wheels)) - {"httpcore-core"}:
        copy_installed(name, packages)
    return python


def copy_installed(name: str, packages: Path) -> None:
    """Install a distribution by taking over the files that this environment has of it."""
    for file in importlib.metadata.files(name) or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.parser.Parser().parsestr(archive.read(name).decode("utf-8"))


def required(wheel: Path) -> set[str]:
    """Names of what is always installed with the wheel; extras do not count."""
    lines = metadata(wheel).get_all("Requires-Dist") or []
    names = (line.split(";")[0] for line in lines if "extra ==" not in line)
    return {name.split("[")[0].split(">")[0].split("<")[0].split("=")[0].strip() for name in names}


@pytest.mark.parametrize("package", PROJECTS)
def test_wheel_holds_its_package_and_nothing_else(wheels: dict[str, Path], package: str) -> None:
    with zipfile.ZipFile(wheels[package]) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }
    assert names == expected
    assert f"{package}/py.typed" in names


def test_core_requires_little(wheels: dict[str, Path]) -> None:
    assert required(wheels["httpcore_core"]) == {"certifi", "h11", "sniffio"}


def test_client_requires_the_core(wheels: dict[str, Path]) -> None:
    assert "httpcore-core" in required(wheels["httpclient"])


@pytest.mark.parametrize("package", PROJECTS)
def test_metadata_is_complete(wheels: dict[str, Path], package: str) -> None:
    fields = metadata(wheels[package])
    assert fields["Requires-Python"] == ">=3.11"
    assert fields["License-Expression"] == "BSD-3-Clause"
    assert fields["Summary"]


def test_core_works_alone(wheels: dict[str, Path], tmp_path: Path) -> None:
    python = install(tmp_path / "core", wheels["httpcore_core"])
    result = subprocess.run(
        [python, "-I", "-W", "error", "-c", REQUEST],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert (result.stdout, result.stderr) == ("200 hello\nno client\n", "")


def test_client_installs_over_the_core(wheels: dict[str, Path], tmp_path: Path) -> None:
    """Everything is there without any optional library; those are asked for when they are used."""
    python = install(tmp_path / "client", *wheels.values())
    code = """
import httpclient
for name in httpclient.__all__:
    assert getattr(httpclient, name) is not None
with httpclient.Client(transport=httpclient.MockTransport(lambda r: httpclient.Response(200))) as c:
    print(c.get("http://a/").status_code, httpclient.__version__)
try:
    httpclient.URLLib3Transport()
except ImportError as exc:
    print("httpclient[urllib3]" in str(exc))
"""
    result = subprocess.run(
        [python, "-I", "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    version = metadata(wheels["httpclient"])["Version"]
    assert (result.stdout, result.stderr) == (f"200 {version}\nTrue\n", "")
    script = python.with_name("httpclient.exe" if sys.platform == "win32" else "httpclient")
    for command in ([script], [python, "-m", "httpclient"]):
        result = subprocess.run(
            [*command, "http://127.0.0.1/"], capture_output=True, text=True, cwd=tmp_path
        )
        assert (result.returncode, result.stdout) == (2, "")
        assert "httpclient[cli]" in result.stderr
        assert "Traceback" not in result.stderr
