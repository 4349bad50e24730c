"""What -v shows: what happens, as it happens.

Rules of this file: from the recorder's events to lines on standard error, as curl has them: ``*``
for what happened, ``>`` for what was sent, ``<`` for what came. Secrets are hidden and text is made
safe before it is printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .output import Head, print_field, print_head, print_line
from .recorder import Event
from .secrets import without_secrets, without_userinfo
from .text import field_text, safe_line

if TYPE_CHECKING:
    from rich.console import Console

    from .secrets import Fields


class Verbose:
    """A listener for the recorder."""

    def __init__(self, console: Console, show_secrets: bool) -> None:
        self._console = console
        self._show_secrets = show_secrets

    def __call__(self, event: Event) -> None:
        kind, _, step = event.name.partition(".")
        info = event.info
        if step == "send_request_headers.started":
            self._request("HTTP/2" if kind == "http2" else "HTTP/1.1", info)
        elif step == "receive_response_headers.complete":
            fields = self._shown(info["headers"])
            head = Head(info["version"], info["status"], info["reason"], fields)
            print_head(self._console, head, "< ")
            print_line(self._console, "", "<")
        else:
            line = _note(step, info)
            if line is not None:
                text = field_text(without_userinfo(line.encode("utf-8", "replace")))
                print_line(self._console, "* ", safe_line(text), style="dim")

    def _request(self, version: str, info: dict[str, Any]) -> None:
        target = info["target"] if self._show_secrets else without_userinfo(info["target"])
        line = field_text(info["method"] + b" " + target)
        print_line(self._console, "> ", safe_line(f"{line} {version}"), style="bold")
        for name, value in self._shown(info["headers"]):
            print_field(self._console, "> ", name, value)
        print_line(self._console, "", ">")

    def _shown(self, fields: Fields) -> Fields:
        return fields if self._show_secrets else without_secrets(fields)


def _note(step: str, info: dict[str, Any]) -> str | None:
    """What to say of a step; nothing of most."""
    if step.endswith(".failed"):
        return info["text"] if step in _TOLD_WHEN_FAILED else None
    if step == "acquire.complete":
        return f"using connection {info['connection_id']} again" if info["reused"] else None
    if step == "resolve.complete":
        return f"resolved to {', '.join(info['addresses'])}"
    if step == "connect_attempt.started":
        return f"connecting to {info['address']} port {info['port']}"
    if step in ("connect_tcp.complete", "connect_unix_socket.complete"):
        port = info.get("port")
        return f"connected to {info.get('address')}" + ("" if port is None else f" port {port}")
    if step == "start_tls.complete" and "version" in info:
        protocol = info["alpn"] or "no protocol agreed on"
        return f"{info['version']}, {info['cipher']}, {protocol}"
    if step in ("connect.started", "socks5_handshake.started"):
        return f"asking the proxy {info['proxy']} for {info['target']}"
    if step == "retry.started":
        return f"waiting {info['seconds']:g} s before another attempt"
    return "connection closed" if step == "close.complete" else None


_TOLD_WHEN_FAILED = frozenset(("resolve.failed", "connect_attempt.failed"))
