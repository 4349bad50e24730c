"""Runs one example of README or docs, in a process of its own, with our servers for the internet.

    python readme_runner.py PORTS < example

PORTS is a JSON object: where to connect to for each port of ``*.example.com``. The example runs as
it is printed. Where it has ``await`` outside of a function it runs twice, on asyncio and on trio.

Rules of this file: the standard library only (trio where it is needed), so that an example pays for
its own imports.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import socket
import sys
from typing import Any

PORTS = {int(port): ours for port, ours in json.loads(sys.argv[1]).items()}
LOCAL = {"localhost", "127.0.0.1", "::1"}

_getaddrinfo = socket.getaddrinfo


def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name.endswith(("example.com", "example.org")):
        return _getaddrinfo("127.0.0.1", PORTS[port], *args, **kwargs)
    if name in LOCAL:
        return _getaddrinfo(host, port, *args, **kwargs)
    raise socket.gaierror(socket.EAI_NONAME, f"an example looks for {name!r}")


def main() -> None:
    socket.getaddrinfo = getaddrinfo
    source = sys.stdin.read()
    code = compile(source, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, {"__name__": "__main__"})
        return

    async def run() -> None:
        await eval(code, {"__name__": "__main__"})

    asyncio.run(run())
    import trio

    trio.run(run)


main()
