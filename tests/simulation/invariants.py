"""Checks the contract's invariants after every pass, against what is committed and what really runs."""

from collections.abc import Mapping, Sequence

from clusters.protocol import AttemptId, Batch, Fence
from gateway.core.history import HistoryKind, TaskDetail, TransitionDetail
from gateway.core.instant import Instant
from gateway.core.run import TaskRow
from gateway.core.shard_states import Phase, Shard, key_of
from gateway.documents.workflow import ANY_ENGINE, Workflow
from gateway.settings import FailoverSettings
from gateway.store.interface import Cursor, ShardWrite
from tests.simulation.cluster import ModelCluster
from tests.simulation.journal import Start
from tests.simulation.results import ResultInvariants
from waypost.tracing.context import TraceContext
from waypost.workflow.instances import task_of
from waypost.workflow.stages import FINALLY_SHARD, name_in_gateway
from waypost.workflow.task_phase import TaskPhase

SCAN_SLACK_SECONDS = 0.75
"""The seconds by which a deadline may take effect late: the store is scanned twice a second."""
REPORT_SECONDS = 0.5
"""The most seconds for which a report of work that ended in time may be under way."""
SILENT_SECONDS = 10.0
"""The most seconds to wait for the reports of a region that is silent since a deadline, and not lost."""
OPEN = frozenset({Phase.DISPATCHING, Phase.RUNNING})


class Invariants(ResultInvariants):
    """Checks the contract's invariants against its own record of what was committed and what ran.

    Never against what the gateway has in memory.
    """

    def __init__(self, failover: FailoverSettings, regions: Sequence[str]) -> None:
        self.failover = failover
        self.engines = dict.fromkeys(regions, "embedded")
        self.clusters: dict[str, ModelCluster] = {}
        self.replaced: list[ModelCluster] = []
        self.starts: list[Start] = []
        self.runs: dict[str, Workflow] = {}
        self.deadlines: dict[str, float] = {}
        self.finally_deadlines: dict[str, float] = {}
        self.shards: dict[tuple[str, int], Shard] = {}
        self.results: dict[tuple[str, int, str], tuple[int, str]] = {}
        self.superseded: set[tuple[str, int, str, int]] = set()
        self.ends: dict[tuple[str, int, str], TaskPhase] = {}
        self.ended_in: dict[tuple[str, int, str], int] = {}
        self.carried: dict[AttemptId, frozenset[str]] = {}
        self.failed_tries: set[tuple[str, int, str, int, int]] = set()
        self.intended: set[tuple[str, str, AttemptId]] = set()
        self.fenced_at: dict[tuple[str, int], float] = {}
        self.cursors: dict[tuple[str, str], int] = {}
        self.permitted: list[tuple[float, tuple[str, ...]]] = [(float("-inf"), tuple(regions))]
        """The regions that policy has permitted, and since when."""
        self.given_up: set[str] = set()
        self.conflicts: set[tuple[str, int]] = set()
        self.silent_at: dict[tuple[str, int], float] = {}
        """When an overdue shard's cluster could last have had reports from before the deadline."""
        self.steady_since = 0.0
        """The time since which a gateway is up and its store answers.

        Deadlines and fences are enforced only from then on.
        """

    @property
    def now(self) -> Instant:
        raise NotImplementedError

    # What runs

    def check_start(self, start: Start) -> None:
        self.starts.append(start)
        key = key_of(start.attempt)
        if start.exclusive:
            others = [
                s for s in self.starts if s.ended is None and s is not start and key_of(s.attempt) == key
            ]
            assert all(s.attempt == start.attempt for s in others), f"I4: {start} beside {others}"
        self.check_not_failed(start, key)
        asked = self.runs[key[0]].spec.engine
        assert asked in (ANY_ENGINE, self.engines[start.region]), f"{start} in a region of another engine"
        shard, held = self.shards[key], self.results.get((*key, start.task))
        current = shard.region == start.region and shard.attempt == start.attempt
        again = (
            any((*key, start.task, epoch) in self.superseded for epoch in range(held[0] + 1, shard.epoch + 1))
            if held
            else False
        )
        if held is not None and current and held[0] < shard.epoch and not again:
            task = self.own_tasks(*key)[task_of(start.task)]
            made_here = held[1] == self.clusters[start.region].journal.incarnation
            assert self.lists_again(start, held[0]) or (task.result_scope == "region" and not made_here), (
                f"I7: {start} again, held from {held}"
            )

    def check_batch(self, region: str, batch: Batch) -> None:
        """Asserts that everything in a batch that has arrived was committed before."""
        for spec in batch.creates:
            self.carried[spec.attempt] = frozenset(result.task for result in spec.results)
            known = (region, batch.incarnation, spec.attempt) in self.intended
            other = spec.fence.boot != self.clusters[region].boot  # it will be refused
            assert known or other, (
                f"T2: {spec.attempt} was sent to {region}, {batch.incarnation}, and is not committed for it"
            )
        for run in batch.runs:
            of_run = span_of_run(name_in_gateway(run.run, 0)[0])
            assert run.span == of_run, f"{run.run} has not kept the trace of its submission"
        for identity in batch.tombstones:
            shard = self.shards.get(key_of(identity))
            own = (
                shard is not None
                and shard.phase.placed
                and shard.region == region
                and shard.attempt == identity
            )
            assert not own, f"T11: {identity} is ended, but is its shard's own"
        committed = self.cursors.get((region, batch.incarnation), 0)
        assert batch.acknowledged <= committed, (
            f"{region}: {batch.acknowledged} acknowledged, {committed} committed"
        )

    # What is committed

    def check_writes(self, writes: Sequence[ShardWrite]) -> None:
        """Asserts that a commit of shards is a permitted change of what was committed before."""
        for write in writes:
            before, after = self.shards[write.shard.key], write.shard
            assert after.rev == before.rev + 1
            assert after.epoch >= before.epoch, "I5"
            assert before.phase is not Phase.SUCCEEDED or after.phase is Phase.SUCCEEDED, "I2"
            assert sum(entry.kind is HistoryKind.COMPLETED for entry in write.history) <= (
                before.phase is not Phase.SUCCEEDED
            ), "I1"
            self._check_left(write, before)
            self._check_failed_tries(write)
            self._check_placed(before, after)
            self.shards[after.key] = after
            for row in write.tasks:
                self._check_row(row, before)
            self.check_lineage(after)

    def _check_left(self, write: ShardWrite, before: Shard) -> None:
        """Asserts that a lost attempt is counted and delayed, and an unconfirmed one counted (T9, T14)."""
        after = write.shard
        if after.attempts_lost > before.attempts_lost and after.phase is Phase.PENDING:
            assert after.not_before > self.now.wall, "T9: no back-off"
        if any(
            entry.kind is HistoryKind.UNCONFIRMED
            and isinstance(entry.detail, TransitionDetail)
            and entry.detail.reason != "Unsent"
            for entry in write.history
        ):
            assert after.failovers > before.failovers, "T14: not counted"

    def _check_failed_tries(self, write: ShardWrite) -> None:
        """Asserts that a failed try is recorded once, however often its event comes."""
        for entry in write.history:
            if entry.kind is HistoryKind.TASK_RETRYING and isinstance(entry.detail, TaskDetail):
                told = (*write.shard.key, entry.detail.task, entry.detail.epoch, entry.detail.tries)
                assert told not in self.failed_tries, f"{told} is told a second time"
                self.failed_tries.add(told)

    def _check_placed(self, before: Shard, after: Shard) -> None:
        if after.region is None or after.phase is not Phase.DISPATCHING:
            return
        if after.epoch > before.epoch:
            self.intended.add((after.region, after.incarnation, after.attempt))
            since = self.now.monotonic - self.failover.decision_fresh_seconds
            pairs = zip(self.permitted, [*self.permitted[1:], (float("inf"), ())], strict=True)
            allowed = {name for (_, regions), (until, _) in pairs if until >= since for name in regions}
            assert after.region in allowed, f"T2: {after.region} is not permitted any more"
        if after.fence is not None and after.fence != before.fence:
            self._check_fence(after, after.fence)

    def _check_fence(self, shard: Shard, fence: Fence) -> None:
        self.fenced_at[shard.key] = self.now.monotonic
        cluster = self.clusters[shard.region or ""]
        if fence.boot == cluster.boot:
            left = fence.not_after - (self.now.monotonic - cluster.booted_at)
            assert left <= self.failover.fence_seconds + 1e-6, (
                f"T2: {shard.attempt} may land {left} s from now"
            )

    def _check_row(self, row: TaskRow, before: Shard) -> None:
        """Asserts that only results of the shard's current attempt are recorded, and each once."""
        named = (row.region, row.epoch, row.incarnation)
        assert before.phase.placed and named == (before.region, before.epoch, before.incarnation), (
            f"{row} while {before}"
        )
        self.record_row(row)

    def check_cursors(self, cursors: Mapping[str, Cursor]) -> None:
        for region, cursor in cursors.items():
            assert cursor.seq >= self.cursors.get((region, cursor.incarnation), 0), (
                f"{region}: its cursor went back"
            )
            self.cursors[(region, cursor.incarnation)] = cursor.seq

    def note_conflict(self, key: tuple[str, int]) -> None:
        """Records that another writer changed the shard first, which restarts the gateway's waiting times."""
        self.conflicts.add(key)
        self.fenced_at[key] = self.now.monotonic

    # After each pass

    def check_reality(self) -> None:
        """Asserts that every running attempt is its shard's current one or a listed orphan (I3, I9).

        Regions that were given up are left out: what runs there is no longer listed.
        """
        for name in set(self.clusters) - self.given_up:
            for identity in self.clusters[name].alive():
                assert self._accounted(name, identity), (
                    f"I3: {identity} runs in {name}, {self.shards[key_of(identity)]}"
                )

    def check_time(self, lost: frozenset[str], beats: Mapping[str, float]) -> None:
        """Asserts what the passing of time alone must have caused (T5, T12, T14).

        `lost`: the regions that are Unreachable to the gateway; `beats`: when each was last heard since the
        gateway asked for its events.
        """
        now = self.now
        steady = now.monotonic - self.steady_since
        for key, shard in self.shards.items():
            if shard.phase.terminal:
                continue
            if shard.region in lost and key not in self.conflicts:
                assert shard.phase not in OPEN, f"T5: {shard} in a region that is lost"
            if (
                shard.phase is Phase.DISPATCHING
                and min(steady, now.monotonic - self.fenced_at.get(key, now.monotonic))
                > self.failover.fence_seconds + 1.0
            ):
                raise AssertionError(f"T14: {shard} was never confirmed")
            self._check_deadline(key, shard, steady, lost, beats)
        self.conflicts.clear()

    def _check_deadline(
        self,
        key: tuple[str, int],
        shard: Shard,
        steady: float,
        lost: frozenset[str],
        beats: Mapping[str, float],
    ) -> None:
        """Asserts that an overdue shard ends soon, unless its region may still report (T12).

        That is the one thing for which it may stay open: what ended in time has succeeded, and a region that
        is not lost, and was not heard since the deadline, may have a report of it.
        """
        now = self.now
        if shard.phase is Phase.WAITING:
            return
        deadlines = self.finally_deadlines if shard.index == FINALLY_SHARD else self.deadlines
        overdue = now.wall - deadlines.get(shard.run, float("inf"))
        # What was cancelled before its deadline ends as Cancelled, when nothing of it is left.
        if overdue < 0 or shard.phase is Phase.CANCELLING:
            self.silent_at.pop(key, None)
            return
        passed_at = now.monotonic - overdue
        waited_for = shard.phase.placed and shard.region not in lost
        if waited_for and beats.get(shard.region or "", float("-inf")) <= passed_at + REPORT_SECONDS:
            self.silent_at[key] = now.monotonic
        since = max(passed_at, self.steady_since, self.silent_at.get(key, passed_at))
        in_time = (
            now.monotonic - since <= SCAN_SLACK_SECONDS
            and min(steady, overdue) <= SILENT_SECONDS + SCAN_SLACK_SECONDS
        )
        assert in_time, f"T12: {shard} is open {overdue} s past its deadline"

    def _accounted(self, region: str, identity: AttemptId) -> bool:
        shard = self.shards[key_of(identity)]
        own = shard.phase.placed and shard.region == region and shard.epoch == identity.epoch
        return own or any(
            orphan.region == region and orphan.epoch == identity.epoch for orphan in shard.orphans
        )


def span_of_run(run_id: str) -> TraceContext:
    """Returns the span of the request that submitted the run in the simulated world."""
    return TraceContext(trace_id=run_id.encode().hex().zfill(32), span_id="1" * 16, state="vendor=1")
