"""A certificate authority of the tests' own, and the certificates that tests of TLS need.

Everything is made once per run; SSL contexts are made anew for whoever asks, as they are mutable.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Certificates:
    """`server`, `expired`, `wrong_host`, `self_signed`: for servers; `client`: for clients.

    `ca_file`, `client_file` (certificate and key) and `server_file` are PEM files for whoever wants
    a path. `self_signed` is for the right names but from an authority that nobody trusts.
    """

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
        self.server = self.authority.issue_cert(*LOCAL_NAMES, common_name="localhost")
        self.client = self.authority.issue_cert("client@example.test")
        self.expired = self.authority.issue_cert(
            *LOCAL_NAMES, not_before=long_ago, not_after=long_ago + datetime.timedelta(days=365)
        )
        self.wrong_host = self.authority.issue_cert("elsewhere.test")
        self.self_signed = trustme.CA().issue_cert(*LOCAL_NAMES)
        self.ca_file = str(directory / "ca.pem")
        self.client_file = str(directory / "client.pem")
        self.server_file = str(directory / "server.pem")
        self.authority.cert_pem.write_to_path(self.ca_file)
        self.client.private_key_and_cert_chain_pem.write_to_path(self.client_file)
        self.server.private_key_and_cert_chain_pem.write_to_path(self.server_file)

    def server_context(
        self,
        certificate: trustme.LeafCert | None = None,
        *,
        alpn: Sequence[str] = ("http/1.1",),
        client_certificate_required: bool = False,
    ) -> ssl.SSLContext:
        """A new context for a server; by default with a valid certificate for loopback."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        (certificate or self.server).configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if client_certificate_required:
            self.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self, *, client_certificate: bool = False) -> ssl.SSLContext:
        """A new context for a client that trusts our authority and nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        if client_certificate:
            self.client.configure_cert(context)
        return context
