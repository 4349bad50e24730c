"""Dante: the SOCKS5 server of many processes, with rules about who may reach what."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.certificates import Certificates
from tests.ports import free_port

from .process import Server

SETTINGS = """\
logoutput: stderr
internal: 127.0.0.1 port = {proxy}
external: 127.0.0.1
clientmethod: none
socksmethod: none
{user}

client pass {{
    from: 127.0.0.1/32 to: 127.0.0.1/32
    log: error
}}
socks block {{
    from: 127.0.0.1/32 to: 0.0.0.0/0 port = {closed}
    log: error
}}
socks pass {{
    from: 127.0.0.1/32 to: 0.0.0.0/0
    log: error
}}
"""


class Dante(Server):
    """With one port, "proxy". It refuses to reach `closed_port`."""

    program = "danted"

    def __init__(self, certificates: Certificates) -> None:
        super().__init__(certificates)
        self.closed_port = free_port()

    def configure(self) -> Sequence[str]:
        settings = SETTINGS.format(
            proxy=self.port("proxy"),
            closed=self.closed_port,
            user="user.privileged: root\nuser.unprivileged: root" if os.geteuid() == 0 else "",
        )
        path = self.file("danted.conf", settings)
        return ["-f", str(path), "-p", str(self.writable("state") / "danted.pid")]
