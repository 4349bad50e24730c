"""The code examples of HTTPX's extensions page and of its report on the transport API, as written
there, with a local server for their addresses."""

from __future__ import annotations

import json
import re
import ssl
from typing import Any

import pytest

import httpclient as httpx
from tests.certificates import Certificates
from tests.client.servers import Server, serve

EXAMPLE_EVENTS = [
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


# The extensions page


def test_request_timeouts_are_an_extension(server: Server) -> None:
    client = httpx.Client()
    response = client.get(
        server.url,
        extensions={"timeout": {"connect": 5.0}}
    )  # fmt: skip
    assert response.request.extensions["timeout"] == {"connect": 5.0}
    client.close()


def test_connect_and_pool_timeouts(server: Server) -> None:
    # Timeout if a connection takes more than 5 seconds to established, or if
    # we are blocked waiting on the connection pool for more than 10 seconds.
    client = httpx.Client()
    response = client.get(
        server.url,
        extensions={"timeout": {"connect": 5.0, "pool": 10.0}}
    )  # fmt: skip
    assert response.status_code == 200
    client.close()


def test_http_version(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    client = httpx.Client()
    response = client.get(server.url)
    print(response.extensions["http_version"])  # b"HTTP/1.1"
    # Other server responses could have been
    # b"HTTP/0.9", b"HTTP/1.0", or b"HTTP/1.1"
    assert capsys.readouterr().out == "b'HTTP/1.1'\n"
    assert response.extensions["reason_phrase"] == b"OK"
    client.close()


def test_trace(
    tls_server: Server, client_ssl_context: ssl.SSLContext, capsys: pytest.CaptureFixture[str]
) -> None:
    def log(event_name: str, info: dict[str, Any]) -> None:
        print(event_name, info)

    client = httpx.Client(verify=client_ssl_context)
    client.get(tls_server.url, extensions={"trace": log})
    client.close()
    lines = capsys.readouterr().out.splitlines()
    check_events(dict(line.split(" ", 1) for line in lines), tls_server)


async def test_trace_in_async_code(tls_server: Server, client_ssl_context: ssl.SSLContext) -> None:
    seen: dict[str, str] = {}

    async def log(event_name: str, info: dict[str, Any]) -> None:
        seen[event_name] = str(info)

    async with httpx.AsyncClient(verify=client_ssl_context) as client:
        await client.get(tls_server.url, extensions={"trace": log})
    check_events(seen, tls_server)


def check_events(seen: dict[str, str], server: Server) -> None:
    """The page's events in the page's order, with what it shows of them; others may lie between."""
    assert [name for name in seen if name in EXAMPLE_EVENTS] == EXAMPLE_EVENTS
    connect = seen["connection.connect_tcp.started"]
    assert f"'host': '127.0.0.1', 'port': {server.server_port}, 'local_address': None" in connect
    assert "'server_hostname': '127.0.0.1'" in seen["connection.start_tls.started"].replace(
        "b'", "'"
    )
    assert seen["http11.send_request_headers.started"] == "{'request': <Request [b'GET']>}"
    assert seen["http11.send_request_headers.complete"] == "{'return_value': None}"
    head = seen["http11.receive_response_headers.complete"]
    assert re.search(r"\(.*b'HTTP/1.1', .*200, .*b'OK', .*\[\(b'Server', b'", head)
    assert seen["http11.receive_response_body.complete"] == "{'return_value': None}"
    assert seen["http11.response_closed.started"] == "{}"


def test_sni_hostname(certificates: Certificates) -> None:
    context = certificates.client_context()
    with serve(certificates.server_context(certificates.wrong_host)) as server:
        # Connect to '127.0.0.1' but use 'elsewhere.test' in the Host header,
        # and use 'elsewhere.test' when SSL verifying the server hostname.
        client = httpx.Client(verify=context)
        headers = {"Host": "elsewhere.test"}
        extensions = {"sni_hostname": "elsewhere.test"}
        response = client.get(
            server.url,
            headers=headers,
            extensions=extensions
        )  # fmt: skip
        assert ["Host", "elsewhere.test"] in response.json()["headers"]
        assert server.server_names == ["elsewhere.test"]
        with pytest.raises(httpx.ConnectError):
            client.get(server.url, headers=headers)
        client.close()


def test_network_stream_addresses(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    response = httpx.get(server.url)
    network_stream = response.extensions["network_stream"]

    client_addr = network_stream.get_extra_info("client_addr")
    server_addr = network_stream.get_extra_info("server_addr")
    print("Client address", client_addr)
    print("Server address", server_addr)
    assert f"Server address ('127.0.0.1', {server.server_port})" in capsys.readouterr().out
    assert client_addr[0] == "127.0.0.1"


def test_network_stream_tls_version(
    tls_server: Server, client_ssl_context: ssl.SSLContext, capsys: pytest.CaptureFixture[str]
) -> None:
    client = httpx.Client(verify=client_ssl_context)
    with client.stream("GET", tls_server.url) as response:
        network_stream = response.extensions["network_stream"]

        ssl_object = network_stream.get_extra_info("ssl_object")
        print("TLS version", ssl_object.version())
    client.close()
    with httpx.stream("GET", tls_server.url, verify=client_ssl_context) as response:
        network_stream = response.extensions["network_stream"]

        ssl_object = network_stream.get_extra_info("ssl_object")
        print("TLS version", ssl_object.version())
    assert capsys.readouterr().out == "TLS version TLSv1.3\n" * 2


# The report on the transport API


class HelloWorldTransport(httpx.BaseTransport):
    """
    A mock transport that always returns a JSON "Hello, world!" response.
    """

    def handle_request(self, method, url, headers, stream, extensions):  # type: ignore[no-untyped-def]
        message = {"text": "Hello, world!"}
        content = json.dumps(message).encode("utf-8")
        stream = httpx.ByteStream(content)
        headers = [(b"content-type", b"application/json")]
        extensions = {}
        return 200, headers, stream, extensions


def test_hello_world_transport(capsys: pytest.CaptureFixture[str]) -> None:
    client = httpx.Client(transport=HelloWorldTransport())
    response = client.get("https://example.org/")
    print(response.json())  # Prints: {"text": "Hello, world!"}
    assert capsys.readouterr().out == "{'text': 'Hello, world!'}\n"
    with HelloWorldTransport() as transport:
        assert transport.request("GET", "https://example.org/").status == 200


async def test_one_class_provides_both_styles() -> None:
    class BothTransport(HelloWorldTransport, httpx.AsyncBaseTransport):
        async def handle_async_request(self, *request):  # type: ignore[no-untyped-def]
            return self.handle_request(*request)

    async with httpx.AsyncClient(transport=BothTransport()) as client:
        assert (await client.get("https://example.org/")).json() == {"text": "Hello, world!"}
    with httpx.Client(transport=BothTransport()) as sync_client:
        assert sync_client.get("https://example.org/").json() == {"text": "Hello, world!"}


def test_url_raw() -> None:
    raw = httpx.URL("https://www.example.com/some/path?query").raw
    assert raw == (b"https", b"www.example.com", None, b"/some/path?query")


def test_transport_response_is_read_or_streamed(server: Server) -> None:
    url = httpx.URL(server.url).raw
    host = server.url.split("/")[2].encode()
    request = (b"GET", url, [(b"Host", host), (b"User-Agent", b"httpx")], httpx.ByteStream(b""), {})

    transport = httpx.HTTPTransport()

    # Reading the entire response body in a single call.
    status_code, headers, stream, extensions = transport.handle_request(*request)
    body = stream.read()
    assert (status_code, json.loads(body)["method"]) == (200, "GET")
    assert (b"Content-Type", b"application/json") in headers
    assert extensions["http_version"] == b"HTTP/1.1"

    # Streaming the response body.
    status_code, headers, stream, extensions = transport.handle_request(*request)
    try:
        streamed = b""
        for chunk in stream:
            streamed += chunk
    finally:
        stream.close()
    assert streamed == body
    transport.close()
