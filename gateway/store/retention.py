"""The interface by which a store lets ended runs go once they are archived, a few rows at a time."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import Shard


class ArchivedRun(Struct, frozen=True, kw_only=True):
    """What the store keeps of a run whose record is in an archive: enough to say where, and to whom."""

    run: Run
    """The run as it was when it ended, without its document."""
    file: str
    """The name of the archive's file that holds the run's record."""
    archived_at: float
    """The time of the archiving, in seconds since 1970."""


class RetentionCounts(Struct, frozen=True, kw_only=True):
    """How many ended runs a store holds, and from when."""

    ended: int
    """The number of ended runs in the store."""
    oldest_finished_at: float | None
    """The end of the run that ended first, in seconds since 1970; None if the store holds no ended run."""
    archived: int
    """The number of runs that were archived and are no longer in the store."""
    due: int = 0
    """The number of ended runs that ended before the time that was asked about, orphans or not."""


class RunRecord(Struct, frozen=True, kw_only=True):
    """All that a store holds of an ended run."""

    run: Run
    shards: Sequence[Shard]
    tasks: Sequence[TaskRow]
    """The tasks by shard and name, their outputs encoded."""
    history: Sequence[HistoryEntry]
    decisions: Sequence[Decision]
    """The policy decisions behind the run and its history, by id, without the document."""


class Purged(Struct, frozen=True, kw_only=True):
    """What one call of `Retains.purge` has deleted."""

    rows: Mapping[str, int]
    """The number of rows by kind: `shards`, `tasks`, `history`, `decisions`, `trail` or `seals`."""
    more: bool
    """Whether more may be left to delete."""


class Retains(Protocol):
    """The interface by which a store lets ended runs go once they are archived.

    No retry opens an archived run again. Its acceptance and what people had done to it, with the decisions
    behind that, stay in the audit trail; all else of it is deleted.
    """

    async def ended_runs(self, *, before: float, limit: int, without: Sequence[str] = ()) -> Sequence[str]:
        """Lists the ids of the runs that ended before the time `before`, the first to end first.

        Left out are those in `without`, and runs of which an orphan (a replaced attempt) may still run
        somewhere. Nothing is decoded, so a damaged run is among them.
        """
        ...

    async def oldest_end(self) -> float | None:
        """Returns when the run ended that ended first of those in the store; None if none has ended."""
        ...

    async def nth_newest_end(self, number: int) -> float | None:
        """Returns when the `number`-th newest of the ended runs ended; None if there are fewer."""
        ...

    async def small_records(self, run_ids: Sequence[str], *, maximum_bytes: int) -> Sequence[RunRecord]:
        """Reads the whole records of those of the runs that have less than `maximum_bytes`, in their order.

        Left out are also those with hundreds of rows of a kind, and those of which a row does not decode.
        """
        ...

    async def archive_runs(self, archived: Sequence[ArchivedRun]) -> Sequence[bool]:
        """Takes runs out of the store whose records are durable in an archive; returns which were taken.

        Not taken is a run that was opened again, or ended at another time than in `archived`. What belongs to
        a run that was taken is deleted by `purge`.
        """
        ...

    async def archived_run(self, run_id: str) -> ArchivedRun | None:
        """Reads where the record of an archived run is; None if no run with this id was archived."""
        ...

    async def purge(self, *, limit: int, maximum_bytes: int) -> Purged:
        """Deletes rows of archived runs, and of a part of the audit trail that was cut (`ArchivesTrail`).

        It deletes at most `limit` rows, with at most `maximum_bytes` in them; one row that is larger goes by
        itself. A history entry may take a decision with it, which is not counted for the limit.
        """
        ...

    async def forget_archived(self, *, before: float, limit: int) -> int:
        """Forgets where at most `limit` runs are that were archived before the time `before`.

        Returns how many they were. Those of which a row is still to be deleted stay.
        """
        ...

    async def retention_time(self) -> float | None:
        """Reads the time by which ages were counted last, in seconds since 1970; None if none was stored."""
        ...

    async def keep_retention_time(self, at: float) -> None:
        """Stores the time by which ages were counted last."""
        ...

    async def retention_counts(self, *, before: float | None = None) -> RetentionCounts:
        """Returns how many ended runs the store holds, from when, and how many ended before `before`.

        It counts them one by one, so it is for a caller that asks, not for a loop.
        """
        ...
