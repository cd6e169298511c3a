"""Handles the gateway's requests to create an attempt: starts, resumes or recognizes it, or refuses."""

from collections.abc import Callable, Sequence
from typing import TypeAlias, assert_never
from weakref import WeakValueDictionary

from msgspec import Struct
from msgspec.structs import replace

from clusters.embedded.capabilities import Mismatch
from clusters.embedded.queueing.task_queue import TaskQueue
from clusters.embedded.scheduling.attempt import Attempt, TaskGraph
from clusters.embedded.scheduling.attempt_lifecycle import AttemptLifecycle
from clusters.embedded.scheduling.attempt_table import Attempts
from clusters.embedded.scheduling.fencing import Fencing
from clusters.embedded.scheduling.outcomes import retry_pause
from clusters.embedded.scheduling.retention import Retention
from clusters.embedded.scheduling.scheduler_step import Step
from clusters.protocol import AttemptId, BatchAnswers, CreateAnswer, CreateOutcome, RunSpec, ShardSpec
from clusters.protocol_bounds import TRIES_CARRIED


class Refuse(Struct, frozen=True, kw_only=True):
    """The decision to refuse a create request for good; the gateway does not repeat that request.

    `reason` is a word for the gateway, such as `Tombstoned` or `Full`; `detail` explains it in a sentence
    where that word is not enough.
    """

    reason: str
    detail: str = ""


class Ignore(Struct, frozen=True, kw_only=True):
    """The decision to do nothing for a repeated create request: its attempt is running or has ended.

    The answer to the first request was lost.
    """


class Wake(Struct, frozen=True, kw_only=True):
    """The decision to resume an attempt, read from the journal after a restart, for its create request."""

    attempt: Attempt


class Create(Struct, frozen=True, kw_only=True):
    """The decision to start the new attempt of a shard that a create request asks for."""

    run: RunSpec


CreateDecision: TypeAlias = Refuse | Ignore | Wake | Create
"""The decision about one create: refuse, ignore, wake or create."""


class AttemptCreation:
    """Decides whether a requested attempt is created, resumed or refused, and carries the decision out.

    The cluster has at most `slots` attempts at a time, and takes none while its queue is full.
    """

    def __init__(
        self,
        attempts: Attempts,
        lifecycle: AttemptLifecycle,
        fencing: Fencing,
        retention: Retention,
        queue: TaskQueue,
        *,
        slots: int,
    ) -> None:
        self._attempts, self._lifecycle, self._queue = attempts, lifecycle, queue
        self._fencing, self._retention, self._slots = fencing, retention, slots
        self._graphs: WeakValueDictionary[str, TaskGraph] = WeakValueDictionary()
        """The task graphs by run, each kept while an attempt of its run is held.

        A thousand shards of ten thousand tasks share one.
        """

    def apply(
        self,
        spec: ShardSpec,
        run: RunSpec | None,
        mismatch_of: Callable[[str], Mismatch | None],
        step: Step,
    ) -> CreateAnswer:
        """Decides about the create request `spec`, carries the decision out, and returns the answer.

        `run` is the run of the attempt, None where the batch lacks it. `mismatch_of` gives, by a run's name,
        the reason why this cluster cannot run it, or None.
        """
        decision = self.decide(spec, run, mismatch_of, step.now)
        match decision:
            case Refuse(reason=reason, detail=detail):
                refused = CreateOutcome.REFUSED
                return CreateAnswer(attempt=spec.attempt, outcome=refused, reason=reason, detail=detail)
            case Ignore():
                return CreateAnswer(attempt=spec.attempt, outcome=CreateOutcome.EXISTS)
            case Wake(attempt=attempt):
                self._wake(attempt, spec, step)
                return CreateAnswer(attempt=spec.attempt, outcome=CreateOutcome.EXISTS)
            case Create(run=run):
                self._create(spec, run, step)
                return CreateAnswer(attempt=spec.attempt, outcome=CreateOutcome.CREATED)
            case _:
                assert_never(decision)

    def decide(
        self,
        spec: ShardSpec,
        run: RunSpec | None,
        mismatch_of: Callable[[str], Mismatch | None],
        now: float,
    ) -> CreateDecision:
        """Decides, without acting, whether to start, resume, ignore or refuse the attempt `spec`.

        `now` is the cluster's uptime; `run` is the run of the attempt, None if unknown. `mismatch_of` gives,
        by a run's name, the reason why this cluster cannot run it, or None.
        """
        identity = spec.attempt
        # The gateway has ended the attempt before its create arrived: it must never start.
        if identity in self._retention.tombstones:
            return Refuse(reason="Tombstoned")
        known = self._attempts.by_id.get(identity)
        if identity in self._retention.ended or (known is not None and known.awake and not known.stopped):
            # Before the fence is looked at: a create that is sent again comes late, and its attempt runs.
            return Ignore()
        if reason := self._fencing.refusal(spec, now):
            return Refuse(reason=reason)
        # An attempt of the journal that is resumed has its slot already.
        if known is None and (self._attempts.held >= self._slots or self._queue.full):
            return Refuse(reason="Full")
        if (mismatch := mismatch_of(identity.run)) is not None:
            return Refuse(reason=mismatch.reason, detail=mismatch.detail)
        if any(tries > TRIES_CARRIED for tries in spec.tries.values()):
            # One more would not fit the journal: the cluster would end, and so would the next that gets it.
            return Refuse(
                reason="Invalid", detail=f"a task of it was started more than {TRIES_CARRIED} times"
            )
        if known is not None:
            return Wake(attempt=known)
        assert run is not None, "a create without its run is a mismatch"
        return Create(run=run)

    def _create(self, spec: ShardSpec, run: RunSpec, step: Step) -> None:
        # Older attempts of the shard end first: the new one starts nothing while a process of theirs is left.
        for older in self._attempts.of_shard((spec.attempt.run, spec.attempt.shard)):
            if not older.over:
                self._lifecycle.stop(older, step)
        self._fencing.observe(spec.attempt)
        step.runs.append(run)
        if self._retention.tenants.add(run):
            step.tenants.append(run.fairness_key)
        step.created.append(spec)
        attempt = Attempt(
            spec=spec,
            graph=self._graph(run),
            finished={result.task: result for result in spec.results},
            tries=dict(spec.tries),
        )
        self._set_deadline(attempt, spec)
        self._attempts.add(attempt)
        self._start(attempt, step)

    def _set_deadline(self, attempt: Attempt, spec: ShardSpec) -> None:
        attempt.expires_at = spec.expires_at
        if spec.expires_at is not None:
            self._attempts.set_timer(attempt, spec.expires_at)

    def _wake(self, attempt: Attempt, spec: ShardSpec, step: Step) -> None:
        attempt.awake = True
        # The one that it had was an uptime of another boot.
        self._set_deadline(attempt, spec)
        for task, end in attempt.interrupted_pauses.items():
            # The wall clock may have been set meanwhile: never wait for more than the whole pause.
            whole = retry_pause(attempt.task(task).retry, attempt.tries[task])
            attempt.due[task] = step.now + min(max(0.0, end - step.wall), whole)
            self._attempts.set_timer(attempt, attempt.due[task])
        attempt.interrupted_pauses.clear()
        self._start(attempt, step)

    def _start(self, attempt: Attempt, step: Step) -> None:
        if attempt.exclusive:
            # The next tick requests its lease.
            self._attempts.set_timer(attempt, step.now)
        self._lifecycle.queue_ready_tasks(attempt, step)
        # Also where nothing may start: it may have failed before a crash, or have only finished tasks.
        self._lifecycle.end_if_done(attempt, step)

    def _graph(self, run: RunSpec) -> TaskGraph:
        graph = self._graphs.get(run.run)
        # The run may have changed since, such as its priority: older attempts keep their graph.
        if graph is None or (graph.run is not run and graph.run != run):
            graph = self._graphs[run.run] = TaskGraph(run)
        return graph

    def withdraw_late(self, steps: Sequence[Step], now: float) -> None:
        """Removes new attempts whose create request is past its fence at `now` from unjournalled `steps`.

        The gateway has given up on these requests, and may have the shards run elsewhere.
        """
        late = {spec.attempt for step in steps for spec in step.created if now > spec.fence.not_after}
        if not late:
            return
        for identity in late & self._attempts.by_id.keys():
            self._lifecycle.withdraw(self._attempts.by_id[identity], now)
        for step in steps:
            step.created = [spec for spec in step.created if spec.attempt not in late]
            step.tasks = [task for task in step.tasks if task.attempt not in late]
            step.events = [event for event in step.events if event.attempt not in late]
            step.launches = [launch for launch in step.launches if launch.attempt not in late]
        # The processors that their tasks held are free.
        self._lifecycle.launch_queued_tasks(steps[-1])

    def after_commit(self, answers: BatchAnswers) -> BatchAnswers:
        """Returns the answers to create requests as they stand once the decisions are journalled.

        A request whose attempt was withdrawn or tombstoned by then is answered with a refusal.
        """
        creates = tuple(map(self._answer_after_commit, answers.creates))
        return answers if creates == answers.creates else replace(answers, creates=creates)

    def _answer_after_commit(self, answer: CreateAnswer) -> CreateAnswer:
        identity = answer.attempt
        if answer.outcome is CreateOutcome.REFUSED or self._is_known(identity):
            return answer
        reason = "Tombstoned" if identity in self._retention.tombstones else "Late"
        return CreateAnswer(attempt=identity, outcome=CreateOutcome.REFUSED, reason=reason)

    def _is_known(self, identity: AttemptId) -> bool:
        return identity in self._attempts.by_id or identity in self._retention.ended
