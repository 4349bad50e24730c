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
    servers 127.0.0.1:{tls_h2} {{
        protocols h1 h2
    }}
    servers 127.0.0.1:{h2c} {{
        protocols h1 h2c
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
    handle /204 {{
        respond 204
    }}
    handle {{
        root * {content}
        file_server
    }}
}}

http://:{plain}, http://:{h2c} {{
    import site
}}

https://:{tls}, https://:{tls_h2} {{
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
            tls_h2=self.port("tls_h2"),
            h2c=self.port("h2c"),
            certificate=certificate,
            key=key,
        )
        path = self.file("Caddyfile", settings)
        return ["run", "--config", str(path), "--adapter", "caddyfile"]
