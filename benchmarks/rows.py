"""What is compared with what, and how large the ratio may be.

The peers are measured as their users would use them: a pool of the same size, the same keep-alive
and a time limit on every wait. "300 at once" means on 300 connections, unless the row says
otherwise. Ours runs with the engine it finds, ``httptools`` where that is installed, unless the row
is about ``h11``.
"""

from __future__ import annotations

from typing import Any

from .variants import Engine, Row, Runner, Variant

SYNC = "Small requests, sync"
ASYNCIO = "Small requests, asyncio"
UVLOOP = "Small requests, asyncio on uvloop"
TRIO = "Small requests, trio"
OWN_COST = "Our own cost under load: 1000 at once / 20 at once"
HTTP2 = "Small requests over HTTP/2 with TLS"
TRANSFERS = "Transfers of 100 MB"
POOL = "A full pool / a small one"
COLD = "Start and memory"

_EVENT_LOOPS: dict[Runner, str] = {"asyncio": ASYNCIO, "uvloop": UVLOOP, "trio": TRIO}


def _engine(engine: Engine) -> dict[str, Any]:
    """The option of our stacks. A target for httptools is for what comes without asking."""
    return {"engine": "h11"} if engine == "h11" else {}


def _sync(name: str, peer: str, target: float | None = None, engine: Engine = "httptools") -> Row:
    ours = Variant("sync:core", options=_engine(engine))
    return Row(f"sync / {name}", SYNC, ours, Variant(f"sync:{peer}"), target, engine)


SYNC_ROWS = [
    _sync("pycurl", "pycurl", 1.0),
    _sync("httpcore2", "httpcore2", 0.20),
    _sync("h11 alone", "h11_alone", 1.25, "h11"),
    _sync("pyreqwest", "pyreqwest"),
    _sync("httpcore", "httpcore"),
    _sync("urllib3", "urllib3"),
    _sync("bare socket", "bare_socket"),
    Row(
        "sync, httptools / h11",
        SYNC,
        Variant("sync:core"),
        Variant("sync:core", options=_engine("h11")),
    ),
    Row("httpclient GET / handle_request", SYNC, Variant("sync:client"), Variant("sync:core"), 1.6),
]


def _versus(
    peer: str,
    runner: Runner,
    concurrency: int,
    target: float | None = None,
    engine: Engine = "httptools",
    *,
    tls: bool = False,
) -> Row:
    """Small requests by many tasks."""
    extra = {"tls": True} if tls else {}
    options = {"pool": concurrency, **extra}
    label = ", ".join([runner, *["h11"] * (engine == "h11"), *["TLS"] * tls])
    return Row(
        f"{label} / {peer}, {concurrency} at once",
        _EVENT_LOOPS[runner],
        Variant("asynchronous:core", runner, concurrency, {**options, **_engine(engine)}),
        Variant(f"asynchronous:{peer}", runner, concurrency, options),
        target,
        engine,
    )


def _own_cost(runner: Runner, pool: int, stack: str = "core", target: float | None = 1.15) -> Row:
    many, few = (
        Variant(f"asynchronous:{stack}", runner, concurrency, {"pool": pool})
        for concurrency in (1000, 20)
    )
    what = runner if stack == "core" else f"bare {runner}.Protocol"
    name = f"{what}, pool of {pool}: 1000 / 20 at once"
    return Row(name, OWN_COST, many, few, target, count=5000)


ASYNC_ROWS = [
    *(_versus("aiohttp", "asyncio", n, 0.55) for n in (1, 20, 300, 1000)),
    _versus("httpcore2", "asyncio", 20, 0.18),
    _versus("httpcore2", "asyncio", 300, 0.07),
    *(_versus("pyreqwest", "asyncio", n) for n in (20, 300)),
    *(_versus("bare_protocol", "asyncio", n) for n in (1, 20)),
    _versus("aiohttp", "asyncio", 20, engine="h11"),
    _versus("aiohttp", "asyncio", 20, tls=True),
    *(_versus("aiohttp", "uvloop", n) for n in (1, 20, 300, 1000)),
    _versus("httpcore2", "trio", 20, 0.35),
    *(_own_cost(runner, pool) for runner in ("asyncio", "uvloop") for pool in (20, 300, 1000)),
    *(_own_cost("asyncio", pool, "bare_protocol", None) for pool in (20, 300, 1000)),
]


def _transfer(
    name: str,
    stacks: tuple[str, str],
    target: float | None,
    runner: Runner = "sync",
    *,
    count: int = 1,
    rounds: int = 2,
) -> Row:
    """One head for all these bytes: what has parsed it does not matter."""
    ours, peer = (Variant(f"transfer:{stack}", runner) for stack in stacks)
    name = f"100 MB {name}"
    return Row(name, TRANSFERS, ours, peer, target, None, "ms", count, rounds)


# Whether the server is ahead of the client or behind it, who then wakes up for every 64 KiB,
# changes from one transfer to the next: so there are many rounds of few.
TRANSFER_ROWS = [
    _transfer(
        "download, sync / bare socket", ("download_core", "download_bare"), 1.1, rounds=5, count=2
    ),
    _transfer(
        "download, TLS, asyncio / aiohttp",
        ("download_core_tls", "download_aiohttp_tls"),
        0.8,
        "asyncio",
    ),
    _transfer(
        "download, TLS, uvloop / aiohttp",
        ("download_core_tls", "download_aiohttp_tls"),
        None,
        "uvloop",
    ),
    _transfer(
        "upload, sync / bare sendall", ("upload_core", "upload_bare"), 1.2, rounds=5, count=2
    ),
]


def _http2(name: str, peer: str, target: float | None) -> Row:
    ours, theirs = Variant("http2:core"), Variant(f"http2:{peer}")
    return Row(f"HTTP/2, sync / {name}", HTTP2, ours, theirs, target, None)


def _http2_versus(runner: Runner, concurrency: int, target: float | None) -> Row:
    ours, peer = (
        Variant(f"http2:async_{stack}", runner, concurrency, {"pool": 10})
        for stack in ("core", "httpcore2")
    )
    name = f"HTTP/2, {runner} / httpcore2, {concurrency} at once"
    return Row(name, HTTP2, ours, peer, target, None)


HTTP2_ROWS = [
    _http2("h2 alone", "h2_alone", 1.25),
    _http2("httpcore2", "httpcore2", None),
    _http2_versus("asyncio", 100, 0.40),
    _http2_versus("asyncio", 20, None),
    _http2_versus("trio", 20, None),
    *(
        Row(
            f"100 MB download, HTTP/2, {runner} / httpcore2",
            TRANSFERS,
            Variant(f"http2:{prefix}download_core", runner),
            Variant(f"http2:{prefix}download_httpcore2", runner),
            0.5,
            None,
            "ms",
            1,
            2,
        )
        for runner, prefix in (("sync", ""), ("asyncio", "async_"))
    ),
]


def _pool(name: str, stack: str, many: dict[str, int], few: dict[str, int]) -> Row:
    ours, peer = (Variant(f"pool:{stack}", options=dict(options)) for options in (many, few))
    engine: Engine | None = "httptools" if stack == "request" else None
    return Row(name, POOL, ours, peer, 1.2, engine)


_MANY_IDLE = {"origins": 100, "per_origin": 100}
_FEW_IDLE = {"origins": 10, "per_origin": 1}

POOL_ROWS = [
    _pool("acquire + release, 10,000 idle / 10 idle", "policy", _MANY_IDLE, _FEW_IDLE),
    _pool("request, 10,000 idle / 10 idle", "request", _MANY_IDLE, _FEW_IDLE),
    _pool(
        "acquire + release, 10,000 waiting / 10 waiting",
        "waiters",
        {"waiting": 10_000},
        {"waiting": 10},
    ),
]


def _cold_rows() -> list[Row]:
    def value(stack: str, library: str, **options: Any) -> Variant:
        return Variant(stack, "value", options={"library": library, **options})

    imports = Row(
        "import and first sync request / httpcore2",
        COLD,
        value("cold:start", "httpcore_core"),
        value("cold:start", "httpcore2"),
        0.30,
        unit="ms",
        count=1,
    )
    memory = [
        Row(
            f"memory per idle connection, {flavour} / httpcore2",
            COLD,
            value("cold:memory", "httpcore_core", flavour=flavour),
            value("cold:memory", "httpcore2", flavour=flavour),
            0.5,
            unit="KiB",
            count=1,
        )
        for flavour in ("sync", "asyncio")
    ]
    return [imports, *memory]


ROWS: list[Row] = [*SYNC_ROWS, *ASYNC_ROWS, *HTTP2_ROWS, *TRANSFER_ROWS, *POOL_ROWS, *_cold_rows()]
