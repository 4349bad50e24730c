"""Caddy: Go's HTTP and TLS, which share no code with any of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.certificates import Certificates

from .process import Server

SETTINGS = """\
{{
    admin off
    auto_https off
    default_sni localhost
    servers {{
        protocols h1
    }}
    storage file_system {directory}/storage
}}

(site) {{
    bind 127.0.0.1
    header X-Client-Port {{http.request.remote.port}}
    handle_path /gzip/* {{
        root * {content}
        encode gzip
        file_server
    }}
    handle /echo {{
        respond "{{http.request.body}}"
    }}
    handle {{
        root * {content}
        file_server
    }}
}}

http://:{plain} {{
    import site
}}

https://:{tls} {{
    tls {certificate} {key}
    import site
}}
"""


class Caddy(Server):
    program = "caddy"

    def __init__(self, certificates: Certificates, content: Path) -> None:
        super().__init__(certificates)
        self.content = content

    def configure(self) -> Sequence[str]:
        certificate, key, _ = self.key_pair("server", self.certificates.server)
        settings = SETTINGS.format(
            directory=self.directory,
            content=self.content,
            plain=self.port("plain"),
            tls=self.port("tls"),
            certificate=certificate,
            key=key,
        )
        path = self.file("Caddyfile", settings)
        return ["run", "--config", str(path), "--adapter", "caddyfile"]
