"""nginx: most of the tests talk to it, as it tells what it sees in headers of its responses."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.certificates import Certificates

from .process import HTTP2_LAYERS, Server, wait_until

NAMES = ("one.test", "two.test", "three.test")

MAIN = """\
{user}
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log {log} notice;
events {{ worker_connections 512; }}
http {{
    log_format seen '$remote_port $request_method $request_uri $status';
    access_log {directory}/access.log seen;
    client_body_temp_path {directory}/tmp-body;
    proxy_temp_path {directory}/tmp-proxy;
    fastcgi_temp_path {directory}/tmp-fastcgi;
    uwsgi_temp_path {directory}/tmp-uwsgi;
    scgi_temp_path {directory}/tmp-scgi;
    types {{ text/plain txt; }}
    default_type application/octet-stream;
    sendfile on;
    keepalive_timeout 60s;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:sessions:1m;
    add_header X-Client-Port $remote_port always;
    add_header X-Session-Reused $ssl_session_reused always;
    add_header X-Server-Name $ssl_server_name always;
    add_header X-Protocol $ssl_protocol always;
    add_header X-Verified $ssl_client_verify always;
{servers}
}}
"""

LOCATIONS = """\
root {content};
location = /204 {{ return 204; }}
location = /post {{ client_max_body_size 0; return 200 "posted\\n"; }}
location = /redirect {{ return 302 /small.txt; }}
location = /loop {{ return 307 /loop; }}
location /private/ {{ alias {content}/; auth_basic "private"; auth_basic_user_file {users}; }}
location = /gone {{ keepalive_timeout 0; return 200 "gone\\n"; }}
location /chunked/ {{ alias {content}/; sub_filter_types *; sub_filter '<no such text>' ''; }}
location /gzip/ {{ alias {content}/; gzip on; gzip_types *; }}
location /upload/ {{ alias {uploads}/; dav_methods PUT; client_max_body_size 0; }}
location /limited/ {{ alias {uploads}/; dav_methods PUT; client_max_body_size 1m; }}
location = /head/90 {{ set $k "{kibibyte}"; set $d "{ten}"; add_header X-Big "{ninety}"; return 200 ""; }}
location = /head/110 {{ set $k "{kibibyte}"; set $d "{ten}"; add_header X-Big "{ninety}{twenty}"; return 200 ""; }}
"""  # noqa: E501


class Nginx(Server):
    program = "nginx"

    def __init__(self, certificates: Certificates, content: Path) -> None:
        super().__init__(certificates)
        self.content = content
        self.uploads = self.writable("uploads")
        self.socket_path = str(self.directory / "socket")

    def configure(self) -> Sequence[str]:
        certificate, key, _ = self.key_pair("server", self.certificates.server)
        # Built up from variables: nginx takes no longer word than 4 KiB.
        locations = LOCATIONS.format(
            content=self.content,
            users=self.file("users", "user:{PLAIN}p@ss\n"),
            uploads=self.uploads,
            kibibyte="k" * 1024,
            ten="$k" * 10,
            ninety="$d" * 9,
            twenty="$d" * 2,
        )
        self.locations = self.file("locations.conf", locations)
        settings = MAIN.format(
            user="user root;" if os.geteuid() == 0 else "",
            directory=self.directory,
            log=self.log_path,
            certificate=certificate,
            key=key,
            servers="\n".join(self.servers()),
        )
        path = self.file("nginx.conf", settings)
        return ["-p", str(self.directory), "-c", str(path)]

    def servers(self) -> list[str]:
        authority = self.certificates.ca_file
        return [
            self.server("plain"),
            self.server("tls"),
            self.server("tls12", "ssl_protocols TLSv1.2;"),
            self.server("tls13", "ssl_protocols TLSv1.3;"),
            self.server("tls12_cache", "ssl_protocols TLSv1.2; ssl_session_tickets off;"),
            self.server("tls_client", f"ssl_verify_client on; ssl_client_certificate {authority};"),
            self.server("five", "keepalive_requests 5;"),
            self.server("tls_five", "keepalive_requests 5;"),
            self.server("idle", "keepalive_timeout 1s;"),
            self.server("tls_idle", "keepalive_timeout 1s;"),
            self.server("idle_told", "keepalive_timeout 1s 1s;"),
            *[self.server("tls_names", self.named(name)) for name in NAMES],
            *[server for layer in HTTP2_LAYERS for server in self.http2_servers(layer)],
            f"server {{ listen unix:{self.socket_path}; include {self.locations}; }}",
        ]

    def named(self, name: str) -> str:
        certificate, key, _ = self.key_pair(name, self.certificates.authority.issue_cert(name))
        return f"server_name {name}; ssl_certificate {certificate}; ssl_certificate_key {key};"

    def http2_servers(self, layer: str) -> list[str]:
        return [
            self.server(layer),
            self.server(f"{layer}_1", "http2_max_concurrent_streams 1;"),
            self.server(f"{layer}_128", "http2_max_concurrent_streams 128;"),
            self.server(f"{layer}_hundred", "keepalive_requests 100;"),
        ]

    def server(self, name: str, settings: str = "") -> str:
        tls = " ssl" if name.startswith("tls") else ""
        # Since 1.25.1 this has a directive of its own, and still works.
        http2 = " http2" if "h2" in name else ""
        listen = f"listen 127.0.0.1:{self.port(name)}{tls}{http2};"
        return f"server {{ {listen} {settings} include {self.locations}; }}"

    def count_seen(self, method: str) -> int:
        """How many requests of that method its access log has."""
        return (self.directory / "access.log").read_text().count(f" {method} ")

    def reload(self) -> None:
        """New worker processes take over; the old ones finish what they have begun."""
        before = self.log().count("start worker process ")
        self.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: self.log().count("start worker process ") >= before + 2,
            "nginx has new workers",
        )
