"""`TrailRetention`: archives the oldest part of the audit trail, then takes it out of the store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from gateway.core.history import HistoryEntry, HistoryKind, TrailArchivedDetail
from gateway.ended_run_settings import RetentionSettings
from gateway.retention.archive import ArchiveFile, LineWriter
from gateway.retention.cutoff import seals_to_archive, trail_is_due
from gateway.retention.trail_records import decision_lines, entry_lines, seal_lines
from gateway.store.interface import Store
from gateway.store.trail import ArchivedTrail
from observability.audit import Seal, seal_digest
from observability.metrics import Metrics

FILE_ENTRIES: Final = 20_000
"""The number of entries after which a file of the archive gets no further seal."""
SEALS_AT_ONCE: Final = 50
"""The number of seals that are read at once, at most 4 MB."""
DECISIONS_AT_ONCE: Final = 100
"""The number of decisions that are read, or deleted, at once."""


class WrittenPart(Struct, frozen=True, kw_only=True):
    """A part of the audit trail whose record is durable in the archive."""

    file: str
    bytes: int
    """The size of the file."""
    decisions: tuple[str, ...]
    """The ids of the decisions in the file that no entry of the trail leads to."""


class TrailRetention:
    """Archives the oldest part of the audit trail and takes it out of the store, in steps over passes.

    A step may end anywhere, with the process even: the next pass goes on by what the store says. Nothing
    leaves the trail before an entry about it is sealed, which links what is left to the archive.
    """

    def __init__(self, store: Store, settings: RetentionSettings, metrics: Metrics) -> None:
        self._store, self._settings, self._metrics = store, settings, metrics
        self._archived_decisions: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"TrailRetention({self._settings})"

    async def advance(self, *, now: float, at: float) -> str | None:
        """Makes the next step with the trail, if one is due; returns the name of a file that was written.

        `now` is the time by which ages are counted, `at` that of the record. Raises `Unavailable` where the
        store does not answer, and `OSError` where the archive cannot be written.
        """
        mark = await self._store.archived_trail()
        if mark is not None and not mark.cut:
            if await self._store.cut_trail():
                await self._delete_decisions()
            return None
        if mark is not None and not mark.deleted:
            return None  # its rows are being deleted
        seals = await self._due(now)
        return await self._archive(seals, at) if seals else None

    async def _due(self, now: float) -> Sequence[Seal]:
        """Returns the seals over what is to be archived now, in one file; the newest seal is never one."""
        newest, entries = await self._store.last_seal(), await self._store.sealed_entries()
        due: list[Seal] = []
        async for some in self._seals():
            if not due and not trail_is_due(self._settings, some[0], now=now, entries=entries):
                return ()
            older = [seal for seal in some if newest is not None and seal.number < newest.number]
            taken = seals_to_archive(self._settings, older, now=now, entries=entries)
            due += taken
            under = sum(len(seal.entries) for seal in taken)
            entries -= under
            if len(taken) < len(some) or sum(len(seal.entries) for seal in due) >= FILE_ENTRIES:
                break
        return due

    async def _seals(self) -> AsyncIterator[Sequence[Seal]]:
        after = 0
        while some := await self._store.seals(after=after, limit=SEALS_AT_ONCE):
            yield some
            after = some[-1].number

    async def _archive(self, seals: Sequence[Seal], at: float) -> str | None:
        """Writes a part of the trail to a new file of the archive, then announces it in the trail."""
        last, entries = seals[-1], sum(len(seal.entries) for seal in seals)
        written = await self._write(seals, at)
        detail = TrailArchivedDetail(
            file=written.file,
            first_seal=seals[0].number,
            last_seal=last.number,
            last_seal_digest=seal_digest(last),
            last_entry=last.entries[-1][0],
        )
        archived = ArchivedTrail(
            file=written.file, last_seal=last.number, last_entry=detail.last_entry, entries=entries
        )
        entry = HistoryEntry(run="", kind=HistoryKind.TRAIL_ARCHIVED, at=at, detail=detail)
        if not await self._store.announce_archived_trail(archived, entry=entry):
            return None
        self._archived_decisions = written.decisions
        self._metrics.retention_archive_bytes.inc(written.bytes)
        self._metrics.retention_entries.inc(entries)
        return written.file

    async def _write(self, seals: Sequence[Seal], at: float) -> WrittenPart:
        assert self._settings.archive is not None
        last = seals[-1]
        file = await asyncio.to_thread(ArchiveFile, Path(self._settings.archive), "trail", at=at)
        try:
            writer = LineWriter(file)
            async for lines in entry_lines(self._store, last_entry=last.entries[-1][0]):
                await writer.add(lines)
            await writer.add(seal_lines(seals))
            decisions = list[str]()
            async for ids, lines in decision_lines(self._store, last):
                await writer.add(lines)
                decisions += ids
            size = await writer.finish()
        finally:
            await asyncio.to_thread(file.discard)
        return WrittenPart(file=file.name, bytes=size, decisions=tuple(decisions))

    async def _delete_decisions(self) -> None:
        """Deletes the decisions that were archived with the part; after a restart the next part has them."""
        gone, self._archived_decisions = self._archived_decisions, ()
        for start in range(0, len(gone), DECISIONS_AT_ONCE):
            some = gone[start : start + DECISIONS_AT_ONCE]
            await self._store.delete_decisions(some)
            self._metrics.retention_rows.labels("decisions").inc(len(some))
