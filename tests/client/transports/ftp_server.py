"""A small FTP server in threads, which does what it is told: also what no server should.

Sessions end when the client has left; `serve` fails if one does not, so that whatever the client
leaves open is found.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

GUARD = 20.0
"""Seconds after which whatever waits has waited in vain."""

HANG: Any = object()
"""Among `replies`: say nothing any more, and wait until the client leaves."""

Script = bytes | Callable[["Session", str], object]


class FTPServer:
    """`files` are what there is, by their paths, directories end in a slash. `replies` has what to
    say to a command instead of doing it, raw bytes or a function of session and argument; "HELLO"
    is the greeting. With `context` sessions may be encrypted and data have to resume the session.
    """

    def __init__(
        self,
        *,
        files: dict[str, bytes] | None = None,
        replies: dict[str, Script] | None = None,
        password: str | None = None,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.files = {"hello.txt": b"Hello!\r\n"} if files is None else files
        self.replies = replies or {}
        self.password = password
        self.context = context
        self.commands: list[str] = []
        self.stored: dict[str, bytes] = {}
        self.sessions: list[Session] = []
        self.said_goodbye: list[bool] = []  # of TLS uploads: whether close_notify came
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, 0), family=family)
        self.host, self.port = self.socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"ftp://{shown}:{self.port}"
        self.origin = (b"ftp", host.encode(), self.port)
        self._is_closing = False
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    @property
    def verbs(self) -> list[str]:
        return [command.partition(" ")[0] for command in self.commands]

    def _accept(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            if self._is_closing:
                return connection.close()
            self.sessions.append(Session(self, connection))

    def wait_for(self, verb: str) -> None:
        """Until that command has come."""
        deadline = time.monotonic() + GUARD
        while verb not in self.verbs:
            assert time.monotonic() < deadline, f"no {verb} has come: {self.commands}"
            time.sleep(0.001)

    def close(self) -> None:
        self._is_closing = True
        socket.create_connection((self.host, self.port)).close()  # wakes `accept`
        self._thread.join()
        self.socket.close()
        for session in self.sessions:
            session.thread.join(GUARD / 2)
            assert not session.thread.is_alive(), "the client has left a connection open"
        errors = [session.error for session in self.sessions if session.error]
        assert not errors, errors


@contextmanager
def serve(**options: Any) -> Iterator[FTPServer]:
    server = FTPServer(**options)
    try:
        yield server
    finally:
        server.close()


class Session:
    """One client. `error` is what went wrong in here, beside its leaving."""

    def __init__(self, server: FTPServer, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self.rest = b""
        self.is_protected = False
        self.directory = ""
        self.listener: socket.socket | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.connection.settimeout(GUARD)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._serve()
        except (ConnectionError, EOFError, ssl.SSLError):
            pass  # the client has left
        except BaseException as exc:
            has_gone = self.listener is not None and self.listener.fileno() < 0  # by a script
            if not (has_gone and isinstance(exc, OSError)):
                self.error = exc
        finally:
            self.connection.close()
            if self.listener is not None:
                self.listener.close()

    def _serve(self) -> None:
        if not self._scripted("HELLO", ""):
            self.send("220 ready")
        while True:
            line = self.line()
            self.server.commands.append(line)
            verb, _, argument = line.partition(" ")
            if verb == "QUIT":
                return self.send("221 Bye")
            if not self._scripted(verb, argument):
                getattr(self, f"do_{verb.lower()}", self.unknown)(argument)

    def _scripted(self, verb: str, argument: str) -> bool:
        script = self.server.replies.get(verb)
        if script is HANG:
            self.hang()
        elif isinstance(script, bytes):
            self.connection.sendall(script)
        elif script is not None:
            script(self, argument)
        return script is not None

    # What scripts use as well

    def line(self) -> str:
        while b"\r\n" not in self.rest:
            data = self.connection.recv(4096)
            if not data:
                raise EOFError
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\r\n")
        return line.decode("utf-8", "surrogateescape")

    def send(self, text: str) -> None:
        self.connection.sendall(text.encode() + b"\r\n")

    def hang(self) -> None:
        while self.connection.recv(4096):
            pass
        raise EOFError

    def leave(self) -> None:
        """As a process that dies does."""
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise EOFError

    @contextmanager
    def data(self, *, goodbye: bool = True) -> Iterator[socket.socket]:
        """The data connection, opened and encrypted as agreed; closed at the end."""
        assert self.listener is not None, "there was no EPSV or PASV"
        self.send("150 Here it comes")
        connection, _ = self.listener.accept()
        connection.settimeout(GUARD)
        try:
            if self.is_protected:
                assert self.server.context is not None
                connection = self.server.context.wrap_socket(
                    connection, server_side=True, suppress_ragged_eofs=False
                )
                assert connection.session_reused  # type: ignore[attr-defined]  # it is TLS's
            yield connection
            if goodbye and isinstance(connection, ssl.SSLSocket):
                connection = connection.unwrap()  # waits for the client's goodbye, as vsftpd does
        finally:
            connection.close()

    def receive(self, connection: socket.socket) -> bytes:
        received = []
        try:
            while data := connection.recv(65536):
                received.append(data)
            self.server.said_goodbye.append(True)
        except ssl.SSLEOFError:
            self.server.said_goodbye.append(False)
        return b"".join(received)

    # Commands

    def unknown(self, argument: str) -> None:
        self.send("500 Unknown command")

    def do_user(self, argument: str) -> None:
        self.send("331 Which password?")

    def do_pass(self, argument: str) -> None:
        wanted = self.server.password
        self.send("230 Welcome" if wanted in (None, argument) else "530 Login incorrect.")

    def do_type(self, argument: str) -> None:
        self.send("200 Yes")

    do_pbsz = do_type

    def do_auth(self, argument: str) -> None:
        if self.server.context is None:
            return self.unknown(argument)
        self.send("234 Go on")
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)

    def do_prot(self, argument: str) -> None:
        self.is_protected = argument == "P"
        self.send("200 Yes")

    def do_feat(self, argument: str) -> None:
        self.send("211-Features:\r\n UTF8\r\n MLST type*;size*;modify*;\r\n211 End")

    def do_size(self, argument: str) -> None:
        data = self.server.files.get(argument)
        self.send("550 No such file" if data is None else f"213 {len(data)}")

    def do_mdtm(self, argument: str) -> None:
        missing = argument not in self.server.files
        self.send("550 No such file" if missing else "213 20240229123456.789")

    def do_epsv(self, argument: str) -> None:
        self.send(f"229 Entering Extended Passive Mode (|||{self.listen()}|)")

    def do_pasv(self, argument: str) -> None:
        high, low = divmod(self.listen(), 256)
        # Somebody else's address, where nobody should go.
        self.send(f"227 Entering Passive Mode (192,0,2,1,{high},{low}).")

    def listen(self) -> int:
        if self.listener is not None:
            self.listener.close()
        family = self.server.socket.family
        self.listener = socket.create_server((self.server.host, 0), family=family)
        self.listener.settimeout(GUARD)
        port: int = self.listener.getsockname()[1]
        return port

    def do_retr(self, argument: str) -> None:
        data = self.server.files.get(argument)
        if data is None:
            return self.send("550 No such file")
        with self.data() as connection:
            connection.sendall(data)
        self.send("226 Done")

    def do_stor(self, argument: str) -> None:
        with self.data() as connection:
            data = self.receive(connection)
        self.server.stored[argument] = data
        self.send("226 Done")

    def do_dele(self, argument: str) -> None:
        known = self.server.files.pop(argument, None) is not None
        self.send("250 Deleted" if known else "550 No such file")

    def do_cwd(self, argument: str) -> None:
        known = argument in (".", "/") or f"{argument}/" in self.server.files
        self.directory = argument
        self.send("250 Here" if known else "550 No such directory")

    def do_mlsd(self, argument: str) -> None:
        self.list_directory(argument, lambda name, data: f"Type=file;Size={len(data)}; {name}")

    def do_nlst(self, argument: str) -> None:
        self.list_directory(self.directory, lambda name, data: f"./{name}")

    def list_directory(self, directory: str, shown: Callable[[str, bytes], str]) -> None:
        prefix = f"{directory}/" if directory else ""
        if prefix and prefix not in self.server.files:
            return self.send("550 No such directory")
        with self.data() as connection:
            for path, data in self.server.files.items():
                name = path.removeprefix(prefix)
                if path.startswith(prefix) and name and "/" not in name:
                    connection.sendall(shown(name, data).encode() + b"\r\n")
        self.send("226 Done")
