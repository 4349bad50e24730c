"""The driver: sends the request, hands on what comes back, and says how it went.

Rules of this file: I/O and its order, no policy. A body is passed on chunk by chunk. Whatever
happens, the client, the response and all files are closed, the traces that were asked for are
written, and what went wrong is one line on standard error and an exit code.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack, suppress
from time import perf_counter
from typing import Any, BinaryIO, NamedTuple, TextIO

import click

from httpcore_core import TransportError

from .._client import spend_time
from .._config import Default
from .._exceptions import StreamConsumed
from .._request import Request
from .._response import Response
from .._sync.client import Client
from .._urls import URL
from . import har, network, resume
from .body import body_of
from .download import Bar, Download
from .exit_codes import INTERRUPTED, STATUS, USAGE, WRITE, CommandError, exit_code
from .options import parse
from .output import Head, Output, PipeOutput, PlainConsole, ReaderLeft, ScreenOutput
from .recorder import Recorder
from .settings import Settings, wants_color
from .text import safe_line
from .timeline import exchanges, last_lookup
from .trace_file import trace_events
from .verbose import Verbose
from .waterfall import waterfall

MAX_HAR_BODY = 1024 * 1024
"""Bytes of a body that are kept for a HAR file; of a longer one only its length is."""


class Streams(NamedTuple):
    """Where the command reads and writes, and which of these are terminals."""

    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    stdout_is_terminal: bool
    stderr_is_terminal: bool

    @classmethod
    def of_process(cls) -> Streams:
        out, err = sys.stdout, sys.stderr
        return cls(sys.stdin.buffer, out, err, out.isatty(), err.isatty())


def run(arguments: list[str] | None, streams: Streams | None = None) -> int:
    """The whole command line, from arguments to exit code."""
    if streams is None:
        streams = Streams.of_process()
    try:
        settings = parse(arguments)
    except click.UsageError as exc:
        complain(streams.stderr, USAGE, f"{exc.format_message()} (see httpclient --help)")
        return USAGE
    except OSError as exc:  # the help could not be written
        complain(streams.stderr, WRITE, f"cannot write the output: {exc.strerror}")
        return WRITE
    except click.Abort:
        complain(streams.stderr, INTERRUPTED, "interrupted")
        return INTERRUPTED
    return settings if isinstance(settings, int) else Command(settings, streams).run()


def complain(stderr: TextIO, code: int, problem: str) -> None:
    with suppress(OSError):  # the exit code says it, too
        stderr.write(f"httpclient: ({code}) {safe_line(problem)}\n")
        stderr.flush()


class Command:
    """One request, or a chain of them, as the settings want it."""

    def __init__(self, settings: Settings, streams: Streams) -> None:
        self._settings = settings
        self._streams = streams
        self._console = self._make_console(streams.stderr, streams.stderr_is_terminal)
        show = Verbose(self._console, settings.show_secrets) if settings.verbose else None
        self._recorder = Recorder(show)
        self._content = har.NOTHING
        self._download: Download | None = None
        self._opened = ExitStack()

    def run(self) -> int:
        """The exit code. What is no failure of a request is raised."""
        code, problem = 0, None
        try:
            with self._opened:
                self._send()
        except (CommandError, TransportError, StreamConsumed) as exc:
            code = exit_code(exc, last_lookup(self._recorder.events))
            problem = str(_located(exc))
        except KeyboardInterrupt:
            code, problem = INTERRUPTED, "interrupted"
        except click.UsageError as exc:
            code, problem = USAGE, exc.format_message()
        except (ReaderLeft, BrokenPipeError):  # the latter from older versions of rich
            code = WRITE  # and quiet: ``| head`` is no accident
        if problem is not None:
            if self._download is not None and self._download.is_kept:
                problem += f" ({self._download.part_name} is kept, for --continue)"
            complain(self._streams.stderr, code, problem)
        return self._report(code)

    def _make_console(self, stream: TextIO, is_terminal: bool) -> PlainConsole:
        return PlainConsole(stream, is_terminal, wants_color(self._settings))

    # Sending

    def _send(self) -> None:
        settings = self._settings
        url = network.url_of(settings)
        download = self._download = self._make_download(url)
        if settings.insecure:
            self._console.print("httpclient: warning: no certificate is checked", soft_wrap=True)
        self._auth = network.auth_of(settings)
        client = self._opened.enter_context(network.client_of(settings))
        client.event_hooks["request"].append(self._recorder.note)
        options = body_of(settings, self._streams.stdin, self._opened)
        implied = options.pop("headers", {})
        if download is not None:
            implied["Accept-Encoding"] = "identity"  # the file, not one that has been packed
        request = self._request(client, url, implied, options)
        if download is None:
            self._show(self._answer(client, request))
        else:
            self._save(client, request, download)

    def _make_download(self, url: URL) -> Download | None:
        settings = self._settings
        path = settings.output
        if settings.remote_name:
            path = resume.remote_name(str(url))
            if not path:
                raise click.UsageError("--remote-name: the URL's path has no last part")
        if path is None or path == "-":
            return None
        download = Download(path)
        if settings.resume and not download.can_resume:
            raise click.UsageError(f"--continue: {path!r} is not a file")
        self._opened.callback(download.close)
        return download

    def _request(
        self, client: Client, url: URL, implied: dict[str, str], options: dict[str, Any]
    ) -> Request:
        """With the headers that were asked for in the place of ours."""
        settings = self._settings
        method = settings.method or ("POST" if options else "GET")
        given = [(os.fsencode(n), os.fsencode(v)) for n, v in settings.headers if v is not None]
        names = {name.lower() for name, _ in settings.headers}
        own = [
            (name.encode(), value.encode())
            for name, value in implied.items()
            if name.lower() not in names
        ]
        for name, value in settings.headers:
            if value is None and name in client.headers:
                del client.headers[name]
        return client.build_request(
            "HEAD" if settings.head_only else method,
            url,
            headers=[*own, *given],
            extensions={"trace": self._recorder},
            **options,
        )

    def _answer(self, client: Client, request: Request) -> Response:
        response = client.send(request, stream=True, auth=self._auth or Default.CLIENT)
        self._opened.callback(response.close)
        return response

    # What came back

    def _output(self) -> Output:
        streams = self._streams
        if not streams.stdout_is_terminal or self._settings.output == "-":
            return PipeOutput(streams.stdout.buffer)
        console = self._make_console(streams.stdout, True)
        stream, encoding = streams.stdout.buffer, streams.stdout.encoding
        return ScreenOutput(stream, encoding, console, lays_out=not self._settings.no_buffer)

    def _heads(self, response: Response, output: Output) -> None:
        if self._settings.include or self._settings.head_only:
            for one in [*response.history, response]:
                output.head(_head(one))
        if self._settings.fail and response.is_error:
            raise _refused(response)

    def _show(self, response: Response) -> None:
        output = self._output()
        self._heads(response, output)
        output.begin(_head(response))
        try:
            for chunk in response.iter_bytes():
                self._keep(chunk)
                output.write(chunk)
        except (TransportError, KeyboardInterrupt):
            output.finish()  # what has come is shown
            raise
        output.finish()

    def _save(self, client: Client, request: Request, download: Download) -> None:
        saved = download.earlier(str(request.url)) if self._settings.resume else None
        if saved is None:
            response, answer = self._answer(client, request), resume.WHOLE
        else:
            response, answer = self._rest(client, request, download, saved)
        self._heads(response, self._output())
        if response.status_code == 304 or request.method == "HEAD":
            return  # it is about the file, and not the file
        appends = answer.verdict is resume.Verdict.APPEND
        if self._settings.resume and not appends and response.status_code != 200:
            raise _refused(response)
        notes = saved if appends else resume.saved_from_response(str(request.url), response.headers)
        download.begin(append=appends, saved=notes, total=answer.total)
        bar = self._bar(response, download)
        try:
            for chunk in response.iter_bytes():
                self._keep(chunk)
                download.write(chunk)
                if bar is not None:
                    bar.advance(len(chunk))
        finally:
            if bar is not None:
                bar.stop()
        download.finish()

    def _rest(
        self, client: Client, request: Request, download: Download, saved: resume.Saved
    ) -> tuple[Response, resume.Answer]:
        """The answer to a request for what is missing; to one for the whole, if it was none."""
        started = perf_counter()
        fields = resume.range_headers(saved, download.size)
        for name, value in fields:
            request.headers[name] = value
        response = self._answer(client, request)
        answer = resume.judge(response.status_code, response.headers, saved, download.size)
        if answer.verdict is resume.Verdict.AGAIN:
            response.close()
            for name, _ in fields:
                del request.headers[name]
            spend_time(request, started)
            response = self._answer(client, request)
        return response, answer

    def _bar(self, response: Response, download: Download) -> Bar | None:
        if self._settings.no_progress or not self._streams.stderr_is_terminal:
            return None
        length = response.headers.get("Content-Length", "")
        known = length.isdecimal() and not resume.is_encoded(response.headers)
        total = download.size + int(length) if known else None
        return Bar(self._console, download.path.name, total, download.size)

    def _keep(self, chunk: bytes) -> None:
        """Of the body, what goes into a HAR file."""
        if self._settings.har is None:
            return
        size, body = self._content
        size += len(chunk)
        fits = size <= MAX_HAR_BODY and (body is not None or size == len(chunk))
        self._content = har.Content(size, (body or b"") + chunk if fits else None)

    # How it went

    def _report(self, code: int) -> int:
        """Write the traces. The code, or that of a failure here where it was 0."""
        settings = self._settings
        made = exchanges(self._recorder.events)
        shown = settings.show_secrets
        if settings.trace and made:
            with suppress(ReaderLeft, BrokenPipeError):
                self._console.print(waterfall(made, self._console, shown), soft_wrap=True)
        files = []
        if settings.trace_json is not None:
            files.append((settings.trace_json, trace_events(made, shown)))
        if settings.har is not None:
            log = har.archive(made, self._content, self._recorder.started_at, shown)
            files.append((settings.har, log))
        for path, content in files:
            try:
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=1)
            except OSError as exc:
                complain(self._streams.stderr, WRITE, f"cannot write {path!r}: {exc.strerror}")
                code = code or WRITE
        return code


def _head(response: Response) -> Head:
    reason = response.extensions.get("reason_phrase", b"")
    return Head(response.http_version, response.status_code, reason, response.headers.raw)


def _located(error: Exception) -> Exception:
    """Errors of the client's own know the request, from which follows where they happened."""
    request: Request | None = getattr(error, "request", None)
    if isinstance(error, TransportError) and request is not None:
        error.located(_place(request.url), None)
    return error


def _place(url: URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}" + ("" if url.port is None else f":{url.port}")


def _refused(response: Response) -> CommandError:
    status = f"{response.status_code} {response.reason_phrase}".strip()
    problem = f"{_place(response.url)}: receive headers: the answer is {status}"
    return CommandError(problem, STATUS)
