"""Makes the events by which a cluster reports its tasks and attempts, and numbers them."""

from typing import Any

from clusters.embedded.queueing.unacknowledged_events import UnacknowledgedEvents
from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.scheduler_step import Step
from clusters.protocol import AttemptEnded, AttemptEndKind, TaskChanged, TaskResult
from waypost.workflow.task_phase import TaskPhase


class EventReports:
    """Adds the events about tasks and attempts to steps, each with the next sequence number (seq).

    Counts each among the events that the gateway has not acknowledged yet.
    """

    def __init__(self, unacknowledged: UnacknowledgedEvents, *, seq: int) -> None:
        self.seq = seq
        """The sequence number of the newest event."""
        self._unacknowledged = unacknowledged

    def task(
        self,
        attempt: Attempt,
        task: str,
        phase: TaskPhase,
        began: float,
        step: Step,
        *,
        output: Any = None,
        reason: str = "",
        pause: float | None = None,
        instances: int | None = None,
    ) -> None:
        """Reports that a task is in `phase` now; `began` is the start of its last try (Unix time)."""
        event = TaskChanged(
            seq=self._next_seq(attempt, step),
            attempt=attempt.id,
            task=task,
            phase=phase,
            tries=attempt.tries.get(task, 0),
            started_at=began,
            ended_at=None if phase is TaskPhase.RUNNING else step.wall,
            next_try_at=None if pause is None else step.wall + pause,
            pause_seconds=pause,
            output=output,
            reason=reason,
            instances=instances,
        )
        step.events.append(event)

    def result(self, attempt: Attempt, result: TaskResult, began: float, step: Step) -> None:
        """Reports the result of a task, or of an instance of one."""
        output, reason, count = result.output, result.reason, result.instances
        phase = result.phase
        self.task(attempt, result.task, phase, began, step, output=output, reason=reason, instances=count)

    def end(self, attempt: Attempt, step: Step) -> int:
        """Reports that an attempt has ended, and how; returns the event's sequence number."""
        seq = self._next_seq(attempt, step)
        end = _end_kind(attempt)
        step.events.append(AttemptEnded(seq=seq, attempt=attempt.id, end=end, reason=attempt.failure))
        return seq

    def _next_seq(self, attempt: Attempt, step: Step) -> int:
        self.seq += 1
        self._unacknowledged.add(self.seq, attempt.run.fairness_key, step.now)
        return self.seq


def _end_kind(attempt: Attempt) -> AttemptEndKind:
    if attempt.lost:
        return AttemptEndKind.LOST
    return AttemptEndKind.FAILED if attempt.failure else AttemptEndKind.SUCCEEDED
