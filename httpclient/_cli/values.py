"""Values of options: what each must look like, and what it is turned into.

Rules of this file: callbacks for `click`, of context, parameter and value. What is wrong is a
`click.BadParameter`, whose text does not quote what may be a secret.
"""

from __future__ import annotations

import ipaddress
import math
import re
import sys
from typing import Any

import click

Header = tuple[str, str | None]
Resolved = tuple[str, int, tuple[str, ...]]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_RESOLVED = re.compile(r"(\[[^\]]*\]|[^:]+):(\d{1,5}):(.+)", re.ASCII)


def seconds(_: Any, param: Any, value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(f"{value:g} is not a time to wait", param=param)
    return value


def method(_: Any, param: Any, value: str | None) -> str | None:
    if value is not None and not _TOKEN.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not a method", param=param)
    return value


def headers(_: Any, param: Any, values: tuple[str, ...]) -> tuple[Header, ...]:
    """``Name: value``; ``Name:`` leaves out a header of ours, ``Name;`` sends an empty one."""
    found: list[Header] = []
    for text in values:
        name, colon, value = text.partition(":")
        content = value.strip(" \t") or None
        if not colon and text.endswith(";"):
            name, content = text[:-1], ""
        elif not colon:
            name = ""
        if not _TOKEN.fullmatch(name):
            raise click.BadParameter("a header is 'Name: value'", param=param)
        found.append((name, content))
    return tuple(found)


def pairs(_: Any, param: Any, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter("expected name=value", param=param)
        found.append((name, value))
    return tuple(found)


def user(_: Any, param: Any, value: str | None) -> tuple[str, str] | None:
    """The password is asked for where it is not given."""
    if value is None:
        return None
    name, colon, password = value.partition(":")
    if not colon:
        if not sys.stdin.isatty():
            problem = "there is no terminal to ask for the password: give it as user:password"
            raise click.BadParameter(problem, param=param)
        password = click.prompt(f"Password for {name}", hide_input=True, err=True, default="")
    return name, password


def resolved(_: Any, param: Any, values: tuple[str, ...]) -> tuple[Resolved, ...]:
    """``host:port:address[,address...]``; IPv6 addresses may have brackets."""
    found = []
    for text in values:
        match = _RESOLVED.fullmatch(text)
        if match is None or not 0 < int(match[2]) < 65536:
            raise click.BadParameter("expected host:port:address", param=param)
        addresses = tuple(item.strip("[]") for item in match[3].split(","))
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                problem = f"{address!r} is not an IP address"
                raise click.BadParameter(problem, param=param) from None
        found.append((match[1].lower(), int(match[2]), addresses))
    return tuple(found)
