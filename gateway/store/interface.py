"""What was promised. The store is the only truth: whatever is not committed here did not happen."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, Self

from msgspec import Struct

from clusters.protocol import TaskPhase
from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import Phase, Shard
from gateway.regions.region_condition import Taint


class Admission(Struct, frozen=True, kw_only=True):
    """All that one acceptance writes, in one commit."""

    run: Run
    shards: tuple[Shard, ...]
    decision: Decision
    history: tuple[HistoryEntry, ...]


class Admitted(Struct, frozen=True, kw_only=True):
    """`replay`: the (tenant, idempotency key) was known, and `run` is the one it made.

    The caller compares fingerprints.
    """

    run: Run
    replay: bool


class ShardWrite(Struct, frozen=True, kw_only=True):
    """A shard as it should be after `shard.rev - 1`, with what goes into the same transaction.

    `tasks` and `history` are written only if the swap took.
    """

    shard: Shard
    tasks: tuple[TaskRow, ...] = ()
    history: tuple[HistoryEntry, ...] = ()


class Cursor(Struct, frozen=True, kw_only=True):
    """How far one region's event stream is committed, in the journal named `incarnation`."""

    incarnation: str = ""
    seq: int = 0


class RunQuery(Struct, frozen=True, kw_only=True):
    """`tenants`: what policy lets the caller see (None: all).

    `after` is the id of the last run of the page before. Newest first.
    """

    tenants: tuple[str, ...] | None
    phase: str | None = None
    labels: Mapping[str, str] = {}
    limit: int = 50
    after: str | None = None


class Store(Protocol):
    """Raises `Unavailable` where it cannot answer or commit (disk full, closed): then nothing was written."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def identity(self) -> str:
        """Of this store and its copies, in hexadecimal digits."""
        ...

    @property
    def era(self) -> int:
        """Rises when the store is restored from a copy. Epochs are `era << 32 | n`."""
        ...

    async def raise_era(self, *, entry: HistoryEntry) -> None:
        """The store was restored: a new era begins, and its epochs outrank all that were given since the copy was made."""
        ...

    async def admit(self, admission: Admission) -> Admitted:
        """Durable when it returns. Group-committed with whatever else has queued.

        A known key writes nothing.
        """
        ...

    async def run(self, run_id: str) -> Run | None: ...

    async def runs(self, query: RunQuery) -> Sequence[Run]: ...

    async def shards(self, run_id: str) -> Sequence[Shard]: ...

    async def shard(self, run_id: str, index: int) -> Shard | None: ...

    async def tasks(
        self,
        run_id: str,
        shard: int | None = None,
        *,
        limit: int | None = None,
        maximum_bytes: int | None = None,
        outputs: bool = True,
    ) -> Sequence[TaskRow]:
        """The tasks of a run or of one of its shards, by shard and name: at most `limit`, and no more than fit in so many bytes.

        Without `outputs` their outputs are None. No more is read than is returned.
        """
        ...

    async def task(self, run_id: str, shard: int, name: str) -> TaskRow | None: ...

    async def task_counts(self, run_id: str, shard: int | None = None) -> Mapping[TaskPhase, int]:
        """Tasks by phase, of all that `tasks` would give without a limit."""
        ...

    async def decision(self, decision_id: str) -> Decision | None: ...

    async def history(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[HistoryEntry]:
        """In order of `seq`, those after `after`."""
        ...

    async def pending(self, *, now: float, limit: int, without: Sequence[str] = ()) -> Sequence[Shard]:
        """Pending shards whose `not_before` has come, highest run priority first, then oldest run, then index; those of runs `without`
        left out.
        """
        ...

    async def active(self) -> Sequence[Shard]:
        """Every shard that is placed, Cancelling, or has orphans (in whatever phase): what a controller takes up at its start."""
        ...

    async def overdue(self, *, now: float, limit: int) -> Sequence[Shard]:
        """Shards that are not terminal and whose run's deadline has passed."""
        ...

    async def to_cancel(self, *, limit: int) -> Sequence[Shard]:
        """Shards that are not terminal and not yet Cancelling although their run's cancellation is committed."""
        ...

    async def cancel(self, run_id: str, *, at: float, entry: HistoryEntry) -> Run | None:
        """Commits the wish on the run, once.

        Returns the run as it now is, a terminal one left alone; None: no such run.
        """
        ...

    async def retry(self, run_id: str, *, run: Run, decision: Decision, entry: HistoryEntry) -> bool:
        """Opens a terminal run again (T13): Failed, Quarantined and Cancelled shards to Pending with counts at zero.

        `Failed` task rows go; document, labels, priority, deadline and decision are those of `run`, for all
        of its shards. False where the run is not terminal any more.
        """
        ...

    async def replace_decision(self, run_id: str, *, decision: Decision) -> None:
        """Placement was asked again: store the decision and make its regions the run's permitted ones."""
        ...

    async def record(self, writes: Sequence[ShardWrite], cursors: Mapping[str, Cursor]) -> Sequence[bool]:
        """Compare-and-swap each write on `rev`, each on its own; say which took. Durable when it returns.

        Runs of the shards that changed get their derived phase in the same transaction. A cursor is written
        only if every write took: else the events come again, and the caller decides anew on fresh reads.
        """
        ...

    async def cursors(self) -> Mapping[str, Cursor]: ...

    async def bind_incarnation(self, region: str, incarnation: str) -> str:
        """The incarnation that `region` is bound to: the given one if none was, else the one already bound.

        A new one begins at 0.
        """
        ...

    async def taints(self) -> Mapping[str, frozenset[Taint]]:
        """What operators have marked regions with, by region; unmarked regions are absent."""
        ...

    async def add_taint(self, region: str, taint: Taint, *, entry: HistoryEntry) -> bool:
        """Marks a region. False, and nothing written, where it has that taint already."""
        ...

    async def remove_taint(self, region: str, taint: Taint, *, entry: HistoryEntry) -> bool:
        """Takes the mark away. False, and nothing written, where the region does not have it."""
        ...

    async def release_incarnation(self, region: str, *, entry: HistoryEntry) -> bool:
        """The journal that `region` is bound to is gone for good: the next that answers takes its name.

        False where none was bound.
        """
        ...

    def subscribe(self, run_id: str | None) -> AbstractContextManager[asyncio.Event]:
        """An event that is set after every commit that changes the run (None: any run).

        The subscriber clears it, then reads.
        """
        ...

    async def check_writable(self) -> None:
        """Writes something, to see whether that can be done. Raises `Unavailable`."""
        ...

    async def shard_counts(self) -> Mapping[Phase, int]:
        """Shards by phase, for the gauge. Costs no scan of the finished ones."""
        ...
