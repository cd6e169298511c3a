"""SQLite made durable and quick: one writer thread that commits whatever has queued in one fsync, and readers that never write.

One connection does every write and every checkpoint: SQLite before 3.51.3 may corrupt a write-ahead log when two of them do.
`synchronous=FULL`, since NORMAL may lose an acknowledged commit when the power goes.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], Any]
Item = tuple[Write, "asyncio.Future[Any]"]


class StorageError(Exception):
    """Nothing was written: the disk is full or failing, the file is in use, or the database is closed. It may work again later."""


class Database:
    """One SQLite file, owned by one process.

    `inline` runs everything on the caller's own thread, in the same transactions: for a simulation that must repeat itself.
    """

    def __init__(self, path: str | Path, *, group_size: int = 256, readers: int = 2, inline: bool = False) -> None:
        self._path = str(path)
        self._group_size, self._inline = group_size, inline
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._pool = None if inline else ThreadPoolExecutor(readers, thread_name_prefix="sqlite-read")
        self._local = threading.local()
        self._closed = True

    async def __aenter__(self) -> Self:
        """Opens the file. Raises `StorageError` where another process has it."""
        self._loop = asyncio.get_running_loop()
        self._lock = None if self._path == ":memory:" else _locked(Path(self._path))
        try:
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=256)
            for pragma in ("journal_mode=wal", "synchronous=full", "wal_autocheckpoint=4000", "foreign_keys=off"):
                self._db.execute(f"pragma {pragma}")
        except sqlite3.Error as error:
            raise StorageError(f"cannot open {self._path}: {error}") from error
        self._closed = False
        if not self._inline:
            self._thread = threading.Thread(target=self._write_loop, name="sqlite-write", daemon=True)
            self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commits what has queued, then closes."""
        self._closed = True
        if not self._inline:
            self._queue.put(None)
            await self._loop.run_in_executor(None, self._thread.join)
        if self._pool is not None:
            await self._loop.run_in_executor(None, self._pool.shutdown)
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> "asyncio.Future[T]":
        """What `work` returns, once it is durable. `work` may be run twice, and sees only the database.

        What it raises fails this item alone; `StorageError` means that the whole group was not written.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            done.set_exception(StorageError("the database is closed"))
        elif self._inline:
            _resolve(self._commit([(work, done)]))
        else:
            self._queue.put((work, done))
        return done

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, off the event loop, on a connection that cannot write. Raises `StorageError`."""
        if self._closed:
            raise StorageError("the database is closed")
        try:
            if self._pool is None:
                return work(self._db)
            return await self._loop.run_in_executor(self._pool, self._read, work)
        except sqlite3.Error as error:
            raise StorageError(f"cannot read: {error}") from error

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(f"file:{self._path}", uri=True, isolation_level=None, cached_statements=256)
            connection.execute("pragma query_only=1")
            connection.execute("pragma wal_autocheckpoint=0")
            self._local.connection = connection
        return work(connection)

    def _write_loop(self) -> None:
        more = True
        while more:
            group: list[Item] = []
            item = self._queue.get()
            while item is not None:
                group.append(item)
                if len(group) == self._group_size:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            more = item is not None
            if group:
                self._loop.call_soon_threadsafe(_resolve, self._commit(group))

    def _commit(self, group: list[Item]) -> list[tuple["asyncio.Future[Any]", Any, BaseException | None]]:
        """One transaction for all; where one item fails, once more with each on its own."""
        try:
            try:
                return self._transact(group, _run_all)
            except _ItemFailedError:
                return self._transact(group, _run_each)
        except sqlite3.Error as error:
            failure = StorageError(f"nothing was written: {error}")
            return [(done, None, failure) for _, done in group]

    def _transact(self, group: list[Item], run: Callable[[sqlite3.Connection, list[Item]], T]) -> T:
        self._db.execute("begin immediate")
        try:
            results = run(self._db, group)
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise
        return results


class _ItemFailedError(Exception):
    """One of a group raised."""


def _run_all(db: sqlite3.Connection, group: list[Item]) -> list[tuple["asyncio.Future[Any]", Any, BaseException | None]]:
    try:
        return [(done, work(db), None) for work, done in group]
    except sqlite3.OperationalError:
        raise
    except Exception as error:
        raise _ItemFailedError from error


def _run_each(db: sqlite3.Connection, group: list[Item]) -> list[tuple["asyncio.Future[Any]", Any, BaseException | None]]:
    results: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
    for work, done in group:
        db.execute("savepoint item")
        try:
            results.append((done, work(db), None))
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # whatever an item raises is its caller's to hear
            db.execute("rollback to item")
            results.append((done, None, error))
        db.execute("release item")
    return results


def _resolve(results: list[tuple["asyncio.Future[Any]", Any, BaseException | None]]) -> None:
    for done, value, error in results:
        if done.done():
            continue
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)


def _locked(path: Path) -> int:
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StorageError(f"{path} is in use by another process: one process owns a database") from error
    return lock
