"""The scheduler of an embedded cluster, as a state machine without I/O, clock or randomness.

Each call takes what has happened and when (`now`: the cluster's uptime; `wall`: seconds since 1970), changes
the state, and returns a `Step`: what to journal first, and what to do once that is durable. After a crash in
between, finished tasks stay finished, and attempts that have not ended sleep until created again.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import assert_never

from clusters.embedded.capabilities import Capabilities
from clusters.embedded.ownership import Owner
from clusters.embedded.queueing.queue_settings import DEFAULT_QUEUE, QueueSettings
from clusters.embedded.queueing.task_queue import TaskQueue
from clusters.embedded.scheduling.attempt import NEVER, Attempt
from clusters.embedded.scheduling.attempt_creation import AttemptCreation
from clusters.embedded.scheduling.attempt_lifecycle import AttemptLifecycle
from clusters.embedded.scheduling.attempt_table import Attempts
from clusters.embedded.scheduling.fencing import Fencing
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.scheduling.lease_requests import (
    MARGIN_SECONDS,
    LeaseRequests,
    lease_is_ending,
    pending_requests,
)
from clusters.embedded.scheduling.outcomes import (
    FailTask,
    FinishTask,
    LoseAttempt,
    LoseLease,
    NoConsequence,
    RetryTask,
    StopTask,
    consequence_of,
)
from clusters.embedded.scheduling.readiness import condition_question
from clusters.embedded.scheduling.retention import Retention
from clusters.embedded.scheduling.scheduler_step import RecoveredState, Step
from clusters.embedded.scheduling.waiting_tasks import WaitingTasks
from clusters.protocol import (
    AttemptId,
    Batch,
    BatchAnswers,
    ClusterStatus,
    Hello,
    LeaseAsked,
    Renewal,
    RunSpec,
    TombstoneAnswer,
)
from waypost.condition_evaluation.messages import ConditionAnswer, ConditionQuestion


class Scheduler:
    """Decides which tasks of a cluster's attempts start, are killed or retried, and when an attempt ends."""

    def __init__(
        self,
        recovered: RecoveredState,
        *,
        region: str,
        boot: str,
        slots: int,
        capabilities: Capabilities,
        queue: QueueSettings = DEFAULT_QUEUE,
    ) -> None:
        self.incarnation, self.owner = recovered.incarnation, recovered.owner
        self.acknowledged = recovered.acknowledged
        self._region, self._boot, self._slots, self._capabilities = region, boot, slots, capabilities
        for attempt in recovered.attempts:
            attempt.awake = attempt.end_seq > 0
        self._attempts = Attempts(recovered.attempts)
        self.queue = TaskQueue(capabilities.capacity(), queue)
        self.waiting = WaitingTasks(self._attempts, self.queue)
        self._lifecycle = AttemptLifecycle(self._attempts, self.queue, seq=recovered.seq)
        self._lease_requests = LeaseRequests(boot)
        self._fencing = Fencing(boot=boot, highest=recovered.highest)
        self._retention = Retention(recovered.tombstones, recovered.ended, capabilities.tenants)
        self._creation = AttemptCreation(
            self._attempts, self._lifecycle, self._fencing, self._retention, self.queue, slots=slots
        )

    def __repr__(self) -> str:
        return f"Scheduler({self._region}: {self._attempts}, {self.queue})"

    @property
    def seq(self) -> int:
        """Returns the sequence number (seq) of the cluster's newest event."""
        return self._lifecycle.seq

    # Calls of the gateway

    def apply(self, batch: Batch, now: float, wall: float) -> tuple[BatchAnswers, Step]:
        """Applies a batch of the gateway (tombstones, creates, lease grants); returns answers and step."""
        step = Step(now=now, wall=wall)
        if batch.acknowledged > self.acknowledged:
            self.acknowledged = step.acknowledged = batch.acknowledged
            self.queue.acknowledge(batch.acknowledged, now)
            for attempt in self._attempts.remove_acknowledged(batch.acknowledged):
                self._retention.add_ended(attempt)
        tombstones = tuple(self._apply_tombstone(identity, step) for identity in batch.tombstones)
        runs = {run.run: run for run in batch.runs}
        # Once for each run, however many shards of it come: all other attempts wait meanwhile.
        mismatch_of = cache(lambda name: self._capabilities.mismatch(runs.get(name)))
        creates = tuple(
            self._creation.apply(spec, runs.get(spec.attempt.run), mismatch_of, step)
            for spec in batch.creates
        )
        for renewal in batch.renewals:
            self._apply_renewal(renewal, step)
        self._lifecycle.launch_queued_tasks(step)
        return BatchAnswers(status=self.status(now), creates=creates, tombstones=tombstones), step

    def _apply_tombstone(self, identity: AttemptId, step: Step) -> TombstoneAnswer:
        if identity not in self._retention.tombstones:
            self._retention.add_tombstone(identity, step.wall)
            self._fencing.observe(identity)
            step.tombstones.append(identity)
        attempt = self._attempts.by_id.get(identity)
        if attempt is None:
            return TombstoneAnswer(attempt=identity, gone=True)
        # Also where it is stopped already: killing a try that is being killed changes nothing.
        self._lifecycle.stop(attempt, step)
        if not attempt.running:
            self._attempts.remove(attempt)
        return TombstoneAnswer(attempt=identity, gone=not attempt.running)

    def _apply_renewal(self, renewal: Renewal, step: Step) -> None:
        attempt = self._attempts.by_id.get(renewal.attempt)
        # The attempt may have ended meanwhile, and the grant may be a repeated one, or one of another boot.
        if attempt is None or attempt.over or renewal.ask not in attempt.lease_requests:
            return
        self._lease_requests.grant(attempt, renewal.ask)
        step.leases.append((attempt.id, attempt.lease_until))
        self._attempts.set_timer(attempt, attempt.lease_until - MARGIN_SECONDS)
        # While there was no lease, nothing of it was queued.
        self._lifecycle.queue_ready_tasks(attempt, step)

    def withdraw_late_creates(self, steps: Sequence[Step], now: float) -> None:
        """Removes attempts whose create request is past its fence from steps not yet journalled."""
        self._creation.withdraw_late(steps, now)

    def after_commit(self, answers: BatchAnswers) -> BatchAnswers:
        """Returns the answers to a committed batch; creates that were withdrawn meanwhile are refused."""
        return self._creation.after_commit(answers)

    def change_owner(self, owner: Owner, now: float, wall: float) -> Step:
        """Records the gateway's store that owns the cluster from now on; it has acknowledged no event yet."""
        self.owner, self.acknowledged = owner, 0
        return Step(now=now, wall=wall, owner=owner)

    def change_incarnation(self, incarnation: str, now: float, wall: float) -> Step:
        """Gives a copied journal a new identity (incarnation); puts all attempts to sleep."""
        step = Step(now=now, wall=wall, incarnation=incarnation)
        self.incarnation, self.acknowledged = incarnation, 0
        for attempt in self._attempts.by_id.values():
            self._lifecycle.put_to_sleep(attempt, step)
            # Its leases were granted to the journal that this one is a copy of.
            attempt.lease_until = attempt.next_lease_request_at = NEVER
            attempt.lease_requests.clear()
        return step

    # Results of tries and conditions

    def record_outcome(
        self, identity: AttemptId, task: str, outcome: Outcome, now: float, wall: float
    ) -> Step:
        """Records the outcome of a task's execution; decides what follows for the task and its attempt."""
        step, attempt = Step(now=now, wall=wall), self._attempts.by_id[identity]
        began = self._lifecycle.end_try(attempt, task, now)
        consequence = consequence_of(outcome, attempt, task, now)
        match consequence:
            case FinishTask(result=result):
                self._lifecycle.finish_task(attempt, result, began, step)
            case RetryTask(pause_seconds=pause, reason=reason):
                self._lifecycle.schedule_retry(attempt, task, pause, reason, began, step)
            case FailTask(reason=reason):
                self._lifecycle.fail_task(attempt, task, reason, began, step)
            case StopTask():
                self._lifecycle.stop_task(attempt, task, began, step)
            case LoseAttempt(reason=reason):
                self._lifecycle.lose(attempt, reason, step)
            case LoseLease():
                self._lifecycle.lose_lease(attempt, task, began, step)
            case NoConsequence():
                pass
            case _:
                assert_never(consequence)
        self._lifecycle.end_if_done(attempt, step)
        self._lifecycle.launch_queued_tasks(step)
        return step

    def condition(self, identity: AttemptId, task: str) -> tuple[RunSpec, ConditionQuestion] | None:
        """Returns a task's workflow run and its condition, to be evaluated; None if that is not needed."""
        attempt = self._attempts.by_id.get(identity)
        question = None if attempt is None else condition_question(attempt, task)
        return None if attempt is None or question is None else (attempt.run, question)

    def record_conditions(
        self, answers: Iterable[tuple[AttemptId, str, ConditionAnswer]], now: float, wall: float
    ) -> Step:
        """Records results of conditions, each as (attempt, task, answer); late ones change nothing."""
        step = Step(now=now, wall=wall)
        for identity, task, answer in answers:
            if (attempt := self._attempts.by_id.get(identity)) is not None:
                self._lifecycle.apply_condition(attempt, task, answer, step)
        self._lifecycle.launch_queued_tasks(step)
        return step

    # The passing of time

    def tick(self, now: float, wall: float) -> Step:
        """Handles the timers due by `now`: deadlines, ended pauses, and requests and ends of run-leases."""
        step = Step(now=now, wall=wall)
        for attempt in self._attempts.pop_timers(now):
            if attempt.over or not attempt.awake or self._lifecycle.expire(attempt, step):
                continue
            if attempt.exclusive:
                self._check_lease(attempt, step)
            due = [task for task, at in attempt.due.items() if at <= now]
            for task in due:
                del attempt.due[task]
            self._lifecycle.queue_ready_tasks(attempt, step, due)
        self.queue.tick(now)
        self._lifecycle.launch_queued_tasks(step)
        return step

    def _check_lease(self, attempt: Attempt, step: Step) -> None:
        if lease_is_ending(attempt, step.now):
            step.kills += [(attempt.id, task) for task in attempt.running]
        if attempt.next_lease_request_at <= step.now:
            step.lease_requests.append(self._lease_requests.request(attempt, step.now))
            self._attempts.set_timer(attempt, attempt.next_lease_request_at)

    @property
    def next_timer(self) -> float | None:
        """Returns the uptime at which `tick` is to be called next; None if no timer is set."""
        return self._lifecycle.next_timer

    def remove_expired(self, now: float, wall: float) -> Step:
        """Removes the records of ended attempts and tombstones whose retention is over."""
        step = Step(now=now, wall=wall)
        step.expired += self._retention.expired(wall, held=self._attempts.by_id)
        self._retention.remove(step.expired)
        self._fencing.forget_except(self.shards)
        step.tenants_gone = not self.shards and self._retention.tenants.clear()
        self.queue.forget_idle(now)
        return step

    # State, as others see it

    @property
    def shards(self) -> set[tuple[str, int]]:
        """Returns the shards, as (run, shard), that have attempts or records, and so keep their files."""
        return self._retention.shards.union(self._attempts.shards)

    def leases(self, now: float) -> int:
        """Returns the number of exclusive attempts whose run-lease is valid at uptime `now`."""
        return sum(attempt.lease_until > now for attempt in self._attempts.by_id.values() if not attempt.over)

    def status(self, now: float) -> ClusterStatus:
        return ClusterStatus(
            region=self._region,
            incarnation=self.incarnation,
            boot=self._boot,
            uptime=now,
            slots=max(1, self._attempts.held) if self.queue.full else self._slots,
            held=self._attempts.held,
            queued=len(self.queue),
            seq=self.seq,
            **self._capabilities.reported,
        )

    def hello(self, now: float) -> Hello:
        """Returns a stream's first event: status, and attempts that go on or whose end is unacknowledged."""
        known = (
            (attempt.id, attempt.awake)
            for attempt in self._attempts.by_id.values()
            if not attempt.over or (attempt.end_seq > self.acknowledged and not attempt.stopped)
        )
        # Acknowledged once, but no longer since the owner or the incarnation has changed.
        ended = (
            (identity, True)
            for identity, attempt in self._retention.ended.items()
            if attempt.end_seq > self.acknowledged
        )
        return Hello(status=self.status(now), attempts=(*known, *ended))

    def pending_lease_requests(self) -> list[LeaseAsked]:
        """Returns the ungranted run-lease requests, to be sent on a newly opened stream."""
        return pending_requests(self._attempts.by_id.values())
