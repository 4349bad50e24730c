"""What only a fresh process can show: the time of a first request, the memory of idle connections.

Each measurement is a process of its own, which runs a script and prints one number, and the
engine of our pool. `start` is the
CPU time from before the import to the end of the first request, so it includes all that is
imported late. `memory` is what that many idle connections hold on to, divided by their number; the
kernel's buffers are not in it.

Modules are imported from bytecode, as installed packages are: the first run, which is not counted,
writes it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from ..servers import Servers
from . import note_engine

CONNECTIONS = 500

_START = """
import time
before = time.process_time()
import {library}
with {library}.ConnectionPool() as pool:
    assert pool.request("GET", {url!r}).status == 200
    print(time.process_time() - before, getattr(pool, "http1_engine", ""))
"""

# What Python's allocators have given out and not got back. (The pages of the process would count
# what the open responses needed for a moment, too, and how the free memory happened to lie.)
_MEMORY = """
import gc, tracemalloc
def held():
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
options = dict(max_connections={count}, max_keepalive_connections={count}, keepalive_expiry=300.0)
"""

_MEMORY_SYNC = """
import {library}, contextlib
with {library}.ConnectionPool(**options) as pool:
    pool.request("GET", {url!r})
    tracemalloc.start()
    before = held()
    with contextlib.ExitStack() as stack:
        # All are open before the first is read: each has a connection of its own.
        contexts = [pool.stream("GET", {url!r}) for _ in range({count})]
        for response in [stack.enter_context(context) for context in contexts]:
            for chunk in response.stream: pass
    del stack, contexts, response
    assert sum(c.is_idle() for c in pool.connections) == {count}
    print((held() - before) / {count}, getattr(pool, "http1_engine", ""))
"""

_MEMORY_ASYNCIO = """
import {library}, contextlib, asyncio
async def main():
    async with {library}.AsyncConnectionPool(**options) as pool:
        await pool.request("GET", {url!r})
        tracemalloc.start()
        before = held()
        async with contextlib.AsyncExitStack() as stack:
            contexts = [pool.stream("GET", {url!r}) for _ in range({count})]
            for response in [await stack.enter_async_context(context) for context in contexts]:
                async for chunk in response.stream: pass
        del stack, contexts, response
        assert sum(c.is_idle() for c in pool.connections) == {count}
        print((held() - before) / {count}, getattr(pool, "http1_engine", ""))
asyncio.run(main())
"""


def _run(script: str, servers: Servers) -> float:
    environ = os.environ | {"PYTHONPYCACHEPREFIX": f"{servers.directory}/bytecode"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip() or "no output").splitlines()[-1]
        raise ModuleNotFoundError(reason) if "ModuleNotFound" in reason else RuntimeError(reason)
    value, *engine = done.stdout.split()
    if engine:
        note_engine(engine[0])
    return float(value)


def start(servers: Servers, library: str) -> Callable[[], float]:
    script = _START.format(library=library, url=servers.url("/small"))
    return lambda: _run(script, servers)


def memory(servers: Servers, library: str, flavour: str) -> Callable[[], float]:
    template = _MEMORY + (_MEMORY_SYNC if flavour == "sync" else _MEMORY_ASYNCIO)
    script = template.format(library=library, url=servers.url("/small"), count=CONNECTIONS)
    return lambda: _run(script, servers)
