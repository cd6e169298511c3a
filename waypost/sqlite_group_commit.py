"""A SQLite database with group commit: one writer commits all queued writes with one fsync.

One connection does every write and every checkpoint: SQLite before 3.51.3 may corrupt a write-ahead log when
two connections do. `synchronous=FULL`, since NORMAL may lose an acknowledged commit when the power fails. The
commit runs on a thread of its own, since an fsync may take long and would block the event loop. Statements
that take microseconds run before the hand-over, on the event loop's thread: passing the interpreter's lock to
another thread and back costs more.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from waypost.files.permissions import narrow
from waypost.sqlite_files.disk_space import is_disk_full
from waypost.sqlite_files.errors import StorageError, is_fault
from waypost.sqlite_files.lock import FileLock
from waypost.sqlite_files.missing_log import mark_incomplete, unmark
from waypost.sqlite_files.opening import open_for_reading, open_for_writing
from waypost.turns import Turns, turn_key

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], Any]
Item = tuple[Write, "asyncio.Future[Any]"]
Results = list[tuple["asyncio.Future[Any]", Any, BaseException | None]]

GATHER_TURNS = 4
"""The number of event loop iterations to wait before a group of writes is closed.

Measured at 16 connections: otherwise each commit carried one or two acceptances.
"""


class Database:
    """A SQLite database in one file, owned by one process; commits queued writes together.

    `group_size` is the most writes in one commit, `readers` the number of reading threads. `inline` runs
    everything on the caller's thread, in the same transactions: for simulations, which must be deterministic.
    """

    def __init__(
        self, path: str | Path, *, group_size: int = 256, readers: int = 2, inline: bool = False
    ) -> None:
        self._path = str(path)
        self._group_size, self._inline = group_size, inline
        self._waiting: list[Item] = []
        self._brief, self._shared = True, False
        self._idle = asyncio.Event()
        self._idle.set()
        self._jobs: queue.SimpleQueue[Callable[[], Results] | None] = queue.SimpleQueue()
        self._pool = None if inline else ThreadPoolExecutor(readers, thread_name_prefix="sqlite-read")
        # What the process reads for itself (leases, health, placing) waits behind no caller's read.
        self._own_pool = None if inline else ThreadPoolExecutor(1, thread_name_prefix="sqlite-read-own")
        self._turns = Turns(readers, share=max(1, readers // 2))
        self._local, self._readers = threading.local(), list[sqlite3.Connection]()
        self._closed = True

    async def __aenter__(self) -> Self:
        """Opens and locks the database file.

        Raises `StorageError` where another process has it locked, or it is damaged or not complete.
        """
        self._loop = asyncio.get_running_loop()
        self._lock = None if self._path == ":memory:" else FileLock(self._path)
        if self._lock is not None:
            # SQLite gives those that it makes beside the database the permissions of the database.
            for suffix in ("", "-wal", "-shm"):
                narrow(Path(self._path + suffix))
        try:
            self._db = open_for_writing(self._path)
        except (sqlite3.Error, StorageError) as error:
            if self._lock is not None:
                self._lock.release()
            raise error if isinstance(error, StorageError) else self._failure("cannot open", error) from error
        self._closed = False
        if not self._inline:
            self._thread = threading.Thread(target=self._write_loop, name="sqlite-write", daemon=True)
            self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commits the queued writes, then closes the database file."""
        self._closed = True
        if not self._inline:
            await self._idle.wait()
            self._jobs.put(None)
            await self._loop.run_in_executor(None, self._thread.join)
        for pool in filter(None, (self._pool, self._own_pool)):
            await self._loop.run_in_executor(None, pool.shutdown)
        with suppress(sqlite3.Error):
            unmark(self._db)
        # The writer last: who closes last copies the log into the file, and removes the log.
        for connection in (*self._readers, self._db):
            connection.close()
        if self._lock is not None:
            self._lock.release()

    async def mark_incomplete(self) -> None:
        """Makes a later start without the write-ahead log of a file fail, until the next checkpoint.

        To be called once the schema is there, before anything else uses the database. Raises `StorageError`.
        """
        if self._lock is None or self._inline:
            return
        done: asyncio.Future[None] = self._loop.create_future()
        # A job of the writer's: closing waits for it, even where nobody waits for the mark any more.
        self._idle.clear()
        self._jobs.put(partial(self._mark, done))
        await done

    def _mark(self, done: "asyncio.Future[None]") -> Results:
        try:
            mark_incomplete(self._db)
        except sqlite3.Error as error:
            return [(done, None, self._failure("cannot write to", error))]
        return [(done, None, None)]

    def write(self, work: Callable[[sqlite3.Connection], T], *, brief: bool = False) -> "asyncio.Future[T]":
        """Queues the write `work`; returns a future of the result of `work`, done once that is durable.

        `work` may be called twice, so it must depend on the database alone. `brief` says that it takes
        microseconds: it may then run on the event loop's thread, and only its commit on the writer's. An
        error that `work` raises fails this write alone; `StorageError` means that the whole group was not
        written.
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
                self._loop.call_soon(self._wait_turns, GATHER_TURNS if self._shared else 0)
        return done

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs the read `work` in a thread, on a read-only connection, and returns its result.

        Callers take turns by `turn_key`; those without a key have their own thread. Raises `StorageError`
        where the database is closed or cannot be read.
        """
        if self._closed:
            raise StorageError("the database is closed")
        try:
            if self._pool is None:
                return work(self._db)
            key = turn_key.get()
            if key is None:
                return await self._loop.run_in_executor(self._own_pool, self._read, work)
            async with self._turns.turn(key):
                return await self._loop.run_in_executor(self._pool, self._read, work)
        except sqlite3.Error as error:
            raise self._failure("cannot read", error) from error

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_for_reading(self._path)
            self._readers.append(connection)
        return work(connection)

    def _failure(self, what: str, error: sqlite3.Error) -> StorageError:
        """Builds the `StorageError` for an error of SQLite; its text has the remedy for a damaged file."""
        if type(error) is sqlite3.DatabaseError:
            return StorageError(
                f"{self._path} is damaged ({error}): stop what uses it, and put back a copy or save what"
                f' can be read with: sqlite3 {self._path} ".recover" | sqlite3 recovered.db'
            )
        known = "full" in str(error) or not is_disk_full(Path(self._path).parent)
        full = "" if known else ": the disk is full"
        return StorageError(f"{what} {self._path}: {error}{full}")

    def _wait_turns(self, turns: int) -> None:
        """Starts the next group commit after `turns` iterations of the event loop.

        Further writes can join the group meanwhile.
        """
        if turns:
            self._loop.call_soon(self._wait_turns, turns - 1)
        else:
            self._next_group()

    def _next_group(self) -> None:
        """Hands the queued writes, as one group, to the writer thread, which commits them.

        Until the commit is done, only that thread uses the connection.
        """
        self._shared = len(self._waiting) > 1
        group, self._waiting = self._waiting[: self._group_size], self._waiting[self._group_size :]
        results = self._run_here(group) if self._brief else None
        self._brief = self._brief or not self._waiting
        self._jobs.put(partial(self._commit, group) if results is None else partial(self._finish, results))

    def _run_here(self, group: list[Item]) -> Results | None:
        """Runs a group's statements on the event loop's thread, without committing.

        Returns None where one failed: the writer thread must then run them one by one.
        """
        try:
            self._db.execute("begin immediate")
            return _run_all(self._db, group)
        except (sqlite3.Error, _ItemFailedError):
            if self._db.in_transaction:
                self._db.execute("rollback")
            return None

    def _finish(self, results: Results) -> Results:
        """Commits the statements run before; returns `results`, on failure with a `StorageError` for each."""
        try:
            self._db.execute("commit")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            failure = self._failure("nothing was written to", error)
            return [(done, None, failure) for done, _, _ in results]
        return results

    def _write_loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._loop.call_soon_threadsafe(self._written, job())

    def _written(self, results: Results) -> None:
        _resolve(results)
        if self._waiting:
            self._wait_turns(GATHER_TURNS)
        else:
            self._idle.set()

    def _commit(self, group: list[Item]) -> Results:
        """Runs and commits a group of writes in one transaction; returns each write's result or error.

        Where one write fails, the group is run again with a savepoint for each write.
        """
        try:
            try:
                return self._transact(group, _run_all)
            except _ItemFailedError:
                return self._transact(group, _run_each)
        except sqlite3.Error as error:
            failure = self._failure("nothing was written to", error)
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
    """Raised inside a group commit where the code of one write has raised an error."""


def _run_all(db: sqlite3.Connection, group: list[Item]) -> Results:
    try:
        return [(done, work(db), None) for work, done in group]
    except Exception as error:
        if is_fault(error):
            raise
        raise _ItemFailedError from error


def _run_each(db: sqlite3.Connection, group: list[Item]) -> Results:
    results: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
    for work, done in group:
        db.execute("savepoint item")
        try:
            results.append((done, work(db), None))
        except Exception as error:  # what a write raises is for its caller, not for the group
            if is_fault(error):
                raise
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
