"""SQLite made durable and quick: one writer that commits whatever has queued in one fsync, and readers that never write.

The writer is a thread, since an fsync takes as long as it takes. Statements that take microseconds are better run before the hand-over:
each one that runs on another thread passes the interpreter's lock to and fro, which costs more than itself.

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
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], Any]
Item = tuple[Write, "asyncio.Future[Any]"]
Results = list[tuple["asyncio.Future[Any]", Any, BaseException | None]]

GATHER_TURNS = 4
"""Of the event loop, before a group is closed: measured at 16 connections, where each commit else carried one or two acceptances."""


class StorageError(Exception):
    """Nothing was written: the disk is full or failing, the file is in use, or the database is closed. It may work again later."""


class Database:
    """One SQLite file, owned by one process.

    `inline` runs everything on the caller's own thread, in the same transactions: for a simulation that must repeat itself.
    """

    def __init__(
        self, path: str | Path, *, group_size: int = 256, readers: int = 2, inline: bool = False
    ) -> None:
        self._path = str(path)
        self._group_size, self._inline = group_size, inline
        self._waiting: list[Item] = []
        self._brief = True
        self._shared = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._jobs: queue.SimpleQueue[Callable[[], Results] | None] = queue.SimpleQueue()
        self._pool = None if inline else ThreadPoolExecutor(readers, thread_name_prefix="sqlite-read")
        self._local = threading.local()
        self._closed = True

    async def __aenter__(self) -> Self:
        """Opens the file. Raises `StorageError` where another process has it."""
        self._loop = asyncio.get_running_loop()
        self._lock = None if self._path == ":memory:" else _locked(Path(self._path))
        try:
            self._db = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            for pragma in (
                "journal_mode=wal",
                "synchronous=full",
                "wal_autocheckpoint=4000",
                "foreign_keys=off",
            ):
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
            await self._idle.wait()
            self._jobs.put(None)
            await self._loop.run_in_executor(None, self._thread.join)
        if self._pool is not None:
            await self._loop.run_in_executor(None, self._pool.shutdown)
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)

    def write(self, work: Callable[[sqlite3.Connection], T], *, brief: bool = False) -> "asyncio.Future[T]":
        """What `work` returns, once it is durable. `work` may be run twice, and sees only the database.

        `brief`: it takes microseconds, and may be run on the event loop's own thread; only its commit is waited for elsewhere.
        What it raises fails this item alone; `StorageError` means that the whole group was not written.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            done.set_exception(StorageError("the database is closed"))
        elif self._inline:
            _resolve(self._commit([(work, done)]))
        else:
            self._waiting.append((work, done))
            self._brief = self._brief and brief
            if self._idle.is_set():
                self._idle.clear()
                self._loop.call_soon(self._gather, GATHER_TURNS if self._shared else 0)
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
            connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=256)
            connection.execute("pragma query_only=1")
            connection.execute("pragma wal_autocheckpoint=0")
            self._local.connection = connection
        return work(connection)

    def _gather(self, turns: int) -> None:
        """Lets what is ready on the loop come first, for so many of its turns: no time passes, but more writes share a commit."""
        if turns:
            self._loop.call_soon(self._gather, turns - 1)
        else:
            self._next_group()

    def _next_group(self) -> None:
        """Gives the writer what has queued. Until it is done with that, nobody else touches its connection."""
        self._shared = len(self._waiting) > 1
        group, self._waiting = self._waiting[: self._group_size], self._waiting[self._group_size :]
        results = self._run_here(group) if self._brief else None
        self._brief = self._brief or not self._waiting
        self._jobs.put(partial(self._commit, group) if results is None else partial(self._finish, results))

    def _run_here(self, group: list[Item]) -> Results | None:
        """The statements of a group whose commit is still to come; None where something failed, and it is to be tried in the long way."""
        try:
            self._db.execute("begin immediate")
            return _run_all(self._db, group)
        except (sqlite3.Error, _ItemFailedError):
            if self._db.in_transaction:
                self._db.execute("rollback")
            return None

    def _finish(self, results: Results) -> Results:
        """Commits what was run before."""
        try:
            self._db.execute("commit")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            failure = StorageError(f"nothing was written: {error}")
            return [(done, None, failure) for done, _, _ in results]
        return results

    def _write_loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._loop.call_soon_threadsafe(self._written, job())

    def _written(self, results: Results) -> None:
        _resolve(results)
        if self._waiting:
            self._gather(GATHER_TURNS)
        else:
            self._idle.set()

    def _commit(self, group: list[Item]) -> Results:
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


def _run_all(db: sqlite3.Connection, group: list[Item]) -> Results:
    try:
        return [(done, work(db), None) for work, done in group]
    except sqlite3.OperationalError:
        raise
    except Exception as error:
        raise _ItemFailedError from error


def _run_each(db: sqlite3.Connection, group: list[Item]) -> Results:
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


def _resolve(results: Results) -> None:
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
