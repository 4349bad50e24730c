"""The trace extension: names, order and information of the events; the same to the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from httpcore_core import ConnectionPool, ConnectError, ReadTimeout
from httpcore_core.testing.http_server import HTTPServer
from tests.certificates import Certificates

SEED = [
    "connection.connect_tcp.started",
    "connection.connect_tcp.complete",
    "connection.start_tls.started",
    "connection.start_tls.complete",
    "http11.send_request_headers.started",
    "http11.send_request_headers.complete",
    "http11.send_request_body.started",
    "http11.send_request_body.complete",
    "http11.receive_response_headers.started",
    "http11.receive_response_headers.complete",
    "http11.receive_response_body.started",
    "http11.receive_response_body.complete",
    "http11.response_closed.started",
    "http11.response_closed.complete",
]
"""The events that the documented example prints, in its order."""


class Log:
    """Collects events; `seed` are those which the documented example has."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, info: dict[str, Any]) -> None:
        self.events.append((name, info))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    @property
    def seed(self) -> list[str]:
        return [name for name in self.names if name in SEED]

    def info(self, name: str) -> dict[str, Any]:
        return next(info for event, info in self.events if event == name)


def test_the_documented_example_in_its_order(certificates: Certificates) -> None:
    with HTTPServer(ssl_context=certificates.server_context()) as server:
        with ConnectionPool(ssl_context=certificates.client_context()) as pool:
            log = Log()
            url = f"https://localhost:{server.port}/bytes/5"
            pool.request("GET", url, extensions={"trace": log})
            assert log.seed == SEED
            connect = log.info("connection.connect_tcp.started")
            assert connect == {
                "host": "localhost",
                "port": server.port,
                "local_address": None,
                "timeout": None,
            }
            tls = log.info("connection.start_tls.started")
            assert (tls["server_hostname"], tls["timeout"]) == ("localhost", None)
            assert repr(log.info("http11.send_request_headers.started")) == (
                "{'request': <Request [b'GET']>}"
            )
            head = log.info("http11.receive_response_headers.complete")["return_value"]
            assert head == (b"HTTP/1.1", 200, b"OK", [(b"Content-Length", b"5")])
            assert repr(head).startswith("(b'HTTP/1.1', 200, b'OK', [")
            assert log.info("http11.response_closed.started") == {}
            assert "connection.resolve.started" in log.names
            assert log.info("connection.connect_attempt.started")["port"] == server.port

            again = Log()
            pool.request("GET", url, extensions={"trace": again})
            assert again.seed == SEED[4:]
            acquired = again.info("pool.acquire.complete")["return_value"]
            assert acquired["reused"]
            assert acquired["queued"] == 0.0


def test_a_plain_function_is_a_trace_too() -> None:
    names: list[str] = []
    with HTTPServer() as server:
        with ConnectionPool() as pool:
            pool.request(
                "GET",
                f"{server.url}/close",
                extensions={"trace": lambda name, info: names.append(name)},
            )
    assert names[0] == "pool.acquire.started"
    assert names[-1] == "http11.response_closed.complete"
    assert "connection.close.complete" in names


def test_failures_are_events() -> None:
    log = Log()
    with ConnectionPool(retries=1) as pool:
        with pytest.raises(ConnectError) as caught:
            pool.request("GET", "http://127.0.0.1:9/", extensions={"trace": log})
    assert log.names.count("connection.connect_tcp.failed") == 2
    assert log.names.count("connection.retry.started") == 1
    assert log.events[-1] == ("pool.acquire.failed", {"exception": caught.value})


def test_a_failed_read_is_an_event() -> None:
    log = Log()
    with HTTPServer() as server:
        with ConnectionPool() as pool:
            with pytest.raises(ReadTimeout):
                pool.request(
                    "GET",
                    f"{server.url}/hang",
                    extensions={"trace": log, "timeout": {"read": 0.05}},
                )
    assert log.names[-1] == "http11.receive_response_headers.failed"


def test_i9_the_log_has_the_events_and_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    secrets = {
        "Authorization": "Basic c2VjcmV0",
        "Cookie": "session=c2VjcmV0",
        "Proxy-Authorization": "Basic c2VjcmV0",
    }

    def set_cookie(exchange: Any) -> None:
        exchange.read()
        exchange.respond(b"ok", headers=[(b"Set-Cookie", b"session=c2VjcmV0")])

    with HTTPServer({"cookie": set_cookie}) as server, caplog.at_level(logging.DEBUG):
        with ConnectionPool() as pool:
            response = pool.request("GET", f"{server.url}/cookie", headers=secrets)
            assert dict(response.headers)[b"Set-Cookie"] == b"session=c2VjcmV0"
    loggers = {record.name for record in caplog.records}
    assert loggers >= {"httpcore_core.connection", "httpcore_core.http11", "httpcore_core.pool"}
    assert "http11.receive_response_headers.complete" in caplog.text
    assert "c2VjcmV0" not in caplog.text


@pytest.mark.parametrize("owner", ["http2", "http11"])
def test_each_logger_may_have_a_level_of_its_own(
    owner: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its parent's: one that is disabled, as `dictConfig` does with those it is not told
    of, does not silence it."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(logging.getLogger("httpcore_core"), "disabled", True)
    caplog.set_level(logging.DEBUG, f"httpcore_core.{owner}")
    with HTTPServer() as server:
        with ConnectionPool() as pool:
            pool.request("GET", f"{server.url}/bytes/5")
    expected = {"httpcore_core.http11"} if owner == "http11" else set()
    assert {record.name for record in caplog.records} == expected


def test_the_root_loggers_level_holds_though_the_parent_is_disabled(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("httpcore_core"), "disabled", True)
    caplog.set_level(logging.DEBUG)
    with HTTPServer() as server:
        with ConnectionPool() as pool:
            pool.request("GET", f"{server.url}/bytes/5")
    assert "httpcore_core.http11" in {record.name for record in caplog.records}


def test_a_trace_that_raises_costs_no_connection(settled: Any) -> None:
    class Trace:
        def __init__(self, number: int) -> None:
            self.left = number

        def __call__(self, name: str, info: object) -> None:
            self.left -= 1
            if not self.left:
                raise ZeroDivisionError

    with HTTPServer() as server:
        with ConnectionPool(max_connections=1) as pool:
            number = 1
            while True:
                trace = Trace(number)
                try:
                    url = f"{server.url}/bytes/5"
                    pool.request("GET", url, extensions={"trace": trace})
                except ZeroDivisionError:
                    settled(pool)
                else:
                    break
                number += 1
            assert number > 10
