"""What users of the package, and its own tests, import to test against networks of their making.

- `ScriptedServer`, `HTTPServer`: servers on loopback, in threads
- `Delay`, `Arrived`, `Script`, `VirtualClock`: for the scripts of the mock backends
- `FaultBackend`, `AsyncFaultBackend`: any backend, made worse
- `RecordingBackend`, `AsyncRecordingBackend`, `Recording`: record and play back
- `cancel_at_every_step`, `interrupt_at_every_operation`: clean-up, tested by enumeration
- `LeakChecker`: what is left behind
- `conformance` (a package of its own): the tests that every network backend must pass
"""

from __future__ import annotations

from .._backends.mock import Arrived, Connect, Delay, Script, VirtualClock
from . import scripts
from .cancel import (
    CancelStep,
    InterruptStep,
    cancel_at_every_step,
    interrupt_at_every_operation,
)
from .faults import END, RESET, AsyncFaultBackend, FaultBackend, Faults
from .http_server import Exchange, HTTPServer
from .leaks import LeakChecker
from .peer import ClientLeft, Peer, ReceivedRequest
from .record import AsyncRecordingBackend, RecordedStream, Recording, RecordingBackend
from .server import ScriptedServer

__all__ = [
    "END",
    "RESET",
    "Arrived",
    "AsyncFaultBackend",
    "AsyncRecordingBackend",
    "CancelStep",
    "ClientLeft",
    "Connect",
    "Delay",
    "Exchange",
    "FaultBackend",
    "Faults",
    "HTTPServer",
    "InterruptStep",
    "LeakChecker",
    "Peer",
    "ReceivedRequest",
    "RecordedStream",
    "Recording",
    "RecordingBackend",
    "Script",
    "ScriptedServer",
    "VirtualClock",
    "cancel_at_every_step",
    "interrupt_at_every_operation",
    "scripts",
]
