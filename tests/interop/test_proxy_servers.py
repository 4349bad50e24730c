"""The proxies as processes: squid has some that are in nobody's process group but their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from httpcore_core import ConnectionPool, Proxy
from tests.certificates import Certificates

from .proxies import CREDENTIALS
from .servers.squid import Squid

pytestmark = pytest.mark.interop


def test_nothing_is_left_of_squid(certificates: Certificates, refusing_port: int) -> None:
    with Squid(certificates) as squid:
        with ConnectionPool(proxy=Proxy(squid.url("auth"), CREDENTIALS)) as pool:
            assert pool.request("GET", f"http://localhost:{refusing_port}/").status == 503
        assert squid.helpers() or not Path("/proc").exists()
    assert not squid.helpers()
    assert not squid.directory.exists()
    assert not list(Path("/dev/shm").glob(f"{squid.service}-*"))
