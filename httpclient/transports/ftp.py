"""FTP: `FTPTransport` for sync code, `AsyncFTPTransport` for asyncio and trio.

Rules of this file: names only. The drivers are in `_async/ftp.py` and `_async/ftp_session.py`, of
which those for sync code are made; decisions are in `_ftp_requests` and `_ftp_replies`.

    with Client(mounts={"ftp://": FTPTransport(auth=("me", "secret"), tls=True)}) as client:
        client.put("ftp://files.example.org/inbox/report.txt", content="Hello").raise_for_status()
        for entry in client.get("ftp://files.example.org/inbox/").json():
            print(entry["name"], entry.get("size"))
"""

from __future__ import annotations

from ._async.ftp import AsyncFTPTransport
from ._sync.ftp import FTPTransport

__all__ = ["AsyncFTPTransport", "FTPTransport"]
