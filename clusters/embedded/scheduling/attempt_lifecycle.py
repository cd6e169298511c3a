"""Moves an attempt inside one cluster from its first ready task to its end, without I/O or clock.

Every method changes the attempt's state, and adds to the `Step` what is to be journalled and done for it.
"""

from collections.abc import Iterable
from typing import Any

from clusters.embedded.queueing.ready_task import NEVER_ENDS, ReadyTask
from clusters.embedded.queueing.task_queue import TaskQueue
from clusters.embedded.scheduling.attempt import Attempt, size_of
from clusters.embedded.scheduling.attempt_table import Attempts
from clusters.embedded.scheduling.launch import Launch, next_launch
from clusters.embedded.scheduling.readiness import may_start_tasks, waits_for_nothing
from clusters.embedded.scheduling.scheduler_step import Step, TaskRecord
from clusters.protocol import (
    DEADLINE_EXCEEDED,
    LEASE_ENDED,
    AttemptEnded,
    AttemptEndKind,
    TaskChanged,
    TaskPhase,
    TaskResult,
)
from waypost.condition_evaluation.messages import ConditionAnswer
from waypost.workflow.placeholders import PlaceholderError


class AttemptLifecycle:
    """Runs the life cycle of attempts: queues ready tasks, starts them on free processors, ends attempts."""

    def __init__(self, attempts: Attempts, queue: TaskQueue, *, seq: int) -> None:
        self.seq = seq
        """The sequence number (seq) of the newest event."""
        self._attempts, self._queue = attempts, queue

    # Tasks on their way

    def queue_ready_tasks(self, attempt: Attempt, step: Step, among: Iterable[str] | None = None) -> None:
        """Queues the attempt's tasks that wait for nothing, or requests the evaluation of their conditions.

        `among` are the only tasks that can have become ready; if it is None, any task can. An attempt without
        tasks left to run is ended.
        """
        if not self._may_start_tasks(attempt, step):
            return
        for name in attempt.unmet_needs if among is None else among:
            if not waits_for_nothing(attempt, name):
                continue
            if attempt.tasks[name].when is None:
                self._enqueue(attempt, name, step.now)
            else:
                attempt.evaluating.add(name)
                step.evaluations.append((attempt.id, name))
        # If the last tasks were skipped, or one has failed, no try is left to bring the attempt to its end.
        self.end_if_done(attempt, step)

    def apply_condition(self, attempt: Attempt, task: str, answer: ConditionAnswer, step: Step) -> None:
        """Queues, skips or fails a task, by the result of its condition (`when`); ignores late results."""
        # The attempt was stopped, has failed or was put to sleep: nothing waits for the answer.
        if task not in attempt.evaluating:
            return
        attempt.evaluating.remove(task)
        # Its lease may have ended meanwhile: it is asked again when there is one.
        if not self._may_start_tasks(attempt, step):
            return
        if answer.error:
            self.fail_task(attempt, task, f"when: {answer.error}", step.wall, step)
            self.end_if_done(attempt, step)
        elif answer.holds:
            self._enqueue(attempt, task, step.now)
        else:
            self.finish_task(attempt, TaskResult(task=task, skipped=True), step.wall, step)
            # A skipped task counts as finished for those that need it.
            self.queue_ready_tasks(attempt, step, attempt.dependents[task])

    def _enqueue(self, attempt: Attempt, task: str, now: float) -> None:
        attempt.queued.add(task)
        self._queue.add(
            ReadyTask(
                attempt=attempt.id,
                task=task,
                run=attempt.run,
                spec=attempt.tasks[task],
                path=attempt.graph.paths.get(task, 1),
                deadline=NEVER_ENDS if attempt.expires_at is None else attempt.expires_at,
                since=now,
            )
        )

    def launch_queued_tasks(self, step: Step) -> None:
        """Starts queued tasks, in the order of the queue, until none may start."""
        while (ready := self._queue.next_task(step.now)) is not None:
            attempt = self._attempts.by_id[ready.attempt]
            attempt.queued.remove(ready.task)
            # Its lease may be about to end.
            launch = self._next_launch(attempt, ready, step) if self._may_start_tasks(attempt, step) else None
            if launch is None:
                self._queue.withdraw(ready.attempt, ready.task, step.now)
            else:
                self._queue.start(step.now)
                self._launch(attempt, launch, step)

    @property
    def next_timer(self) -> float | None:
        """Returns the uptime at which the next timer fires, of an attempt or the queue; None without one."""
        timers = (self._attempts.next_timer, self._queue.next_timer)
        return min((at for at in timers if at is not None), default=None)

    def _next_launch(self, attempt: Attempt, ready: ReadyTask, step: Step) -> Launch | None:
        """Returns the next try of a task, or None where its placeholders cannot be filled in: it fails."""
        try:
            return next_launch(attempt, attempt.tasks[ready.task], step.now - ready.since)
        except PlaceholderError as error:
            self.fail_task(attempt, ready.task, str(error), step.wall, step)
            self.end_if_done(attempt, step)
            return None

    def _launch(self, attempt: Attempt, launch: Launch, step: Step) -> None:
        task = launch.task.name
        attempt.tries[task] = launch.tries
        attempt.running[task] = step.wall
        attempt.started[task] = step.now
        step.tasks.append(TaskRecord(attempt=attempt.id, task=task, tries=launch.tries))
        self._report(attempt, task, TaskPhase.RUNNING, step.wall, step)
        step.launches.append(launch)

    def end_try(self, attempt: Attempt, task: str, now: float) -> float:
        """Removes an ended task execution (try) and frees what it held; returns its start (Unix time)."""
        seconds = now - attempt.started.pop(task)
        self._queue.end(attempt.run, attempt.tasks[task], seconds, now)
        return attempt.running.pop(task)

    def schedule_retry(
        self, attempt: Attempt, task: str, pause: float, reason: str, began: float, step: Step
    ) -> None:
        """Schedules a task's next try after `pause` seconds; reports the retry if `reason` is not empty."""
        due = step.wall + pause
        if pause:
            step.tasks.append(TaskRecord(attempt=attempt.id, task=task, tries=attempt.tries[task], due=due))
        if reason:
            self._report(attempt, task, TaskPhase.RETRYING, began, step, reason=reason, next_try_at=due)
        # A sleeping attempt (the journal was found to be a copy) goes on only when it is created again.
        if attempt.awake:
            attempt.due[task] = step.now + pause
            self._attempts.set_timer(attempt, attempt.due[task])

    # Results

    def finish_task(self, attempt: Attempt, result: TaskResult, began: float, step: Step) -> None:
        """Records the result of a task that succeeded or was skipped.

        `began` is the start of the task's last execution, in seconds since 1970.
        """
        task = result.task
        attempt.finished[task] = result
        attempt.output_bytes += size_of(result)
        attempt.unmet_needs.pop(task, None)
        for dependent in attempt.dependents[task]:
            if dependent in attempt.unmet_needs:
                attempt.unmet_needs[dependent] -= 1
        tries = attempt.tries.get(task, 0)
        step.tasks.append(TaskRecord(attempt=attempt.id, task=task, tries=tries, result=result))
        phase = TaskPhase.SKIPPED if result.skipped else TaskPhase.SUCCEEDED
        self._report(attempt, task, phase, began, step, output=result.output)

    def fail_task(self, attempt: Attempt, task: str, reason: str, began: float, step: Step) -> None:
        """Records that a task, and so the attempt, has failed for good; kills the attempt's other tasks.

        `began`: the start of the task's last try, in seconds since 1970; the present where none was started.
        """
        attempt.failure = f"task {task}: {reason}"
        self._withdraw_waiting_tasks(attempt, step.now)
        # Journalled at once: after a crash before the attempt's end the task must not be tried again.
        step.failures.append((attempt.id, attempt.failure))
        self._report(attempt, task, TaskPhase.FAILED, began, step, reason=reason)
        self._kill_tries(attempt, step)

    def expire(self, attempt: Attempt, step: Step) -> bool:
        """Ends an attempt as failed if its deadline has passed; returns whether it has."""
        if attempt.expires_at is None or step.now < attempt.expires_at:
            return False
        # An attempt that has failed before its deadline keeps its first reason.
        if not attempt.failure:
            attempt.failure = DEADLINE_EXCEEDED
            self._withdraw_waiting_tasks(attempt, step.now)
            step.failures.append((attempt.id, attempt.failure))
            self._kill_tries(attempt, step)
            self.end_if_done(attempt, step)
        return True

    def lose_lease(self, attempt: Attempt, task: str, began: float, step: Step) -> None:
        """Ends an attempt as lost because its run-lease has ended; killed tries do not use up retries."""
        for name, since in {task: began, **attempt.running}.items():
            attempt.tries[name] -= 1
            step.tasks.append(TaskRecord(attempt=attempt.id, task=name, tries=attempt.tries[name]))
            self._report(attempt, name, TaskPhase.RUNNING, since, step)
        self.lose(attempt, LEASE_ENDED, step)

    def lose(self, attempt: Attempt, reason: str, step: Step) -> None:
        """Ends an attempt as lost, without a failed task, so that another cluster may resume its shard."""
        attempt.failure, attempt.lost = reason, True
        self._withdraw_waiting_tasks(attempt, step.now)
        self._kill_tries(attempt, step)

    # Ends

    def stop(self, attempt: Attempt, step: Step) -> None:
        """Stops an attempt that the gateway ended or replaced: kills its tasks and starts no others."""
        self._attempts.mark_stopped(attempt)
        self._withdraw_waiting_tasks(attempt, step.now)
        self._kill_tries(attempt, step)

    def end_if_done(self, attempt: Attempt, step: Step) -> None:
        """Ends an attempt if it has no running task and none left to start.

        If it was stopped, a newer attempt of the shard that waited for its end goes on.
        """
        if attempt.running:
            return
        if attempt.stopped:
            if attempt.id in self._attempts.by_id:
                self._attempts.remove(attempt)
            # The newer attempt of the shard was not to start while processes of this one were left.
            for newer in self._attempts.of_shard(attempt.shard):
                self.queue_ready_tasks(newer, step)
        elif not attempt.end_seq and (attempt.failure or not attempt.unmet_needs):
            self._count_event(attempt, step)
            self._attempts.mark_ended(attempt, self.seq, step.wall)
            step.events.append(
                AttemptEnded(seq=self.seq, attempt=attempt.id, end=_end_kind(attempt), reason=attempt.failure)
            )

    def withdraw(self, attempt: Attempt, now: float) -> None:
        """Removes an attempt whose creation is not journalled yet; none of its tasks ever runs."""
        self._withdraw_waiting_tasks(attempt, now)
        for task in tuple(attempt.running):
            self.end_try(attempt, task, now)
        self._attempts.remove(attempt)

    def put_to_sleep(self, attempt: Attempt, step: Step) -> None:
        """Kills an attempt's tasks, and starts none until the gateway requests the attempt again."""
        attempt.awake = attempt.end_seq > 0
        self._withdraw_waiting_tasks(attempt, step.now)
        self._kill_tries(attempt, step)

    def _withdraw_waiting_tasks(self, attempt: Attempt, now: float) -> None:
        attempt.due.clear()
        attempt.evaluating.clear()
        for task in attempt.queued:
            self._queue.withdraw(attempt.id, task, now)
        attempt.queued.clear()

    def _kill_tries(self, attempt: Attempt, step: Step) -> None:
        step.kills += [(attempt.id, task) for task in attempt.running]

    def _may_start_tasks(self, attempt: Attempt, step: Step) -> bool:
        leftovers = self._attempts.has_leftovers(attempt.shard)
        return may_start_tasks(attempt, step.now, leftovers=leftovers)

    def _count_event(self, attempt: Attempt, step: Step) -> None:
        self.seq += 1
        self._queue.unacknowledged.add(self.seq, attempt.run.fairness_key, step.now)

    def _report(
        self,
        attempt: Attempt,
        task: str,
        phase: TaskPhase,
        began: float,
        step: Step,
        *,
        output: Any = None,
        reason: str = "",
        next_try_at: float | None = None,
    ) -> None:
        self._count_event(attempt, step)
        step.events.append(
            TaskChanged(
                seq=self.seq,
                attempt=attempt.id,
                task=task,
                phase=phase,
                tries=attempt.tries.get(task, 0),
                started_at=began,
                ended_at=None if phase is TaskPhase.RUNNING else step.wall,
                next_try_at=next_try_at,
                output=output,
                reason=reason,
            )
        )


def _end_kind(attempt: Attempt) -> AttemptEndKind:
    if attempt.lost:
        return AttemptEndKind.LOST
    return AttemptEndKind.FAILED if attempt.failure else AttemptEndKind.SUCCEEDED
