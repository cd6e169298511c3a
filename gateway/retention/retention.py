"""`Retention`: archives ended runs that are old or too many, then deletes them, a few rows at a time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from loguru import logger
from msgspec import Struct

from gateway.core.errors import Unavailable
from gateway.core.run import Run
from gateway.retention.archive import ArchiveFile
from gateway.retention.cutoff import archive_before
from gateway.retention.run_records import run_lines
from gateway.retention_settings import RetentionSettings
from gateway.store.interface import Store
from gateway.store.retention import ArchivedRun
from observability.metrics import Metrics

FILE_RUNS: Final = 1_000
"""The most runs whose records are in one file of the archive."""
TAKEN_AT_ONCE: Final = 20
"""The number of runs that one write takes out of the store, in about a millisecond."""
ROWS_AT_ONCE: Final = 200
"""The most rows that one write deletes, in a few milliseconds: a submission waits no longer for it."""
REST: Final = 3.0
"""The pause after a write, as a multiple of its duration: most of the time is left to others."""


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
        """Makes a pass every `pass_seconds` until cancelled; a failure of store or disk does not end it."""
        while True:
            self._asked.clear()
            try:
                await self.make_pass()
            except Unavailable as error:
                logger.warning("no run is archived now: {}", error)
            except OSError as error:
                self._metrics.retention_failures.inc()
                logger.error("no run is archived: the archive cannot be written: {}", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.pass_seconds):
                    await self._asked.wait()

    def ask_for_pass(self) -> None:
        """Makes the loop begin its next pass at once, or as soon as the one that is being made has ended."""
        self._asked.set()

    @property
    def passing(self) -> bool:
        """Returns whether a pass is being made."""
        return self._passing.locked()

    async def make_pass(self) -> Passed:
        """Archives and deletes all runs that are due; returns what was done.

        What an earlier pass has left undone is done first. Raises `Unavailable` where the store does not
        answer, and `OSError` where the archive cannot be written: of the runs whose record is not durable
        nothing is deleted.
        """
        async with self._passing:
            rows, runs, files = await self._purge(), 0, list[str]()
            before = await self.cutoff()
            while before is not None and (due := await self._due(before)):
                name, taken = await self._archive(due)
                files.append(name)
                runs += taken
                rows += await self._purge()
                if taken == 0:
                    # All of them were opened again meanwhile, or the store lists what it does not take out.
                    break
            await self._show_counts()
            return Passed(before=before, runs=runs, rows=rows, files=tuple(files))

    async def cutoff(self) -> float | None:
        """Returns the time before which runs must have ended to be archived now; None if no run is."""
        maximum = self._settings.runs_maximum
        last_kept = None if maximum is None else await self._store.nth_newest_end(maximum)
        return archive_before(self._settings, now=self._clock(), last_kept=last_kept)

    async def _due(self, before: float) -> Sequence[Run]:
        return await self._store.ended_runs(before=before, limit=FILE_RUNS)

    async def _archive(self, due: Sequence[Run]) -> tuple[str, int]:
        """Writes the records of runs to a new file, then takes them out of the store; returns how many."""
        assert self._settings.archive is not None
        now = self._clock()
        file = await asyncio.to_thread(ArchiveFile, Path(self._settings.archive), "runs", at=now)
        try:
            for run in due:
                async for lines in run_lines(self._store, run.id):
                    await asyncio.to_thread(file.write, lines)
            size = await asyncio.to_thread(file.finish)
        finally:
            await asyncio.to_thread(file.discard)
        self._metrics.retention_archive_bytes.inc(size)
        taken = 0
        for start in range(0, len(due), TAKEN_AT_ONCE):
            some = due[start : start + TAKEN_AT_ONCE]
            archived = [ArchivedRun(run=run, file=file.name, archived_at=now) for run in some]
            began = time.monotonic()
            taken += sum(await self._store.archive_runs(archived))
            await asyncio.sleep(REST * (time.monotonic() - began))
        self._metrics.retention_runs.inc(taken)
        return file.name, taken

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

    async def _show_counts(self) -> None:
        counts = await self._store.retention_counts()
        oldest = counts.oldest_finished_at
        self._metrics.retention_oldest.set(0.0 if oldest is None else max(0.0, self._clock() - oldest))
