"""The queue policies: each gives a ready task its rank among the tasks of one tenant.

To add one: write its function, and add it to `POLICIES`. Its value for a task must never change: a queue
reads it once. What follows among tasks of equal rank is the same under every policy (`key_queue.py`).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

from clusters.embedded.queueing.ready_task import NEVER_ENDS, ReadyTask

Rank: TypeAlias = tuple[float, ...]
"""The rank of a task: the smallest starts first."""


class QueuePolicy(StrEnum):
    """The names of the queue policies, as `waypost cluster --queue-policy` has them."""

    PRIORITY = "priority"
    FIFO = "fifo"
    EDF = "edf"
    RATE_MONOTONIC = "rate-monotonic"


def by_priority(task: ReadyTask) -> Rank:
    """Ranks by the run's priority, which policy has capped, then by the task's own."""
    return (-task.run.priority, -task.spec.priority)


def by_age(task: ReadyTask) -> Rank:
    """Ranks by the time at which the task became ready: first in, first out."""
    return (task.since,)


def by_deadline(task: ReadyTask) -> Rank:
    """Ranks by the run's deadline, the earliest first (EDF); runs without one come last."""
    return (task.deadline,)


def by_period(task: ReadyTask) -> Rank:
    """Ranks by the run's period, the shortest first (rate-monotonic); runs without one come last."""
    return (task.run.period_seconds or NEVER_ENDS,)


POLICIES: Final[Mapping[QueuePolicy, Callable[[ReadyTask], Rank]]] = {
    QueuePolicy.PRIORITY: by_priority,
    QueuePolicy.FIFO: by_age,
    QueuePolicy.EDF: by_deadline,
    QueuePolicy.RATE_MONOTONIC: by_period,
}
"""The queue policies by name."""
