"""Servers of ASGI applications, which run `application` (see there): HTTP/2 as Python projects meet
it. Hypercorn has it from h2, Granian from Rust's hyper."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.certificates import Certificates

from .process import Server, report_missing

APPLICATION = Path(__file__).with_name("application.py")


class PythonServer(Server):
    """One that is a package next to pytest, run by the same interpreter."""

    def __init__(self, certificates: Certificates, content: Path, streams: int = 100) -> None:
        super().__init__(certificates)
        self.streams = streams
        (self.directory / "content").symlink_to(content)
        self.file("application.py", APPLICATION.read_bytes())

    def find_executable(self) -> str:
        if importlib.util.find_spec(self.program) is None:
            report_missing(self.program, "pip install")
        return sys.executable


class Hypercorn(PythonServer):
    program = "hypercorn"

    def configure(self) -> Sequence[str]:
        certificate, key, _ = self.key_pair("server", self.certificates.server)
        settings = f"""\
bind = ["127.0.0.1:{self.port("tls_h2")}"]
insecure_bind = ["127.0.0.1:{self.port("h2c")}"]
certfile = "{certificate}"
keyfile = "{key}"
h2_max_concurrent_streams = {self.streams}
# When it says GOAWAY, its h2 takes what is on its way for an error, and ends the streams it has.
keep_alive_max_requests = 1000000000
graceful_timeout = 1
accesslog = false
"""
        path = self.file("hypercorn.toml", settings)
        return ["-m", "hypercorn", "--config", str(path), "application:application"]


class Granian(PythonServer):
    """With one port, `layer`."""

    program = "granian"

    def __init__(
        self, certificates: Certificates, content: Path, layer: str, streams: int = 100
    ) -> None:
        super().__init__(certificates, content, streams)
        self.layer = layer

    def configure(self) -> Sequence[str]:
        certificate, key, _ = self.key_pair("server", self.certificates.server)
        tls = ["--ssl-certificate", str(certificate), "--ssl-keyfile", str(key)]
        return [
            *("-m", "granian", "application:application", "--interface", "asgi"),
            *("--host", "127.0.0.1", "--port", str(self.port(self.layer)), "--http", "2"),
            *("--http2-max-concurrent-streams", str(self.streams)),
            *("--workers-kill-timeout", "3"),
            *(tls if self.layer == "tls_h2" else ()),
        ]
