"""The type of an entry of the queue: a task that is ready, with all that a queue policy reads of it."""

from typing import Final

from msgspec import Struct

from clusters.protocol import AttemptId, RunSpec
from waypost.workflow.task import TaskSpec

NEVER_ENDS: Final = float("inf")


class ReadyTask(Struct, frozen=True, kw_only=True, eq=False):
    """One task that waits in the queue until it may start. Times are uptimes of the cluster."""

    attempt: AttemptId
    task: str
    run: RunSpec
    spec: TaskSpec
    path: int = 1
    """The number of tasks on the longest path that begins with this one: those behind it wait for it."""
    deadline: float = NEVER_ENDS
    """The uptime at which the run's deadline passes; infinite where it has none."""
    since: float
    """The uptime at which the task became ready."""

    @property
    def key(self) -> str:
        """Returns the fairness key (the tenant) whose turn the task takes."""
        return self.run.fairness_key
