"""squid: forwards and tunnels, in the clear and over TLS, and lets in whoever proves who he is."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.certificates import Certificates
from tests.ports import free_port

from .process import Server

HELPER_DIRECTORIES = ("/usr/lib/squid", "/usr/lib64/squid", "/usr/libexec/squid")

USER, PASSWORD = "user", "p@ss: word"
ENCRYPTED = "$1$abcdefgh$y2iDn8hUIjvuMbV.0xuN51"
"""The password, as ``openssl passwd -1 -salt abcdefgh`` has it."""

REALM = "a realm, with a comma"
NONCE_USES = 5
"""After which a Digest nonce is stale."""

SETTINGS = """\
http_port 127.0.0.1:{plain} name=plain
http_port 127.0.0.1:{auth} name=auth
http_port 127.0.0.1:{digest} name=digest
https_port 127.0.0.1:{tls} name=tls tls-cert={certificate} tls-key={key}
https_port 127.0.0.1:{tls_auth} name=tls_auth tls-cert={certificate} tls-key={key}

auth_param basic program {helpers}/basic_ncsa_auth {passwords}
auth_param basic realm {realm}
auth_param basic children 1
auth_param digest program {helpers}/digest_file_auth -c {digests}
auth_param digest realm {realm}
auth_param digest children 1
auth_param digest nonce_max_count {nonce_uses}

acl digest_port myportname digest
auth_schemes digest digest_port
acl asking myportname auth digest tls_auth
acl known proxy_auth REQUIRED
acl CONNECT method CONNECT
acl closed_port port {closed}
http_access deny closed_port
http_access deny asking !known
http_access allow all

hosts_file {hosts}
dns_nameservers 127.0.0.1
connect_timeout 5 seconds
connect_retries 0
cache deny all
cache_mem 8 MB
memory_pools off
max_filedescriptors 4096
via off
forwarded_for delete
pinger_enable off
netdb_filename none
pid_filename none
coredump_dir {state}
cache_log {log}
logformat seen %rm %ru %>Hs %un %{{Authorization}}>ha %{{X-Told}}>ha
access_log stdio:{state}/access.log seen
shutdown_lifetime 0 seconds
"""


class Seen(NamedTuple):
    """One request, or one tunnel, in the access log; what there was not is "-"."""

    method: str
    target: str
    status: str
    user: str
    authorization: str
    told: str  # the header X-Told


def find_helpers(*names: str) -> Path:
    """The directory of the programs by which squid checks credentials."""
    for directory in map(Path, HELPER_DIRECTORIES):
        if all((directory / name).exists() for name in names):
            return directory
    pytest.fail(f"squid is installed, but {names} are not in {HELPER_DIRECTORIES}")


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended


class Squid(Server):
    """Ports "plain", "auth" (Basic or Digest), "digest", "tls", "tls_auth". It refuses to reach
    `closed_port`; it knows the names ``one.test``, ``two.test`` and ``localhost``."""

    program = "squid"

    def __init__(self, certificates: Certificates) -> None:
        super().__init__(certificates)
        self.closed_port = free_port()
        self.log_path.chmod(0o666)  # it does not run as root
        # By this name its shared memory is told from that of others on the machine.
        self.service = f"interop{os.getpid()}x{self.port('plain')}"

    def configure(self) -> Sequence[str]:
        certificate, key, _ = self.key_pair("server", self.certificates.server)
        secret = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode()).hexdigest()
        names = ("plain", "auth", "digest", "tls", "tls_auth")
        settings = SETTINGS.format(
            certificate=certificate,
            key=key,
            helpers=find_helpers("basic_ncsa_auth", "digest_file_auth"),
            realm=REALM,
            passwords=self.file("passwords", f"{USER}:{ENCRYPTED}\n"),
            digests=self.file("digests", f"{USER}:{REALM}:{secret}\n"),
            nonce_uses=NONCE_USES,
            closed=self.closed_port,
            hosts=self.file("hosts", "127.0.0.1 localhost one.test two.test\n"),
            state=self.writable("state"),
            log=self.log_path,
            **{name: self.port(name) for name in names},
        )
        path = self.file("squid.conf", settings)
        return ["-N", "-n", self.service, "-f", str(path)]

    def seen(self, start: int = 0) -> list[Seen]:
        """All requests but so many, in the order in which they ended."""
        text = (self.directory / "state/access.log").read_text()
        return [Seen(*line.split(" ")) for line in text.splitlines()[start:]]

    def _start(self, command: list[str]) -> None:
        setpriv = shutil.which("setpriv")
        if setpriv is not None and os.geteuid() == 0:
            # It would give up root's rights by itself, and with them the signal that it is sent
            # when the tests are killed.
            user = ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
            command = [setpriv, *user, "--pdeathsig", "KILL", "--", *command]
        super()._start(command)

    def _is_gone(self) -> bool:
        return super()._is_gone() and not self.helpers()

    def helpers(self) -> list[Path]:
        """Those that check credentials have process groups of their own, and end with squid."""
        ours = str(self.directory).encode()
        return [path for path in Path("/proc").glob("[0-9]*") if ours in command_line(path)]

    def _stop(self) -> None:
        try:
            super()._stop()
        finally:
            for path in Path("/dev/shm").glob(f"{self.service}-*"):  # left if it was killed
                path.unlink(missing_ok=True)
