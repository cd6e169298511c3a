"""Moves an attempt inside one cluster from its first ready task to its end, without I/O or clock.

Every method changes the attempt's state, and adds to the `Step` what is to be journalled and done for it.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from clusters.embedded.queueing.ready_task import ReadyTask
from clusters.embedded.queueing.task_queue import TaskQueue
from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.attempt_table import Attempts
from clusters.embedded.scheduling.event_reports import EventReports
from clusters.embedded.scheduling.fan_out import FanOuts
from clusters.embedded.scheduling.launch import Launch, next_launch
from clusters.embedded.scheduling.readiness import may_start_tasks, ready_task, waits_for_nothing
from clusters.embedded.scheduling.scheduler_step import Step, TaskRecord
from clusters.protocol import DEADLINE_EXCEEDED, LEASE_ENDED, TaskResult
from waypost.condition_evaluation.messages import ConditionAnswer
from waypost.workflow.instances import instance_of
from waypost.workflow.placeholders import PlaceholderError
from waypost.workflow.task_phase import TaskPhase

CONDITION_FALSE: Final = "its condition is false"
"""The reason of a task that its `when` has skipped."""


class AttemptLifecycle:
    """Runs the life cycle of attempts: queues ready tasks, starts them on free processors, ends attempts."""

    def __init__(self, attempts: Attempts, queue: TaskQueue, *, seq: int) -> None:
        self._attempts, self._queue = attempts, queue
        self._reports = EventReports(queue.unacknowledged, seq=seq)
        self._fan_outs = FanOuts(self, self._reports)

    @property
    def seq(self) -> int:
        """Returns the sequence number (seq) of the newest event."""
        return self._reports.seq

    def queue_ready_tasks(self, attempt: Attempt, step: Step, among: Iterable[str] | None = None) -> None:
        """Queues the attempt's tasks that may run now, or requests the evaluation of their conditions.

        A task that never runs gets its result, and those that need it are decided about in turn. `among` are
        the only tasks that can have become ready; if it is None, any task can. An attempt without tasks left
        to run is ended.
        """
        if not self._may_start_tasks(attempt, step):
            return
        names = attempt.unmet_needs if among is None else among
        # What ends at once, such as a `forEach` without items, comes here again: in a row, since a chain of
        # such tasks may be longer than calls can be deep.
        if attempt.undecided is not None:
            attempt.undecided.extend(names)
            return
        left = attempt.undecided = deque(names)
        while left:
            name = left.popleft()
            if attempt.fan_outs and self._fan_outs.take_up(attempt, name, step):
                continue
            if not waits_for_nothing(attempt, name):
                continue
            task = attempt.tasks[name]
            if (unrun := attempt.result_without_run(task)) is not None:
                self._record(attempt, unrun, step.wall, step)
                left.extend(attempt.dependents[name])
            elif task.when is None:
                self._fan_outs.begin(attempt, attempt.tasks[name], step)
            else:
                attempt.evaluating.add(name)
                step.evaluations.append((attempt.id, name))
        attempt.undecided = None
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
        elif answer.holds:
            self._fan_outs.begin(attempt, attempt.tasks[task], step)
        else:
            skipped = TaskResult(task=task, skipped=True, reason=CONDITION_FALSE)
            self.finish_task(attempt, skipped, step.wall, step)

    def enqueue(self, attempt: Attempt, task: str, now: float) -> None:
        """Puts a task, all of whose conditions are met, into the queue at the uptime `now`."""
        attempt.queued.add(task)
        self._queue.add(ready_task(attempt, task, now))

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
            return next_launch(attempt, ready.task, step.now - ready.since)
        except PlaceholderError as error:
            self.fail_task(attempt, ready.task, str(error), step.wall, step)
            return None

    def _launch(self, attempt: Attempt, launch: Launch, step: Step) -> None:
        task = launch.task.name
        attempt.tries[task] = launch.tries
        attempt.running[task] = step.wall
        attempt.started[task] = step.now
        step.tasks.append(TaskRecord(attempt=attempt.id, task=task, tries=launch.tries))
        self._reports.task(attempt, task, TaskPhase.RUNNING, step.wall, step)
        step.launches.append(launch)

    def end_try(self, attempt: Attempt, task: str, now: float) -> float:
        """Removes an ended task execution (try) and frees what it held; returns its start (Unix time)."""
        seconds = now - attempt.started.pop(task)
        self._queue.end(attempt.run, attempt.task(task), seconds, now)
        return attempt.running.pop(task)

    def schedule_retry(
        self, attempt: Attempt, task: str, pause: float, reason: str, began: float, step: Step
    ) -> None:
        """Schedules a task's next try after `pause` seconds; reports the retry if `reason` is not empty."""
        due = step.wall + pause
        if pause:
            step.tasks.append(TaskRecord(attempt=attempt.id, task=task, tries=attempt.tries[task], due=due))
        if reason:
            self._reports.task(attempt, task, TaskPhase.RETRYING, began, step, reason=reason, pause=pause)
        # A sleeping attempt (the journal was found to be a copy) goes on only when it is created again.
        if attempt.awake:
            attempt.due[task] = step.now + pause
            self._attempts.set_timer(attempt, attempt.due[task])

    def finish_task(self, attempt: Attempt, result: TaskResult, began: float, step: Step) -> None:
        """Records a task's result, and decides about those that need the task.

        `began` is the start of the task's last try, in seconds since 1970; the present where none was
        started.
        """
        self._record(attempt, result, began, step)
        self.queue_ready_tasks(attempt, step, attempt.dependents.get(result.task, ()))

    def fail_task(self, attempt: Attempt, task: str, reason: str, began: float, step: Step) -> None:
        """Records that a task has failed for good, and ends what ends with it (see `continueOnFailure`).

        `began`: the start of the task's last try, in seconds since 1970; the present where none was started.
        """
        failed = TaskResult(task=task, failure=TaskPhase.FAILED, reason=reason)
        if instance_of(task) is not None:
            self.finish_task(attempt, failed, began, step)
            return
        is_first = not attempt.failure and task not in attempt.graph.tolerated
        if is_first:
            attempt.failure = f"task {task}: {reason}"
            # Journalled at once: after a crash before the attempt's end it must go on as failed.
            step.failures.append((attempt.id, attempt.failure))
        self._record(attempt, failed, began, step)
        if is_first and not attempt.graph.goes_on_after_failure:
            self._end_all_tasks(attempt, step)
        elif is_first and attempt.run.fail_fast:
            self._end_tasks_early(attempt, step)
        self.queue_ready_tasks(attempt, step, attempt.dependents[task])

    def _end_tasks_early(self, attempt: Attempt, step: Step) -> None:
        """Ends the tasks of an attempt that end early with its first failure, under way or waiting."""
        step.kills += [(attempt.id, name) for name in attempt.running if attempt.ends_early(name)]
        waiting = [
            name for name in (*attempt.queued, *attempt.due, *attempt.evaluating) if attempt.ends_early(name)
        ]
        for name in waiting:
            self.dequeue(attempt, name, step.now)
            attempt.due.pop(name, None)
            attempt.evaluating.discard(name)
            if instance_of(name) is None:
                self.stop_task(attempt, name, step.wall, step)
        for name in [name for name in attempt.fan_outs if name in attempt.unmet_needs]:
            self._fan_outs.decide(attempt, name, step)

    def stop_task(self, attempt: Attempt, task: str, began: float, step: Step) -> None:
        """Records that a task was ended, or never begun, because another task of its attempt has failed."""
        stopped = TaskResult(task=task, failure=TaskPhase.STOPPED, reason=attempt.why_stopped(task))
        self.finish_task(attempt, stopped, began, step)

    def _record(self, attempt: Attempt, result: TaskResult, began: float, step: Step) -> None:
        task = result.task
        attempt.finish(result)
        tries = attempt.tries.get(task, 0)
        step.tasks.append(TaskRecord(attempt=attempt.id, task=task, tries=tries, result=result))
        self._reports.result(attempt, result, began, step)
        if attempt.fan_outs and instance_of(task) is not None:
            self._fan_outs.after_instance(attempt, result, step)

    def _end_all_tasks(self, attempt: Attempt, step: Step) -> None:
        attempt.ending = True
        self._withdraw_waiting_tasks(attempt, step.now)
        self._kill_tries(attempt, step)

    def expire(self, attempt: Attempt, step: Step) -> bool:
        """Ends an attempt as failed if its deadline has passed; returns whether it has."""
        if attempt.expires_at is None or step.now < attempt.expires_at:
            return False
        if not attempt.ending:
            # An attempt that has failed before its deadline keeps its first reason.
            attempt.failure = attempt.failure or DEADLINE_EXCEEDED
            step.failures.append((attempt.id, attempt.failure))
            self._end_all_tasks(attempt, step)
            self.end_if_done(attempt, step)
        return True

    def lose_lease(self, attempt: Attempt, task: str, began: float, step: Step) -> None:
        """Ends an attempt as lost because its run-lease has ended; killed tries do not use up retries."""
        for name, since in {task: began, **attempt.running}.items():
            attempt.tries[name] -= 1
            step.tasks.append(TaskRecord(attempt=attempt.id, task=name, tries=attempt.tries[name]))
            self._reports.task(attempt, name, TaskPhase.RUNNING, since, step)
        self.lose(attempt, LEASE_ENDED, step)

    def lose(self, attempt: Attempt, reason: str, step: Step) -> None:
        """Ends an attempt as lost, without a failed task, so that another cluster may resume its shard."""
        attempt.failure, attempt.lost = reason, True
        self._end_all_tasks(attempt, step)

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
        elif not attempt.end_seq and (attempt.ending or not attempt.unmet_needs):
            self._attempts.mark_ended(attempt, self._reports.end(attempt, step), step.wall)

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
        for task in tuple(attempt.queued):
            self.dequeue(attempt, task, now)

    def dequeue(self, attempt: Attempt, task: str, now: float) -> None:
        if task in attempt.queued:
            attempt.queued.remove(task)
            self._queue.withdraw(attempt.id, task, now)

    def _kill_tries(self, attempt: Attempt, step: Step) -> None:
        step.kills += [(attempt.id, task) for task in attempt.running]

    def _may_start_tasks(self, attempt: Attempt, step: Step) -> bool:
        leftovers = self._attempts.has_leftovers(attempt.shard)
        return may_start_tasks(attempt, step.now, leftovers=leftovers)
