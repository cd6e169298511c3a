"""The processors of this cluster, shared by the tries that run."""

from waypost.workflow.task import TaskSpec


class Processors:
    """Counts processors in use, in whole thousandths (millicpu): sums of fractions drift away from zero."""

    def __init__(self, cpu: float) -> None:
        self.cpu = cpu
        self._capacity, self._busy = millicpu(cpu), 0

    def __repr__(self) -> str:
        return f"Processors({self._busy} of {self._capacity} millicpu busy)"

    def has_room_for(self, task: TaskSpec) -> bool:
        return self._busy + millicpu(task.resources.cpu) <= self._capacity

    def acquire(self, task: TaskSpec) -> None:
        self._busy += millicpu(task.resources.cpu)

    def release(self, task: TaskSpec) -> None:
        self._busy -= millicpu(task.resources.cpu)

    def close(self) -> None:
        """Has no room for any task from now on."""
        self._capacity = 0


def millicpu(cpu: float) -> int:
    """Thousandths of a processor. At least one, so that every task takes some of the capacity."""
    return max(1, round(cpu * 1000))
