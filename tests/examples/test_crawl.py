"""The crawl of `examples/crawl.py` on a local Dask cluster of two processes."""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CRAWL = Path(__file__).resolve().parents[2] / "examples" / "crawl.py"
PAGES = {"/": ["/a", "/b", "/c#top", "/secret/x", "mailto:someone", "http://[", "/busy"]}
PAGES |= {f"/{letter}": ["/", "/a", f"/{letter}/deep"] for letter in "abc"}


class Site(http.server.ThreadingHTTPServer):
    """A small site that counts connections, requests, and how many of either there are at once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.connections = self.open = self.peak = 0
        self.lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1
            self.server.open += 1
            self.server.peak = max(self.server.peak, self.server.open)

    def finish(self) -> None:
        with self.server.lock:
            self.server.open -= 1
        super().finish()

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.paths[self.path] += 1
            self.server.agents.add(self.headers["User-Agent"])
            busy = self.path == "/busy" and self.server.paths["/busy"] == 1
        content = "".join(f'<a href="{link}">x</a>' for link in PAGES.get(self.path, [])).encode()
        kind, status = "text/html; charset=utf-8", 200 if self.path in PAGES else 404
        if self.path == "/robots.txt":
            content, kind, status = b"User-agent: *\nDisallow: /secret/", "text/plain", 200
        elif self.path == "/busy":
            status = 503 if busy else 200
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if busy:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


def test_a_site_is_crawled_politely_with_one_pool_for_each_worker() -> None:
    with serve() as one, serve() as two:
        urls = [f"http://127.0.0.1:{site.server_port}/" for site in (one, two)]
        command = [sys.executable, str(CRAWL), *urls, "--rate", "100"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=180)
        assert result.returncode == 0, result.stderr
        for site, url in zip((one, two), urls, strict=True):
            outcomes = {
                "/" + path: outcome
                for outcome, path in re.findall(
                    rf"^(.+) {re.escape(url)}(\S*)$", result.stdout, re.M
                )
            }
            assert outcomes == {
                **dict.fromkeys(("/", "/a", "/b", "/c", "/busy"), "200"),
                **dict.fromkeys(("/a/deep", "/b/deep", "/c/deep"), "404"),
                "/secret/x": "forbidden by robots.txt",
            }
            assert site.paths == {
                **dict.fromkeys(set(outcomes) - {"/secret/x", "/busy"}, 1),
                "/busy": 2,  # 503 first, and then once more
                "/robots.txt": site.paths["/robots.txt"],
            }
            assert site.agents == {"example-crawler"}
            assert site.peak <= 2
            assert site.connections <= 4
