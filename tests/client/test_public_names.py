"""The public surface: sorted, documented, lazily imported."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import httpclient
import httpcore_core


def test_names_are_sorted_and_exist() -> None:
    names = httpclient.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name.islower(), name))
    assert set(names) <= set(dir(httpclient))
    for name in names:
        assert getattr(httpclient, name) is not None
    with pytest.raises(AttributeError):
        httpclient.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_errors_and_streams_of_the_core_are_here() -> None:
    expected = {
        name
        for name in httpcore_core.__all__
        if name.endswith("ByteStream")
        or (
            inspect.isclass(getattr(httpcore_core, name))
            and issubclass(getattr(httpcore_core, name), httpcore_core.TransportError)
        )
    }
    assert {name for name in expected if hasattr(httpclient, name)} == expected
    assert httpclient.RequestError is httpcore_core.TransportError
    assert httpclient.BaseTransport is httpcore_core.Transport


@pytest.mark.parametrize(
    ("use", "absent"),
    [
        ("", {"httpcore_core", "idna", "json", "ssl"}),
        ("Client().close()", {"asyncio", "trio", "ssl", "idna", "httpclient._api"}),
    ],
)
def test_import_costs_what_is_used(use: str, absent: set[str]) -> None:
    code = f"import sys, httpclient; {f'httpclient.{use};' if use else ''} print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) & absent == set()
