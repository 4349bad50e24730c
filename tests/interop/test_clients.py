"""The command line, and both bridges (the core underneath HTTPX, urllib3 underneath the client),
to nginx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import httpclient
import httpcore_core.httpx
from tests.certificates import Certificates

from .content import SMALL, TEXT, Content
from .servers.nginx import Nginx


@pytest.fixture
def verify(certificates: Certificates) -> str:
    return str(certificates.ca_file)


def command(*arguments: object) -> tuple[int, bytes, bytes]:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "httpclient", *map(str, arguments)],
        capture_output=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    return result.returncode, result.stdout, result.stderr


def test_command_line(nginx: Nginx, content: Content, verify: str, tmp_path: Path) -> None:
    plain, tls = nginx.url("plain"), nginx.url("tls_h2")
    assert command(f"{plain}/small.txt") == (0, SMALL, b"")
    assert command(f"{tls}/gzip/text.txt", "--cacert", verify) == (0, TEXT, b"")
    assert command("http://a/small.txt", "--unix-socket", nginx.socket_path) == (0, SMALL, b"")
    assert command("-L", f"{plain}/redirect")[:2] == (0, SMALL)
    assert command("-u", "user:p@ss", f"{plain}/private/small.txt")[:2] == (0, SMALL)
    for code, arguments in {
        22: ("-f", f"{plain}/nothing"),
        47: ("-L", f"{plain}/loop"),
        60: (f"{tls}/small.txt",),
    }.items():
        status, _, error = command(*arguments)
        assert (status, error.count(b"\n")) == (code, 1), arguments
        assert b"Traceback" not in error


def test_command_line_resumes_a_download(
    nginx: Nginx, content: Content, verify: str, tmp_path: Path
) -> None:
    whole = (content.path / "medium.bin").read_bytes()
    target = tmp_path / "medium.bin"
    url = f"{nginx.url('tls_h2')}/medium.bin"
    assert command(url, "--cacert", verify, "-C", "-o", target)[0] == 0
    assert target.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["medium.bin"]
    har, trace = tmp_path / "one.har", tmp_path / "one.json"
    status, out, _ = command(
        url, "--cacert", verify, "-o", target, "--har", har, "--trace-json", trace
    )
    assert (status, out) == (0, b"")
    assert har.stat().st_size > 500
    assert trace.stat().st_size > 500


@pytest.mark.parametrize("layer", ["plain", "tls", "tls_h2"])
def test_core_underneath_httpx(nginx: Nginx, verify: str, layer: str) -> None:
    context = httpcore_core.default_ssl_context(("h2", "http/1.1"), shared=False)
    context.load_verify_locations(verify)
    transport = httpcore_core.httpx.HTTPTransport(verify=context, http2=True)
    with httpx.Client(transport=transport, base_url=nginx.url(layer)) as client:
        response = client.get("/gzip/text.txt")
        assert response.content == TEXT
        assert response.http_version == ("HTTP/2" if layer == "tls_h2" else "HTTP/1.1")
        assert client.get("/redirect", follow_redirects=True).content == SMALL


@pytest.mark.parametrize("layer", ["plain", "tls"])
def test_urllib3_underneath_the_client(nginx: Nginx, verify: str, layer: str) -> None:
    context = httpcore_core.default_ssl_context(shared=False)
    context.load_verify_locations(verify)
    with (
        httpclient.URLLib3Transport(verify=context) as transport,
        httpclient.Client(transport=transport, base_url=nginx.url(layer)) as client,
    ):
        assert client.get("/gzip/text.txt").content == TEXT
        assert client.get("/redirect", follow_redirects=True).content == SMALL
