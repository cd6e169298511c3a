"""Creates: what is taken becomes an attempt, what is here already is found again, what sleeps wakes up."""

from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

from msgspec.structs import replace

from clusters.embedded.scheduling.attempt import Attempt, TaskGraph
from clusters.embedded.scheduling.attempts import Progress, pause_after
from clusters.embedded.scheduling.create_rules import Admission
from clusters.embedded.scheduling.retention import Retention
from clusters.embedded.scheduling.step import Step
from clusters.protocol import AttemptId, BatchAnswers, CreateAnswer, CreateOutcome, RunSpec, ShardSpec


class Creates:
    """Takes creates for one scheduler, as long as it holds fewer than `slots` attempts."""

    def __init__(self, progress: Progress, admission: Admission, memory: Retention, *, slots: int) -> None:
        self._progress, self._admission, self._memory, self._slots = progress, admission, memory, slots
        self._graphs: WeakValueDictionary[str, TaskGraph] = WeakValueDictionary()

    def take(
        self, spec: ShardSpec, run: RunSpec | None, misfit: Callable[[str], tuple[str, str]], step: Step
    ) -> CreateAnswer:
        """`misfit` tells by the run's name why no shard of it can run here: the reason, and a sentence where there is more to say."""
        identity = spec.attempt
        known = self._progress.attempts.get(identity)
        detail = ""
        if identity in self._memory.tombstones:
            reason = "Tombstoned"
        elif identity in self._memory.ended or (known is not None and known.awake and not known.stopped):
            return CreateAnswer(attempt=identity, outcome=CreateOutcome.EXISTS)
        else:
            full = known is None and self._progress.held >= self._slots
            reason = self._admission.refusal(spec, step.now) or ("Full" if full else "")
            reason, detail = (reason, "") if reason else misfit(identity.run)
        if reason or run is None:
            return CreateAnswer(attempt=identity, outcome=CreateOutcome.REFUSED, reason=reason, detail=detail)
        if known is None:
            attempt = self._new(spec, run, step)
            self._progress.add(attempt)
        else:
            attempt = known
            self._wake(attempt, step)
        if attempt.exclusive:
            self._progress.wake_at(attempt, step.now)
        self._progress.queue_ready(attempt, step)
        self._progress.settle(attempt, step)
        return CreateAnswer(
            attempt=identity, outcome=CreateOutcome.CREATED if known is None else CreateOutcome.EXISTS
        )

    def _wake(self, attempt: Attempt, step: Step) -> None:
        """Pauses go on where the cluster's end has interrupted them, whatever the wall clock has done meanwhile."""
        attempt.awake = True
        for task, due in attempt.interrupted_pauses.items():
            pause = pause_after(attempt.tasks[task].retry, attempt.tries[task])
            attempt.due[task] = step.now + min(max(0.0, due - step.wall), pause)
            self._progress.wake_at(attempt, attempt.due[task])
        attempt.interrupted_pauses.clear()

    def _new(self, spec: ShardSpec, run: RunSpec, step: Step) -> Attempt:
        """A new attempt. Older ones of its shard end first: it starts nothing while a process of theirs is left."""
        identity = spec.attempt
        for older in self._progress.by_shard.get((identity.run, identity.shard), {}).values():
            if not older.over:
                self._progress.stop(older, step)
        self._admission.seen(identity)
        step.runs.append(run)
        step.created.append(spec)
        return Attempt(
            spec=spec,
            graph=self._graph(run),
            finished={result.task: result for result in spec.results},
            tries=dict(spec.tries),
        )

    def _graph(self, run: RunSpec) -> TaskGraph:
        graph = self._graphs.get(run.run)
        if graph is None or (graph.run is not run and graph.run != run):
            graph = self._graphs[run.run] = TaskGraph(run)
        return graph

    def expire(self, steps: Sequence[Step], now: float) -> None:
        """To be called before `steps` are journalled: a create that has waited for that until past its fence is not taken after all."""
        late = {spec.attempt for step in steps for spec in step.created if now > spec.fence.not_after}
        if not late:
            return
        for identity in late & self._progress.attempts.keys():
            self._progress.drop(self._progress.attempts[identity])
        for step in steps:
            step.created = [spec for spec in step.created if spec.attempt not in late]
            step.tasks = [task for task in step.tasks if task.attempt not in late]
            step.events = [event for event in step.events if event.attempt not in late]
            step.launches = [launch for launch in step.launches if launch.attempt not in late]
        self._progress.fill(steps[-1])

    def held(self, answers: BatchAnswers) -> BatchAnswers:
        """The answers when their step is durable: without creates that have expired meanwhile."""
        refused = CreateOutcome.REFUSED
        lost = [
            answer.attempt
            for answer in answers.creates
            if answer.outcome is not refused and not self._knows(answer.attempt)
        ]
        if not lost:
            return answers
        reasons = {
            identity: "Tombstoned" if identity in self._memory.tombstones else "Late" for identity in lost
        }
        creates = [
            CreateAnswer(attempt=answer.attempt, outcome=refused, reason=reasons[answer.attempt])
            if answer.attempt in reasons
            else answer
            for answer in answers.creates
        ]
        return replace(answers, creates=tuple(creates))

    def _knows(self, identity: AttemptId) -> bool:
        return identity in self._progress.attempts or identity in self._memory.ended
