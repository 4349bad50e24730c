"""What is compared with what, and how large the ratio may be.

A row names two variants. A variant is a function in `stacks`, how it is run, and its options. The
peers are measured as their users would use them: a pool of the same size, the same keep-alive and
a time limit on every wait. "300 at once" means on 300 connections, unless the row says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Runner = Literal["sync", "asyncio", "uvloop", "trio", "value"]


@dataclass(frozen=True)
class Variant:
    """One stack with its options, as a worker process runs it.

    `stack` is ``module:function`` in `benchmarks.stacks`. The runner ``value`` is for stacks that
    measure something else than the CPU time of this process, and return it.
    """

    stack: str
    runner: Runner = "sync"
    concurrency: int = 1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """`target`: the ratio ours / peer must not be above it; None: for information.

    `engine`: the HTTP/1.1 engine the target is meant for, ``speed`` (httptools) or ``h11``.
    """

    name: str
    ours: Variant
    peer: Variant
    target: float | None = None
    engine: Literal["speed", "h11"] | None = None
    unit: Literal["us", "ms", "KiB"] = "us"
    count: int | None = None  # operations per round, where it is not to be found by calibration


def _exchange(library: str, runner: Runner, concurrency: int, pool: int) -> Variant:
    """Small requests by many tasks."""
    return Variant(f"asynchronous:{library}", runner, concurrency, {"pool": pool})


def _versus(peer: str, runner: Runner, concurrency: int, target: float | None) -> Row:
    return Row(
        f"{runner} / {peer}, {concurrency} at once",
        _exchange("core", runner, concurrency, concurrency),
        _exchange(peer, runner, concurrency, concurrency),
        target,
        None if target is None else "speed",
    )


def _sync_rows() -> list[Row]:
    ours = Variant("sync:core")
    peers: list[tuple[str, str, float | None, Literal["speed", "h11"] | None]] = [
        ("pycurl", "pycurl", 1.0, "speed"),
        ("httpcore2", "httpcore2", 0.20, "speed"),
        ("h11 alone", "h11_alone", 1.25, "h11"),
        ("pyreqwest", "pyreqwest", None, None),
        ("httpcore", "httpcore", None, None),
        ("urllib3", "urllib3", None, None),
        ("bare socket", "bare_socket", None, None),
    ]
    return [
        Row(f"sync / {name}", ours, Variant(f"sync:{function}"), target, engine)
        for name, function, target, engine in peers
    ]


def _async_rows() -> list[Row]:
    return [
        *(_versus("aiohttp", "asyncio", n, 0.55) for n in (1, 20, 300, 1000)),
        _versus("httpcore2", "asyncio", 20, 0.18),
        _versus("httpcore2", "asyncio", 300, 0.07),
        *(_versus("pyreqwest", "asyncio", n, None) for n in (20, 300)),
        *(_versus("aiohttp", "uvloop", n, None) for n in (1, 20, 300, 1000)),
        _versus("httpcore2", "trio", 20, 0.35),
        *(_own_cost(pool) for pool in (20, 1000)),
    ]


def _own_cost(pool: int) -> Row:
    many = _exchange("core", "asyncio", 1000, pool)
    few = _exchange("core", "asyncio", 20, pool)
    return Row(f"own cost, pool of {pool}: 1000 / 20 at once", many, few, 1.15, count=8000)


def _transfer_rows() -> list[Row]:
    # Whether the server is ahead of the client or behind it, who then wakes up for every 64 KiB,
    # changes from one transfer to the next and is worth a factor of two: a round has several.
    def row(name: str, ours: Variant, peer: Variant, target: float) -> Row:
        return Row(name, ours, peer, target, unit="ms", count=10)

    return [
        row(
            "100 MB download, sync / bare socket",
            Variant("transfer:download_core"),
            Variant("transfer:download_bare"),
            1.1,
        ),
        row(
            "100 MB download, TLS, asyncio / aiohttp",
            Variant("transfer:download_core_tls", "asyncio"),
            Variant("transfer:download_aiohttp_tls", "asyncio"),
            0.8,
        ),
        row(
            "100 MB upload, sync / bare sendall",
            Variant("transfer:upload_core"),
            Variant("transfer:upload_bare"),
            1.2,
        ),
    ]


def _pool_rows() -> list[Row]:
    return [
        Row(
            f"{name}: 10,000 idle of 100 origins / 10 idle",
            Variant(f"pool:{function}", options={"origins": 100, "per_origin": 100}),
            Variant(f"pool:{function}", options={"origins": 10, "per_origin": 1}),
            1.2,
        )
        for name, function in (("pool acquire + release", "policy"), ("request", "request"))
    ]


def _cold_rows() -> list[Row]:
    def value(stack: str, library: str, **options: Any) -> Variant:
        return Variant(stack, "value", options={"library": library, **options})

    imports = Row(
        "import and first sync request / httpcore2",
        value("cold:start", "httpcore_core"),
        value("cold:start", "httpcore2"),
        0.30,
        unit="ms",
        count=1,
    )
    memory = [
        Row(
            f"memory per idle connection, {flavour} / httpcore2",
            value("cold:memory", "httpcore_core", flavour=flavour),
            value("cold:memory", "httpcore2", flavour=flavour),
            0.5,
            unit="KiB",
            count=1,
        )
        for flavour in ("sync", "asyncio")
    ]
    return [imports, *memory]


ROWS: list[Row] = [
    *_sync_rows(),
    *_async_rows(),
    *_transfer_rows(),
    *_pool_rows(),
    Row("httpclient GET / handle_request", Variant("sync:client"), Variant("sync:core"), 1.6),
    *_cold_rows(),
]
