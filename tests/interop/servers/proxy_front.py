"""HAProxy with TLS in front of proxies that speak none, so that they are HTTPS proxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.certificates import Certificates

from .process import Server

SETTINGS = """\
global
    log stdout format raw local0 notice
    maxconn 500
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
    mode tcp
    log global
    option dontlognull
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""

FRONT = """
listen {name}
    bind 127.0.0.1:{port} ssl crt {pem}
    server proxy {target}
"""


class ProxyFront(Server):
    """`targets` are the URLs of what its ports lead to, by the names of the ports."""

    program = "haproxy"

    def __init__(self, certificates: Certificates, targets: Mapping[str, str]) -> None:
        super().__init__(certificates)
        self.targets = targets

    def configure(self) -> Sequence[str]:
        _, _, pem = self.key_pair("server", self.certificates.server)
        fronts = [
            FRONT.format(name=name, port=self.port(name), pem=pem, target=url[len("http://") :])
            for name, url in self.targets.items()
        ]
        return ["-db", "-f", str(self.file("haproxy.cfg", SETTINGS + "".join(fronts)))]
