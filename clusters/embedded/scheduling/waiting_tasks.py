"""Says what the tasks of an attempt wait for; changes nothing."""

from collections.abc import Iterator
from itertools import islice

from clusters.embedded.queueing.task_queue import TaskQueue
from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.attempt_table import Attempts
from clusters.embedded.scheduling.lease_requests import lease_is_ending
from clusters.protocol import AttemptId
from clusters.task_waits import WAITS_MAXIMUM, TaskWait, TaskWaits, WaitReason


class WaitingTasks:
    """Looks up which tasks of a cluster's attempts have not ended, and what they wait for."""

    def __init__(self, attempts: Attempts, queue: TaskQueue) -> None:
        self._attempts, self._queue = attempts, queue

    def of(self, identity: AttemptId, now: float) -> TaskWaits:
        """Returns what the tasks of an attempt wait for at uptime `now`; nothing for one that is over."""
        attempt = self._attempts.by_id.get(identity)
        if attempt is None or attempt.over or not attempt.awake:
            return TaskWaits(waits=())
        waiting = [name for name in attempt.unmet_needs if name not in attempt.running]
        # Those that could start first: of thousands that wait for others, a few are enough.
        waiting.sort(key=lambda name: attempt.unmet_needs[name] > 0)
        waits = tuple(islice(self._waits(attempt, waiting, now), WAITS_MAXIMUM))
        return TaskWaits(waits=waits, left_out=len(waiting) - len(waits))

    def is_unfinished(self, identity: AttemptId, task: str) -> bool:
        """Returns whether a task has no result yet in an attempt that goes on, so that its log may grow."""
        attempt = self._attempts.by_id.get(identity)
        return attempt is not None and not attempt.over and task not in attempt.finished

    def _waits(self, attempt: Attempt, waiting: list[str], now: float) -> Iterator[TaskWait]:
        for name in waiting:
            if name in attempt.queued:
                yield self._queue.wait_of(attempt.id, name, now)
            elif name in attempt.due:
                left = max(0.0, attempt.due[name] - now)
                yield TaskWait(task=name, reason=WaitReason.RETRY, left_seconds=left)
            elif name in attempt.evaluating:
                yield TaskWait(task=name, reason=WaitReason.CONDITION)
            elif attempt.unmet_needs[name] == 0 and attempt.exclusive and lease_is_ending(attempt, now):
                yield TaskWait(task=name, reason=WaitReason.LEASE)
            else:
                yield TaskWait(task=name, reason=WaitReason.NEEDS)
