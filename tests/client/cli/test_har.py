"""HAR files, against what version 1.2 of the format requires; and trace files."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest

from httpclient._cli.har import NOTHING, Content, archive
from httpclient._cli.timeline import exchanges
from httpclient._cli.trace_file import trace_events

from .events import NO_NAME, PROXIED, RACE, REDIRECTED, WHOLE, answer, events, request

ALL = {
    "whole": WHOLE,
    "redirected": REDIRECTED,
    "proxied": PROXIED,
    "race": RACE,
    "no name": NO_NAME,
    "interrupted": WHOLE[:13],
    "nothing": [],
}

NAMED = {"name": str, "value": str}

# Section 4 of the specification: what is not optional, with its type.
REQUEST = {
    "method": str, "url": str, "httpVersion": str, "cookies": list, "headers": list,
    "queryString": list, "headersSize": int, "bodySize": int,
}  # fmt: skip
RESPONSE = {
    "status": int, "statusText": str, "httpVersion": str, "cookies": list, "headers": list,
    "content": dict, "redirectURL": str, "headersSize": int, "bodySize": int,
}  # fmt: skip
NUMBER = (int, float)


def has(value: dict[str, Any], fields: dict[str, Any]) -> None:
    for name, kind in fields.items():
        assert isinstance(value[name], kind), (name, value)


def check_har(log: dict[str, Any]) -> list[dict[str, Any]]:
    """Raises unless it is legal; returns the entries."""
    log = json.loads(json.dumps(log))["log"]
    has(log, {"version": str, "creator": dict, "entries": list})
    assert log["version"] == "1.2"
    has(log["creator"], {"name": str, "version": str})
    pages = [page["id"] for page in log["pages"]]
    for page in log["pages"]:
        has(page, {"startedDateTime": str, "id": str, "title": str, "pageTimings": dict})
    for entry in log["entries"]:
        check_entry(entry)
        assert entry["pageref"] in pages
    entries: list[dict[str, Any]] = log["entries"]
    assert entries == sorted(entries, key=lambda entry: entry["startedDateTime"])
    return entries


def check_entry(entry: dict[str, Any]) -> None:
    kinds = {"startedDateTime": str, "time": NUMBER, "request": dict, "response": dict}
    has(entry, kinds | {"cache": dict, "timings": dict})
    moment = datetime.datetime.fromisoformat(entry["startedDateTime"])
    assert moment.tzinfo is not None
    has(entry["request"], REQUEST)
    has(entry["response"], RESPONSE)
    has(entry["response"]["content"], {"size": int, "mimeType": str})
    for message in (entry["request"], entry["response"]):
        for item in [*message["headers"], *message["cookies"]]:
            has(item, NAMED)
    for item in entry["request"]["queryString"]:
        has(item, NAMED)
    if "postData" in entry["request"]:
        has(entry["request"]["postData"], {"mimeType": str, "text": str, "params": list})
    timings = entry["timings"]
    has(timings, dict.fromkeys(("send", "wait", "receive"), NUMBER))
    assert min(timings[name] for name in ("send", "wait", "receive")) >= 0
    assert all(value >= -1 for value in timings.values())
    assert timings["ssl"] <= max(timings["connect"], -1)
    total = sum(value for name, value in timings.items() if name != "ssl" and value > 0)
    assert entry["time"] == pytest.approx(total)
    unknown = set(entry) - {
        "pageref", "startedDateTime", "time", "request", "response", "cache", "timings",
        "serverIPAddress", "connection", "comment",
    }  # fmt: skip
    assert all(name.startswith("_") for name in unknown)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("show_secrets", [False, True])
def test_archive_is_legal(name: str, show_secrets: bool) -> None:
    made = exchanges(ALL[name])
    entries = check_har(archive(made, Content(2, b"ok"), 1e9, show_secrets))
    assert len(entries) == len(made)


def test_entry_says_what_happened() -> None:
    [entry] = check_har(archive(exchanges(WHOLE), Content(2, b"ok"), 0.0))
    assert entry["startedDateTime"] == "1970-01-01T00:00:00.000Z"
    assert entry["timings"] == {
        "blocked": 1000.0,
        "dns": 2000.0,
        "connect": 7000.0,
        "ssl": 4000.0,
        "send": 5000.0,
        "wait": 6000.0,
        "receive": 8000.0,
    }
    assert entry["serverIPAddress"] == "127.0.0.1"
    assert entry["connection"] == "7"
    assert entry["request"]["queryString"] == [{"name": "x", "value": "1"}]
    assert entry["request"]["httpVersion"] == "HTTP/1.1"
    assert entry["response"]["statusText"] == "OK"
    assert entry["response"]["content"] == {"size": 2, "mimeType": "text/plain", "text": "ok"}
    assert "_error" not in entry


def test_redirects_are_entries_and_only_the_last_has_the_content() -> None:
    first, second = check_har(archive(exchanges(REDIRECTED), Content(2, b"ok"), 0.0, True))
    assert first["response"]["redirectURL"] == "http://u:pw@h/new"
    assert "text" not in first["response"]["content"]
    assert second["response"]["content"]["text"] == "ok"
    assert (second["timings"]["connect"], second["timings"]["dns"]) == (-1, -1)


def test_failure_has_status_0_and_its_reason() -> None:
    [entry] = check_har(archive(exchanges(PROXIED), NOTHING, 0.0))
    assert entry["response"]["status"] == 0
    assert entry["_error"] == "bad certificate"
    assert entry["request"]["url"] == "https://h:443/"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (Content(3, b"\xff\x00\x01"), {"size": 3, "text": "/wAB", "encoding": "base64"}),
        (Content(9, None), {"size": 9}),
        (NOTHING, {"size": 0}),
    ],
)
def test_content_that_is_no_text(content: Content, expected: dict[str, Any]) -> None:
    [entry] = check_har(archive(exchanges(WHOLE), content, 0.0))
    assert entry["response"]["content"] == {"mimeType": "text/plain", **expected}


def test_posted_data() -> None:
    headers = [(b"Content-Type", b"text/plain; charset=iso-8859-1"), (b"Content-Length", b"1")]
    posted = [
        event._replace(info=request(method=b"POST", headers=headers, body=b"\xe9"))
        if event.name == "http11.send_request_headers.started"
        else event
        for event in WHOLE
    ]
    [entry] = check_har(archive(exchanges(posted), NOTHING, 0.0))
    assert entry["request"]["postData"]["text"] == "é"
    assert entry["request"]["bodySize"] == 1


@pytest.mark.parametrize("name", ["whole", "redirected"])
def test_secrets_are_hidden_unless_asked_for(name: str) -> None:
    made = exchanges(ALL[name])
    for show in (False, True):
        for made_of in (archive(made, NOTHING, 0.0, show), trace_events(made, show)):
            text = json.dumps(made_of)
            for secret in ("c2VjcmV0", "topsecret"):
                assert (secret in text) is show
            assert ("u:pw@" in text) is (show and name == "redirected")


def test_cookies_are_read_where_they_can_be() -> None:
    values = (b"a=1; Path=/x; Secure", b"b=2", b"\xff")
    headers = [(b"Set-Cookie", value) for value in values]
    changed = [
        event._replace(info=answer(headers=headers))
        if event.name == "http11.receive_response_headers.complete"
        else event
        for event in WHOLE
    ]
    [entry] = check_har(archive(exchanges(changed), NOTHING, 0.0, True))
    assert entry["response"]["cookies"] == [
        {"name": "a", "value": "1", "path": "/x", "httpOnly": False, "secure": True},
        {"name": "b", "value": "2", "httpOnly": False, "secure": False},
    ]


def test_a_forwarded_url_is_not_doubled() -> None:
    [entry] = check_har(archive(exchanges(WHOLE), NOTHING, 0.0))
    assert entry["request"]["url"] == "https://h/a?x=1"


# Trace files


def complete(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in made["traceEvents"] if event["ph"] == "X"]


@pytest.mark.parametrize("name", ALL)
def test_trace_file_has_the_form_that_viewers_open(name: str) -> None:
    made = json.loads(json.dumps(trace_events(exchanges(ALL[name]))))
    assert isinstance(made["traceEvents"], list)
    named = set()
    for event in made["traceEvents"]:
        has(event, {"name": str, "ph": str, "pid": int, "tid": int, "args": dict})
        if event["ph"] == "M":
            named.add(event["tid"])
            assert re.fullmatch("(process|thread)_name", event["name"])
            has(event["args"], {"name": str})
        else:
            assert event["ph"] == "X"
            has(event, {"cat": str, "ts": NUMBER, "dur": NUMBER})
            assert event["dur"] >= 0
            assert event["tid"] in named


@pytest.mark.parametrize("name", ALL)
def test_events_of_a_track_lie_within_each_other_or_apart(name: str) -> None:
    found = complete(trace_events(exchanges(ALL[name])))
    for one in found:
        for other in found:
            if one is not other and one["tid"] == other["tid"] and one["ts"] < other["ts"]:
                end, other_end = one["ts"] + one["dur"], other["ts"] + other["dur"]
                assert other["ts"] >= end or other_end <= end, (one, other)


def test_trace_file_says_when_and_what() -> None:
    found = complete(trace_events(exchanges(WHOLE)))
    resolve = next(event for event in found if event["name"] == "resolve")
    assert (resolve["cat"], resolve["ts"], resolve["dur"]) == ("connection", 1e6, 2e6)
    assert resolve["args"]["addresses"] == ["127.0.0.1"]
    head = next(event for event in found if event["name"] == "receive_response_headers")
    assert head["args"]["status"] == 200
    assert "Content-Length: 2" in head["args"]["headers"]


def test_trace_file_has_the_reason_of_a_failure() -> None:
    made = complete(trace_events(exchanges(NO_NAME)))
    assert {event["args"]["error"] for event in made} == {"no such name"}


def test_attempts_have_tracks_of_their_own() -> None:
    found = complete(trace_events(exchanges(RACE)))
    attempts = [event for event in found if event["name"] == "connect_attempt"]
    assert len({event["tid"] for event in attempts}) == 2


def test_events_without_a_request_are_nothing() -> None:
    assert exchanges(events((0.0, "connection.close.started"))) == []
