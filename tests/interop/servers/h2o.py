"""h2o: an HTTP/2 implementation of its own, with its own ideas of what comes first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.certificates import Certificates

from .process import Server

SETTINGS = """\
{user}
pid-file: {directory}/h2o.pid
error-log: {log}
temp-buffer-path: {buffers}
num-threads: 1
max-connections: 512
limit-request-body: 134217728
listen:
  host: 127.0.0.1
  port: {h2c}
listen:
  host: 127.0.0.1
  port: {tls_h2}
  ssl:
    certificate-file: {certificate}
    key-file: {key}
    neverbleed: OFF
proxy.preserve-host: ON
hosts:
  default:
    paths:
      "/upload":
        proxy.reverse.url: "http://[unix:{files}]/upload"
        proxy.timeout.io: 60000
      "/204":
        proxy.reverse.url: "http://[unix:{files}]/204"
      "/":
        file.dir: {content}
"""


class H2O(Server):
    """With the files of `content`; what it cannot do itself, it asks the server at `files_path`."""

    program = "h2o"

    def __init__(self, certificates: Certificates, content: Path, files_path: str) -> None:
        super().__init__(certificates)
        self.content = content
        self.files_path = files_path

    def configure(self) -> Sequence[str]:
        certificate, key, _ = self.key_pair("server", self.certificates.server)
        settings = SETTINGS.format(
            user="user: root" if os.geteuid() == 0 else "",
            directory=self.directory,
            log=self.log_path,
            buffers=self.writable("buffers"),
            h2c=self.port("h2c"),
            tls_h2=self.port("tls_h2"),
            certificate=certificate,
            key=key,
            files=self.files_path,
            content=self.content,
        )
        return ["--conf", str(self.file("h2o.conf", settings))]
