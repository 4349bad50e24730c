"""A real server as a child process: with its own directory, ports and settings, on loopback.

Rules of this file: nothing of the machine's own configuration is read, nothing is left behind. A
server is ready when it accepts connections; when it has stopped, its whole process group has.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import pytest

from tests.certificates import Certificates
from tests.ports import free_port

LIMIT = 60.0
"""Seconds for a server to start, to stop, or to show what a test waits for."""

HTTP2_LAYERS = ("tls_h2", "h2c")
"""Names of ports with HTTP/2 over TLS, by ALPN, and with prior knowledge of it, in the clear."""

running: list[Server] = []


def find_program(name: str) -> str:
    """The program's path. Where it is not installed the test is skipped, but fails in CI."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        report_missing(name)
    return path


def report_missing(package: str, install: str = "apt-get install") -> NoReturn:
    text = f"{package} is not installed: the interop tests need it ({install} {package})"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{text}; in CI they must not be left out", pytrace=False)
    pytest.skip(text)


def wait_until(condition: Callable[[], object], what: str, limit: float | None = None) -> None:
    """For what only the outside of a server shows: its port, its log, its processes."""
    limit = LIMIT if limit is None else limit
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}"
        time.sleep(0.01)


class Server:
    """Subclasses have `program` and write their settings in `configure`, which returns the
    arguments. Every port has a name there, and a URL by that name: a name that begins with ``tls``
    speaks TLS, one with ``h2`` in it HTTP/2."""

    program: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self.executable = self.find_executable()
        # Not one of pytest's directories: servers give up root's rights, and a path of a unix
        # domain socket has to be short.
        self.directory = Path(tempfile.mkdtemp(prefix="h"))
        self.directory.chmod(0o755)
        self.log_path = self.file("error.log", "")
        self._ports: dict[str, int] = {}

    def find_executable(self) -> str:
        return find_program(self.program)

    # For the settings

    def configure(self) -> Sequence[str]:
        raise NotImplementedError

    def port(self, name: str) -> int:
        if name not in self._ports:
            self._ports[name] = free_port()
        return self._ports[name]

    def url(self, name: str, host: str = "127.0.0.1") -> str:
        assert name in self._ports, name
        scheme = "https" if name.startswith("tls") else "http"
        return f"{scheme}://{host}:{self._ports[name]}"

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def key_pair(self, name: str, certificate: Any) -> tuple[Path, Path, Path]:
        """The certificate with its chain, its key, and both in one file."""
        chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
        key = certificate.private_key_pem.bytes()
        return (
            self.file(f"{name}.crt", chain),
            self.file(f"{name}.key", key),
            self.file(f"{name}.pem", chain + key),
        )

    def writable(self, name: str) -> Path:
        """A directory in which the server may write, whoever it runs as."""
        path = self.directory / name
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
        return path

    # Running

    def __enter__(self) -> Self:
        try:
            arguments = self.configure()
            self._start([self.executable, *arguments])
        except BaseException:
            shutil.rmtree(self.directory)
            raise
        return self

    def __exit__(self, *details: object) -> None:
        try:
            self._stop()
        finally:
            running.remove(self)
            shutil.rmtree(self.directory)

    def _start(self, command: list[str]) -> None:
        setpriv = shutil.which("setpriv")
        if setpriv is not None:  # if the tests are killed, so is the server
            command = [setpriv, "--pdeathsig", "KILL", "--", *command]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory)}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.directory,
                start_new_session=True,
            )
        running.append(self)
        try:
            wait_until(self._is_ready, f"{self.program} accepts connections")
        except BaseException as exc:
            exc.add_note(f"log of {self.program}:\n{self.log()}")
            running.remove(self)
            self._stop()
            raise

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"{self.program} ended by itself"
        for port in self._ports.values():
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return False
        return True

    def _signal(self, number: signal.Signals, is_done: Callable[[], object], what: str) -> None:
        """Send a signal, again and again: servers miss those that come while they are busy with
        an earlier one."""
        for _ in range(12):
            self.process.send_signal(number)
            try:
                wait_until(is_done, what, LIMIT / 12)
                return
            except AssertionError as exc:
                error = exc
        raise error

    def _stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(LIMIT)
            wait_until(self._is_gone, f"all processes of {self.program} end")
        except (subprocess.TimeoutExpired, AssertionError):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise

    def _is_gone(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def log(self, start: int = 0) -> str:
        return self.log_path.read_bytes()[start:].decode("utf-8", "replace")

    def log_size(self) -> int:
        return self.log_path.stat().st_size
