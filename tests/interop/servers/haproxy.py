"""HAProxy, in front of what a test listens with at `origin_path`: as HTTP, or passing bytes on."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from tests.certificates import Certificates

from .process import Server

SETTINGS = """\
global
    master-worker
    log stdout format raw local0 notice
    maxconn 500
    stats socket {directory}/admin level admin expose-fd listeners
    ssl-default-bind-options ssl-min-ver TLSv1.2
    hard-stop-after 10s
    server-state-base {directory}
    tune.h2.max-concurrent-streams {streams}

defaults
    mode http
    log global
    option dontlognull
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s

frontend plain
    bind 127.0.0.1:{plain}
    bind 127.0.0.1:{tls} ssl crt {pem}
    bind 127.0.0.1:{tls_h2} ssl crt {pem} alpn h2,http/1.1
    bind 127.0.0.1:{h2c} proto h2
    http-response set-header X-Client-Port %[src_port]
    http-after-response set-header X-Session-Reused %[ssl_fc_is_resumed]
    default_backend files

frontend client
    bind 127.0.0.1:{tls12_client} ssl crt {pem} ca-file {authority} verify required ssl-max-ver TLSv1.2
    bind 127.0.0.1:{tls13_client} ssl crt {pem} ca-file {authority} verify required ssl-min-ver TLSv1.3
    http-request return status 200 content-type text/plain string "welcome"

frontend hints
    bind 127.0.0.1:{hints}
    bind 127.0.0.1:{tls_h2_hints} ssl crt {pem} alpn h2,http/1.1
    bind 127.0.0.1:{h2c_hints} proto h2
    http-request early-hint Link "</style.css>; rel=preload; as=style"
    http-request early-hint Link "</script.js>; rel=preload; as=script"
    http-request return status 200 content-type text/plain string "hinted"

frontend origin_http
    bind 127.0.0.1:{origin}
    default_backend origin

frontend origin_tcp
    mode tcp
    bind 127.0.0.1:{tcp}
    bind 127.0.0.1:{tls_tcp} ssl crt {pem}
    default_backend origin_tcp

# A kept connection to nginx may end at the moment of use, which HAProxy answers with a 503.
backend files
    http-reuse never
    server files unix@{files}

backend origin
    server origin unix@{origin_path}

backend origin_tcp
    mode tcp
    server origin unix@{origin_path}
"""  # noqa: E501


class HAProxy(Server):
    """`files_path` is a server's unix domain socket, for the URLs "plain", "tls", "tls_h2" and
    "h2c"; `streams` is how many an HTTP/2 connection may have at once."""

    program = "haproxy"

    def __init__(self, certificates: Certificates, files_path: str, streams: int = 100) -> None:
        super().__init__(certificates)
        self.streams = streams
        self.files_path = files_path
        self.origin_path = str(Path(self.directory) / "origin")

    def configure(self) -> Sequence[str]:
        _, _, pem = self.key_pair("server", self.certificates.server)
        names = (
            "plain",
            "tls",
            "tls_h2",
            "h2c",
            "tls12_client",
            "tls13_client",
            "hints",
            "tls_h2_hints",
            "h2c_hints",
            "origin",
            "tcp",
            "tls_tcp",
        )
        settings = SETTINGS.format(
            directory=self.directory,
            streams=self.streams,
            pem=pem,
            authority=self.certificates.ca_file,
            files=self.files_path,
            origin_path=self.origin_path,
            **{name: self.port(name) for name in names},
        )
        path = self.file("haproxy.cfg", settings)
        return ["-W", "-db", "-f", str(path)]

    def reload(self) -> None:
        """A new worker process takes over the listening sockets."""
        before = self.log().count("Loading success")
        self._signal(
            signal.SIGUSR2,
            lambda: self.log().count("Loading success") > before,
            "haproxy has a new worker",
        )
