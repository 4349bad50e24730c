"""What may be typed: the options, their help, and what they come to.

Rules of this file: parsing. Every value is checked here, so that nothing is sent, opened or asked
for before the whole command line makes sense; what is wrong is a `click.UsageError`. Options are
named as curl names them where it has the same.
"""

from __future__ import annotations

from typing import Any

import click

from .._config import DEFAULT_MAX_REDIRECTS
from .._version import __version__
from . import values
from .exit_codes import MEANINGS
from .settings import Settings, check

CONNECT_TIMEOUT = 30.0
"""Seconds; a server that is busy may take long to answer, but not to be reached."""

EXAMPLES = """\
\b
Examples:
  httpclient https://www.example.com/
  httpclient https://api.example.com/items --json '{"name": "tea"}' -u me
  httpclient https://example.com/upload -F title=Notes -F file=@notes.txt
  httpclient -L -O -C https://example.com/big.iso      # again, if it was interrupted
  httpclient --trace https://www.example.com/ -o page.html
  httpclient http://localhost/info --unix-socket /run/docker.sock
  cat rows.csv | httpclient -X PUT https://example.com/rows -d -
"""


class _Option(click.Option):
    """One that belongs to a group of the help."""

    def __init__(self, *args: Any, group: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class _Command(click.Command):
    """Its help has the options in groups, and the exit codes."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(param, "group", _OTHER), []).append(record)
        groups[_OTHER] = groups.pop(_OTHER)  # which come last
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in MEANINGS.items()])


def _show_version(ctx: click.Context, _: Any, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        click.echo(f"httpclient {__version__}")
        ctx.exit()


def _option(group: str, *names: str, **kwargs: Any) -> _Option:
    return _Option(names, group=group, **kwargs)


_REQUEST, _AUTH, _NETWORK = "Request", "Authentication", "Connection"
_TIME, _SAVE, _SHOW, _OTHER = "Time limits", "Saving", "Showing", "Other"

_OPTIONS = (
    _option(
        _REQUEST,
        "-X",
        "--method",
        "--request",
        "method",
        metavar="METHOD",
        callback=values.method,
        help="GET, or POST where there is a body.",
    ),
    _option(
        _REQUEST,
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'",
        callback=values.headers,
        help="Send a header. 'Name:' leaves out one of ours.",
    ),
    _option(
        _REQUEST,
        "-q",
        "--query",
        multiple=True,
        metavar="NAME=VALUE",
        callback=values.pairs,
        help="Add to the URL's query.",
    ),
    _option(
        _REQUEST,
        "-d",
        "--data",
        multiple=True,
        metavar="TEXT",
        help="Send as a form; several are joined with '&'. @FILE sends a file as it is, "
        "'-' standard input.",
    ),
    _option(
        _REQUEST,
        "--json",
        metavar="TEXT",
        help="Send JSON, which is checked first. @FILE and '-' as with --data.",
    ),
    _option(
        _REQUEST,
        "-F",
        "--form",
        multiple=True,
        metavar="NAME=VALUE",
        callback=values.pairs,
        help="Send as a form with files: NAME=@FILE uploads one; ';type=' and ';filename=' "
        "may follow.",
    ),
    _option(
        _REQUEST,
        "-I",
        "--head",
        "head_only",
        is_flag=True,
        help="Ask for the head only, and show it.",
    ),
    _option(
        _REQUEST, "-L", "--follow", "--location", "follow", is_flag=True, help="Follow redirects."
    ),
    _option(
        _REQUEST,
        "--max-redirects",
        "--max-redirs",
        type=click.IntRange(min=0),
        metavar="N",
        default=DEFAULT_MAX_REDIRECTS,
        show_default=True,
        help="How many.",
    ),
    _option(
        _AUTH,
        "-u",
        "--auth",
        "--user",
        "user",
        metavar="USER[:PASSWORD]",
        callback=values.user,
        help="Basic authentication. The password is asked for if it is not given.",
    ),
    _option(_AUTH, "--digest", is_flag=True, help="Digest authentication instead."),
    _option(_AUTH, "-n", "--netrc", is_flag=True, help="Take user and password from ~/.netrc."),
    _option(
        _NETWORK,
        "-x",
        "--proxy",
        metavar="URL",
        help="http://, https://, socks5:// or socks5h://, with user:password@ if need be.",
    ),
    _option(
        _NETWORK,
        "--no-env",
        is_flag=True,
        help="Ignore what the environment says of proxies and authorities.",
    ),
    _option(_NETWORK, "--http1.1", "http11", is_flag=True, help="HTTP/1.1 only."),
    _option(
        _NETWORK,
        "--http2",
        "http2",
        is_flag=True,
        help="HTTP/2 if the server can, over TLS: the default.",
    ),
    _option(_NETWORK, "--http2-prior-knowledge", is_flag=True, help="HTTP/2 only, on http:// too."),
    _option(
        _NETWORK,
        "--resolve",
        multiple=True,
        metavar="HOST:PORT:ADDRESS",
        callback=values.resolved,
        help="Connect to this address instead.",
    ),
    _option(_NETWORK, "--unix-socket", metavar="PATH", help="Connect to a unix domain socket."),
    _option(
        _NETWORK,
        "--interface",
        "--local-address",
        "interface",
        metavar="ADDRESS|NAME",
        help="Connect from this address, or through this network interface.",
    ),
    _option(
        _NETWORK,
        "--cacert",
        metavar="FILE",
        type=click.Path(exists=True),
        help="Trust these authorities (PEM) and no others.",
    ),
    _option(
        _NETWORK,
        "-E",
        "--cert",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="Our own certificate (PEM).",
    ),
    _option(
        _NETWORK,
        "--key",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False),
        help="Its key, if it is in another file.",
    ),
    _option(
        _NETWORK,
        "-k",
        "--insecure",
        is_flag=True,
        help="Trust whoever answers. For tests: anybody can read along.",
    ),
    _option(
        _TIME,
        "-m",
        "--max-time",
        type=float,
        callback=values.seconds,
        metavar="SECONDS",
        help="For everything together, redirects included.",
    ),
    _option(
        _TIME,
        "--connect-timeout",
        type=float,
        callback=values.seconds,
        metavar="SECONDS",
        default=CONNECT_TIMEOUT,
        show_default=True,
        help="For a connection: name, address, proxy and TLS.",
    ),
    _option(
        _TIME,
        "--read-timeout",
        type=float,
        callback=values.seconds,
        metavar="SECONDS",
        help="For the server to send, or take, anything at all.",
    ),
    _option(
        _SAVE,
        "-o",
        "--output",
        metavar="FILE",
        help="Save the body. '-' is standard output, whatever the body is.",
    ),
    _option(
        _SAVE,
        "-O",
        "--remote-name",
        is_flag=True,
        help="Save it under the last part of the URL's path.",
    ),
    _option(
        _SAVE,
        "-C",
        "--continue",
        "resume",
        is_flag=True,
        help="Go on where an interrupted download stopped (FILE.part).",
    ),
    _option(_SAVE, "--no-progress", is_flag=True, help="No progress bar."),
    _option(_SHOW, "-i", "--include", is_flag=True, help="The head of the response, too."),
    _option(
        _SHOW,
        "-N",
        "--no-buffer",
        is_flag=True,
        help="Show JSON as it comes, not laid out: for streams without an end.",
    ),
    _option(
        _SHOW,
        "-v",
        "--verbose",
        is_flag=True,
        help="What happens, on standard error: connections and heads.",
    ),
    _option(
        _SHOW, "-f", "--fail", is_flag=True, help="4xx and 5xx are failures: no body, exit code 22."
    ),
    _option(
        _SHOW,
        "--trace",
        is_flag=True,
        help="A waterfall of where the time went, on standard error.",
    ),
    _option(
        _SHOW,
        "--trace-json",
        metavar="FILE",
        help="The same for ui.perfetto.dev and chrome://tracing.",
    ),
    _option(_SHOW, "--har", metavar="FILE", help="The same for browsers' developer tools."),
    _option(_SHOW, "--no-color", is_flag=True, help="No colours. NO_COLOR=1 does the same."),
    _option(
        _SHOW,
        "--show-secrets",
        is_flag=True,
        help="Do not hide credentials and cookies in -v, --trace-json and --har.",
    ),
    _option(
        _OTHER,
        "-V",
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Show the version and exit.",
    ),
)


def _settings(**given: Any) -> Settings:
    settings = Settings(**given)
    check(settings)
    return settings


command = _Command(
    "httpclient",
    callback=_settings,
    params=[click.Argument(["url"]), *_OPTIONS],
    help=f"Send one HTTP request, and show or save what comes back.\n\n{EXAMPLES}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def parse(arguments: list[str] | None) -> Settings | int:
    """The settings; or an exit code, where help or the version was asked for."""
    result = command.main(arguments, prog_name="httpclient", standalone_mode=False)
    return result if isinstance(result, Settings) else int(result or 0)
