"""Counts a cluster's free and busy processors."""

from collections.abc import Container

from waypost.workflow.task import TaskSpec


class Processors:
    """Counts a cluster's free and busy processors, in thousandths (millicpu), which add up exactly.

    Tasks of the types in `waiting` only wait, and occupy no processor.
    """

    def __init__(self, cpu: float, *, waiting: Container[str] = ()) -> None:
        self.cpu, self._waiting = cpu, waiting
        self._capacity, self._busy = millicpu(cpu), 0

    def __repr__(self) -> str:
        return f"Processors({self._busy} of {self._capacity} millicpu busy)"

    def has_room_for(self, task: TaskSpec) -> bool:
        return self._busy + self.occupied_by(task) <= self._capacity

    def acquire(self, task: TaskSpec) -> None:
        self._busy += self.occupied_by(task)

    def release(self, task: TaskSpec) -> None:
        self._busy -= self.occupied_by(task)

    def occupied_by(self, task: TaskSpec) -> int:
        """Returns the processors, in millicpu, that a running task occupies."""
        return 0 if task.type in self._waiting else millicpu(task.resources.cpu)

    @property
    def busy(self) -> float:
        """Returns the number of the cluster's processors that running tasks occupy."""
        return self._busy / 1000

    def close(self) -> None:
        """Sets the free processors to none, for good, so that no further task starts."""
        self._capacity = -1  # a task that only waits would start with 0


def millicpu(cpu: float) -> int:
    """Converts a number of processors to thousandths, rounded, but at least one thousandth."""
    return max(1, round(cpu * 1000))
