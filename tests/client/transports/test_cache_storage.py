"""What a cache keeps responses in: memory, and a file that several processes share."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from httpclient.transports import _cache_storage as storage_module
from httpclient.transports._cache_entry import Entry
from httpclient.transports.cache import CacheStorage, MemoryStorage, SQLiteStorage
from tests.drivers.test_lifecycle import in_child

KEY, OTHER = b"k" * 32, b"o" * 32
Make = Callable[..., CacheStorage]


def entry(selector: bytes = b"GET x y", content: bytes = b"body", **fields: Any) -> Entry:
    known = {"status": 200, "headers": [(b"A", b"\xff"), (b"a", b"")]}
    times = {"requested": 1.5, "received": 2.25}
    return Entry(selector, content=content, **(known | times | fields))


def anything(selector: bytes) -> bool:
    return True


def contents(storage: CacheStorage, *keys: bytes) -> list[bytes | None]:
    """Looked at from the last to the first, so that the order of use is that of `keys` reversed."""
    found = [storage.get(key, anything) for key in keys]
    return [None if one is None else one.content for one in found]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    with contextlib.ExitStack() as stack:

        def build(**options: int) -> CacheStorage:
            if request.param == "memory":
                return MemoryStorage(**options)
            return stack.enter_context(SQLiteStorage(tmp_path / "cache", **options))

        yield build


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SQLiteStorage]:
    with SQLiteStorage(tmp_path / "cache") as storage:
        yield storage


@contextlib.contextmanager
def raw(storage: SQLiteStorage) -> Iterator[sqlite3.Connection]:
    """The file, as another program sees it; changes are committed."""
    with contextlib.closing(sqlite3.connect(storage._path)) as database, database:
        yield database


def rows(storage: SQLiteStorage) -> int:
    with raw(storage) as database:
        (count,) = database.execute("SELECT count(*) FROM http_cache").fetchone()
        (total,) = database.execute("SELECT size FROM http_cache_total").fetchone()
        assert total == database.execute("SELECT total(size) FROM http_cache").fetchone()[0]
    return int(count)


# Both


def test_what_is_set_can_be_got(make: Make) -> None:
    storage = make()
    assert storage.get(KEY, anything) is None
    full = entry(http_version=b"HTTP/1.1", reason_phrase=b"\xe9", content=bytes(range(256)))
    storage.set(KEY, full)
    storage.set(OTHER, bare := entry(content=b"", headers=[]))
    assert storage.get(KEY, anything) == full
    assert storage.get(OTHER, anything) == bare


def test_what_is_later_stays(make: Make) -> None:
    storage = make()
    storage.set(KEY, entry(content=b"later", received=9.0))
    storage.set(KEY, entry(content=b"earlier", received=8.0))
    assert contents(storage, KEY) == [b"later"]
    storage.set(KEY, entry(content=b"the same moment", received=9.0))
    assert contents(storage, KEY) == [b"the same moment"]


def test_selector_decides(make: Make) -> None:
    storage = make()
    for name in (b"a", b"b", b"c"):
        storage.set(KEY, entry(b"GET x " + name, name))
    for name in (b"a", b"b", b"c"):
        found = storage.get(KEY, (b"GET x " + name).__eq__)
        assert found is not None
        assert found.content == name
    assert storage.get(KEY, lambda selector: False) is None


def test_same_selector_replaces(make: Make) -> None:
    storage = make()
    storage.set(KEY, entry(content=b"old"))
    storage.set(KEY, entry(content=b"new"))
    seen: list[bytes] = []
    assert storage.get(KEY, lambda selector: bool(seen.append(selector))) is None
    assert seen == [b"GET x y"]
    assert contents(storage, KEY) == [b"new"]


def test_of_several_the_latest_is_taken(make: Make) -> None:
    storage = make()
    for name, received in ((b"a", 5.0), (b"b", 9.0), (b"c", 7.0)):
        storage.set(KEY, entry(name, name, received=received))
    assert contents(storage, KEY) == [b"b"]
    storage.set(KEY, entry(b"d", b"d", received=9.0))  # of two equal ones the newer
    assert contents(storage, KEY) == [b"d"]


def test_date_in_the_future_does_not_win_for_ever(make: Make) -> None:
    storage = make()
    far = [(b"Date", b"Fri, 01 Jan 2100 00:00:00 GMT")]
    storage.set(KEY, entry(b"a", b"a", headers=far, received=5.0))
    storage.set(KEY, entry(b"b", b"b", received=6.0))
    assert contents(storage, KEY) == [b"b"]


def test_delete_takes_all_of_one_key(make: Make) -> None:
    storage = make()
    storage.set(KEY, entry(b"a"))
    storage.set(KEY, entry(b"b"))
    storage.set(OTHER, entry())
    storage.delete(KEY)
    storage.delete(KEY)
    assert contents(storage, KEY, OTHER) == [None, b"body"]


def test_least_recently_used_goes_first(make: Make) -> None:
    room = 3 * (1000 + 2 * storage_module.OVERHEAD)
    storage = make(max_bytes=room)
    a, b, c, d, e = (bytes([letter]) * 32 for letter in b"abcde")
    for key in (a, b, c):
        storage.set(key, entry(content=key[:1] * 1000))
    assert contents(storage, a) == [b"a" * 1000]  # now b was not used for the longest time
    storage.set(d, entry(content=b"d" * 1000))
    assert contents(storage, b) == [None]
    storage.set(e, entry(content=b"e" * 1000))
    assert contents(storage, a, b, c, d, e) == [b"a" * 1000, None, None, b"d" * 1000, b"e" * 1000]


def test_one_large_entry_takes_the_room_of_several(make: Make) -> None:
    storage = make(max_bytes=10_000)
    for number in range(10):
        storage.set(bytes([number]) * 32, entry(content=b"x" * 400))
    storage.set(KEY, entry(content=b"x" * 9400))
    assert contents(storage, KEY) == [b"x" * 9400]
    assert contents(storage, *(bytes([number]) * 32 for number in range(10))) == [None] * 10


def test_what_is_too_large_is_not_kept_nor_what_it_replaces(make: Make) -> None:
    storage = make(max_bytes=5000)
    storage.set(KEY, entry(b"a", b"a"))
    storage.set(KEY, entry(b"b", b"b"))
    storage.set(KEY, entry(b"b", b"b" * 5000))
    assert contents(storage, KEY) == [b"a"]


def test_variants_of_one_url_are_limited(make: Make) -> None:
    """A Vary on what is different every time would make a list that each lookup goes through."""
    storage = make()
    storage.set(OTHER, entry())
    for number in range(storage_module.MAX_VARIANTS + 5):
        storage.set(KEY, entry(b"%d" % number))
    seen: list[bytes] = []
    storage.get(KEY, lambda selector: bool(seen.append(selector)))
    assert sorted(map(int, seen)) == list(range(5, storage_module.MAX_VARIANTS + 5))
    assert contents(storage, OTHER) == [b"body"]


def test_many_threads_share_a_storage(make: Make) -> None:
    storage = make(max_bytes=20_000)
    keys = [bytes([number]) * 32 for number in range(8)]
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for step in range(40):
                key = keys[(seed * 7 + step * 3) % len(keys)]
                storage.set(key, entry(content=key * (step * 4)))
                found = storage.get(key, anything)
                assert found is None or found.content == key * (len(found.content) // 32)
                if step % 10 == 9:
                    storage.delete(key)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for key in keys:
        storage.delete(key)
    if isinstance(storage, MemoryStorage):
        assert repr(storage) == "<MemoryStorage [0 entries, 0 bytes]>"
    else:
        assert isinstance(storage, SQLiteStorage)
        assert rows(storage) == 0


def test_base_class_says_what_is_missing() -> None:
    class Empty(CacheStorage): ...

    with Empty() as storage:
        for call in (
            lambda: storage.get(KEY, anything),
            lambda: storage.set(KEY, entry()),
            lambda: storage.delete(KEY),
        ):
            with pytest.raises(NotImplementedError, match="Empty must define"):
                call()


# Memory


def test_memory_limits_the_number_of_entries() -> None:
    storage = MemoryStorage(max_entries=2)
    for key in (KEY, OTHER, b"3"):
        storage.set(key, entry())
    assert contents(storage, KEY, OTHER, b"3") == [None, b"body", b"body"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_memory_after_a_fork_while_its_lock_was_held() -> None:
    storage = MemoryStorage()
    storage.set(KEY, entry())

    def use_in_child() -> bool:
        empty = storage.get(KEY, anything) is None  # it may have been half-way through a change
        storage.set(KEY, entry())
        return empty and contents(storage, KEY) == [b"body"]

    with storage._lock:
        assert in_child(use_in_child) == 0
    assert in_child(lambda: contents(storage, KEY) == [b"body"]) == 0
    assert contents(storage, KEY) == [b"body"]


# SQLite


def test_file_outlives_the_storage(file: SQLiteStorage) -> None:
    file.set(KEY, entry())
    file.close()
    file.close()
    with SQLiteStorage(file._path) as again:
        assert again.get(KEY, anything) == entry()
    assert file.get(KEY, anything) == entry()  # it opens again


def test_recent_use_is_written_down(file: SQLiteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def order() -> list[bytes]:
        with raw(file) as database:
            return [
                key[:1] for (key,) in database.execute("SELECT key FROM http_cache ORDER BY used")
            ]

    keys = [bytes([letter]) * 32 for letter in b"abc"]
    for key in keys:
        file.set(key, entry())
    contents(file, keys[1], keys[0], keys[1])
    assert order() == [b"a", b"b", b"c"]  # a hit writes nothing
    file.set(keys[2], entry())
    assert order() == [b"a", b"b", b"c"]
    contents(file, keys[0])
    file.close()
    assert order() == [b"b", b"c", b"a"]
    monkeypatch.setattr(storage_module, "MAX_TOUCHED", 2)
    contents(file, *keys)
    assert len(file._touched) == 2


def test_two_storages_share_a_file(file: SQLiteStorage) -> None:
    with SQLiteStorage(file._path) as other:
        file.set(KEY, entry(content=b"1"))
        assert contents(other, KEY) == [b"1"]
        other.set(KEY, entry(content=b"2"))
        assert contents(file, KEY) == [b"2"]
        other.delete(KEY)
        assert contents(file, KEY) == [None]


def test_entry_that_vanishes_during_a_lookup_is_a_miss(file: SQLiteStorage) -> None:
    file.set(KEY, entry())
    with SQLiteStorage(file._path) as other:

        def replaced_meanwhile(selector: bytes) -> bool:
            other.delete(KEY)
            return True

        assert file.get(KEY, replaced_meanwhile) is None


FILL = """if True:
    import sys
    from httpclient.transports._cache_entry import Entry
    from httpclient.transports.cache import SQLiteStorage
    path, seed = sys.argv[1], int(sys.argv[2])
    with SQLiteStorage(path, max_bytes=30_000) as storage:
        for step in range(30):
            key = bytes([step % 5]) * 32
            storage.set(key, Entry(b"GET x y", 200, [], 0, 0, content=key * (seed * 10 + step)))
            found = storage.get(key, lambda selector: True)
            assert found is None or found.content == key * (len(found.content) // 32)
"""


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "cache")
    command = [sys.executable, "-c", FILL, path]
    with SQLiteStorage(path) as storage:
        storage.set(KEY, entry())
        processes = [subprocess.Popen([*command, str(seed)]) for seed in (1, 2)]
        assert [process.wait() for process in processes] == [0, 0]
        assert 0 < rows(storage) <= 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_child_has_a_connection_of_its_own(file: SQLiteStorage) -> None:
    file.set(KEY, entry(content=b"parent"))
    connection = file._connection

    def use_in_child() -> bool:
        fine = contents(file, KEY) == [b"parent"] and file._connection is not connection
        file.set(OTHER, entry(content=b"child"))
        file.close()
        return fine and storage_module._inherited == [connection]

    with file._lock:  # as if by another thread, which the child does not have
        assert in_child(use_in_child) == 0
    assert contents(file, KEY, OTHER) == [b"parent", b"child"]
    assert file._connection is connection


def test_pickles_as_options(file: SQLiteStorage, tmp_path: Path) -> None:
    file.set(KEY, entry())
    with pickle.loads(pickle.dumps(file)) as twin:
        assert twin._connection is None
        assert contents(twin, KEY) == [b"body"]
    small = pickle.loads(pickle.dumps(SQLiteStorage(tmp_path / "x", max_bytes=7)))
    assert (small._path, small._max_bytes) == (str(tmp_path / "x"), 7)
    assert repr(small) == f"<SQLiteStorage [{small._path!r}]>"


def test_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SQLiteStorage("cache") as storage:
        monkeypatch.chdir("/")
        storage.set(KEY, entry())
    assert (tmp_path / "cache").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such permissions")
def test_file_is_for_its_owner_alone(file: SQLiteStorage, tmp_path: Path) -> None:
    file.set(KEY, entry())
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert found == {"cache": 0o600, "cache-wal": 0o600, "cache-shm": 0o600}


def test_readers_do_not_wait_for_a_writer(file: SQLiteStorage) -> None:
    file.set(KEY, entry())
    with raw(file) as writer:
        writer.execute("DELETE FROM http_cache")
        assert contents(file, KEY) == [b"body"]
    assert contents(file, KEY) == [None]


def test_locked_file_is_an_error_and_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "BUSY_TIMEOUT", 0.01)
    with SQLiteStorage(tmp_path / "cache") as storage:
        storage.set(KEY, entry())
        contents(storage, KEY)
        with raw(storage) as writer:
            writer.execute("BEGIN IMMEDIATE")
            for call in (lambda: storage.set(KEY, entry(content=b"")), lambda: storage.delete(KEY)):
                with pytest.raises(sqlite3.OperationalError):
                    call()
            assert contents(storage, KEY) == [b"body"]
            storage.close()  # how lately the entry was used is lost, and no more
        storage.set(OTHER, entry())
        assert contents(storage, KEY, OTHER) == [b"body", b"body"]


def test_failure_in_the_middle_of_a_change_undoes_it(
    file: SQLiteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.set(KEY, entry())

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SQLiteStorage, "_make_room", fail)
        with pytest.raises(KeyboardInterrupt):
            file.set(KEY, entry(content=b"new"))
    assert contents(file, KEY) == [b"body"]
    file.set(KEY, entry(content=b"new"))
    assert contents(file, KEY) == [b"new"]
    assert rows(file) == 1


def head_of(one: Entry, **changes: Any) -> bytes:
    """A row's head, with some of its values changed by their index."""
    values = json.loads(storage_module._encoded_head(one))
    for index, value in changes.items():
        values[int(index[1:])] = value
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE http_cache SET content = x'00'",
        "UPDATE http_cache SET content = 'text'",
        "UPDATE http_cache SET head = head || x'20'",
        "UPDATE http_cache SET head = 5",
        "UPDATE http_cache SET checksum = 'x'",
    ],
)
def test_damaged_row_is_a_miss_and_dropped(file: SQLiteStorage, change: str) -> None:
    file.set(KEY, entry())
    with raw(file) as database:
        assert database.execute(change).rowcount == 1
    assert contents(file, KEY) == [None]
    assert rows(file) == 0
    file.set(KEY, entry())
    assert contents(file, KEY) == [b"body"]


@pytest.mark.parametrize(
    "head",
    [
        head_of(entry(), _0=storage_module.FORMAT + 1),
        head_of(entry(), _1="x"),
        head_of(entry(), _2=[["a"]]),
        head_of(entry(), _2=[["a", "\u20ac"]]),
        head_of(entry(), _3=None),
        head_of(entry(), _5=1),
        b"[]",
        b"{}",
        b"",
        b"[" * 100_000,
    ],
)
def test_row_of_another_version_is_a_miss_and_dropped(file: SQLiteStorage, head: bytes) -> None:
    file.set(KEY, entry())
    with raw(file) as database:
        checksum = zlib.crc32(b"body", zlib.crc32(head))
        database.execute("UPDATE http_cache SET head = ?, checksum = ?", (head, checksum))
    assert contents(file, KEY) == [None]
    assert rows(file) == 0


def test_damaged_row_does_not_hide_a_good_one(file: SQLiteStorage) -> None:
    file.set(KEY, entry(b"a", b"good"))
    file.set(KEY, entry(b"b", b"bad"))
    file.set(KEY, entry(b"c", b"worse"))
    with raw(file) as database:
        database.execute("UPDATE http_cache SET content = x'00' WHERE selector = ?", (b"b",))
        database.execute("UPDATE http_cache SET selector = 'text' WHERE selector = ?", (b"c",))
    assert contents(file, KEY) == [b"good"]


def test_file_that_is_no_database_is_an_error_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"my letters\n" * 1000)
    with SQLiteStorage(path) as storage:
        for _ in range(2):
            with pytest.raises(sqlite3.DatabaseError):
                storage.get(KEY, anything)
    assert path.read_bytes() == b"my letters\n" * 1000


def test_tables_of_others_in_the_file_are_left_alone(file: SQLiteStorage) -> None:
    with raw(file) as database:
        database.execute("CREATE TABLE entries (x)")
        database.execute("INSERT INTO entries VALUES (1)")
    file.set(KEY, entry())
    with raw(file) as database:
        assert database.execute("SELECT x FROM entries").fetchall() == [(1,)]
    assert rows(file) == 1


def test_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with SQLiteStorage(tmp_path / "missing" / "cache") as storage, pytest.raises(OSError):
        storage.set(KEY, entry())


def test_content_in_memory_is_not_shared_by_change() -> None:
    first = entry()
    storage = MemoryStorage()
    storage.set(KEY, first)
    storage.set(KEY, replace(first, content=b"longer"))
    storage.delete(KEY)
    assert repr(storage) == "<MemoryStorage [0 entries, 0 bytes]>"
