"""Runs the attempts of a model cluster in virtual time: starts and ends their tasks, and journals both."""

import random
from collections.abc import Callable

from clusters.protocol import AttemptEndKind, AttemptId, LeaseAsked
from tests.simulation import fan_outs
from tests.simulation.failing_attempts import goes_on, phase_without_run, stopped_tasks
from tests.simulation.journal import Attempt, Journal, Start
from waypost.workflow.instances import task_of
from waypost.workflow.task import SideEffects, TaskSpec
from waypost.workflow.task_phase import TaskPhase

LEASE_SECONDS = 15.0
ASK_SECONDS = 5.0


class AttemptRunner:
    """What a model cluster does with its attempts as time passes."""

    region: str
    journal: Journal
    processors = 10_000
    """The number of tasks that run at once; others wait in the order in which their attempts came."""
    lingering: dict[AttemptId, tuple[float, Attempt]]
    asks: list[LeaseAsked]
    _rng: random.Random
    _on_start: Callable[[Start], None]
    _ask: int

    def _stop(self, attempt: Attempt, now: float) -> None:
        for _, start in attempt.running.values():
            start.ended = now
        attempt.running.clear()

    def _advance(self, identity: AttemptId, attempt: Attempt, now: float) -> None:
        exclusive = attempt.run.side_effects is SideEffects.EXCLUSIVE
        if exclusive:
            self._hold_lease(identity, attempt, now)
        self._finish_due_tasks(identity, attempt, now)
        if attempt.ended or (exclusive and attempt.lease_until <= now):
            return
        if any((other.run, other.shard) == (identity.run, identity.shard) for other in self.lingering):
            return  # it starts nothing while a process of an older one is left
        self._begin_ready_tasks(identity, attempt, exclusive, now)
        if attempt.ended:
            return
        all_ended = all(spec.name in attempt.finished for spec in attempt.run.tasks)
        if all_ended or (attempt.failed and not goes_on(attempt)):
            attempt.ended = True
            failed = AttemptEndKind.FAILED if attempt.failed else AttemptEndKind.SUCCEEDED
            self.journal.report_end(identity, failed)

    def _begin_ready_tasks(self, identity: AttemptId, attempt: Attempt, exclusive: bool, now: float) -> None:
        for spec in attempt.run.tasks:
            # A task with `forEach` may fail as it begins.
            if attempt.ended:
                return
            ready = spec.name not in attempt.finished and spec.name not in attempt.running
            if ready and (phase := phase_without_run(attempt, spec)) is not None:
                self._record(identity, attempt, spec.name, phase, now)
                continue
            if sum(len(one.running) for one in self.journal.attempts.values()) >= self.processors:
                return
            if not ready or not all(need in attempt.finished for need in spec.needs):
                continue
            if spec.for_each is None:
                self._start(identity, attempt, spec.name, spec.run["seconds"], exclusive, now)
            else:
                self._advance_fan_out(identity, attempt, spec, exclusive, now)

    def _advance_fan_out(
        self, identity: AttemptId, attempt: Attempt, spec: TaskSpec, exclusive: bool, now: float
    ) -> None:
        """Begins a task with `forEach`, starts its instances, and ends it with the last of them."""
        if spec.name not in attempt.fan_outs:
            if (count := fan_outs.item_count(attempt, spec)) is None:
                self._fail(identity, attempt, spec, now)
                return
            attempt.fan_outs[spec.name] = count
            self.journal.report_task(identity, attempt, spec.name, TaskPhase.RUNNING, now, instances=count)
        for name in fan_outs.startable(attempt, spec):
            self._start(identity, attempt, name, spec.run["seconds"], exclusive, now)
        failed = fan_outs.failed(attempt, spec)
        if failed and fan_outs.ends_others(attempt, spec):
            self._stop_tasks(identity, attempt, fan_outs.running(attempt, spec), now)
            self._fail(identity, attempt, spec, now)
        elif fan_outs.all_ended(attempt, spec):
            if failed:
                self._fail(identity, attempt, spec, now)
            else:
                self._record(identity, attempt, spec.name, TaskPhase.SUCCEEDED, now)

    def _finish_due_tasks(self, identity: AttemptId, attempt: Attempt, now: float) -> None:
        for task, (ends, start) in list(attempt.running.items()):
            # The failure of one ends others.
            if ends <= now and task in attempt.running and not attempt.ended:
                start.ended = now
                del attempt.running[task]
                self._finish(identity, attempt, task, now)

    def _hold_lease(self, identity: AttemptId, attempt: Attempt, now: float) -> None:
        if attempt.lease_until <= now:
            self._stop(attempt, now)
        if now - attempt.asked_at >= ASK_SECONDS:
            self._ask += 1
            attempt.asked_at = attempt.asked[self._ask] = now
            self.asks.append(LeaseAsked(attempt=identity, ask=self._ask))

    def _start(
        self, identity: AttemptId, attempt: Attempt, task: str, seconds: float, exclusive: bool, now: float
    ) -> None:
        start = Start(region=self.region, attempt=identity, task=task, exclusive=exclusive, began=now)
        attempt.tries[task] = attempt.tries.get(task, 0) + 1
        attempt.running[task] = (now + seconds * self._rng.uniform(0.5, 1.5), start)
        self._on_start(start)
        self.journal.report_task(identity, attempt, task, TaskPhase.RUNNING, now)

    def _finish(self, identity: AttemptId, attempt: Attempt, task: str, now: float) -> None:
        spec = next(t for t in attempt.run.tasks if t.name == task_of(task))
        if self._rng.random() < spec.run.get("failing", 0.0):
            if attempt.tries[task] <= spec.retry.limit:
                self.journal.report_task(identity, attempt, task, TaskPhase.RETRYING, now)
            elif spec.name == task:
                self._fail(identity, attempt, spec, now)
            else:
                self._record(identity, attempt, task, TaskPhase.FAILED, now)
            return
        if "items" in spec.run:
            # Another number each time that it runs: items of an earlier list are others.
            attempt.outputs[task] = list(range(self._rng.randint(*spec.run["items"])))
        self._record(identity, attempt, task, TaskPhase.SUCCEEDED, now)

    def _fail(self, identity: AttemptId, attempt: Attempt, spec: TaskSpec, now: float) -> None:
        self._record(identity, attempt, spec.name, TaskPhase.FAILED, now)
        if spec.continue_on_failure:
            return
        attempt.failed = True
        if not goes_on(attempt):
            attempt.ended = True
            self._stop(attempt, now)
            self.journal.report_end(identity, AttemptEndKind.FAILED)
        elif attempt.run.fail_fast:
            self._stop_tasks(identity, attempt, stopped_tasks(attempt), now)

    def _stop_tasks(self, identity: AttemptId, attempt: Attempt, tasks: list[str], now: float) -> None:
        for task in tasks:
            _, start = attempt.running.pop(task)
            start.ended = now
            self._record(identity, attempt, task, TaskPhase.STOPPED, now)

    def _record(self, identity: AttemptId, attempt: Attempt, task: str, phase: TaskPhase, now: float) -> None:
        attempt.finished[task] = phase
        self.journal.report_task(identity, attempt, task, phase, now, attempt.fan_outs.get(task))
