"""The command as a process: how it is started and stopped, pipes, signals, a real terminal."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from httpcore_core.testing import HTTPServer, Peer, ScriptedServer

COMMAND = [sys.executable, "-W", "error", "-m", "httpclient"]
GUARD = 60.0

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=GUARD, **options)


def test_a_pipe_gets_every_byte() -> None:
    with HTTPServer() as server:
        result = run(f"{server.url}/bytes/100000")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == (bytes(range(251)) * 400)[:100000]


def test_failure_is_one_line_and_its_code() -> None:
    result = run("http://127.0.0.1:1/")
    assert (result.returncode, result.stdout) == (7, b"")
    assert re.fullmatch(rb"httpclient: \(7\) http://127\.0\.0\.1:1: connect: .*\n", result.stderr)


def test_standard_input() -> None:
    with HTTPServer() as server:
        result = run(f"{server.url}/echo", "-d", "-", input=b"sent")
        assert server.requests[0].body == b"sent"
    assert result.returncode == 0


@posix
def test_a_reader_that_leaves_is_no_reason_to_complain() -> None:
    with HTTPServer() as server:
        command = [*COMMAND, f"{server.url}/bytes/10000000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(10) == bytes(range(10))
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 23


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk() -> None:
    with HTTPServer() as server, open("/dev/full", "wb") as full:
        process = subprocess.run(
            [*COMMAND, f"{server.url}/bytes/10"], stdout=full, stderr=subprocess.PIPE, timeout=GUARD
        )
    assert process.returncode == 23
    assert re.fullmatch(rb"httpclient: \(23\) [^\n]+ space [^\n]+\n", process.stderr)


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_help_on_a_full_disk() -> None:
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [*COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=GUARD
        )
    assert process.returncode == 23
    assert process.stderr.count(b"\n") == 1


@posix
@pytest.mark.parametrize("number", [0, 1, 2])
def test_started_without_one_of_its_streams(number: int) -> None:
    """As by some daemons. No socket may take its place."""
    with HTTPServer() as server:
        shell = 'n=$1; shift; eval "exec \\"\\$@\\" $n>&-"'
        command = ["sh", "-c", shell, "sh", str(number), *COMMAND, f"{server.url}/bytes/5"]
        result = subprocess.run(command, capture_output=True, timeout=GUARD)
        assert server.requests[0].raw.count(b"GET") == 1
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == (b"" if number == 1 else bytes(range(5)))


def begun(peer: Peer) -> None:
    """The beginning of a body, and then nothing."""
    peer.read_request()
    peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "v"\r\n\r\nhalf')
    peer.wait_for_end()


def interrupt_at(
    process: subprocess.Popen[bytes], is_time: Callable[[], object], server: ScriptedServer
) -> bytes:
    """Send SIGINT once `is_time`; return what was said."""
    server.wait_for_connection(timeout=GUARD)
    while not is_time():
        select.select([], [], [], 0.005)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=GUARD)
    assert process.returncode == 130
    assert b"Traceback" not in said
    return said


@posix
def test_130_interrupted_while_downloading_keeps_the_part(tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    with ScriptedServer(begun) as server:
        command = [*COMMAND, server.url, "-o", "file", "--har", "har"]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            said = interrupt_at(process, lambda: part.exists() and part.stat().st_size, server)
    assert said == b"httpclient: (130) interrupted (file.part is kept, for --continue)\n"
    assert part.read_bytes() == b"half"
    assert not (tmp_path / "file").exists()
    assert b'"version": "1.2"' in (tmp_path / "har").read_bytes()


@posix
def test_130_interrupted_while_waiting() -> None:
    with ScriptedServer([Peer.read_request, Peer.wait_for_end]) as server:
        with subprocess.Popen([*COMMAND, server.url], stderr=subprocess.PIPE) as process:
            said = interrupt_at(process, lambda: server.requests, server)
    assert said == b"httpclient: (130) interrupted\n"


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_library_is_named_with_the_extra(missing: str) -> None:
    code = f"""if True:
        import sys
        sys.modules[{missing!r}] = None
        from httpclient.__main__ import main
        sys.exit(main(["http://127.0.0.1:1/"]))
    """
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=GUARD
    )
    assert (result.returncode, result.stdout) == (2, b"")
    assert re.fullmatch(
        rb"[^\n]*'%b'[^\n]*httpclient\[cli\][^\n]*\n" % missing.encode(), result.stderr
    )


def test_other_import_errors_are_not_taken_for_that() -> None:
    code = """if True:
        import sys
        sys.modules["httpcore_core"] = None
        from httpclient.__main__ import main
        main(["http://127.0.0.1:1/"])
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=GUARD)
    assert result.returncode == 1
    assert b"httpclient[cli]" not in result.stderr


class Terminal:
    """A process whose three streams are one terminal."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        import pty

        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        os.close(slave)

    def read_to_end(self) -> bytes:
        parts = []
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            parts.append(data)
        os.close(self._master)
        self.process.wait(GUARD)
        return b"".join(parts)


def with_json(exchange: Any) -> None:
    exchange.read()
    fields = [(b"Content-Type", b"application/json"), (b"X-Evil", b"\xc2\x9b31m")]
    exchange.respond(b'{"a":"\xc2\x9b2J"}', headers=fields)


@posix
def test_a_real_terminal() -> None:
    with HTTPServer({"json": with_json}) as server:
        coloured = Terminal("-i", f"{server.url}/json").read_to_end()
        plain = Terminal("-i", f"{server.url}/json", NO_COLOR="1").read_to_end()
        binary = Terminal(f"{server.url}/bytes/10")
        refused = binary.read_to_end()
    assert b"\x1b[" in coloured
    assert b"\x1b" not in plain
    assert b"\xc2\x9b" not in coloured + plain
    assert plain.endswith(b'{\r\n  "a": "<U+009B>2J"\r\n}\r\n')
    assert binary.process.returncode == 23
    assert b"-o FILE" in refused


@posix
def test_progress_on_a_real_terminal() -> None:
    with HTTPServer() as server:
        terminal = Terminal(f"{server.url}/bytes/1000000", "-o", "file")
        assert b"file" in terminal.read_to_end()
    assert terminal.process.returncode == 0
    assert Path("file").stat().st_size == 1_000_000
