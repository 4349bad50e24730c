"""A server that is reloaded again and again, under load that does not stop for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from httpcore_core import AsyncConnectionPool
from tests.concurrency import AsyncTaskGroup
from tests.interop.content import SMALL, TEXT

from .asking import ask, get


class Reloads(threading.Thread):
    """Reload a server three times, while the test goes on."""

    def __init__(self, reload: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._reload = reload
        self.is_over = False
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(3):
                time.sleep(0.15)  # some load first
                self._reload()
            time.sleep(0.15)
        except BaseException as exc:
            self.error = exc
        finally:
            self.is_over = True


async def reload_under_load(
    pool: AsyncConnectionPool,
    url: str,
    reload: Callable[[], None],
    at_once: int = 8,
    tolerated: tuple[type[Exception], ...] = (),
) -> tuple[int, int]:
    """How many requests were answered meanwhile, and how many failed with what is `tolerated`."""
    answered, lost = [], []

    async def ask_for_all(number: int) -> None:
        response = await get(pool, f"{url}/small.txt")
        assert response.content == SMALL
        response = await get(pool, f"{url}/text.txt")
        assert response.content == TEXT
        response = await ask(pool, "PUT", f"{url}/upload/{number}", None, SMALL)
        assert response.status in (201, 204)

    async def worker(number: int, reloads: Reloads) -> None:
        while not reloads.is_over:
            try:
                await ask_for_all(number)
            except tolerated:
                lost.append(number)
                continue
            answered.append(number)

    reloads = Reloads(reload)
    reloads.start()
    try:
        async with AsyncTaskGroup() as group:
            for number in range(at_once):
                group.start(worker, number, reloads)
    finally:
        reloads.join()
    assert reloads.error is None, reloads.error
    return len(answered) * 3, len(lost)
