"""Where a cache keeps responses: in memory, or in an SQLite file.

Rules of this file: it knows keys, selectors and entries, and nothing of HTTP. What is wrong with a
storage is an exception here; the transport logs it and goes on without. Methods may be called from
any thread, and in the child after a fork. Locks are held for a lookup or a statement, and never
while anything is waited for but the disk.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._cache_entry import Entry
from ._configured import Configured

if TYPE_CHECKING:
    import sqlite3

MAX_VARIANTS = 32
"""Responses kept for one URL. More of them come from a Vary on what is different every time."""

OVERHEAD = 256
"""Bytes that an entry is taken to need beside its content and its headers."""

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process to finish writing: sqlite3's own default."""

MAX_TOUCHED = 4096
"""Entries whose use has not been written down yet; of more, the oldest uses are forgotten."""

FORMAT = 1
"""Of a row's head. One of another format counts as unreadable."""


class CacheStorage:
    """What a cache needs of a storage. Subclasses implement `get`, `set` and `delete`.

    With `blocking` their methods may wait, for a disk or for others; async code then calls them in
    a thread. An exception makes a request miss the cache and is otherwise of no consequence.
    """

    blocking = False

    def get(self, key: bytes, accepts: Callable[[bytes], bool]) -> Entry | None:
        """Of the entries under `key` whose selector `accepts` the one with the highest `order`,
        the newer of two; None if there is none."""
        raise NotImplementedError(f"{type(self).__name__} must define get")

    def set(self, key: bytes, entry: Entry) -> None:
        """Keep `entry` in place of the one under `key` that has the same selector, unless that has
        a higher `order`. What is too large is not kept, and neither is then what it would
        replace."""
        raise NotImplementedError(f"{type(self).__name__} must define set")

    def delete(self, key: bytes) -> None:
        """Forget all entries under `key`."""
        raise NotImplementedError(f"{type(self).__name__} must define delete")

    def close(self) -> None:
        """Release what the storage holds open. It may be used again."""

    def _reset(self) -> None:
        """Make locks anew, in a child of the process that had them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


_storages: weakref.WeakSet[CacheStorage] = weakref.WeakSet()
_inherited: list[Any] = []
"""Connections of a parent process: SQLite allows a child neither to use nor to close them."""


def _after_fork() -> None:
    for storage in list(_storages):
        storage._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class MemoryStorage(Configured, CacheStorage):
    """Keeps up to `max_entries` responses of together up to `max_bytes`; those that were not used
    for the longest time go first."""

    def __init__(self, *, max_entries: int = 1024, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._clear()
        _storages.add(self)

    def _clear(self) -> None:
        self._entries: OrderedDict[tuple[bytes, bytes], Entry] = OrderedDict()  # by last use
        self._selectors: dict[bytes, dict[bytes, None]] = {}  # by key, in order of arrival
        self._bytes = 0

    def _reset(self) -> None:
        if self._lock.locked():  # by a thread that does not exist here, half-way through a change
            self._clear()
        self._lock = threading.Lock()

    def get(self, key: bytes, accepts: Callable[[bytes], bool]) -> Entry | None:
        with self._lock:
            found = [selector for selector in self._selectors.get(key, ()) if accepts(selector)]
            if not found:
                return None
            names = [(key, selector) for selector in reversed(found)]
            best = max(names, key=lambda name: self._entries[name].order)
            self._entries.move_to_end(best)
            return self._entries[best]

    def set(self, key: bytes, entry: Entry) -> None:
        name = (key, entry.selector)
        size = _size(entry)
        with self._lock:
            old = self._entries.get(name)
            if old is not None and old.order > entry.order:
                return  # a response that took longer than the next one
            self._drop(name)
            if size > self._max_bytes:
                return
            self._entries[name] = entry
            self._bytes += size
            selectors = self._selectors.setdefault(key, {})
            selectors[entry.selector] = None
            if len(selectors) > MAX_VARIANTS:
                self._drop((key, next(iter(selectors))))
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))

    def delete(self, key: bytes) -> None:
        with self._lock:
            for selector in list(self._selectors.get(key, ())):
                self._drop((key, selector))

    def _drop(self, name: tuple[bytes, bytes]) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        key, selector = name
        self._bytes -= _size(entry)
        del self._selectors[key][selector]
        if not self._selectors[key]:
            del self._selectors[key]

    def __repr__(self) -> str:
        return f"<MemoryStorage [{len(self._entries)} entries, {self._bytes} bytes]>"


def _size(entry: Entry) -> int:
    headers = sum(len(name) + len(value) for name, value in entry.headers)
    return len(entry.content) + headers + OVERHEAD


# The size stands before the content, so that SQLite finds it without reading through that.
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS http_cache (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        used INTEGER NOT NULL,
        size INTEGER NOT NULL,
        position REAL NOT NULL,
        checksum INTEGER NOT NULL,
        key BLOB NOT NULL,
        selector BLOB NOT NULL,
        head BLOB NOT NULL,
        content BLOB NOT NULL,
        UNIQUE (key, selector)
    )""",
    "CREATE INDEX IF NOT EXISTS http_cache_used ON http_cache (used)",
    # The sum of all sizes, which would take long to add up.
    "CREATE TABLE IF NOT EXISTS http_cache_total (id INTEGER PRIMARY KEY, size INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO http_cache_total VALUES (0, 0)",
    """CREATE TRIGGER IF NOT EXISTS http_cache_added AFTER INSERT ON http_cache
        BEGIN UPDATE http_cache_total SET size = size + new.size; END""",
    """CREATE TRIGGER IF NOT EXISTS http_cache_removed AFTER DELETE ON http_cache
        BEGIN UPDATE http_cache_total SET size = size - old.size; END""",
)
_USE = "(SELECT coalesce(max(used), 0) + 1 FROM http_cache)"


class SQLiteStorage(CacheStorage):
    """Keeps responses of together up to `max_bytes` in the file `path`, which is made if it is
    missing, readable to its owner alone; those that were not used for the longest time go first.

    Any number of threads and processes may use one file. The table holds responses in plain, but
    neither their URLs nor anything of the requests. A row that is damaged, or of another version,
    is deleted. Pickles as its options. Close it: `sqlite3` warns of connections left open.
    """

    blocking = True

    def __init__(self, path: str | os.PathLike[str], max_bytes: int = 256 * 1024 * 1024) -> None:
        self._path = os.path.abspath(path)
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._start()
        _storages.add(self)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._touched: dict[int, None] = {}  # ids, by last use: a hit then needs not write

    def _reset(self) -> None:
        if self._connection is not None:
            _inherited.append(self._connection)
            self._connection = None
        self._start()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._path, self._max_bytes)

    def __repr__(self) -> str:
        return f"<SQLiteStorage [{self._path!r}]>"

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            import sqlite3

            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            database = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
            self._connection = database
        return self._connection

    def _prepare(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")  # readers do not wait for who writes
        database.execute("PRAGMA synchronous = NORMAL")  # a power cut may undo, but not damage
        table = "SELECT 1 FROM sqlite_master WHERE name = 'http_cache'"
        if database.execute(table).fetchone() is None:
            with database:
                database.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA:
                    database.execute(statement)

    def get(self, key: bytes, accepts: Callable[[bytes], bool]) -> Entry | None:
        query = "SELECT id, selector FROM http_cache WHERE key = ? ORDER BY position DESC, id DESC"
        with self._lock:
            database = self._open()
            for number, selector in database.execute(query, (key,)).fetchall():
                if not isinstance(selector, bytes) or not accepts(selector):
                    continue
                entry = self._load(database, number, selector)
                if entry is not None:
                    self._touch(number)
                    return entry
            return None

    def _load(self, database: sqlite3.Connection, number: int, selector: bytes) -> Entry | None:
        query = "SELECT head, content, checksum FROM http_cache WHERE id = ?"
        row = database.execute(query, (number,)).fetchone()
        if row is None:  # another process has just replaced it
            return None
        try:
            return _decoded(selector, *row)
        except Exception:  # whatever it is that cannot be read
            database.execute("DELETE FROM http_cache WHERE id = ?", (number,))
            return None

    def _touch(self, number: int) -> None:
        self._touched.pop(number, None)
        self._touched[number] = None
        if len(self._touched) > MAX_TOUCHED:
            del self._touched[next(iter(self._touched))]

    def set(self, key: bytes, entry: Entry) -> None:
        head = _encoded_head(entry)
        size = len(head) + len(entry.content) + OVERHEAD
        checksum = zlib.crc32(entry.content, zlib.crc32(head))
        row = (size, entry.order, checksum, key, entry.selector, head, entry.content)
        with self._lock:
            database = self._open()
            with database:
                database.execute("BEGIN IMMEDIATE")
                self._write_touched(database)
                newer = "SELECT 1 FROM http_cache WHERE key = ? AND selector = ? AND position > ?"
                found = database.execute(newer, (key, entry.selector, entry.order))
                if found.fetchone() is not None:
                    return  # a response that took longer than the next one
                same = "DELETE FROM http_cache WHERE key = ? AND selector = ?"
                database.execute(same, (key, entry.selector))
                if size <= self._max_bytes:
                    columns = "used, size, position, checksum, key, selector, head, content"
                    insert = f"INSERT INTO http_cache ({columns}) VALUES ({_USE}, ?,?,?,?,?,?,?)"
                    database.execute(insert, row)
                    self._make_room(database, key)

    def _write_touched(self, database: sqlite3.Connection) -> None:
        update = f"UPDATE http_cache SET used = {_USE} WHERE id = ?"
        database.executemany(update, [(number,) for number in self._touched])
        self._touched.clear()

    def _make_room(self, database: sqlite3.Connection, key: bytes) -> None:
        newest = "SELECT id FROM http_cache WHERE key = ? ORDER BY id DESC LIMIT ?"
        surplus = f"DELETE FROM http_cache WHERE key = ? AND id NOT IN ({newest})"
        database.execute(surplus, (key, key, MAX_VARIANTS))
        (total,) = database.execute("SELECT size FROM http_cache_total").fetchone()
        unwanted = []
        for number, size in database.execute("SELECT id, size FROM http_cache ORDER BY used"):
            if total <= self._max_bytes:
                break
            unwanted.append((number,))
            total -= size
        database.executemany("DELETE FROM http_cache WHERE id = ?", unwanted)

    def delete(self, key: bytes) -> None:
        with self._lock:
            self._open().execute("DELETE FROM http_cache WHERE key = ?", (key,))

    def close(self) -> None:
        """Close the file. The next call of another method opens it again."""
        with self._lock:
            database, self._connection = self._connection, None
            if database is None:
                return
            import sqlite3

            try:
                if self._touched:
                    with database:
                        database.execute("BEGIN IMMEDIATE")
                        self._write_touched(database)
            except sqlite3.Error:
                pass  # no entry is lost, only how lately it was used
            finally:
                database.close()


def _encoded_head(entry: Entry) -> bytes:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in entry.headers]
    texts = [
        None if text is None else text.decode("latin-1")
        for text in (entry.http_version, entry.reason_phrase)
    ]
    head = [FORMAT, entry.status, headers, entry.requested, entry.received, *texts]
    return json.dumps(head, separators=(",", ":")).encode("ascii")


def _decoded(selector: bytes, head: bytes, content: bytes, checksum: int) -> Entry:
    if zlib.crc32(content, zlib.crc32(head)) != checksum:
        raise ValueError("the row is damaged")
    version, status, headers, requested, received, *texts = json.loads(head)
    if version != FORMAT:
        raise ValueError("the row is of another version")
    http_version, reason_phrase = (
        None if text is None else text.encode("latin-1") for text in texts
    )
    return Entry(
        selector,
        int(status),
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        float(requested),
        float(received),
        http_version,
        reason_phrase,
        content,
    )
