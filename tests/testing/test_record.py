"""What is recorded plays back as it was."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from httpcore_core._backends.mock import Arrived, AsyncMockBackend, Delay, MockBackend
from httpcore_core._exceptions import WriteTimeout
from httpcore_core.testing import AsyncRecordingBackend, Recording, RecordingBackend

EVERY_BYTE = bytes(range(256))


def test_recorded_saved_loaded_and_played_back(tmp_path: Path) -> None:
    backend = RecordingBackend(MockBackend.scripted([[EVERY_BYTE, b"two"], [Arrived(b"now")]]))
    first = backend.connect_tcp("example.com", 80)
    first.write(b"one")
    assert first.write_until_readable(b"more") == 4
    while first.read(100):
        pass
    second = backend.connect_unix_socket("/run/x")
    assert second.is_readable()
    assert second.read_nowait(10) == b"now"
    backend.recording.save(tmp_path / "recording.json")

    recording = Recording.load(tmp_path / "recording.json")
    assert recording.streams == backend.recording.streams
    assert [stream.address for stream in recording.streams] == ["example.com:80", "/run/x"]
    assert recording.streams[0].writes == [b"one", b"more"]
    played = recording.mock_backend()
    stream = played.connect_tcp("example.com", 80)
    assert b"".join(iter(lambda: stream.read(65536), b"")) == EVERY_BYTE + b"two"
    assert played.connect_tcp("example.com", 80).read(10) == b"now"


def test_http2_is_played_back_as_http2() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    backend = RecordingBackend(MockBackend([b"data"], http2=True))
    stream = backend.connect_tcp("example.com", 443).start_tls(context, "example.com")
    assert stream.read(10) == b"data"
    played = backend.recording.mock_backend().connect_tcp("example.com", 443)
    secure = played.start_tls(context, "example.com")
    assert secure.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"version": 2}')
    with pytest.raises(ValueError, match=r"no recording of version 1"):
        Recording.load(tmp_path / "other.json")


def test_the_rest_is_passed_on() -> None:
    inner = MockBackend([])
    backend = RecordingBackend(inner)
    backend.sleep(2.0)
    assert backend.now() == 2.0
    stream = backend.connect_tcp("a", 1)
    assert stream.get_extra_info("server_addr") == ("a", 1)
    assert stream.watch(None) is False
    stream.forget()
    assert stream.abort()
    stream.close()
    assert inner.open_streams == 0


async def test_async_recording() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    backend = AsyncRecordingBackend(AsyncMockBackend([b"one", b"two"], http2=True))
    stream = await backend.connect_tcp("example.com", 443)
    stream = await stream.start_tls(context, "example.com")
    await stream.write(b"1")
    assert await stream.write_until_readable(b"2") == 1
    assert [await stream.read(10) for _ in range(3)] == [b"one", b"two", b""]
    await stream.aclose()
    await (await backend.connect_unix_socket("/run/x")).aclose()
    await backend.sleep(1.0)
    assert (backend.now(), backend.context()) == (1.0, None)
    backend.call_later(1.0, lambda: None)
    assert backend.recording.streams[0].http2
    played = await backend.recording.async_mock_backend().connect_tcp("example.com", 443)
    assert [await played.read(10) for _ in range(3)] == [b"one", b"two", b""]


async def test_what_was_taken_of_an_unfinished_write_is_recorded() -> None:
    sync = RecordingBackend(MockBackend([], accept=[3, Delay(10.0)]))
    stream = sync.connect_tcp("a", 1)
    for taken in (3, 0):
        with pytest.raises(WriteTimeout):
            stream.write_until_readable(b"0123", 1.0)
        assert stream.bytes_taken == taken
    backend = AsyncRecordingBackend(AsyncMockBackend([], accept=[3, Delay(10.0)]))
    async_stream = await backend.connect_tcp("a", 1)
    with pytest.raises(WriteTimeout):
        await async_stream.write_until_readable(b"0123", 1.0)
    assert async_stream.bytes_taken == 3
    assert not stream.has_unsent
    assert not async_stream.has_unsent
    for recording in (sync.recording, backend.recording):
        assert recording.streams[0].writes == [b"012"]
