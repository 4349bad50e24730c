"""What differs from HTTPX 0.28, name by name and parameter by parameter, each with its reason.

Nothing else may differ: what HTTPX has and we have not, or the other way round in behaviour, is
either listed here or a failure. A difference that is listed and no longer there is one too.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import httpx as theirs
import pytest

import httpclient as ours
from httpclient._api import OnceOptions
from httpclient._client import RequestOptions, SendOptions

PRIMITIVE = "transports speak the primitive API: method, url, headers, stream, extensions"
TYPED = "the client attaches it to the errors that it raises; others have none"

NAMES = {
    "__description__": "the package's metadata has it",
    "__title__": "the package's metadata has it",
    "main": "the command line is its own module: python -m httpclient",
}

ATTRIBUTES = {
    "Proxy.raw_auth": "a proxy is the core's, which keeps no password in the open",
    "Proxy.url": "a proxy is the core's, which knows its origin",
    "QueryParams.__setitem__": "they do not change; HTTPX has it to raise an error",
    "QueryParams.update": "they do not change; HTTPX has it to raise an error",
    **{
        f"{name}.request": TYPED
        for name in theirs.__all__
        if inspect.isclass(getattr(theirs, name)) and hasattr(getattr(theirs, name), "request")
        and issubclass(getattr(theirs, name), Exception)
    },
}  # fmt: skip

PARAMETERS = {
    "ASGITransport.handle_async_request(request)": PRIMITIVE,
    "AsyncBaseTransport.handle_async_request(request)": PRIMITIVE,
    "AsyncHTTPTransport.handle_async_request(request)": PRIMITIVE,
    "BaseTransport.handle_request(request)": PRIMITIVE,
    "HTTPTransport.handle_request(request)": PRIMITIVE,
    "MockTransport.handle_async_request(request)": PRIMITIVE,
    "MockTransport.handle_request(request)": PRIMITIVE,
    "WSGITransport.handle_request(request)": PRIMITIVE,
    "ByteStream(stream)": "it is the first parameter of both; nobody writes its name",
    "URL.copy_with(kwargs)": "any part of a URL, in both",
    "URL(kwargs)": "any part of a URL, in both",
    **{
        f"{name}({parameter})": "the core's errors have `origin`, `phase` and `limit` instead"
        for name in (
            "CloseError", "ConnectError", "ConnectTimeout", "DecodingError", "LocalProtocolError",
            "NetworkError", "PoolTimeout", "ProtocolError", "ProxyError", "ReadError",
            "ReadTimeout", "RemoteProtocolError", "RequestError", "TimeoutException",
            "TooManyRedirects", "TransportError", "UnsupportedProtocol", "WriteError",
            "WriteTimeout",
        )
        for parameter in ("request",)
    },
}  # fmt: skip

BASES = {
    "DecodingError is a TransportError": "a RequestError is the same here",
    "RequestError is a TransportError": "it is its name in HTTPX",
    "TooManyRedirects is a TransportError": "a RequestError is the same here",
    **{
        f"InvalidURL is a {base}": "a request that cannot be sent is LocalProtocolError, always"
        for base in (
            "HTTPError", "LocalProtocolError", "ProtocolError", "RequestError", "TransportError"
        )
    },
}  # fmt: skip


def classes() -> list[str]:
    return [name for name in theirs.__all__ if inspect.isclass(getattr(theirs, name))]


def public(kind: type) -> list[str]:
    wanted = ("__bool__", "__contains__", "__delitem__", "__enter__", "__aenter__", "__eq__")
    wanted += ("__getitem__", "__iter__", "__len__", "__setitem__")
    of_errors = () if issubclass(kind, BaseException) else wanted
    names = [name for name in dir(kind) if not name.startswith("_") or name in of_errors]
    inherited = dir(BaseException) if issubclass(kind, BaseException) else []
    return [name for name in names if name not in inherited]


def accepted(function: Any, options: Any = None) -> dict[str, inspect.Parameter | None] | None:
    """The parameters by their names, with those that hide behind ``**options``."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    found: dict[str, inspect.Parameter | None] = dict(parameters)
    found.pop("self", None)
    if options is not None and "options" in found:
        found |= dict.fromkeys(options.__annotations__)
    return found


def options_of(owner: str, name: str) -> Any:
    if owner in ("Client", "AsyncClient"):
        return RequestOptions if name in ("request", "stream", "build_request") else SendOptions
    return OnceOptions if not owner else None


def callables() -> list[tuple[str, str, Any, Any]]:
    found = []
    for name in theirs.__all__:
        their, our = getattr(theirs, name), getattr(ours, name, None)
        if name in NAMES or name == "codes":
            continue
        if not inspect.isclass(their):
            found += [("", name, their, our)] if callable(their) else []
            continue
        found.append((name, "__init__", their, our))
        for method in public(their):
            if method.startswith("__") or not hasattr(our, method):
                continue
            if callable(getattr(their, method)):
                found.append((name, method, getattr(their, method), getattr(our, method)))
    return found


def test_names() -> None:
    assert {name for name in theirs.__all__ if not hasattr(ours, name)} == set(NAMES)
    listed = {name for name in theirs.__all__ if not name.startswith("_")} - set(NAMES)
    assert listed <= set(ours.__all__)


def test_codes_are_the_same() -> None:
    assert {code.name: int(code) for code in ours.codes} == {c.name: int(c) for c in theirs.codes}
    assert set(dir(theirs.codes)) <= set(dir(ours.codes))


INSTANCES: dict[str, Callable[[Any], Any]] = {
    "AsyncClient": lambda x: x.AsyncClient(trust_env=False),
    "Client": lambda x: x.Client(trust_env=False),
    "Proxy": lambda x: x.Proxy("http://h"),
    "Request": lambda x: x.Request("GET", "http://h"),
    "Response": lambda x: x.Response(200),
}


def attributes_of(x: Any, name: str) -> list[str]:
    """Those of an instance too, where one is easily made."""
    found = public(getattr(x, name))
    if name in INSTANCES:
        found += [key for key in dir(INSTANCES[name](x)) if not key.startswith("_")]
    return found


def test_attributes() -> None:
    missing = {
        f"{name}.{attribute}"
        for name in classes()
        for attribute in attributes_of(theirs, name)
        if attribute not in attributes_of(ours, name)
    }
    assert missing == set(ATTRIBUTES)


def test_parameters() -> None:
    missing = set()
    for owner, name, their, our in callables():
        expected, have = accepted(their), accepted(our, options_of(owner, name))
        if expected is None or have is None:
            continue
        label = owner if name == "__init__" else f"{owner}.{name}" if owner else name
        takes_any = "limits" in have or "parts" in have or "args" in have  # checked by hand below
        missing |= {
            f"{label}({parameter})"
            for parameter in expected
            if parameter not in have and not (takes_any and owner in ("Timeout", "Limits"))
        }
    assert missing == set(PARAMETERS)
    assert ours.Timeout(connect=1.0, read=2.0, write=3.0, pool=4.0, timeout=None).pool == 4.0
    limits = {"max_connections": 1, "max_keepalive_connections": 2, "keepalive_expiry": 3.0}
    assert ours.Limits(**limits)._asdict() == limits


def test_positional_parameters_are_in_the_same_places() -> None:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    differing = set()
    for owner, name, their, our in callables():
        expected, have = accepted(their), accepted(our)
        if expected is None or have is None or "handle_" in name:
            continue
        if issubclass(getattr(theirs, owner, object), Exception):
            continue  # the message first, all others by their names
        wanted = [it.name for it in expected.values() if it and it.kind in positional]
        found = [it.name for it in have.values() if it and it.kind in positional]
        if found[: len(wanted)] != wanted:
            differing.add(f"{owner}.{name}")
    assert differing == {"ByteStream.__init__"}  # see PARAMETERS


def test_defaults_are_the_same() -> None:
    differing = {}
    for owner, name, their, our in callables():
        expected, have = accepted(their), accepted(our)
        for parameter, it in (expected or {}).items():
            mine = (have or {}).get(parameter)
            if it is None or mine is None or it.default is it.empty:
                continue
            same = it.default == mine.default or (
                repr(it.default).replace("httpx.", "") == repr(mine.default)
            )
            if not same and it.default is not theirs.USE_CLIENT_DEFAULT:
                differing[f"{owner}.{name}({parameter})"] = (it.default, mine.default)
    timeout = theirs.Timeout(5.0)
    assert differing.pop("Client.__init__(timeout)") == (timeout, 5.0)
    assert differing.pop("AsyncClient.__init__(timeout)") == (timeout, 5.0)
    limits = theirs.Limits(max_connections=100, max_keepalive_connections=20)
    for kind in ("Client", "AsyncClient", "HTTPTransport", "AsyncHTTPTransport"):
        their_limits, our_limits = differing.pop(f"{kind}.__init__(limits)", (limits, None))
        assert their_limits == limits
        assert our_limits is None or tuple(our_limits) == (100, 20, 5.0)
    differing.pop("Timeout.__init__(timeout)")  # HTTPX's has to be given; 5 seconds here
    assert differing == {}


def test_errors_have_the_same_bases() -> None:
    differing = set()
    errors = [name for name in classes() if issubclass(getattr(theirs, name), Exception)]
    for name in errors:
        for base in errors:
            expected = issubclass(getattr(theirs, name), getattr(theirs, base))
            found = issubclass(getattr(ours, name), getattr(ours, base))
            if expected and not found:
                differing.add(f"{name} is no {base}")
            if found and not expected:
                differing.add(f"{name} is a {base}")
    assert differing == set(BASES)


def answer(x: Any, status: int = 200, **options: Any) -> Any:
    def handler(request: Any) -> Any:
        return x.Response(status, **options)

    return x.Client(transport=x.MockTransport(handler), follow_redirects="headers" in options)


def sent(x: Any, url: str, auth: Any = "default", **options: Any) -> Any:
    with answer(x) as client:
        return client.get(url, **({} if auth == "default" else {"auth": auth}), **options).request


def redirected(x: Any) -> Any:
    def handler(request: Any) -> Any:
        done = request.url.path == "/end"
        return x.Response(200 if done else 302, headers={} if done else {"Location": "/end"})

    with x.Client(transport=x.MockTransport(handler), follow_redirects=True) as client:
        return client.get("https://h/")


def after_redirect(x: Any, status: int, target: str, method: str = "GET") -> list[Any]:
    """Method, and which of the secrets are sent, when the redirect has been followed."""
    seen = []

    def handler(request: Any) -> Any:
        seen.append(request)
        return x.Response(status if len(seen) == 1 else 200, headers={"Location": target})

    secrets = {"Authorization": "1", "Cookie": "a=1", "X-Api-Key": "1"}
    with x.Client(transport=x.MockTransport(handler), follow_redirects=True) as client:
        client.request(method, "http://h/", headers=secrets)
    return [seen[1].method, [name for name in secrets if name in seen[1].headers]]


def closed(x: Any) -> Any:
    client = answer(x)
    client.close()
    client.get("https://h/")


BEHAVIOUR: list[tuple[str, Callable[[Any], Any], Any, Any]] = [
    (
        "a URL is normalised as browsers do it, and the host is what is sent",
        lambda x: [str(x.URL("https://h")), x.URL("https://müller.de/").host],
        ["https://h", "müller.de"],
        ["https://h/", "xn--mller-kva.de"],
    ),
    (
        "brackets and other characters that RFC 3986 does not allow there are encoded",
        lambda x: str(x.URL("https://h/[a]|?b=[c]")),
        "https://h/[a]|?b=[c]",
        "https://h/%5Ba%5D%7C?b=%5Bc%5D",
    ),
    (
        "what programs read as different hosts is an error",
        lambda x: [str(x.URL(text)) for text in ("http://127.1/", "http://a@b@h/")],
        ["http://127.1/", "http://a%40b@h/"],
        "InvalidURL",
    ),
    (
        "a space in a query is %20, which is one to everybody",
        lambda x: str(x.QueryParams({"a": "b c"})),
        "a=b+c",
        "a=b%20c",
    ),
    (
        "parameters are compared by what they are",
        lambda x: x.QueryParams("a=1") == {"a": "1"},
        False,
        True,
    ),
    (
        "parameters join those of the URL",
        lambda x: str(x.Request("GET", "https://h/?a=1", params={"b": 2}).url),
        "https://h/?b=2",
        "https://h/?a=1&b=2",
    ),
    (
        "what has no text of its own is no value",
        lambda x: str(x.QueryParams({"a": {"b": 1}})),
        "a=%7B%27b%27%3A+1%7D",
        "TypeError",
    ),
    (
        "header values may be any text",
        lambda x: x.Headers({"a": "ü"}).raw,
        "UnicodeEncodeError",
        [(b"a", "ü".encode())],
    ),
    (
        "several bodies are an error, not one of them",
        lambda x: x.Request("POST", "https://h", content=b"a", json=1).content,
        b"a",
        "TypeError",
    ),
    (
        "HTTP/1.1 keeps connections without being asked to",
        lambda x: "Connection" in sent(x, "https://h/").headers,
        True,
        False,
    ),
    (
        "auth=None means none, also where the URL has a user name",
        lambda x: "Authorization" in sent(x, "https://a:b@h/", auth=None).headers,
        True,
        False,
    ),
    (
        "lines end where HTTP's do, not at every separator of Unicode",
        lambda x: list(x.Response(200, text="a\x0bb\u2028c\r\nd").iter_lines()),
        ["a", "b", "c", "d"],
        ["a\x0bb\u2028c", "d"],
    ),
    (
        "a charset that nobody knows is none",
        lambda x: x.Response(200, headers={"Content-Type": "a/b; charset=x"}).charset_encoding,
        "x",
        None,
    ),
    (
        "a body that is known can be iterated over in every way",
        lambda x: list(x.Response(200, content=b"a").iter_raw()),
        "StreamConsumed",
        [b"a"],
    ),
    (
        "a response without a request is a response",
        lambda x: [x.Response(200).raise_for_status().status_code, len(x.Response(200).cookies)],
        "RuntimeError",
        [200, 0],
    ),
    (
        "a timeout has a default in every form",
        lambda x: x.Timeout(connect=1.0).read,
        "ValueError",
        5.0,
    ),
    (
        "302 makes only POST a GET (RFC 9110, 15.4.3)",
        lambda x: [after_redirect(x, 302, "/a", m)[0] for m in ("POST", "DELETE", "HEAD")],
        ["GET", "GET", "HEAD"],
        ["GET", "DELETE", "HEAD"],
    ),
    (
        "301 does the same",
        lambda x: [after_redirect(x, 301, "/a", m)[0] for m in ("POST", "DELETE", "HEAD")],
        ["GET", "DELETE", "HEAD"],
        ["GET", "DELETE", "HEAD"],
    ),
    (
        "no secret leaves the origin",
        lambda x: after_redirect(x, 307, "http://other/")[1],
        ["X-Api-Key"],
        [],
    ),
    (
        "https is another origin than http, where the redirect came from",
        lambda x: after_redirect(x, 307, "https://h/")[1],
        ["Authorization", "X-Api-Key"],
        [],
    ),
    (
        "the body of a redirect is not read: it may have no end",
        lambda x: redirected(x).history[0].content,
        b"",
        "ResponseNotRead",
    ),
    (
        "base_url stays as it is given",
        lambda x: str(x.Client(base_url="https://h/api").base_url),
        "https://h/api/",
        "https://h/api",
    ),
    (
        "event hooks that nobody would call are an error",
        lambda x: x.Client(event_hooks={"answer": []}).event_hooks,
        {"request": [], "response": []},
        "ValueError",
    ),
    (
        "a closed client is a transport error like that of a closed pool",
        closed,
        "RuntimeError",
        "PoolClosed",
    ),
    (
        "a URL without a host is no URL",
        lambda x: x.Client(trust_env=False).get("https:///x"),
        "UnsupportedProtocol",
        "InvalidURL",
    ),
    (
        "HTTP/2 and HTTP/1.1 cannot both be off",
        lambda x: x.Client(http1=False, http2=False, trust_env=False) and None,
        None,
        "ValueError",
    ),
]


@pytest.mark.parametrize(
    ("expression", "their", "our"),
    [row[1:] for row in BEHAVIOUR],
    ids=[row[0] for row in BEHAVIOUR],
)
def test_behaviour(expression: Callable[[Any], Any], their: Any, our: Any) -> None:
    def value(package: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return expression(package)
        except Exception as exc:
            return type(exc).__name__

    assert value(theirs) == their
    assert value(ours) == our


def test_a_transport_that_is_passed_in_stays_open() -> None:
    """HTTPX closes it. Here it is the caller's, who may have passed it to several clients."""

    class Counting:
        closed = 0

        def close(self) -> None:
            type(self).closed += 1

    class Theirs(Counting, theirs.BaseTransport):
        closed = 0

    class Ours(Counting, ours.BaseTransport):
        closed = 0

    theirs.Client(transport=Theirs()).close()
    ours.Client(transport=Ours()).close()
    assert (Theirs.closed, Ours.closed) == (1, 0)
