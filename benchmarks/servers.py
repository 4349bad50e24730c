"""The servers that all variants talk to, in processes of their own.

nginx with one worker serves the files, in plain, with TLS and over HTTP/2. Uploads go to `sink`,
which does nothing but read them: nginx answers before it has read a body for which it has no use.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import affinity

HOST = "127.0.0.1"
SMALL, LARGE = 1024, 100_000_000
ROOT = Path(__file__).resolve().parent.parent

NGINX_MISSING = """\
The benchmarks need nginx, which was not found. Install it and run them again:

    Debian, Ubuntu    sudo apt-get install nginx-light    (it need not be running)
    Fedora            sudo dnf install nginx
    Alpine            sudo apk add nginx
    macOS             brew install nginx
"""

_CONFIG = """\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {directory}/pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    # As Debian and Ubuntu have it beside sendfile: head and file leave in one segment. Without it
    # a small response comes in two, and whether a client wakes up once for it or twice is chance.
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.pem;
    server {{
        listen {host}:{port} backlog=4096;
        listen {host}:{tls_port} ssl;
        listen {host}:{http2_port} ssl http2;
        root {directory}/www;
        default_type application/octet-stream;
    }}
}}
"""


class ServerError(Exception):
    """A server is missing or did not start."""


@dataclass(frozen=True)
class Servers:
    """Where they listen, and a directory that is removed when they end."""

    host: str
    port: int
    tls_port: int
    http2_port: int
    upload_port: int
    directory: str

    @property
    def authority(self) -> str:
        """The file with the certificate that signed theirs."""
        return f"{self.directory}/authority.pem"

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"

    def tls_url(self, path: str) -> str:
        return f"https://{self.host}:{self.tls_port}{path}"


@contextlib.contextmanager
def running_servers() -> Iterator[Servers]:
    """Start the servers on free ports; end them, and remove their files, on the way out."""
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if nginx is None:
        raise ServerError(NGINX_MISSING)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        ports = _free_ports(4)
        servers = Servers(HOST, *ports, name)
        _write_files(directory, servers)
        config = str(directory / "nginx.conf")
        stack.enter_context(_running([nginx, "-e", "stderr", "-p", name, "-c", config]))
        sink = [sys.executable, "-m", "benchmarks.sink", HOST, str(servers.upload_port)]
        stack.enter_context(_running(sink))
        for needed in ports:
            _wait_for(needed)
        yield servers


def _write_files(directory: Path, servers: Servers) -> None:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(servers.authority)
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(
        str(directory / "server.pem")
    )
    www = directory / "www"
    www.mkdir()
    (www / "small").write_bytes(b"x" * SMALL)
    with open(www / "large", "wb") as file:
        file.truncate(LARGE)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    (directory / "nginx.conf").write_text(
        _CONFIG.format(
            user="user root;" if is_root else "",
            directory=directory,
            host=HOST,
            port=servers.port,
            tls_port=servers.tls_port,
            http2_port=servers.http2_port,
        )
    )


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[None]:
    with affinity.server_cpu():
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind((HOST, 0))
        return [sock.getsockname()[1] for sock in sockets]


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ServerError(f"the server on port {port} did not start")
