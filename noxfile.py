"""Everything that is run against this repository, one session each.

    nox                  lint, types and tests
    nox -s demo          a local server, real requests through every stack, a waterfall
    nox -s tests         the tests, on every Python found among those we support
    nox -s tests-3.13 -- tests/tls -k resume      arguments go to pytest
    nox -l               all sessions

Needs nothing but Python, pip and nox: virtual environments (made by uv where that is installed,
which is faster), dependencies from pyproject.toml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox
import nox.project

PYPROJECT = nox.project.load_toml("pyproject.toml")
BOTH_DISTRIBUTIONS = ("-e", ".[trio]", "-e", "./httpclient")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]


def is_present(version: str) -> bool:
    """Whether this Python can be used: it runs nox, is on the path, or is one of pyenv's."""
    if version == "{}.{}".format(*sys.version_info):
        return True
    found = shutil.which(f"python{version}")
    # pyenv puts a shim on the path for every version it has, which fails unless it is selected.
    if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
        return True
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for interpreter in sorted(root.glob(f"versions/{version}.*/bin/python{version}")):
        os.environ["PATH"] = f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"
        return True
    return False


PYTHONS = [v for v in nox.project.python_versions(PYPROJECT) if is_present(v)]
if not PYTHONS:
    raise SystemExit(f"none of the supported Pythons found ({PYPROJECT['project']['classifiers']})")
NEWEST = PYTHONS[-1]


def group(name: str) -> tuple[str, ...]:
    """The requirements of a dependency group."""
    return nox.project.dependency_groups(PYPROJECT, name)


@nox.session(python=NEWEST)
def demo(session: nox.Session) -> None:
    """Show what the transport does, on an embedded server."""
    session.install(*BOTH_DISTRIBUTIONS, *group("demo"))
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, but for those which need servers from the system's packages.

    On the oldest Python with h11 as the HTTP/1.1 engine, on the others with httptools. Four at a
    time: most of them wait for something."""
    session.install(*BOTH_DISTRIBUTIONS, *group("test"))
    engine = "h11" if session.python == PYTHONS[0] != NEWEST else "httptools"
    session.run(
        "python",
        "-m",
        "pytest",
        *(session.posargs or ["-n", "4", "--dist", "worksteal", "-m", "not interop"]),
        env={"TEST_HTTP1_ENGINE": engine},
    )


@nox.session(python=NEWEST)
def interop(session: nox.Session) -> None:
    """Requests to real servers, of those that are installed."""
    session.install(*BOTH_DISTRIBUTIONS, *group("interop"))
    session.run("python", "-m", "pytest", "-m", "interop", *session.posargs)


@nox.session(python=NEWEST)
def lint(session: nox.Session) -> None:
    """Style, and that the sync twins are up to date."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "tests/unasync.py", "--check")


@nox.session(python=NEWEST)
def types(session: nox.Session) -> None:
    """Strict type checking of both packages."""
    session.install(*BOTH_DISTRIBUTIONS, *group("types"))
    session.run("mypy", *session.posargs)


@nox.session(python=False)
def unasync(session: nox.Session) -> None:
    """Write the sync twins anew."""
    session.run(sys.executable, "tests/unasync.py", *session.posargs)


@nox.session(python=NEWEST)
def coverage(session: nox.Session) -> None:
    """The tests, with a report of the lines and branches that none of them reaches."""
    session.install(*BOTH_DISTRIBUTIONS, *group("test"), *group("coverage"))
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or ["-m", "not interop"]))
    session.run("coverage", "report")


@nox.session(python=NEWEST)
def docs(session: nox.Session) -> None:
    """The documentation as a site, with warnings as errors. Arguments go to mkdocs: `serve`."""
    session.install(*group("docs"))
    build = ("build", "--strict", "--site-dir", f"{session.create_tmp()}/site")
    session.run("mkdocs", *(session.posargs or build), env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(python=NEWEST)
def bench(session: nox.Session) -> None:
    """Ratios against the peers, measured in the same run. Needs nginx."""
    session.install(".[trio,speed,http2,bench]", "./httpclient")
    session.run("python", "-m", "benchmarks", *session.posargs)
