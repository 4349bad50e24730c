"""Sends requests to a real server through every stack and shows what happened.

    python examples/demo.py

Needs both packages, trio, hypercorn, trustme and rich; ``nox -s demo`` sets that up. Ends with a
non-zero status if any request did not go as it should.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import rich.box
import rich.console
import rich.table
import trio
from demo_server import DRIPS, HELLO, Server
from waterfall import Recorder, draw

import httpclient
import httpcore_core

UPLOAD = b"0123456789abcdef" * 16384
LIMITS: dict[str, float | None] = {"connect": 5.0, "read": 5.0, "write": 5.0, "total": 20.0}


@dataclass
class Task:
    """One request, and what must come back."""

    method: str
    url: str
    content: bytes
    expected: bytes
    recorder: Recorder = field(default_factory=Recorder)

    @property
    def name(self) -> str:
        """Its address in short: the server is always the same."""
        scheme, _, _, path = self.url.split("/", 3)
        return f"{scheme.rstrip(':'):<5} /{path}"

    @property
    def extensions(self) -> dict[str, Any]:
        return {"timeout": dict(LIMITS), "trace": self.recorder}


@dataclass
class Result:
    stack: str
    task: Task
    seconds: float
    status: int = 0
    body: bytes = b""
    extensions: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def is_right(self) -> bool:
        return self.error is None and self.status == 200 and self.body == self.task.expected

    def row(self) -> list[str]:
        """Its line in the table."""
        version = self.extensions.get("http_version", b"").decode()
        reused = (self.extensions.get("connection") or {}).get("reused")
        return [
            "✓" if self.is_right else "✗",
            self.stack,
            f"{self.task.method:<4} {self.task.name}",
            version,
            "reused" if reused else "new",
            str(self.status or "-"),
            f"{len(self.body):,}",
            f"{self.seconds * 1000:.1f}",
        ]


def tasks(server: Server) -> list[Task]:
    """Each over its own scheme twice, so that connections are reused. HTTP/2 is for https."""
    return [
        Task("GET", f"{server.https}/drip", b"", b"".join(DRIPS)),
        Task("POST", f"{server.https}/echo", UPLOAD, UPLOAD),
        Task("GET", f"{server.http}/", b"", HELLO),
        Task("POST", f"{server.http}/echo", UPLOAD, UPLOAD),
    ]


# The stacks. Each sends its tasks one after the other, which shows how connections are reused.

Answer = tuple[int, bytes, dict[str, Any]]


def run_sync(stack: str, server: Server, send: Callable[[Task], Answer]) -> list[Result]:
    results = []
    for task in tasks(server):
        start = time.perf_counter()
        try:
            answer = send(task)
        except Exception as exc:
            results.append(Result(stack, task, time.perf_counter() - start, error=exc))
        else:
            results.append(Result(stack, task, time.perf_counter() - start, *answer))
    return results


async def run_async(
    stack: str, server: Server, send: Callable[[Task], Awaitable[Answer]]
) -> list[Result]:
    results = []
    for task in tasks(server):
        start = time.perf_counter()
        try:
            answer = await send(task)
        except Exception as exc:
            results.append(Result(stack, task, time.perf_counter() - start, error=exc))
        else:
            results.append(Result(stack, task, time.perf_counter() - start, *answer))
    return results


def options(server: Server, http2: bool) -> dict[str, Any]:
    return {"ssl_context": server.http2_context if http2 else server.ssl_context, "http2": http2}


def core_sync(stack: str, server: Server, http2: bool = False) -> list[Result]:
    with httpcore_core.ConnectionPool(**options(server, http2)) as pool:

        def send(task: Task) -> Answer:
            response = pool.request(
                task.method, task.url, content=task.content, extensions=task.extensions
            )
            return response.status, response.content, response.extensions

        return run_sync(stack, server, send)


async def core_async(stack: str, server: Server, http2: bool = False) -> list[Result]:
    async with httpcore_core.AsyncConnectionPool(**options(server, http2)) as pool:

        async def send(task: Task) -> Answer:
            response = await pool.request(
                task.method, task.url, content=task.content, extensions=task.extensions
            )
            return response.status, response.content, response.extensions

        return await run_async(stack, server, send)


def client_sync(server: Server) -> list[Result]:
    with httpclient.Client(verify=server.ssl_context) as client:

        def send(task: Task) -> Answer:
            response = client.request(
                task.method, task.url, content=task.content, extensions=task.extensions
            )
            return response.status_code, response.content, response.extensions

        return run_sync("client, sync", server, send)


async def client_async(stack: str, server: Server) -> list[Result]:
    async with httpclient.AsyncClient(verify=server.ssl_context) as client:

        async def send(task: Task) -> Answer:
            response = await client.request(
                task.method, task.url, content=task.content, extensions=task.extensions
            )
            return response.status_code, response.content, response.extensions

        return await run_async(stack, server, send)


def show(console: rich.console.Console, results: list[Result]) -> None:
    """The table of all requests, and a waterfall for the first of each of the core's stacks."""
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("", "stack", "request", "protocol", "connection", "status"):
        table.add_column(heading, no_wrap=True)
    for heading in ("bytes", "ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    previous = results[0].stack
    for result in results:
        if result.stack != previous:
            table.add_section()
        previous = result.stack
        table.add_row(*result.row())
    console.print(table)

    console.print("Where the time of the first request of each stack went:\n")
    shown: set[str] = set()
    for result in results:
        if result.stack in shown or not result.stack.startswith("core") or result.error:
            continue
        shown.add(result.stack)
        console.print(f"[bold]{result.stack}[/bold]: {result.task.method} {result.task.url}")
        for line in draw(result.task.recorder.phases()):
            console.print(line, highlight=False, markup=False)
        console.print()


def main() -> int:
    with Server() as server:
        results = [
            *core_sync("core, sync", server),
            *core_sync("core, sync, h2", server, http2=True),
            *asyncio.run(core_async("core, asyncio", server)),
            *asyncio.run(core_async("core, asyncio, h2", server, http2=True)),
            *trio.run(core_async, "core, trio", server),
            *trio.run(core_async, "core, trio, h2", server, True),
            *client_sync(server),
            *asyncio.run(client_async("client, asyncio", server)),
            *trio.run(client_async, "client, trio", server),
        ]
    console = rich.console.Console(width=max(100, rich.console.Console().width))
    show(console, results)
    wrong = [result for result in results if not result.is_right]
    for result in wrong:
        problem = result.error or "not the expected answer"
        console.print(f"{result.stack}: {result.task.name}: {problem!r}", markup=False)
    console.print(f"{len(results)} requests, {len(wrong)} of them wrong.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
