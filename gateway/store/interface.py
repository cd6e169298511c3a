"""The protocol (interface) that every store of runs implements, with its argument and result types.

The store is the only truth: what is not committed in it did not happen.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, Self

from msgspec import Struct

from gateway.core.decision import Decision
from gateway.core.history import HistoryEntry
from gateway.core.run import Run, TaskRow
from gateway.core.shard_states import Phase, Shard
from gateway.regions.region_condition import Taint
from gateway.store.acts import ListsActs
from gateway.store.parts import KeepsInOrder, KeepsPolicy, KeepsReleases, KeepsRunData
from waypost.workflow.task_phase import TaskPhase


class StoreUnusable(Exception):
    """Raised if a store cannot be opened: in use, damaged or of a newer version. The text says what to do."""


class OpenWork(Struct, frozen=True, kw_only=True):
    """Three numbers: a tenant's unfinished runs, their shards and their tasks. Also used for their limits."""

    runs: int = 0
    shards: int = 0
    tasks: int = 0


class Admission(Struct, frozen=True, kw_only=True):
    """Everything that is written, in one commit, when a run is accepted: run, shards, decision, history."""

    run: Run
    shards: tuple[Shard, ...]
    decision: Decision
    history: tuple[HistoryEntry, ...]
    limits: OpenWork | None = None
    """The limits on the tenant's open work, this run included. None: no limits."""


class Admitted(Struct, frozen=True, kw_only=True):
    """The result of `Store.admit`: a run (new, or of the same idempotency key), or the exceeded limit."""

    run: Run
    exceeded: str = ""
    """The limit that the run would exceed, as a sentence, if it was not written; empty if it exceeds none."""
    replay: bool
    """Whether the (tenant, key) was known, so nothing was written. The caller compares fingerprints."""


class ShardWrite(Struct, frozen=True, kw_only=True):
    """A shard to be written with its task results and history, if its stored `rev` is `shard.rev - 1`."""

    shard: Shard
    tasks: tuple[TaskRow, ...] = ()
    """The task results that are stored if the shard is written; likewise `history`."""
    history: tuple[HistoryEntry, ...] = ()


class Cursor(Struct, frozen=True, kw_only=True):
    """The position in a region's event stream up to which the gateway has committed events."""

    incarnation: str = ""
    """The incarnation of the journal whose events `seq` counts."""
    seq: int = 0


class FoundRuns(Struct, frozen=True, kw_only=True):
    """A page of runs without documents; the next page begins after the id `next` (None: the last page)."""

    runs: tuple[Run, ...]
    next: str | None


class RunQuery(Struct, frozen=True, kw_only=True):
    """A query for runs by tenant, phase and labels: a run is found if it meets all of these that are set."""

    tenants: tuple[str, ...] | None
    """The tenants whose runs policy lets the caller see; None: all."""
    phase: str | None = None
    labels: Mapping[str, str] = {}
    limit: int = 50
    after: str | None = None
    """The id of the last run of the previous page."""


class Store(ListsActs, KeepsInOrder, KeepsPolicy, KeepsReleases, KeepsRunData, Protocol):
    """The interface of a durable store of runs. A write is durable when its method returns.

    Times are in seconds since 1970. Every method raises `Unavailable` where the store cannot answer or commit
    (disk full, closed): then nothing was written. A history `entry` is stored in the transaction of the
    change that it is about. One process at a time has a store open, since two would undo each other's work:
    a lock on a server must be lost with the connection, and every commit must prove that it is still held.
    """

    async def __aenter__(self) -> Self:
        """Opens the store and brings its schema up to date. Raises `StoreUnusable` and nothing else."""
        ...

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def identity(self) -> str:
        """Returns the id of this store and of all its copies, in hexadecimal digits."""
        ...

    @property
    def era(self) -> int:
        """Returns the store's era (generation), raised by a restore; its epochs count up from `era << 32`."""
        ...

    async def raise_era(self, *, entry: HistoryEntry) -> None:
        """Begins the store's next era, whose epochs outrank all given out since the store was copied."""
        ...

    async def admit(self, admission: Admission) -> Admitted:
        """Stores a new run with its shards, policy decision and history, in one commit.

        With a known idempotency key it writes nothing, and returns the run that was stored with the key. It
        writes nothing either, and returns `exceeded`, where the run would pass a limit of `admission.limits`.
        """
        ...

    async def run(self, run_id: str) -> Run | None:
        """Reads the run with this id; None if there is none."""
        ...

    async def some_runs(self, run_ids: Sequence[str], *, maximum_bytes: int) -> Mapping[str, Run]:
        """Reads the runs with these ids, ending before their documents exceed `maximum_bytes` together."""
        ...

    async def runs(self, query: RunQuery) -> FoundRuns:
        """Returns one page of the runs that match `query`, newest first.

        The page may be short though more follow: the rows read for one page are bounded.
        """
        ...

    async def shards(self, run_id: str) -> Sequence[Shard]:
        """Reads all shards of a run, in the order of their index."""
        ...

    async def shard(self, run_id: str, index: int) -> Shard | None:
        """Reads the shard of a run with this index; None if there is none."""
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
        """Reads the stored tasks (phase, result) of a run or of one of its shards, sorted by shard and name.

        Reads at most `limit` tasks, and ends before they exceed `maximum_bytes` together, as stored. Without
        `outputs` their outputs are None; `encoded` gives them as `msgspec.Raw`.
        """

    async def task(self, run_id: str, shard: int, name: str) -> TaskRow | None:
        """Reads the stored state of one task; None if no attempt has reported it."""
        ...

    async def task_counts(self, run_id: str, shard: int | None = None) -> Mapping[TaskPhase, int]:
        """Returns how many stored tasks of a run, or of one of its shards, are in each phase.

        Instances of a task (`forEach`) are not counted.
        """
        ...

    async def history(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[HistoryEntry]:
        """Returns the first `limit` history entries after seq `after`, of a run or (for id "") of regions."""
        ...

    async def count_open_work(self, tenant: str) -> OpenWork:
        """Returns how many unfinished runs a tenant has, with their shards and tasks, from stored counts."""
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
        """Lists Pending shards to be placed: past their `not_before`, of runs neither cancelled nor overdue.

        Tenants take turns by their weight, beginning with the one that follows `after` by name. Of a tenant:
        highest run priority first, then oldest run, then index. The runs `without` are left out, and all runs
        of `without_tenants`.
        """
        ...

    async def active(self) -> Sequence[Shard]:
        """Lists every shard that is placed or Cancelling, or has orphans (replaced attempts that may run).

        A controller loads these when it starts.
        """
        ...

    async def overdue(self, *, now: float, limit: int) -> Sequence[Shard]:
        """Lists shards past their deadline, not ended, Cancelling or cancelled. Tenants take turns."""
        ...

    async def to_cancel(self, *, limit: int) -> Sequence[Shard]:
        """Lists shards of cancelled runs that are neither ended nor Cancelling yet. Tenants take turns."""
        ...

    async def cancel(self, run_id: str, *, at: float, entry: HistoryEntry) -> Run | None:
        """Marks a run as cancelled, unless it has ended or is cancelled already; returns the run.

        Returns None if there is no such run. The history entry of another person who cancels the run again
        before it has ended is written too, once for each person.
        """
        ...

    async def retry(self, run_id: str, *, run: Run, decision: Decision, entry: HistoryEntry) -> bool:
        """Reopens a Failed or Cancelled run for a retry; returns False, with nothing written, for others.

        Its shards that did not succeed become Pending, with counts of losses and failovers at zero; their
        tasks are deleted, except those Succeeded or Skipped. Document, labels, priority and deadline become
        those of `run`, for all of its shards, and `decision` comes into force.
        """
        ...

    async def replace_decision(self, run_id: str, *, decision: Decision) -> None:
        """Stores a newer policy decision on a run's placement, and sets the run's permitted regions by it."""
        ...

    async def record(self, writes: Sequence[ShardWrite], cursors: Mapping[str, Cursor]) -> Sequence[bool]:
        """Writes shards by compare-and-swap on `rev`, each on its own; returns which of them were written.

        The runs of the shards that changed get their derived phase in the same transaction. Cursors, by
        region, are written only if every shard was: else the events come again, and the caller decides again
        on what it then reads.
        """
        ...

    async def cursors(self) -> Mapping[str, Cursor]:
        """Returns the event cursors by region; regions never bound to a cluster's journal are absent."""
        ...

    async def bind_incarnation(self, region: str, incarnation: str) -> str:
        """Binds a region's name to the cluster journal `incarnation`, unless another journal is bound to it.

        Returns the journal that is bound now. The cursor of a journal that is newly bound begins at 0.
        """
        ...

    async def release_incarnation(self, region: str, *, entry: HistoryEntry) -> bool:
        """Unbinds a region's name from its cluster's journal; returns False if no journal was bound."""
        ...

    async def taints(self) -> Mapping[str, frozenset[Taint]]:
        """Returns the taints that operators have set, by region; regions without taints are absent."""
        ...

    async def add_taint(self, region: str, taint: Taint, *, entry: HistoryEntry) -> bool:
        """Adds `taint` to a region; returns whether the history `entry` was written.

        Where the region has the taint already, the entry is written only if the last such entry is another
        person's.
        """
        ...

    async def remove_taint(self, region: str, taint: Taint, *, entry: HistoryEntry) -> bool:
        """Removes `taint` from a region; returns whether the history `entry` was written.

        If the region lacks the taint, the entry is written only if the last such entry is another person's.
        """
        ...

    def subscribe(self, run_id: str | None) -> AbstractContextManager[asyncio.Event]:
        """Returns a context with an event that is set after every commit to a run (None: to any run).

        The subscriber clears the event, then reads the run.
        """
        ...

    async def check_writable(self) -> None:
        """Writes a trial value, to check that the store takes writes; raises `Unavailable` if not."""
        ...

    async def shard_counts(self) -> Mapping[Phase, int]:
        """Returns the number of shards in each phase, without the phases of ended shards."""
        ...

    async def oldest_pending(self) -> float | None:
        """Returns the acceptance time of the oldest run with a Pending shard; None if no shard is Pending."""
        ...
