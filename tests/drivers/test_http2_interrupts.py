"""D21 over HTTP/2: sync code is interrupted at every operation of the network, and at no cost."""

from __future__ import annotations

import time

import pytest

from httpcore_core import ConnectionPool, SyncBackend, TransportError
from httpcore_core.testing.cancel import InterruptStep, interrupt_at_every_operation
from httpcore_core.testing.http_server import pattern
from tests._async.http2 import GUARD, LIMITS
from tests.drivers.test_http2_cancellation import check_links, check_numbers
from tests.http2_server import HTTP2Server


# An operation of a background thread may be hit: what it raises there is not what comes out.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("path", ["bytes/100000", "endless"])
def test_d21_sync_code_is_interrupted_at_every_operation(
    error: type[BaseException], path: str
) -> None:
    def work(pool: ConnectionPool) -> None:
        body = iter([bytes(50_000)] * 3)
        try:
            with pool.stream(
                "POST", f"{server.url}/{path}", content=body, extensions={"timeout": {"read": 5.0}}
            ) as response:
                for count, _ in enumerate(response.stream):
                    if count == 3:
                        break
        except TransportError:
            pass

    with HTTP2Server() as server:

        def scenario(step: InterruptStep) -> None:
            backend = step.wrap(SyncBackend())
            pool = ConnectionPool(
                http1=False, http2=True, network_backend=backend, max_connections=1
            )
            step.run(work, pool)
            deadline = time.monotonic() + GUARD
            while pool.stats().closing:  # in the background, as what was written there
                assert time.monotonic() < deadline
                time.sleep(0.001)
            check_numbers(pool)
            if not step.interrupted:
                step.run(pool.close)
                pool.close()
                return
            response = pool.request(
                "GET", f"{server.url}/bytes/5", extensions={"timeout": {**LIMITS, "pool": 5.0}}
            )
            assert response.content == pattern(5)
            pool.close()

        assert interrupt_at_every_operation(scenario, error=error) >= 4
        check_links(server)
