"""microsocks: SOCKS5 and nothing else, with a thread for each connection."""

from __future__ import annotations

from collections.abc import Sequence

from tests.certificates import Certificates

from .process import Server


class Microsocks(Server):
    """With one port, "proxy"; `credentials`, user and password, are what it asks of everyone."""

    program = "microsocks"

    def __init__(
        self, certificates: Certificates, credentials: tuple[str, str] | None = None
    ) -> None:
        super().__init__(certificates)
        self.credentials = credentials

    def configure(self) -> Sequence[str]:
        arguments = ["-i", "127.0.0.1", "-p", str(self.port("proxy"))]
        if self.credentials is not None:
            user, password = self.credentials
            arguments += ["-u", user, "-P", password]
        return arguments
