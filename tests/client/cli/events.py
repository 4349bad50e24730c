"""Trace events as a recorder would have them, for the tests of what is made of them."""

from __future__ import annotations

from typing import Any

from httpclient._cli.recorder import Event

HEADERS = [(b"Host", b"h"), (b"Authorization", b"Basic c2VjcmV0"), (b"Cookie", b"sid=topsecret")]
ANSWER = [
    (b"Content-Type", b"text/plain"),
    (b"Content-Length", b"2"),
    (b"Set-Cookie", b"sid=topsecret; Path=/; HttpOnly"),
]


def events(*steps: tuple[float, str] | tuple[float, str, dict[str, Any]]) -> list[Event]:
    return [Event(step[1], step[0], step[2] if len(step) == 3 else {}) for step in steps]


def request(url: str = "https://h/a?x=1", **changes: Any) -> dict[str, Any]:
    target = ("/" + url.split("/", 3)[3]).encode()
    basis = {"method": b"GET", "url": url, "target": target, "headers": HEADERS, "body": b""}
    return basis | changes


def answer(status: int = 200, reason: bytes = b"OK", **changes: Any) -> dict[str, Any]:
    basis = {"version": "HTTP/1.1", "status": status, "reason": reason, "headers": ANSWER}
    return basis | changes


WHOLE = events(
    (0.0, "pool.acquire.started", {"origin": "https://h:443"}),
    (1.0, "connection.connect_tcp.started", {"host": "h", "port": 443}),
    (1.0, "connection.resolve.started", {"host": "h", "port": 443}),
    (3.0, "connection.resolve.complete", {"addresses": ["127.0.0.1"]}),
    (3.0, "connection.connect_attempt.started", {"address": "127.0.0.1", "port": 443}),
    (6.0, "connection.connect_attempt.complete", {"address": "127.0.0.1"}),
    (6.0, "connection.connect_tcp.complete", {"address": "127.0.0.1", "port": 443}),
    (6.0, "connection.start_tls.started", {"server_hostname": "h"}),
    (10.0, "connection.start_tls.complete", {"version": "TLSv1.3", "alpn": None, "cipher": "c"}),
    (10.5, "pool.acquire.complete", {"queued": 0.0, "reused": False, "connection_id": 7}),
    (11.0, "http11.send_request_headers.started", request()),
    (12.0, "http11.send_request_headers.complete"),
    (12.0, "http11.send_request_body.started"),
    (16.0, "http11.send_request_body.complete"),
    (16.0, "http11.receive_response_headers.started"),
    (22.0, "http11.receive_response_headers.complete", answer()),
    (23.0, "http11.receive_response_body.started"),
    (30.0, "http11.receive_response_body.complete"),
    (30.0, "http11.response_closed.started"),
    (31.0, "http11.response_closed.complete"),
)  # fmt: skip

REDIRECTED = events(
    (0.0, "pool.acquire.started", {"origin": "http://h:80"}),
    (1.0, "connection.connect_tcp.started", {"host": "127.0.0.1", "port": 80}),
    (2.0, "connection.connect_tcp.complete", {"address": "127.0.0.1", "port": 80}),
    (2.0, "pool.acquire.complete", {"queued": 0.0, "reused": False, "connection_id": 1}),
    (3.0, "http11.send_request_headers.started", request("http://h/old")),
    (3.0, "http11.send_request_headers.complete"),
    (3.0, "http11.send_request_body.started"),
    (3.0, "http11.send_request_body.complete"),
    (3.0, "http11.receive_response_headers.started"),
    (4.0, "http11.receive_response_headers.complete",
     answer(302, b"Found", headers=[(b"Location", b"http://u:pw@h/new")])),
    (5.0, "http11.response_closed.started"),
    (5.0, "http11.response_closed.complete"),
    (6.0, "pool.acquire.started", {"origin": "http://h:80"}),
    (7.0, "pool.acquire.complete", {"queued": 0.0, "reused": True, "connection_id": 1}),
    (7.0, "http11.send_request_headers.started", request("http://h/new")),
    (8.0, "http11.send_request_headers.complete"),
    (8.0, "http11.send_request_body.started"),
    (8.0, "http11.send_request_body.complete"),
    (8.0, "http11.receive_response_headers.started"),
    (9.0, "http11.receive_response_headers.complete", answer()),
    (9.0, "http11.receive_response_body.started"),
    (10.0, "http11.receive_response_body.complete"),
)  # fmt: skip

PROXIED = events(
    (0.0, "pool.acquire.started", {"origin": "https://h:443"}),
    (0.0, "connection.connect_tcp.started", {"host": "proxy", "port": 3128}),
    (0.0, "connection.resolve.started", {"host": "proxy", "port": 3128}),
    (1.0, "connection.resolve.complete", {"addresses": ["127.0.0.1"]}),
    (2.0, "connection.connect_tcp.complete", {"address": "127.0.0.1", "port": 3128}),
    (2.0, "connection.start_tls.started", {"server_hostname": "proxy"}),
    (3.0, "connection.start_tls.complete"),
    (3.0, "proxy.connect.started", {"proxy": "https://proxy:3128", "target": "h:443"}),
    (5.0, "proxy.connect.complete"),
    (5.0, "connection.start_tls.started", {"server_hostname": "h"}),
    (8.0, "connection.start_tls.failed", {"error": "ConnectError", "text": "bad certificate"}),
    (8.0, "pool.acquire.failed", {"error": "ConnectError", "text": "bad certificate"}),
)

RACE = events(
    (0.0, "pool.acquire.started", {"origin": "http://h:80"}),
    (0.0, "connection.connect_tcp.started", {"host": "h", "port": 80}),
    (0.0, "connection.connect_attempt.started", {"address": "::1", "port": 80}),
    (0.2, "connection.connect_attempt.started", {"address": "127.0.0.1", "port": 80}),
    (0.3, "connection.connect_attempt.complete", {"address": "127.0.0.1"}),
    (0.3, "connection.connect_attempt.failed", {"error": "ConnectError", "text": "too slow"}),
    (0.3, "connection.connect_tcp.complete", {"address": "127.0.0.1", "port": 80}),
)

NO_NAME = events(
    (0.0, "pool.acquire.started", {"origin": "http://h:80"}),
    (1.0, "connection.connect_tcp.started", {"host": "h", "port": 80}),
    (1.0, "connection.resolve.started", {"host": "h", "port": 80}),
    (5.0, "connection.resolve.failed", {"error": "ConnectError", "text": "no such name"}),
    (5.0, "connection.connect_tcp.failed", {"error": "ConnectError", "text": "no such name"}),
    (5.0, "pool.acquire.failed", {"error": "ConnectError", "text": "no such name"}),
)
