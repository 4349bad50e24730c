"""lighttpd, with CGI scripts: bodies whose length nobody knows before they end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.certificates import Certificates

from .process import Server, report_missing

MODULES = Path("/usr/lib/lighttpd")

SETTINGS = """\
server.modules = ("mod_cgi", "mod_alias", "mod_openssl", "mod_deflate", "mod_setenv")
server.document-root = "{content}"
server.errorlog = "{log}"
server.pid-file = "{directory}/lighttpd.pid"
server.upload-dirs = ("{directory}")
server.bind = "127.0.0.1"
server.port = {plain}
server.max-keep-alive-idle = 60
server.max-keep-alive-requests = 1000
server.stream-response-body = 1
server.feature-flags = ("server.graceful-shutdown-timeout" => 1)
mimetype.assign = (".txt" => "text/plain", "" => "application/octet-stream")
alias.url = ("/cgi/" => "{scripts}/")
deflate.cache-dir = ""
$HTTP["url"] =~ "^/cgi/" {{ cgi.assign = (".sh" => "/bin/sh") }}
$HTTP["url"] =~ "^/gzip/" {{
    alias.url += ("/gzip/" => "{content}/")
    deflate.mimetypes = ("text/")
    deflate.allowed-encodings = ("gzip")
}}
$SERVER["socket"] == "127.0.0.1:{tls}" {{
    ssl.engine = "enable"
    ssl.pemfile = "{pem}"
}}
"""

SCRIPTS = {
    "204.sh": 'printf "Status: 204\\r\\n\\r\\n"',
    "echo.sh": 'printf "Content-Type: application/octet-stream\\r\\n\\r\\n"; cat',
    "port.sh": 'printf "Content-Type: text/plain\\r\\n\\r\\n%s" "$REMOTE_PORT"',
    "slow.sh": 'printf "Content-Type: text/plain\\r\\n\\r\\none "; sleep 0.2; printf two',
}


class Lighttpd(Server):
    program = "lighttpd"

    def __init__(self, certificates: Certificates, content: Path) -> None:
        for name in ("openssl", "deflate"):
            if MODULES.is_dir() and not (MODULES / f"mod_{name}.so").exists():
                report_missing(f"lighttpd-mod-{name}")
        super().__init__(certificates)
        self.content = content

    def configure(self) -> Sequence[str]:
        _, _, pem = self.key_pair("server", self.certificates.server)
        for name, script in SCRIPTS.items():
            self.file(f"scripts/{name}", script)
        settings = SETTINGS.format(
            content=self.content,
            log=self.log_path,
            directory=self.directory,
            scripts=self.directory / "scripts",
            plain=self.port("plain"),
            tls=self.port("tls"),
            pem=pem,
        )
        path = self.file("lighttpd.conf", settings)
        return ["-D", "-f", str(path)]
