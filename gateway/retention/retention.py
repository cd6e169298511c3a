"""`Retention`: archives ended runs and audit trail that are old or too many, then deletes them bit by bit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
from loguru import logger
from msgspec import Struct, structs

from gateway.core.errors import Unavailable
from gateway.core.run import Run
from gateway.ended_run_settings import RetentionSettings
from gateway.retention.archive import ArchiveFile, LineWriter, remove_partial
from gateway.retention.cutoff import DAY_SECONDS, archive_before
from gateway.retention.retention_clock import RetentionClock
from gateway.retention.run_records import record_lines, run_lines
from gateway.retention.trail_retention import TrailRetention
from gateway.retention.write_groups import write_groups
from gateway.store.interface import Store
from gateway.store.retention import ArchivedRun
from observability.metrics import Metrics
from waypost.turns import turn_key

T = TypeVar("T")

FILE_RUNS: Final = 1_000
"""The most runs whose records are in one file of the archive."""
READ_AT_ONCE: Final = 20
"""The number of runs whose records are read at once, if they are small."""
SMALL_BYTES: Final = 65_536
"""The bytes below which a record is small."""
TAKEN_AT_ONCE: Final = 50
"""The most runs that one write takes out of the store, in about a millisecond."""
ROWS_AT_ONCE: Final = 200
"""The most rows that one write deletes, in a few milliseconds: a submission waits no longer for it."""
BYTES_AT_ONCE: Final = 1_048_576
"""The most bytes in the rows that one write deletes, or in the documents of the runs that it takes out.

One row that has more goes by itself.
"""
SEAL_SECONDS: Final = 2.0
"""The pause after which a pass looks whether the entry about an archived part of the trail is sealed."""
TURN_KEY: Final = "(retention)"
"""The key in whose turn a pass reads the store, as one of its callers: leases and placing read beside it."""
REST: Final = 3.0
"""The pause after a write, as a multiple of its duration: most of the time is left to others."""

DAMAGE: Final = (msgspec.MsgspecError, ValueError)
"""The errors that decoding a damaged row raises."""


class Forget(Protocol):
    """A call of the store that deletes at most `limit` rows older than `before`; returns how many."""

    def __call__(self, *, before: float, limit: int) -> Awaitable[int]: ...


class Passed(Struct, frozen=True, kw_only=True):
    """What one pass of retention has done, or, in a dry run, would do."""

    before: float | None
    """The time before which runs must have ended, in seconds since 1970; None: no run is to be deleted."""
    runs: int = 0
    """The number of runs that were archived and taken out of the store."""
    rows: int = 0
    """The number of rows that were deleted."""
    files: tuple[str, ...] = ()
    """The names of the archive's files that were written."""
    waits_for_seal: bool = False
    """Whether a part of the audit trail is archived and goes once the entry about it is sealed."""


class Retention:
    """Archives and deletes ended runs and audit trail, in passes of which one at a time is made."""

    def __init__(
        self, store: Store, settings: RetentionSettings, metrics: Metrics, *, clock: Callable[[], float]
    ) -> None:
        self._store, self._settings, self._metrics, self._clock = store, settings, metrics, clock
        self._time = RetentionClock(store, clock)
        self._trail = TrailRetention(store, settings, metrics)
        self._passing, self._asked = asyncio.Lock(), asyncio.Event()

    def __repr__(self) -> str:
        return f"Retention({self._settings}, passing={self.passing})"

    async def run(self) -> None:
        """Makes a pass every `pass_seconds` until cancelled; one that fails is logged and counted."""
        turn_key.set(TURN_KEY)
        swept = False
        while True:
            self._asked.clear()
            waits = False
            try:
                if not swept:
                    await self._sweep()
                    swept = True
                waits = (await self.make_pass()).waits_for_seal
            except Exception as error:  # whatever it is, the gateway runs on without this pass
                self._metrics.retention_failures.inc()
                _log_failure(error)
            with suppress(TimeoutError):
                pause = self._settings.pass_seconds
                async with asyncio.timeout(min(pause, SEAL_SECONDS) if waits else pause):
                    await self._asked.wait()

    async def _sweep(self) -> None:
        """Removes what a killed gateway has left half written in the archive."""
        assert self._settings.archive is not None
        async with self._passing:
            await asyncio.to_thread(remove_partial, Path(self._settings.archive))

    def ask_for_pass(self) -> None:
        """Makes the loop begin its next pass at once, or as soon as the one that is being made has ended."""
        self._asked.set()

    @property
    def passing(self) -> bool:
        """Returns whether a pass is being made."""
        return self._passing.locked()

    async def make_pass(self) -> Passed:
        """Archives and deletes all that is due, of the audit trail one file at a time; returns what was done.

        What an earlier pass has left undone is done first. A run of which a row does not decode stays in the
        store; it is logged and counted as a failure. Raises `Unavailable` where the store does not answer,
        and `OSError` where the archive cannot be written: of the runs whose record is not durable nothing is
        deleted.
        """
        async with self._passing:
            rows, runs, files = await self._purge(), 0, list[str]()
            # Those that were damaged, or opened again meanwhile: no run is looked at twice in a pass.
            left = list[str]()
            await self._time.keep()
            before = await self.cutoff()
            while before is not None and (due := await self._due(before, left)):
                name, taken = await self._archive(due)
                files += [name] if name else []
                left += [run for run in due if run not in taken]
                runs += len(taken)
                rows += await self._purge()
                await self._show_oldest(before)
            waits = self._settings.deletes_trail and await self._advance_trail(files)
            rows += await self._purge() + await self._forget()
            if self._settings.deletes_trail and not waits:
                # A part that was cut before has gone by now, so the next one may go.
                waits = await self._advance_trail(files)
            await self._show_oldest(before)
            return Passed(before=before, runs=runs, rows=rows, files=tuple(files), waits_for_seal=waits)

    async def _advance_trail(self, files: list[str]) -> bool:
        """Goes on with the audit trail; returns whether it waits for a seal."""
        name = await self._trail.advance(now=await self._time.now(), at=self._clock())
        files += [name] if name else []
        mark = await self._store.archived_trail()
        return mark is not None and not mark.cut

    async def _forget(self) -> int:
        """Forgets where runs are that were archived too long ago, and exceptions as old as the oldest trail.

        Returns how many they were.
        """
        settings, store = self._settings, self._store
        archived = await self._forget_older(settings.archived_days, store.forget_archived, "archived")
        return archived + await self._forget_older(settings.audit_days, store.forget_exceptions, "exceptions")

    async def _forget_older(self, days: float | None, forget: Forget, kind: str) -> int:
        if days is None:
            return 0
        before, forgotten = await self._time.now() - days * DAY_SECONDS, 0
        while gone := await self._rest_after(forget(before=before, limit=ROWS_AT_ONCE)):
            self._metrics.retention_rows.labels(kind).inc(gone)
            forgotten += gone
        return forgotten

    @staticmethod
    async def _rest_after(write: Awaitable[T]) -> T:
        """Awaits a write to the store, then pauses as its length demands; returns its result."""
        began = time.monotonic()
        result = await write
        await asyncio.sleep(REST * (time.monotonic() - began))
        return result

    async def seconds_behind(self) -> float:
        """Returns by how much that time is behind the clock, which was set forward or ran on alone."""
        return self._clock() - await self._time.now()

    async def cutoff(self) -> float | None:
        """Returns the time before which runs must have ended to be archived now; None if no run is."""
        maximum = self._settings.runs_maximum
        last_kept = None if maximum is None else await self._store.nth_newest_end(maximum)
        return archive_before(self._settings, now=await self._time.now(), last_kept=last_kept)

    async def _due(self, before: float, left: Sequence[str]) -> Sequence[str]:
        return await self._store.ended_runs(before=before, limit=FILE_RUNS, without=left)

    async def _archive(self, due: Sequence[str]) -> tuple[str | None, frozenset[str]]:
        """Writes the records of runs to a new file, then takes them out of the store.

        Returns the file's name, None where no run could be written, and the ids of those that were taken.
        """
        assert self._settings.archive is not None
        now = self._clock()
        file = await asyncio.to_thread(ArchiveFile, Path(self._settings.archive), "runs", at=now)
        try:
            writer = LineWriter(file)
            written = await self._write_records(writer, due)
            if not written:
                return None, frozenset()
            size = await writer.finish()
        finally:
            await asyncio.to_thread(file.discard)
        self._metrics.retention_archive_bytes.inc(size)
        return file.name, await self._take_out(written, file.name, at=now)

    async def _write_records(self, writer: LineWriter, due: Sequence[str]) -> Sequence[tuple[Run, int]]:
        """Writes the records of runs; returns those that it wrote, as `_write_record` does."""
        written = list[tuple[Run, int] | None]()
        for start in range(0, len(due), READ_AT_ONCE):
            some = due[start : start + READ_AT_ONCE]
            small = await self._store.small_records(some, maximum_bytes=SMALL_BYTES)
            for record in small:
                await writer.add(record_lines(record))
                run = record.run
                written.append((structs.replace(run, workflow=b""), len(run.workflow)))
            # The others one at a time: what is large is read in parts, what is damaged is named.
            rest = set(some) - {record.run.id for record in small}
            written += [await self._write_record(writer, run_id) for run_id in some if run_id in rest]
        return [each for each in written if each is not None]

    async def _write_record(self, writer: LineWriter, run_id: str) -> tuple[Run, int] | None:
        """Writes the record of a run; returns the run without its document, and the size of that.

        Returns None where the run is gone, or a row of it does not decode: then the file may hold a part of
        its record.
        """
        try:
            run = await self._store.run(run_id)
            if run is None:
                return None
            async for lines in run_lines(self._store, run):
                await writer.add(lines)
        except (Unavailable, *DAMAGE) as error:
            # The store says `Unavailable` of most rows that it cannot decode, and of a disk that is gone.
            if isinstance(error, Unavailable) and not isinstance(error.__cause__, DAMAGE):
                raise
            self._metrics.retention_failures.inc()
            logger.error("the run {} is not archived, since a row of it is damaged: {}", run_id, error)
            return None
        return structs.replace(run, workflow=b""), len(run.workflow)

    async def _take_out(self, written: Sequence[tuple[Run, int]], file: str, *, at: float) -> frozenset[str]:
        """Takes runs out of the store whose records are in `file`; returns the ids of those it took."""
        ids = list[str]()
        for some in write_groups(written, runs=TAKEN_AT_ONCE, maximum_bytes=BYTES_AT_ONCE):
            archived = [ArchivedRun(run=run, file=file, archived_at=at) for run in some]
            taken = await self._rest_after(self._store.archive_runs(archived))
            self._metrics.retention_runs.inc(sum(taken))
            ids += [run.id for run, was_taken in zip(some, taken, strict=True) if was_taken]
        return frozenset(ids)

    async def _purge(self) -> int:
        """Deletes all rows of archived runs, and of trail that was cut; returns how many they were."""
        rows, more = 0, True
        while more:
            purging = self._store.purge(limit=ROWS_AT_ONCE, maximum_bytes=BYTES_AT_ONCE)
            purged = await self._rest_after(purging)
            more = purged.more
            for kind, count in purged.rows.items():
                self._metrics.retention_rows.labels(kind).inc(count)
                rows += count
        return rows

    async def _show_oldest(self, before: float | None) -> None:
        oldest = await self._store.oldest_end()
        self._metrics.retention_oldest.set(0.0 if oldest is None else max(0.0, self._clock() - oldest))
        overdue = 0.0 if oldest is None or before is None else max(0.0, before - oldest)
        self._metrics.retention_overdue.set(overdue)


def _log_failure(error: Exception) -> None:
    if isinstance(error, Unavailable):
        logger.warning("no run is archived now: {}", error)
    elif isinstance(error, OSError):
        logger.error("no run is archived: the archive cannot be written: {}", error)
    else:
        logger.error("no run is archived: {}: {}", type(error).__name__, error)
