"""Apache: 100-continue as it is written down, HTTP/1.0 responses, client certificates by alert."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.certificates import Certificates

from .process import HTTP2_LAYERS, Server

MODULE_DIRECTORIES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules")
MODULES = (
    "mpm_event authz_core headers mime dav dav_fs setenvif env ssl http2 deflate filter alias"
    " reqtimeout"
)

READY = "resuming normal operations"

SETTINGS = """\
ServerRoot {directory}
ServerName localhost
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
Mutex file:{directory} default
ErrorLog {log}
LogLevel warn mpm_event:notice
{user}
{modules}
{listen}
TypesConfig /dev/null
AddType text/plain .txt
StartServers 1
ServerLimit 8
ThreadsPerChild 25
MaxRequestWorkers 50
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
DAVLockDB {locks}/dav
SSLSessionCache none
SSLCertificateFile {certificate}
SSLCertificateKeyFile {key}
SSLCACertificateFile {authority}
Header always set X-Client-Port "expr=%{{REMOTE_PORT}}"
DocumentRoot {content}
Alias /upload {uploads}
Alias /limited {uploads}
Alias /gzip {content}
Alias /old-zipped {content}
Alias /old {content}
Redirect 204 /204
<Directory />
    Require all granted
</Directory>
<Location /upload>
    Dav On
</Location>
<Location /limited>
    Dav On
    LimitRequestBody 1000
</Location>
<Location /refused>
    Require all denied
</Location>
<LocationMatch "^/(gzip|old-zipped)/">
    SetOutputFilter DEFLATE
</LocationMatch>
SetEnvIf Request_URI "^/old(-zipped)?/" downgrade-1.0 force-response-1.0 nokeepalive
{hosts}
"""


class Apache(Server):
    program = "apache2"

    def __init__(self, certificates: Certificates, content: Path) -> None:
        super().__init__(certificates)
        self.content = content
        self.uploads = self.writable("uploads")

    def configure(self) -> Sequence[str]:
        certificate, key, _ = self.key_pair("server", self.certificates.server)
        hosts = [
            self.host("plain"),
            self.host("tls", "SSLProtocol -all +TLSv1.2 +TLSv1.3"),
            self.host("tls12_client", "SSLProtocol -all +TLSv1.2\nSSLVerifyClient require"),
            self.host("tls13_client", "SSLProtocol -all +TLSv1.3\nSSLVerifyClient require"),
            *[host for layer in HTTP2_LAYERS for host in self.http2_hosts(layer)],
        ]
        settings = SETTINGS.format(
            directory=self.directory,
            log=self.log_path,
            user="User nobody\nGroup nogroup" if os.geteuid() == 0 else "",
            modules="\n".join(self.modules()),
            listen="\n".join(f"Listen 127.0.0.1:{port}" for port in self._ports.values()),
            locks=self.writable("locks"),
            certificate=certificate,
            key=key,
            authority=self.certificates.ca_file,
            content=self.content,
            uploads=self.uploads,
            hosts="\n".join(hosts),
        )
        path = self.file("apache.conf", settings)
        return ["-f", str(path), "-DFOREGROUND"]

    def http2_hosts(self, layer: str) -> list[str]:
        protocols = "Protocols h2 http/1.1" if layer == "tls_h2" else "Protocols h2c http/1.1"
        return [
            self.host(layer, protocols),
            self.host(f"{layer}_1", f"{protocols}\nH2MaxSessionStreams 1"),
            self.host(f"{layer}_128", f"{protocols}\nH2MaxSessionStreams 128"),
        ]

    def host(self, name: str, settings: str = "") -> str:
        tls = "SSLEngine on" if name.startswith("tls") else ""
        return f"<VirtualHost 127.0.0.1:{self.port(name)}>\n{tls}\n{settings}\n</VirtualHost>"

    def reload(self) -> None:
        """Its processes finish what they have begun, others take over ("graceful restart")."""
        before = self.log().count(READY)
        self._signal(
            signal.SIGUSR1, lambda: self.log().count(READY) > before, "apache has restarted"
        )

    def _is_ready(self) -> bool:
        """It listens before it hears signals, which end it then."""
        return super()._is_ready() and READY in self.log()

    def modules(self) -> list[str]:
        for directory in map(Path, MODULE_DIRECTORIES):
            if directory.is_dir():
                paths = [(name, directory / f"mod_{name}.so") for name in MODULES.split()]
                return [f"LoadModule {name}_module {p}" for name, p in paths if p.exists()]
        pytest.fail(f"apache2 is installed, but its modules are not in {MODULE_DIRECTORIES}")
