"""The scheduler of one cluster as a state machine: no I/O, no clock, no chance of its own.

Each call takes what happened and when (uptime and wall clock), changes the state, and returns a `Step`: what to journal first, and what to
do once that is durable. A crash between the two is a restart from the journal: finished tasks stay finished, everything else is asleep
until the gateway creates it again.
"""

from collections.abc import Container, Mapping
from functools import cache

from msgspec import Struct

from clusters.embedded.scheduling.attempt import NEVER, Attempt, size_of
from clusters.embedded.scheduling.attempts import (
    CONDITION_STEPS_AT_ONCE,
    MARGIN_SECONDS,
    Progress,
    pause_after,
    thousandths,
)
from clusters.embedded.scheduling.create_rules import Admission
from clusters.embedded.scheduling.creates import Creates
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.lease_requests import Leasing
from clusters.embedded.scheduling.ownership import Owner
from clusters.embedded.scheduling.recovered_state import RecoveredState
from clusters.embedded.scheduling.retention import Retention
from clusters.embedded.scheduling.step import Step, TaskRecord
from clusters.protocol import (
    AttemptId,
    Batch,
    BatchAnswers,
    ClusterStatus,
    Hello,
    LeaseAsked,
    Renewal,
    TaskResult,
    TombstoneAnswer,
)

RESULTS_BYTES = 16 * 1_048_576


class Scheduler:
    """All attempts of one cluster."""

    def __init__(
        self,
        recovered: RecoveredState,
        *,
        region: str,
        boot: str,
        cpu: float,
        slots: int,
        executors: Mapping[str, type[Struct]],
        exclusive: Container[str],
    ) -> None:
        self.incarnation, self.acknowledged, self.owner = (
            recovered.incarnation,
            recovered.acknowledged,
            recovered.owner,
        )
        self._region, self._boot, self._slots, self._executors = region, boot, slots, tuple(sorted(executors))
        self._memory = Retention(recovered.tombstones, recovered.ended)
        self._leasing = Leasing(boot)
        for attempt in recovered.attempts:
            attempt.awake = attempt.end_seq > 0
        self._progress = Progress(recovered.attempts, cpu=cpu, seq=recovered.seq)
        self._admission = Admission(
            boot=boot, cpu=cpu, executors=executors, exclusive=exclusive, highest=recovered.highest
        )
        self._creates = Creates(self._progress, self._admission, self._memory, slots=slots)
        self.expire, self.held = self._creates.expire, self._creates.held

    @property
    def seq(self) -> int:
        return self._progress.seq

    # What the gateway says

    def apply(self, batch: Batch, now: float, wall: float) -> tuple[BatchAnswers, Step]:
        """Tombstones first, then creates, then leases; one answer for each, good once the step is durable."""
        step = Step(now=now, wall=wall)
        if batch.acknowledged > self.acknowledged:
            self.acknowledged = step.acknowledged = batch.acknowledged
            self._let_go()
        tombstones = tuple(self._tombstone(attempt, step) for attempt in batch.tombstones)
        runs = {run.run: run for run in batch.runs}
        misfit = cache(lambda name: self._admission.misfit(runs.get(name)))
        creates = tuple(
            self._creates.take(spec, runs.get(spec.attempt.run), misfit, step) for spec in batch.creates
        )
        for renewal in batch.renewals:
            self._renew(renewal, step)
        self._progress.fill(step)
        return BatchAnswers(status=self.status(now), creates=creates, tombstones=tombstones), step

    def _tombstone(self, identity: AttemptId, step: Step) -> TombstoneAnswer:
        if identity not in self._memory.tombstones:
            self._memory.add_tombstone(identity, step.wall)
            self._admission.seen(identity)
            step.tombstones.append(identity)
        attempt = self._progress.attempts.get(identity)
        if attempt is None:
            return TombstoneAnswer(attempt=identity, gone=True)
        self._progress.stop(attempt, step)
        if not attempt.running:
            self._progress.remove(attempt)
        return TombstoneAnswer(attempt=identity, gone=not attempt.running)

    def _renew(self, renewal: Renewal, step: Step) -> None:
        attempt = self._progress.attempts.get(renewal.attempt)
        if attempt is None or not self._leasing.granted(attempt, renewal.ask, step):
            return
        self._progress.wake_at(attempt, attempt.lease_until - MARGIN_SECONDS)
        self._progress.queue_ready(attempt, step)

    # What the executors say

    def finished(self, identity: AttemptId, task: str, outcome: Outcome, now: float, wall: float) -> Step:
        """A try has ended, and no process of it is left."""
        step = Step(now=now, wall=wall)
        attempt = self._progress.attempts[identity]
        began = attempt.running.pop(task)
        self._progress.busy -= thousandths(attempt.tasks[task].resources.cpu)
        if not attempt.stopped and outcome.succeeded:
            self._keep(attempt, TaskResult(task=task, output=outcome.output), began, step)
            if not attempt.failure:
                self._progress.queue_ready(attempt, step, attempt.dependents[task])
        elif not attempt.stopped and not attempt.failure:
            self._try_again(attempt, task, outcome, began, step)
        self._progress.settle(attempt, step)
        self._progress.fill(step)
        return step

    def _keep(self, attempt: Attempt, result: TaskResult, began: float, step: Step) -> None:
        """All results of a shard travel with its next attempt, so there is an end to how much they may be."""
        if attempt.output_bytes + size_of(result) > RESULTS_BYTES:
            self._progress.fail(
                attempt,
                result.task,
                f"the outputs of this shard have more than {RESULTS_BYTES >> 20} MiB",
                began,
                step,
            )
            return
        attempt.output_bytes += size_of(result)
        self._progress.finish(attempt, result, began, step)

    def _try_again(self, attempt: Attempt, task: str, outcome: Outcome, began: float, step: Step) -> None:
        """After a pause while retries are left. What we have killed ourselves is no fault of the task."""
        retry, tries = attempt.tasks[task].retry, attempt.tries[task]
        if outcome.lost:
            self._progress.lose(attempt, f"task {task}: {outcome.reason}", step)
            return
        if not outcome.killed and tries > retry.limit:
            self._progress.fail(attempt, task, outcome.reason, began, step)
            return
        pause = 0.0 if outcome.killed else pause_after(retry, tries)
        if pause:
            step.tasks.append(TaskRecord(attempt=attempt.id, task=task, tries=tries, due=step.wall + pause))
        if attempt.awake:
            attempt.due[task] = step.now + pause
            self._progress.wake_at(attempt, attempt.due[task])

    # What time does

    def tick(self, now: float, wall: float) -> Step:
        """Retries whose back-off is over; leases to ask for, and those about to end."""
        step = Step(now=now, wall=wall)
        for attempt in self._progress.woken(now):
            if attempt.over or not attempt.awake:
                continue
            if attempt.exclusive:
                self._look_after_lease(attempt, step)
            if step.condition_steps >= CONDITION_STEPS_AT_ONCE:
                self._progress.wake_at(attempt, now)
                continue
            due = [task for task, at in attempt.due.items() if at <= now]
            for task in due:
                del attempt.due[task]
            self._progress.queue_ready(attempt, step, due)
        self._progress.fill(step)
        return step

    def _look_after_lease(self, attempt: Attempt, step: Step) -> None:
        if (again := self._leasing.look_after(attempt, step)) is not None:
            self._progress.wake_at(attempt, again)

    def asked(self) -> list[LeaseAsked]:
        """Leases that were asked for and not yet granted, for a gateway that has just come."""
        return self._leasing.waiting(self._progress.attempts.values())

    def close(self) -> None:
        """Nothing more starts."""
        self._progress.capacity = 0

    def _let_go(self) -> None:
        """Of what has ended and is acknowledged only a line is kept in memory."""
        ended = self._progress.ended
        while ended and ended[0].end_seq <= self.acknowledged:
            attempt = ended.popleft()
            if attempt.id in self._progress.attempts and not attempt.stopped:
                self._progress.remove(attempt)
                self._memory.add_ended(attempt)

    def forget(self, now: float, wall: float) -> Step:
        """Lets go of what is old enough; of whom nothing is held any more is not among `shards` from then on."""
        step = Step(now=now, wall=wall)
        step.expired += self._memory.expired(wall, held=self._progress.attempts)
        self._memory.remove(step.expired)
        self._admission.forget(self.shards)
        self._progress.forget_turns()
        return step

    @property
    def shards(self) -> set[tuple[str, int]]:
        """Those whose files are to be kept."""
        return self._memory.shards.union(self._progress.by_shard)

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
        known = (
            (a.id, a.awake)
            for a in attempts
            if not a.over or (a.end_seq > self.acknowledged and not a.stopped)
        )
        ended = (
            (identity, True)
            for identity, past in self._memory.ended.items()
            if past.end_seq > self.acknowledged
        )
        return Hello(status=self.status(now), attempts=(*known, *ended))

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
            self._progress.unqueue(attempt)
            attempt.lease_until = attempt.next_lease_request_at = NEVER
            attempt.lease_requests.clear()
            step.kills += [(attempt.id, task) for task in attempt.running]
        return step
