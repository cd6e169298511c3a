"""The protocol that every store of runs implements, and its argument and result types.

The store is the only truth: what is not committed in it did not happen.
"""

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
from gateway.store.acts import ListsActs
from gateway.store.clock_steps import BearsClockSteps
from gateway.store.kept_policy import KeepsPolicy
from gateway.store.trail import KeepsTrail
from gateway.store.workflows import KeepsWorkflows


class StoreUnusable(Exception):
    """Raised if a store cannot be opened: it is in use, damaged, or newer. The text says what to do."""


class OpenWork(Struct, frozen=True, kw_only=True):
    """The number of a tenant's open (not ended) runs, shards and tasks, or the limits of these."""

    runs: int = 0
    shards: int = 0
    tasks: int = 0


class Admission(Struct, frozen=True, kw_only=True):
    """The values that are written, in one commit, when a run is accepted."""

    run: Run
    shards: tuple[Shard, ...]
    decision: Decision
    history: tuple[HistoryEntry, ...]
    limits: OpenWork | None = None
    """The limits on the tenant's open work, this run included. None: no limits."""


class Admitted(Struct, frozen=True, kw_only=True):
    """The result of `Store.admit`: the new run, or the earlier one under the same idempotency key."""

    run: Run
    exceeded: str = ""
    """The limit that the run would exceed, as a sentence, if it was not written; empty if it exceeds none."""
    replay: bool
    """Whether the (tenant, key) was known, so nothing was written. The caller compares fingerprints."""


class ShardWrite(Struct, frozen=True, kw_only=True):
    """A write of a shard with its task results and history, made if the stored `rev` is `shard.rev - 1`."""

    shard: Shard
    tasks: tuple[TaskRow, ...] = ()
    """The task results that are stored if the shard is written; likewise `history`."""
    history: tuple[HistoryEntry, ...] = ()


class Cursor(Struct, frozen=True, kw_only=True):
    """The position in a region's event stream up to which events are committed."""

    incarnation: str = ""
    """The incarnation of the journal whose events `seq` counts."""
    seq: int = 0


class FoundRuns(Struct, frozen=True, kw_only=True):
    """A page of runs without documents, and the id where the next page begins (None: last page)."""

    runs: tuple[Run, ...]
    next: str | None


class RunQuery(Struct, frozen=True, kw_only=True):
    """A query for runs, newest first: a run is listed if it meets all conditions."""

    tenants: tuple[str, ...] | None
    """The tenants whose runs policy lets the caller see; None: all."""
    phase: str | None = None
    labels: Mapping[str, str] = {}
    limit: int = 50
    after: str | None = None
    """The id of the last run of the previous page."""


class Store(ListsActs, BearsClockSteps, KeepsPolicy, KeepsTrail, KeepsWorkflows, Protocol):
    """A durable store of runs. A write is durable when its method returns. Times are in seconds since 1970.

    Every method raises `Unavailable` where the store cannot answer or commit (disk full, closed): then
    nothing was written. A history `entry` is stored in the transaction of the change that it is about.
    """

    async def __aenter__(self) -> Self:
        """Opens the store and brings its schema up to date. Raises `StoreUnusable` and nothing else."""
        ...

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def identity(self) -> str:
        """The id of this store and of all its copies, in hexadecimal digits."""
        ...

    @property
    def era(self) -> int:
        """The store's generation (era); it rises on a restore from a copy. Epochs are `era << 32 | n`."""
        ...

    async def raise_era(self, *, entry: HistoryEntry) -> None:
        """Begins a new era (generation), whose epochs are above all given since the store was copied."""
        ...

    async def admit(self, admission: Admission) -> Admitted:
        """Stores a new run in one commit, which it may share with other callers.

        With an idempotency key that is known it writes nothing, and returns the run that the key has made.
        """
        ...

    async def run(self, run_id: str) -> Run | None:
        """Returns the run with this id; None if there is none."""
        ...

    async def some_runs(self, run_ids: Sequence[str], *, maximum_bytes: int) -> Mapping[str, Run]:
        """Reads the runs with these ids at once, until their documents exceed `maximum_bytes` together."""
        ...

    async def runs(self, query: RunQuery) -> FoundRuns:
        """Returns one page of the runs that match `query`, newest first.

        The page may be short though more follow: the rows read for one page are bounded.
        """
        ...

    async def shards(self, run_id: str) -> Sequence[Shard]:
        """Returns all shards of a run, by index."""
        ...

    async def shard(self, run_id: str, index: int) -> Shard | None:
        """Returns the shard of a run with this index; None if there is none."""
        ...

    async def tasks(
        self,
        run_id: str,
        shard: int | None = None,
        *,
        limit: int | None = None,
        maximum_bytes: int | None = None,
        outputs: bool = True,
        encoded: bool = False,
    ) -> Sequence[TaskRow]:
        """Returns the tasks of a run or of one of its shards, by shard and name.

        At most `limit` tasks of at most `maximum_bytes` together, as stored; no more is read than
        is returned. Without `outputs` their outputs are None; `encoded` gives them as `msgspec.Raw`.
        """

    async def task(self, run_id: str, shard: int, name: str) -> TaskRow | None:
        """Returns the stored state of one task; None if no attempt has reported it."""
        ...

    async def task_counts(self, run_id: str, shard: int | None = None) -> Mapping[TaskPhase, int]:
        """Returns the number of tasks in each phase, among all that `tasks` would return without a limit."""
        ...

    async def history(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[HistoryEntry]:
        """Returns the first `limit` entries of a run's history with a `seq` above `after`.

        Run "" has those of regions.
        """
        ...

    async def open_work(self, tenant: str) -> OpenWork:
        """Returns the numbers of the tenant's open runs, and of their shards and tasks. Cheap to read."""
        ...

    async def pending(
        self,
        *,
        now: float,
        limit: int,
        without: Sequence[str] = (),
        without_tenants: Sequence[str] = (),
        after: str = "",
    ) -> Sequence[Shard]:
        """Lists Pending shards past their `not_before`, of runs not cancelled and not past their deadline.

        Tenants take turns by their weight, beginning with the one that follows `after` by name. Of a tenant:
        highest run priority first, then oldest run, then index. The runs `without` are left out, and all runs
        of `without_tenants`.
        """
        ...

    async def active(self) -> Sequence[Shard]:
        """Lists every shard that is placed or Cancelling, or has orphans (replaced attempts that may run).

        A controller loads them when it starts.
        """
        ...

    async def overdue(self, *, now: float, limit: int) -> Sequence[Shard]:
        """Lists unfinished shards of uncancelled runs past their deadline. Tenants take turns."""
        ...

    async def to_cancel(self, *, limit: int) -> Sequence[Shard]:
        """Lists shards of cancelled runs that are neither terminal nor Cancelling yet. Tenants take turns."""
        ...

    async def cancel(self, run_id: str, *, at: float, entry: HistoryEntry) -> Run | None:
        """Marks a run as cancelled, once; leaves a terminal run unchanged.

        The entry of somebody else who asks for it again before the run has ended is written too, once each.
        Returns the run as it then is; None: there is none.
        """
        ...

    async def retry(self, run_id: str, *, run: Run, decision: Decision, entry: HistoryEntry) -> bool:
        """Reopens a Failed or Cancelled run, as its caller asked by `retry`.

        Its shards that did not succeed are Pending, with counts at zero. Tasks in phase Failed are deleted.
        Document, labels, priority and deadline are those of `run`, for all of its shards, and `decision` is
        in force. False, and nothing written, where the run is not Failed or Cancelled any more.
        """
        ...

    async def replace_decision(self, run_id: str, *, decision: Decision) -> None:
        """Stores a newer placement decision of policy for a run, and sets its permitted regions by it."""
        ...

    async def record(self, writes: Sequence[ShardWrite], cursors: Mapping[str, Cursor]) -> Sequence[bool]:
        """Writes shards by compare-and-swap on `rev`, each on its own; returns which writes were made.

        The runs of the shards that changed get their derived phase in the same transaction. Cursors, by
        region, are written only if every write took: else the events come again, and the caller decides again
        on what it then reads.
        """
        ...

    async def cursors(self) -> Mapping[str, Cursor]:
        """Returns the event cursors by region; a region never bound to a cluster's journal is absent."""
        ...

    async def bind_incarnation(self, region: str, incarnation: str) -> str:
        """Binds the region's name to the cluster journal `incarnation`, unless another is bound to it.

        Returns the journal that is bound now. The cursor of a journal that is newly bound begins at 0.
        """
        ...

    async def release_incarnation(self, region: str, *, entry: HistoryEntry) -> bool:
        """Unbinds the region's name from its cluster's journal; False, with nothing written, if unbound."""
        ...

    async def taints(self) -> Mapping[str, frozenset[Taint]]:
        """Returns the taints that operators have set, by region; regions without taints are absent."""
        ...

    async def add_taint(self, region: str, taint: Taint, *, entry: HistoryEntry) -> bool:
        """Puts `taint` on a region; returns whether `entry` was written to the history.

        Where the region has the taint already, it is noted if the last of its kind there is somebody else's.
        """
        ...

    async def remove_taint(self, region: str, taint: Taint, *, entry: HistoryEntry) -> bool:
        """Removes `taint` from a region; returns whether `entry` was written, as for `add_taint`."""
        ...

    def subscribe(self, run_id: str | None) -> AbstractContextManager[asyncio.Event]:
        """Subscribes to a run (None: any run): returns an event that is set after every commit to it.

        The subscriber clears it, then reads.
        """
        ...

    async def check_writable(self) -> None:
        """Writes a trial value; raises `Unavailable` if the store does not take writes."""
        ...

    async def shard_counts(self) -> Mapping[Phase, int]:
        """Returns the number of shards in each phase that is not terminal. Finished shards are not read."""
        ...

    async def oldest_pending(self) -> float | None:
        """Returns when the oldest run with a Pending shard was accepted; None if no shard waits."""
        ...
