"""`Retention`: archives ended runs that are old or too many, then deletes them, a few rows at a time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from loguru import logger
from msgspec import Struct, structs

from gateway.core.errors import Unavailable
from gateway.core.run import Run
from gateway.ended_run_settings import RetentionSettings
from gateway.retention.archive import ArchiveFile, remove_partial
from gateway.retention.cutoff import archive_before
from gateway.retention.run_records import run_lines
from gateway.store.interface import Store
from gateway.store.retention import ArchivedRun
from observability.metrics import Metrics
from waypost.turns import turn_key

FILE_RUNS: Final = 1_000
"""The most runs whose records are in one file of the archive."""
TAKEN_AT_ONCE: Final = 20
"""The number of runs that one write takes out of the store, in about a millisecond."""
ROWS_AT_ONCE: Final = 200
"""The most rows that one write deletes, in a few milliseconds: a submission waits no longer for it."""
TURN_KEY: Final = "(retention)"
"""The key in whose turn a pass reads the store, as one of its callers: leases and placing read beside it."""
REST: Final = 3.0
"""The pause after a write, as a multiple of its duration: most of the time is left to others."""

DAMAGE: Final = (msgspec.MsgspecError, ValueError)
"""The errors that decoding a damaged row raises."""


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


class Retention:
    """Archives and deletes ended runs, in passes of which one at a time is made."""

    def __init__(
        self, store: Store, settings: RetentionSettings, metrics: Metrics, *, clock: Callable[[], float]
    ) -> None:
        self._store, self._settings, self._metrics, self._clock = store, settings, metrics, clock
        self._passing, self._asked = asyncio.Lock(), asyncio.Event()

    def __repr__(self) -> str:
        return f"Retention({self._settings}, passing={self.passing})"

    async def run(self) -> None:
        """Makes a pass every `pass_seconds` until cancelled; one that fails is logged and counted."""
        turn_key.set(TURN_KEY)
        swept = False
        while True:
            self._asked.clear()
            try:
                if not swept:
                    await self._sweep()
                    swept = True
                await self.make_pass()
            except Exception as error:  # whatever it is, the gateway runs on without this pass
                self._metrics.retention_failures.inc()
                _log_failure(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.pass_seconds):
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
        """Archives and deletes all runs that are due; returns what was done.

        What an earlier pass has left undone is done first. A run of which a row does not decode stays in the
        store; it is logged and counted as a failure. Raises `Unavailable` where the store does not answer,
        and `OSError` where the archive cannot be written: of the runs whose record is not durable nothing is
        deleted.
        """
        async with self._passing:
            rows, runs, files = await self._purge(), 0, list[str]()
            # Those that were damaged, or opened again meanwhile: no run is looked at twice in a pass.
            left = list[str]()
            before = await self.cutoff()
            while before is not None and (due := await self._due(before, left)):
                name, taken = await self._archive(due)
                files += [name] if name else []
                left += [run for run in due if run not in taken]
                runs += len(taken)
                rows += await self._purge()
                await self._show_oldest(before)
            await self._show_oldest(before)
            return Passed(before=before, runs=runs, rows=rows, files=tuple(files))

    async def cutoff(self) -> float | None:
        """Returns the time before which runs must have ended to be archived now; None if no run is."""
        maximum = self._settings.runs_maximum
        last_kept = None if maximum is None else await self._store.nth_newest_end(maximum)
        return archive_before(self._settings, now=self._clock(), last_kept=last_kept)

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
            found = [await self._write_record(file, run_id) for run_id in due]
            written = [run for run in found if run is not None]
            if not written:
                return None, frozenset()
            size = await asyncio.to_thread(file.finish)
        finally:
            await asyncio.to_thread(file.discard)
        self._metrics.retention_archive_bytes.inc(size)
        return file.name, await self._take_out(written, file.name, at=now)

    async def _write_record(self, file: ArchiveFile, run_id: str) -> Run | None:
        """Writes the record of a run; returns the run, without its document.

        Returns None where the run is gone, or a row of it does not decode: then the file may hold a part of
        its record.
        """
        try:
            run = await self._store.run(run_id)
            if run is None:
                return None
            async for lines in run_lines(self._store, run):
                await asyncio.to_thread(file.write, lines)
        except (Unavailable, *DAMAGE) as error:
            # The store says `Unavailable` of most rows that it cannot decode, and of a disk that is gone.
            if isinstance(error, Unavailable) and not isinstance(error.__cause__, DAMAGE):
                raise
            self._metrics.retention_failures.inc()
            logger.error("the run {} is not archived, since a row of it is damaged: {}", run_id, error)
            return None
        return structs.replace(run, workflow=b"")

    async def _take_out(self, runs: Sequence[Run], file: str, *, at: float) -> frozenset[str]:
        """Takes runs out of the store whose records are in `file`; returns the ids of those it took."""
        ids = list[str]()
        for start in range(0, len(runs), TAKEN_AT_ONCE):
            some = runs[start : start + TAKEN_AT_ONCE]
            archived = [ArchivedRun(run=run, file=file, archived_at=at) for run in some]
            began = time.monotonic()
            taken = await self._store.archive_runs(archived)
            self._metrics.retention_runs.inc(sum(taken))
            ids += [run.id for run, was_taken in zip(some, taken, strict=True) if was_taken]
            await asyncio.sleep(REST * (time.monotonic() - began))
        return frozenset(ids)

    async def _purge(self) -> int:
        """Deletes the rows of all archived runs; returns how many they were."""
        rows = 0
        while True:
            began = time.monotonic()
            deleted = await self._store.purge(limit=ROWS_AT_ONCE)
            if not deleted:
                return rows
            for kind, count in deleted.items():
                self._metrics.retention_rows.labels(kind).inc(count)
                rows += count
            await asyncio.sleep(REST * (time.monotonic() - began))

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
