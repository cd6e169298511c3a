"""How attempts move on inside one cluster: what is ready, what starts, what a result sets free.

The scheduler's inner half, and as pure.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Iterable
from typing import Any

from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.launch import Launch
from clusters.embedded.scheduling.step import Step, TaskRecord
from clusters.protocol import AttemptEnded, AttemptEndKind, AttemptId, TaskChanged, TaskPhase, TaskResult
from waypost.workflow.conditions import MAXIMUM_STEPS, ConditionError, bind
from waypost.workflow.placeholders import PlaceholderError, render
from waypost.workflow.task import Retry, TaskSpec

MARGIN_SECONDS = 1.0
"""Tasks of an exclusive attempt are killed so long before its lease ends."""

CONDITION_STEPS_AT_ONCE = 500_000
"""About 10 ms. The probes and lease renewals of everybody else wait meanwhile."""


class Progress:
    """The attempts that this cluster holds, the processors they share, and the events they make."""

    def __init__(self, attempts: Iterable[Attempt], *, cpu: float, seq: int) -> None:
        self.cpu, self.seq = cpu, seq
        self.capacity, self.busy = thousandths(cpu), 0
        """Of processors, in thousandths: sums of fractions would drift away from zero."""
        self.attempts: dict[AttemptId, Attempt] = {}
        self.by_shard: dict[tuple[str, int], dict[AttemptId, Attempt]] = {}
        self.held = self.queued = 0
        self.ended: deque[Attempt] = deque()
        """In the order of their end."""
        self._ready: list[tuple[int, int, int, AttemptId, str]] = []
        self._turn = 0
        """Of the task that was started last."""
        self._turns: dict[str, int] = {}
        """Each run's next turn: runs that have tasks waiting take turns."""
        self._timers: list[tuple[float, AttemptId]] = []
        self._order = itertools.count()
        for attempt in attempts:
            self.add(attempt)
        self.ended.extend(
            sorted(
                (attempt for attempt in self.attempts.values() if attempt.end_seq),
                key=lambda attempt: attempt.end_seq,
            )
        )

    def add(self, attempt: Attempt) -> None:
        self.attempts[attempt.id] = attempt
        self.by_shard.setdefault(attempt.shard, {})[attempt.id] = attempt
        self.held += not attempt.over

    def remove(self, attempt: Attempt) -> None:
        del self.attempts[attempt.id]
        del self.by_shard[attempt.shard][attempt.id]
        if not self.by_shard[attempt.shard]:
            del self.by_shard[attempt.shard]

    def drop(self, attempt: Attempt) -> None:
        """Of which nothing was ever started."""
        self.unqueue(attempt)
        self.held -= not attempt.over
        self.busy -= sum(thousandths(attempt.tasks[task].resources.cpu) for task in attempt.running)
        self.remove(attempt)

    def stop(self, attempt: Attempt, step: Step) -> None:
        """Nothing more of it starts, and what runs is killed."""
        self.held -= not attempt.over
        attempt.stopped = True
        self.unqueue(attempt)
        step.kills += [(attempt.id, task) for task in attempt.running]

    def wake_at(self, attempt: Attempt, at: float) -> None:
        heapq.heappush(self._timers, (at, attempt.id))

    def woken(self, now: float) -> list[Attempt]:
        """Attempts that asked to be looked at by now, each once."""
        found: dict[AttemptId, Attempt] = {}
        while self._timers and self._timers[0][0] <= now:
            identity = heapq.heappop(self._timers)[1]
            if identity in self.attempts:
                found[identity] = self.attempts[identity]
        return list(found.values())

    @property
    def next_timer(self) -> float | None:
        return self._timers[0][0] if self._timers else None

    def finish(self, attempt: Attempt, result: TaskResult, began: float, step: Step) -> None:
        task = result.task
        attempt.finished[task] = result
        attempt.unmet_needs.pop(task, None)
        for dependent in attempt.dependents[task]:
            if dependent in attempt.unmet_needs:
                attempt.unmet_needs[dependent] -= 1
        tries = attempt.tries.get(task, 0)
        step.tasks.append(TaskRecord(attempt=attempt.id, task=task, tries=tries, result=result))
        phase = TaskPhase.SKIPPED if result.skipped else TaskPhase.SUCCEEDED
        self.emit(attempt, task, phase, began, step, output=result.output)

    def fail(self, attempt: Attempt, task: str, reason: str, began: float, step: Step) -> None:
        attempt.failure = f"task {task}: {reason}"
        self.unqueue(attempt)
        step.failures.append((attempt.id, attempt.failure))
        self.emit(attempt, task, TaskPhase.FAILED, began, step, reason=reason)
        step.kills += [(attempt.id, other) for other in attempt.running]

    def lose(self, attempt: Attempt, reason: str, step: Step) -> None:
        """This cluster cannot carry on with it; another may."""
        attempt.failure, attempt.lost = reason, True
        self.unqueue(attempt)
        step.kills += [(attempt.id, task) for task in attempt.running]

    def unqueue(self, attempt: Attempt) -> None:
        """Nothing of it waits for its turn any more."""
        attempt.due.clear()
        self.queued -= len(attempt.queued)
        attempt.queued.clear()

    def settle(self, attempt: Attempt, step: Step) -> None:
        """Ends an attempt that has nothing left to do and no process left; wakes the one that waited for it."""
        if attempt.running:
            return
        if attempt.stopped:
            if attempt.id in self.attempts:
                self.remove(attempt)
            for other in list(self.by_shard.get(attempt.shard, {}).values()):
                self.queue_ready(other, step)
        elif not attempt.end_seq and (attempt.failure or not attempt.unmet_needs):
            end = (
                AttemptEndKind.LOST
                if attempt.lost
                else AttemptEndKind.FAILED
                if attempt.failure
                else AttemptEndKind.SUCCEEDED
            )
            self.seq += 1
            attempt.end_seq, attempt.ended_at = self.seq, step.wall
            self.held -= 1
            self.ended.append(attempt)
            step.events.append(
                AttemptEnded(seq=self.seq, attempt=attempt.id, end=end, reason=attempt.failure)
            )

    def emit(
        self,
        attempt: Attempt,
        task: str,
        phase: TaskPhase,
        began: float,
        step: Step,
        *,
        output: Any = None,
        reason: str = "",
    ) -> None:
        self.seq += 1
        ended = None if phase is TaskPhase.RUNNING else step.wall
        event = TaskChanged(
            seq=self.seq,
            attempt=attempt.id,
            task=task,
            phase=phase,
            tries=attempt.tries.get(task, 0),
            started_at=began,
            ended_at=ended,
            output=output,
            reason=reason,
        )
        step.events.append(event)

    def queue_ready(self, attempt: Attempt, step: Step, among: Iterable[str] | None = None) -> None:
        """Lines up tasks that wait for nothing any more, and skips those whose condition is false.

        Conditions beyond `CONDITION_STEPS_AT_ONCE` are due at once: the next tick goes on with them.
        """
        if not self._may_run(attempt, step.now):
            return
        waiting = deque(attempt.unmet_needs if among is None else among)
        while waiting:
            task = waiting.popleft()
            free = (
                attempt.unmet_needs.get(task) == 0
                and task not in attempt.running
                and task not in attempt.queued
            )
            if not free or task in attempt.due or attempt.failure:
                continue
            if attempt.tasks[task].when is not None and step.condition_steps >= CONDITION_STEPS_AT_ONCE:
                attempt.due[task] = step.now
                continue
            verdict = self._condition(attempt, attempt.tasks[task], step)
            if verdict is True:
                self._line_up(attempt, task)
            elif verdict is False:
                self.finish(attempt, TaskResult(task=task, skipped=True), step.wall, step)
                waiting += attempt.dependents[task]
            else:
                self.fail(attempt, task, verdict, step.wall, step)
        if step.now in attempt.due.values():
            self.wake_at(attempt, step.now)
        self.settle(attempt, step)

    def _line_up(self, attempt: Attempt, task: str) -> None:
        attempt.queued.add(task)
        self.queued += 1
        turn = max(self._turn, self._turns.get(attempt.id.run, 0))
        self._turns[attempt.id.run] = turn + 1
        heapq.heappush(
            self._ready, (-attempt.tasks[task].priority, turn, next(self._order), attempt.id, task)
        )

    def forget_turns(self) -> None:
        """Of runs that would come next anyway."""
        self._turns = {run: turn for run, turn in self._turns.items() if turn > self._turn}

    def _may_run(self, attempt: Attempt, now: float) -> bool:
        if not attempt.awake or attempt.over:
            return False
        if any(other.stopped and other.running for other in self.by_shard[attempt.shard].values()):
            return False
        return not attempt.exclusive or attempt.lease_until - MARGIN_SECONDS > now

    def _condition(self, attempt: Attempt, task: TaskSpec, step: Step) -> bool | str:
        """True, False, or what is wrong with it."""
        if task.when is None:
            return True
        outputs = {need: attempt.finished[need].output for need in task.needs}
        try:
            question = bind(task.when, outputs=outputs, params=attempt.run.params, shard=_shard(attempt))
            step.condition_steps += question.steps
            return question.evaluate()
        except ConditionError as error:
            step.condition_steps += MAXIMUM_STEPS
            return f"when: {error}"

    def fill(self, step: Step) -> None:
        """Starts what is lined up, as far as the processors go: by priority, then a task of each run in turn."""
        while self._ready:
            _, turn, _, identity, task = self._ready[0]
            attempt = self.attempts.get(identity)
            if (
                attempt is not None
                and task in attempt.queued
                and self._may_run(attempt, step.now)
                and not attempt.failure
            ):
                if self.busy + thousandths(attempt.tasks[task].resources.cpu) > self.capacity:
                    return
                self._turn = max(self._turn, turn)
                self._launch(attempt, attempt.tasks[task], step)
            if attempt is not None and task in attempt.queued:
                attempt.queued.remove(task)
                self.queued -= 1
            heapq.heappop(self._ready)

    def _launch(self, attempt: Attempt, task: TaskSpec, step: Step) -> None:
        launch = _launch(attempt, task)
        if isinstance(launch, str):
            self.fail(attempt, task.name, launch, step.wall, step)
            self.settle(attempt, step)
            return
        attempt.tries[task.name] = launch.tries
        attempt.running[task.name] = step.wall
        self.busy += thousandths(task.resources.cpu)
        step.tasks.append(TaskRecord(attempt=attempt.id, task=task.name, tries=launch.tries))
        self.emit(attempt, task.name, TaskPhase.RUNNING, step.wall, step)
        step.launches.append(launch)


def thousandths(cpu: float) -> int:
    """Of a processor; the least that a task can take is one."""
    return max(1, round(cpu * 1000))


def _shard(attempt: Attempt) -> dict[str, Any]:
    return {"index": attempt.id.shard, "count": attempt.run.shard_count, "item": attempt.spec.item}


def _launch(attempt: Attempt, task: TaskSpec) -> Launch | str:
    """The try that is next, or why there cannot be one."""
    shard = _shard(attempt)
    try:
        run, source, target = (
            render(value, {"shard": shard}, last=True) for value in (task.run, task.source, task.target)
        )
    except PlaceholderError as error:
        return str(error)
    outputs = {need: attempt.finished[need].output for need in task.needs}
    given = {
        "params": attempt.run.params,
        "shard": shard,
        "source": source,
        "target": target,
        "outputs": outputs,
    }
    rendered = TaskSpec(
        name=task.name,
        type=task.type,
        run=run,
        timeout_seconds=task.timeout_seconds,
        resources=task.resources,
        retry=task.retry,
    )
    return Launch(
        attempt=attempt.id,
        task=rendered,
        tries=attempt.tries.get(task.name, 0) + 1,
        input=given,
        exclusive=attempt.exclusive,
    )


def pause_after(retry: Retry, tries: int) -> float:
    """Seconds between a task's try number `tries` and the next."""
    return min(retry.backoff_seconds * retry.factor ** (tries - 1), retry.max_seconds)
