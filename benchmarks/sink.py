"""A server that reads uploads and throws them away: ``python -m benchmarks.sink HOST PORT``."""

from __future__ import annotations

import re
import socket
import sys
import threading

_find_length = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n").search
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def serve(sock: socket.socket) -> None:
    """Requests with a Content-Length, one after the other."""
    buffer = memoryview(bytearray(1024 * 1024))
    with sock:
        while True:
            head = bytearray()
            while b"\r\n\r\n" not in head:
                data = sock.recv(65536)
                if not data:
                    return
                head += data
            match = _find_length(bytes(head))
            left = int(match[1]) if match else 0
            left -= len(head) - head.index(b"\r\n\r\n") - 4
            while left > 0:
                count = sock.recv_into(buffer)
                if not count:
                    return
                left -= count
            sock.sendall(_ANSWER)


def main() -> None:
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main()
