"""Crawl a web site with the workers of a Dask cluster.

    pip install httpclient "dask[distributed]" rich
    python examples/crawl.py https://www.example.com/ --pages 200 --rate 5

One client is made here and handed to the workers: it pickles as its configuration, so that each
worker has one connection pool of its own, which all of its tasks share. The parts compose: retries
around a rate limit around the pool. All pages of an origin go to the same worker, whose limits are
then those of the whole cluster: so many requests a second, so many connections, and what the
site's robots.txt forbids is left alone.
"""

from __future__ import annotations

import argparse
import html.parser
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.robotparser import RobotFileParser

from dask.distributed import Client as Cluster
from dask.distributed import LocalCluster, WorkerPlugin, as_completed, get_worker
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import httpclient

AGENT = "example-crawler"
MAX_PAGE = 5_000_000  # bytes; the rest of a longer page is not fetched


def make_client(rate: float = 5.0, connections: int = 2) -> httpclient.Client:
    """At most `rate` requests a second and `connections` at a time to each origin."""
    pool = httpclient.HTTPTransport(http2=True, max_connections_per_origin=connections)
    polite = httpclient.RateLimitTransport(pool, rate=rate, burst=connections, per="origin")
    patient = httpclient.RetryTransport(polite, attempts=4, max_retry_after=30.0)
    timeout = {"connect": 10.0, "read": 20.0, "pool": None, "total": 120.0}
    return httpclient.Client(
        transport=patient, headers={"User-Agent": AGENT}, timeout=timeout, follow_redirects=True
    )


class Crawler(WorkerPlugin):
    """What a worker keeps between tasks: its client, and the robots.txt of its origins."""

    name = "crawler"

    def __init__(self, client: httpclient.Client) -> None:
        self.http = client
        self.robots: dict[tuple[str, str, int | None], RobotFileParser] = {}

    def teardown(self, worker: Any) -> None:
        self.http.close()

    def allows(self, url: httpclient.URL) -> bool:
        robots = self.robots.get(url.origin)
        if robots is None:
            robots = RobotFileParser()
            response = self.http.get(url.join("/robots.txt"))
            robots.parse(response.text.splitlines() if response.is_success else [])
            self.robots[url.origin] = robots
        return robots.can_fetch(AGENT, str(url))


class Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def fetch(address: str) -> tuple[str, int | str, list[str]]:
    """Runs on a worker: the URL, its status or what went wrong, and the pages it links to."""
    crawler: Crawler = get_worker().plugins[Crawler.name]
    url = httpclient.URL(address)
    try:
        if not crawler.allows(url):
            return address, "forbidden by robots.txt", []
        with crawler.http.stream("GET", url) as response:
            if not response.headers.get("Content-Type", "").startswith("text/html"):
                return address, response.status_code, []
            links, size = Links(), 0
            for text in response.iter_text():
                links.feed(text)
                size += len(text)
                if size > MAX_PAGE:
                    break
            return address, response.status_code, list(targets(response.url, links.found))
    except httpclient.RequestError as exc:
        return address, f"{type(exc).__name__}: {exc}", []


def targets(base: httpclient.URL, links: list[str]) -> Iterator[str]:
    for link in links:
        try:
            url = base.join(link).copy_with(fragment=None)
        except httpclient.InvalidURL:
            continue
        if url.scheme in ("http", "https"):
            yield str(url)


def crawl(cluster: Cluster, start: list[str], pages: int, progress: Progress) -> dict[str, Any]:
    """Fetch up to `pages` pages of the origins of `start`; return what came of each URL."""
    workers = sorted(cluster.scheduler_info()["workers"])
    origins = {httpclient.URL(url).origin for url in start}
    results: dict[str, Any] = {}
    seen: set[str] = set()
    running = as_completed(with_results=True)
    bar = progress.add_task("crawl", total=0)

    def add(address: str) -> None:
        origin = httpclient.URL(address).origin
        if address in seen or origin not in origins or len(seen) >= pages:
            return
        seen.add(address)
        progress.update(bar, total=len(seen))
        home = workers[zlib.crc32(repr(origin).encode()) % len(workers)]
        running.add(cluster.submit(fetch, address, workers=[home], pure=False))

    for address in start:
        add(str(httpclient.URL(address)))
    for _, (address, outcome, links) in running:
        results[address] = outcome
        progress.advance(bar)
        for link in links:
            add(link)
    return results


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Crawl the sites of some URLs.")
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--pages", type=int, default=100, help="fetch at most so many")
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second to each origin")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(argv)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        LocalCluster(
            n_workers=options.workers, threads_per_worker=4, dashboard_address=None
        ) as local,
        Cluster(local) as cluster,
        Progress(*columns, TimeElapsedColumn()) as progress,
    ):
        cluster.register_plugin(Crawler(make_client(options.rate)))
        results = crawl(cluster, options.urls, options.pages, progress)
    for address, outcome in sorted(results.items()):
        print(outcome, address)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
