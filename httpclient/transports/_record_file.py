"""The file that a recording is kept in: JSON that people can read and change.

Rules of this file: it reads and writes, and checks what it reads. It knows nothing of matching.

    {"format": "httpclient recording", "version": 1,
     "filtered": {"headers": ["authorization", …], "query": []},
     "exchanges": [{"request": {…}, "response": {…}}, …]}

Exchanges are as in `record.py`, except that a header is ``"Name: value"``, that a body of several
lines is a list of them, and one that is not text is ``{"base64": "…"}``. An empty body is left out.
Keys that are not known are ignored, and may serve as comments.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
from typing import Any, TypeAlias

from .record import ERRORS, Exchange, Filters, RecordingError

FORMAT = "httpclient recording"
VERSION = 1

Path: TypeAlias = str | os.PathLike[str]

_split_header = re.compile(r"(:?[^:]*):[ ]?(.*)", re.DOTALL).fullmatch
_NUMBER = (int, float)


# Writing


def write(path: Path, exchanges: list[Exchange], filters: Filters) -> None:
    """Replace the file at `path` in one step: whoever reads it, and whenever this process ends,
    there is the old one or the new one. Raises `OSError`."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "filtered": {"headers": sorted(filters.headers), "query": sorted(filters.query)},
        "exchanges": [_encode(exchange) for exchange in exchanges],
    }
    content = (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8")
    target = os.path.realpath(path)  # a link stays one
    temporary = f"{target}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _encode(exchange: Exchange) -> dict[str, Any]:
    return {key: _encode_part(part) for key, part in exchange.items()}


def _encode_part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    encoded = dict(part)
    if "headers" in part:
        encoded["headers"] = [f"{name}: {value}" for name, value in part["headers"]]
    if "body" in part:
        del encoded["body"]
        if part["body"]:
            encoded["body"] = _encode_body(part["body"])
    return encoded


def _encode_body(body: str | bytes) -> Any:
    if isinstance(body, str):
        lines = re.findall(r"[^\n]*\n|[^\n]+", body)
        return lines if len(lines) > 1 else body
    return {"base64": base64.b64encode(body).decode("ascii")}


# Reading


def read(path: Path) -> tuple[list[Exchange], Filters]:
    """The exchanges, with bodies that are all bytes, and what they were filtered by. Raises
    `RecordingError`, and `OSError` where there is no such file."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise RecordingError(f"{path} is not JSON in UTF-8: {exc}") from exc
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RecordingError(f"{path} is not a recording: its format is not {FORMAT!r}")
    if document.get("version") != VERSION:
        version = document.get("version")
        raise RecordingError(f"{path} has version {version!r} of the format, not {VERSION}")
    try:
        filtered = _get(document, "filtered", dict, {})
        filters = Filters(_strings(filtered, "headers"), _strings(filtered, "query"))
        found = _get(document, "exchanges", list)
    except ValueError as exc:
        raise RecordingError(f"{path}: {exc}") from exc
    return [_decode(path, number, exchange) for number, exchange in enumerate(found, 1)], filters


def _decode(path: Path, number: int, exchange: Any) -> Exchange:
    try:
        if not isinstance(exchange, dict):
            raise ValueError("is not an object")
        decoded: Exchange = {"request": _decode_request(_get(exchange, "request", dict))}
        if "response" in exchange:
            decoded["response"] = _decode_response(_get(exchange, "response", dict))
        if "error" in exchange:
            decoded["error"] = _decode_error(_get(exchange, "error", dict))
        if len(decoded) == 1:
            raise ValueError("has neither a response nor an error")
        return decoded
    except ValueError as exc:
        raise RecordingError(f"{path}: exchange {number}: {exc}") from exc


def _decode_request(part: dict[str, Any]) -> dict[str, Any]:
    return {"method": _get(part, "method", str), "url": _get(part, "url", str), **_message(part)}


def _decode_response(part: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = {"status": _get(part, "status", int), **_message(part)}
    if not 100 <= decoded["status"] <= 999:
        raise ValueError(f"status cannot be {decoded['status']}")
    for name in ("reason_phrase", "http_version"):
        if name in part:
            decoded[name] = _get(part, name, str)
            _check_bytes(name, decoded[name])
    return decoded


def _decode_error(part: dict[str, Any]) -> dict[str, Any]:
    name = _get(part, "type", str)
    if name not in ERRORS:
        raise ValueError(f"there is no error of the type {name!r}")
    return {
        "type": name,
        "message": _get(part, "message", str, ""),
        "origin": _get(part, "origin", str, None),
        "phase": _get(part, "phase", str, None),
        "limit": _get(part, "limit", _NUMBER, None),
        "status": _get(part, "status", int, None),
    }


def _message(part: dict[str, Any]) -> dict[str, Any]:
    """What requests and responses have in common."""
    headers = []
    for line in _strings(part, "headers"):
        match = _split_header(line)
        if match is None:
            raise ValueError("each of the headers is 'Name: value'")
        headers.append((match[1], match[2]))
        _check_bytes("headers", line)
    truncated = _get(part, "truncated", bool, False)
    return {"headers": headers, "body": _decode_body(part.get("body", "")), "truncated": truncated}


def _decode_body(body: Any) -> bytes:
    if isinstance(body, dict):
        return base64.b64decode(_get(body, "base64", str), validate=True)
    lines = body if isinstance(body, list) else [body]
    if not all(isinstance(line, str) for line in lines):
        raise ValueError("body must be text, a list of lines or {'base64': text}")
    return "".join(lines).encode("utf-8")


def _check_bytes(key: str, text: str) -> None:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise ValueError(f"{key}: a character stands for a byte, and none is above ÿ") from exc


def _strings(part: dict[str, Any], key: str) -> list[str]:
    found: list[str] = _get(part, key, list, [])
    if not all(isinstance(text, str) for text in found):
        raise ValueError(f"{key} must be a list of texts")
    return found


_REQUIRED: Any = object()


def _get(part: dict[str, Any], key: str, kind: Any, default: Any = _REQUIRED) -> Any:
    value = part.get(key, default)
    if value is _REQUIRED:
        raise ValueError(f"{key} is missing")
    if value is default:
        return value
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise ValueError(f"{key} must not be a {type(value).__name__}")
