"""nghttpd, from the makers of nghttp2: HTTP/2 and nothing else, to the letter; echoes, trailers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.certificates import Certificates

from .process import Server


class Nghttpd(Server):
    """With one port, `layer`. To each response that has a body it adds the trailer ``x-trailer``;
    what is sent to it by POST it sends back."""

    program = "nghttpd"

    def __init__(
        self, certificates: Certificates, content: Path, layer: str, streams: int = 100
    ) -> None:
        super().__init__(certificates)
        self.content = content
        self.layer = layer
        self.streams = streams

    def configure(self) -> Sequence[str]:
        port = str(self.port(self.layer))
        certificate, key, _ = self.key_pair("server", self.certificates.server)
        return [
            *("--address", "127.0.0.1"),
            *("--htdocs", str(self.content)),
            *("--mime-types-file", str(self.file("mime.types", "text/plain txt\n"))),
            *("--max-concurrent-streams", str(self.streams)),
            *("--trailer", "x-trailer: the end"),
            "--echo-upload",
            *([port, str(key), str(certificate)] if self.layer == "tls_h2" else ["--no-tls", port]),
        ]
