"""The scheduler of one cluster as a state machine: no I/O, no clock, no chance of its own.

Each call takes what happened and when (uptime and wall clock), changes the state, and returns a `Step`: what to journal first, and what to
do once that is durable. A crash between the two is a restart from the journal: finished tasks stay finished, everything else is asleep
until the gateway creates it again.
"""

import itertools
from collections.abc import Mapping

from msgspec import Struct

from clusters.embedded.admission import Admission
from clusters.embedded.journal import Loaded
from clusters.embedded.ownership import Owner
from clusters.embedded.progress import CONDITION_STEPS_AT_ONCE, MARGIN_SECONDS, Progress
from clusters.embedded.state import Attempt, Outcome, Step, size_of
from clusters.spec import (
    Answers,
    AttemptId,
    Batch,
    ClusterStatus,
    CreateAnswer,
    CreateOutcome,
    Hello,
    LeaseAsked,
    Renewal,
    RunSpec,
    ShardSpec,
    TaskResult,
    TombstoneAnswer,
)

LEASE_SECONDS = 15.0
"""A run-lease, counted from the asking."""
ASK_SECONDS = 5.0
RESULTS_BYTES = 16 * 1_048_576
DONE_SECONDS = 24 * 3600.0
"""What succeeded, and is acknowledged, is kept for so long: its logs and its workspace, that is."""
KEPT_SECONDS = 30 * 24 * 3600.0
"""What did not: a retry may still build on what its tasks left in the workspace. Tombstones too."""


class Scheduler:
    """All attempts of one cluster."""

    def __init__(self, loaded: Loaded, *, region: str, boot: str, cpu: float, slots: int, executors: Mapping[str, type[Struct]]) -> None:
        self.incarnation, self.acknowledged, self.owner = loaded.incarnation, loaded.acknowledged, loaded.owner
        self._region, self._boot, self._slots, self._executors = region, boot, slots, tuple(sorted(executors))
        self._tombstones = dict(loaded.tombstones)
        self._asks = itertools.count(1)
        for attempt in loaded.attempts:
            attempt.awake = attempt.end_seq > 0
        self._progress = Progress(loaded.attempts, cpu=cpu, seq=loaded.seq)
        self._admission = Admission(boot=boot, cpu=cpu, executors=executors, highest=loaded.highest)

    @property
    def seq(self) -> int:
        return self._progress.seq

    # What the gateway says

    def apply(self, batch: Batch, now: float, wall: float) -> tuple[Answers, Step]:
        """Tombstones first, then creates, then leases; one answer for each, good once the step is durable."""
        step = Step(now=now, wall=wall)
        if batch.acknowledged > self.acknowledged:
            self.acknowledged = step.acknowledged = batch.acknowledged
        tombstones = tuple(self._tombstone(attempt, step) for attempt in batch.tombstones)
        runs = {run.run: run for run in batch.runs}
        creates = tuple(self._create(spec, runs.get(spec.attempt.run), step) for spec in batch.creates)
        for renewal in batch.renewals:
            self._renew(renewal, step)
        self._progress.fill(step)
        return Answers(status=self.status(now), creates=creates, tombstones=tombstones), step

    def _tombstone(self, identity: AttemptId, step: Step) -> TombstoneAnswer:
        if identity not in self._tombstones:
            self._tombstones[identity] = step.wall
            self._admission.seen(identity)
            step.tombstones.append(identity)
        attempt = self._progress.attempts.get(identity)
        if attempt is None:
            return TombstoneAnswer(attempt=identity, gone=True)
        self._progress.stop(attempt, step)
        if not attempt.running:
            self._progress.remove(attempt)
        return TombstoneAnswer(attempt=identity, gone=not attempt.running)

    def _create(self, spec: ShardSpec, run: RunSpec | None, step: Step) -> CreateAnswer:
        identity = spec.attempt
        known = self._progress.attempts.get(identity)
        full = known is None and self._progress.held >= self._slots
        reason = "Tombstoned" if identity in self._tombstones else self._admission.refusal(spec, run, step.now, full=full)
        if reason or run is None:
            detail = self._admission.unfit(run) if reason == "Unsupported" and run is not None else ""
            return CreateAnswer(attempt=identity, outcome=CreateOutcome.REFUSED, reason=reason, detail=detail)
        if known is None:
            self._progress.add(self._taken(spec, run, step))
        elif not known.awake:
            known.awake = True
        attempt = self._progress.attempts[identity]
        if attempt.exclusive and not attempt.over:
            self._progress.wake_at(attempt, step.now)
        self._progress.queue_ready(attempt, step)
        return CreateAnswer(attempt=identity, outcome=CreateOutcome.CREATED if known is None else CreateOutcome.EXISTS)

    def _taken(self, spec: ShardSpec, run: RunSpec, step: Step) -> Attempt:
        """A new attempt. Older ones of its shard end first: it starts nothing while a process of theirs is left."""
        identity = spec.attempt
        for older in self._progress.by_shard.get((identity.run, identity.shard), {}).values():
            if not older.over:
                self._progress.stop(older, step)
        self._admission.seen(identity)
        step.runs.append(run)
        step.attempts.append(spec)
        return Attempt(
            spec=spec,
            run=run,
            tasks={task.name: task for task in run.tasks},
            finished={result.task: result for result in spec.results},
            tries=dict(spec.tries),
            at=step.wall,
        )

    def _renew(self, renewal: Renewal, step: Step) -> None:
        attempt = self._progress.attempts.get(renewal.attempt)
        asked_at = None if attempt is None else attempt.asked.pop(renewal.ask, None)
        if attempt is None or asked_at is None or attempt.over:
            return
        attempt.lease_until = max(attempt.lease_until, asked_at + LEASE_SECONDS)
        step.leases.append((attempt.id, attempt.lease_until))
        self._progress.wake_at(attempt, attempt.lease_until - MARGIN_SECONDS)
        self._progress.queue_ready(attempt, step)

    # What the executors say

    def finished(self, identity: AttemptId, task: str, outcome: Outcome, now: float, wall: float) -> Step:
        """A try has ended, and no process of it is left."""
        step = Step(now=now, wall=wall)
        attempt = self._progress.attempts[identity]
        began = attempt.running.pop(task)
        self._progress.busy -= attempt.tasks[task].resources.cpu
        if not attempt.stopped and outcome.succeeded:
            self._keep(attempt, TaskResult(task=task, output=outcome.output), began, step)
            if not attempt.failed:
                self._progress.queue_ready(attempt, step, attempt.dependents[task])
        elif not attempt.stopped and not attempt.failed:
            self._try_again(attempt, task, outcome, began, step)
        self._progress.settle(attempt, step)
        self._progress.fill(step)
        return step

    def _keep(self, attempt: Attempt, result: TaskResult, began: float, step: Step) -> None:
        """All results of a shard travel with its next attempt, so there is an end to how much they may be."""
        if attempt.output_bytes + size_of(result) > RESULTS_BYTES:
            self._progress.fail(attempt, result.task, f"the outputs of this shard have more than {RESULTS_BYTES >> 20} MiB", began, step)
            return
        attempt.output_bytes += size_of(result)
        self._progress.finish(attempt, result, began, step)

    def _try_again(self, attempt: Attempt, task: str, outcome: Outcome, began: float, step: Step) -> None:
        """After a pause while retries are left. What we have killed ourselves is no fault of the task."""
        retry, tries = attempt.tasks[task].retry, attempt.tries[task]
        if outcome.killed:
            attempt.due[task] = step.now
        elif tries <= retry.limit:
            attempt.due[task] = step.now + min(retry.backoff_seconds * retry.factor ** (tries - 1), retry.max_seconds)
        else:
            self._progress.fail(attempt, task, outcome.reason, began, step)
            return
        self._progress.wake_at(attempt, attempt.due[task])

    # What time does

    def tick(self, now: float, wall: float) -> Step:
        """Retries whose back-off is over; leases to ask for, and those about to end."""
        step = Step(now=now, wall=wall)
        for attempt in self._progress.woken(now):
            if attempt.over or not attempt.awake:
                continue
            if attempt.exclusive:
                self._hold_lease(attempt, step)
            if step.condition_steps >= CONDITION_STEPS_AT_ONCE:
                self._progress.wake_at(attempt, now)
                continue
            due = [task for task, at in attempt.due.items() if at <= now]
            for task in due:
                del attempt.due[task]
            self._progress.queue_ready(attempt, step, due)
        self._progress.fill(step)
        return step

    def _hold_lease(self, attempt: Attempt, step: Step) -> None:
        if attempt.lease_until - MARGIN_SECONDS <= step.now:
            step.kills += [(attempt.id, task) for task in attempt.running]
        if step.now - attempt.asked_at >= ASK_SECONDS:
            ask = next(self._asks)
            attempt.asked_at = attempt.asked[ask] = step.now
            step.asks.append(LeaseAsked(attempt=attempt.id, ask=ask))
            self._progress.wake_at(attempt, step.now + ASK_SECONDS)

    def forget(self, now: float, wall: float) -> Step:
        """Lets go of what is old enough; of whom nothing is held any more is not among `shards` from then on."""
        step = Step(now=now, wall=wall)
        for attempt in [attempt for attempt in self._progress.attempts.values() if self._old(attempt, wall)]:
            self._progress.remove(attempt)
            step.forgotten.append(attempt.id)
        for identity in [identity for identity, at in self._tombstones.items() if at < wall - KEPT_SECONDS]:
            if identity not in self._progress.attempts:
                del self._tombstones[identity]
                step.forgotten.append(identity)
        self._admission.forget(self.shards)
        return step

    def _old(self, attempt: Attempt, wall: float) -> bool:
        ended = 0 < attempt.end_seq <= self.acknowledged and not attempt.running
        return ended and attempt.at < wall - (DONE_SECONDS if attempt.succeeded else KEPT_SECONDS)

    @property
    def shards(self) -> set[tuple[str, int]]:
        """Those whose files are to be kept."""
        return {*self._progress.by_shard, *((identity.run, identity.shard) for identity in self._tombstones)}

    @property
    def next_timer(self) -> float | None:
        """When `tick` may have something to do, as uptime."""
        return self._progress.next_timer

    # What it says of itself

    def status(self, now: float) -> ClusterStatus:
        return ClusterStatus(
            region=self._region,
            incarnation=self.incarnation,
            boot=self._boot,
            uptime=now,
            slots=self._slots,
            held=self._progress.held,
            queued=self._progress.queued,
            seq=self.seq,
            executors=self._executors,
            cpu=self._progress.cpu,
        )

    def hello(self, now: float) -> Hello:
        """Attempts that go on, and those whose end is not yet acknowledged."""
        attempts = self._progress.attempts.values()
        known = ((a.id, a.awake) for a in attempts if not a.over or (a.end_seq > self.acknowledged and not a.stopped))
        return Hello(status=self.status(now), attempts=tuple(known))

    def running(self, identity: AttemptId, task: str) -> bool:
        attempt = self._progress.attempts.get(identity)
        return attempt is not None and not attempt.over and task not in attempt.finished

    def owned(self, owner: Owner, now: float, wall: float) -> Step:
        """It works for `owner` from now on, who may know less of its events than who came before."""
        self.owner, self.acknowledged = owner, 0
        return Step(now=now, wall=wall, owner=owner)

    def restored(self, incarnation: str, now: float, wall: float) -> Step:
        """The journal is behind what the gateway has seen: it is a copy. Under a new name nothing of it runs until it is created again."""
        step = Step(now=now, wall=wall, incarnation=incarnation)
        self.incarnation, self.acknowledged = incarnation, 0
        for attempt in self._progress.attempts.values():
            attempt.awake = attempt.end_seq > 0
            step.kills += [(attempt.id, task) for task in attempt.running]
        return step
