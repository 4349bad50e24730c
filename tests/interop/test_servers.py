"""The machinery itself: what happens where a server is missing or does not start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.certificates import Certificates

from .content import Content
from .servers import process
from .servers.nginx import Nginx
from .servers.process import Server, find_program


class Shell(Server):
    """A server that is none."""

    program = "sh"
    script = ""

    def configure(self) -> Sequence[str]:
        self.port("plain")
        return ["-c", self.script]


def test_a_missing_server_fails_in_ci_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-server is not installed.* in CI"):
        find_program("no-such-server")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-server"):
        find_program("no-such-server")


def test_a_server_that_ends_says_why(certificates: Certificates) -> None:
    shell = Shell(certificates)
    shell.script = "echo the disk is full >&2; exit 3"
    with pytest.raises(AssertionError, match="sh ended by itself") as raised, shell:
        raise NotImplementedError
    assert "the disk is full" in "".join(raised.value.__notes__)
    assert not shell.directory.exists()
    assert shell not in process.running


def test_a_server_that_never_listens_is_killed(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LIMIT", 0.2)
    shell = Shell(certificates)
    shell.script = "trap '' TERM; exec sleep 60"
    with pytest.raises(Exception, match=r"accepts connections|timed out"), shell:
        raise NotImplementedError
    with pytest.raises(ProcessLookupError):
        os.killpg(shell.process.pid, 0)
    assert not shell.directory.exists()


@pytest.mark.interop
def test_nothing_is_left_of_a_server(certificates: Certificates, content: Content) -> None:
    with Nginx(certificates, content.path) as nginx:
        assert nginx in process.running
        children = Path(f"/proc/{nginx.process.pid}/task/{nginx.process.pid}/children")
        workers = children.read_text().split() if children.exists() else []
        nginx.reload()
    assert nginx.process.returncode == 0
    assert nginx not in process.running
    assert not nginx.directory.exists()
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
