"""tinyproxy: forwards and tunnels, and keeps no connection for another request."""

from __future__ import annotations

from collections.abc import Sequence

from tests.certificates import Certificates

from .process import Server

SETTINGS = """\
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 300
LogLevel Warning
{auth}
"""


class Tinyproxy(Server):
    """With one port, "proxy"; `credentials`, user and password, are what it asks of everyone."""

    program = "tinyproxy"

    def __init__(
        self, certificates: Certificates, credentials: tuple[str, str] | None = None
    ) -> None:
        super().__init__(certificates)
        self.credentials = credentials

    def configure(self) -> Sequence[str]:
        auth = "" if self.credentials is None else "BasicAuth {} {}".format(*self.credentials)
        settings = SETTINGS.format(port=self.port("proxy"), auth=auth)
        return ["-d", "-c", str(self.file("tinyproxy.conf", settings))]
