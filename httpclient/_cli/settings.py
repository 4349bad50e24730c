"""A command line that makes sense.

Rules of this file: a value, and what its parts say of each other. How it is typed is in `options`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import click

from .values import Header, Resolved


@dataclass(frozen=True)
class Settings:
    """Names are those of the options, in `options`."""

    url: str
    method: str | None
    head_only: bool
    headers: tuple[Header, ...]
    query: tuple[tuple[str, str], ...]
    data: tuple[str, ...]
    json: str | None
    form: tuple[tuple[str, str], ...]
    user: tuple[str, str] | None
    digest: bool
    netrc: bool
    follow: bool
    max_redirects: int
    proxy: str | None
    no_env: bool
    http11: bool
    http2: bool
    http2_prior_knowledge: bool
    resolve: tuple[Resolved, ...]
    unix_socket: str | None
    interface: str | None
    cacert: str | None
    cert: str | None
    key: str | None
    insecure: bool
    max_time: float | None
    connect_timeout: float
    read_timeout: float | None
    output: str | None
    remote_name: bool
    resume: bool
    no_progress: bool
    include: bool
    no_buffer: bool
    verbose: bool
    fail: bool
    trace: bool
    trace_json: str | None
    har: str | None
    no_color: bool
    show_secrets: bool


def check(settings: Settings) -> None:
    """Raises `click.UsageError` for options that exclude or need each other."""
    given = {
        "--data": settings.data,
        "--json": settings.json is not None,
        "--form": settings.form,
    }
    bodies = [name for name, value in given.items() if value]
    versions = [settings.http11, settings.http2, settings.http2_prior_knowledge]
    saved = settings.output not in (None, "-") or settings.remote_name
    ranges = [name for name, _ in settings.headers if name.lower() in ("range", "if-range")]
    problems = (
        (len(bodies) > 1, f"{' and '.join(bodies)} are several bodies"),
        (settings.head_only and (bodies or settings.method), "--head has a method and no body"),
        (sum(versions) > 1, "there is one version of HTTP at a time"),
        (settings.digest and settings.user is None, "--digest needs --auth"),
        (settings.netrc and settings.user is not None, "--netrc and --auth exclude each other"),
        (settings.key is not None and settings.cert is None, "--key needs --cert"),
        (settings.insecure and settings.cacert is not None, "--insecure makes --cacert useless"),
        (settings.output is not None and settings.remote_name, "--output or --remote-name"),
        (settings.resume and not saved, "--continue needs --output FILE or --remote-name"),
        (settings.resume and bool(bodies or settings.head_only), "--continue is for downloads"),
        (settings.resume and bool(ranges), "--continue sends the Range header itself"),
    )
    for is_wrong, text in problems:
        if is_wrong:
            raise click.UsageError(text)
    for path in (settings.output, settings.trace_json, settings.har):
        if path is not None and ("\0" in path or not path):
            raise click.UsageError("a file needs a name")


def wants_color(settings: Settings) -> bool:
    """NO_COLOR (no-color.org) counts if it is not empty."""
    return not (settings.no_color or os.environ.get("NO_COLOR"))
