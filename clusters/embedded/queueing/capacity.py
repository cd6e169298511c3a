"""Counts what running tasks take of a cluster's processors and of its memory."""

from collections.abc import Container

from waypost.workflow.task import TaskSpec


class Capacity:
    """The processors and the memory of a cluster, and how much of both running tasks have asked for.

    Processors are counted in thousandths (millicpu), which add up exactly, memory in MiB; `memory_mib` None
    is any amount. Tasks of the types in `waiting` only wait, and take neither.
    """

    def __init__(self, cpu: float, *, memory_mib: int | None = None, waiting: Container[str] = ()) -> None:
        self.cpu, self.memory_mib, self._waiting = cpu, memory_mib, waiting
        self._millicpu, self._millicpu_busy, self._mib_busy = millicpu(cpu), 0, 0
        self._closed = False

    def __repr__(self) -> str:
        memory = "" if self.memory_mib is None else f", {self._mib_busy} of {self.memory_mib} MiB"
        return f"Capacity({self._millicpu_busy} of {self._millicpu} millicpu{memory} busy)"

    def has_room_for(self, task: TaskSpec) -> bool:
        processors = self._millicpu_busy + self._millicpu_of(task) <= self._millicpu
        return processors and not self.lacks_memory_for(task) and not self._closed

    def lacks_memory_for(self, task: TaskSpec) -> bool:
        """Returns whether too little memory is free for the task."""
        return self.memory_mib is not None and self._mib_busy + self.memory_of(task) > self.memory_mib

    def acquire(self, task: TaskSpec) -> None:
        self._millicpu_busy += self._millicpu_of(task)
        self._mib_busy += self.memory_of(task)

    def release(self, task: TaskSpec) -> None:
        self._millicpu_busy -= self._millicpu_of(task)
        self._mib_busy -= self.memory_of(task)

    def occupied_by(self, task: TaskSpec) -> int:
        """Returns what a running task takes of the cluster, in millicpu: of processors or memory, the more.

        Half of the memory counts like half of the processors: so who asks for one of them alone has no more
        than a share of the cluster, by dominant resource fairness (Ghodsi and others, NSDI 2011).
        """
        memory = self.memory_of(task)
        if not memory or self.memory_mib is None:
            return self._millicpu_of(task)
        return max(self._millicpu_of(task), -(-memory * self._millicpu // self.memory_mib))

    def _millicpu_of(self, task: TaskSpec) -> int:
        return 0 if task.type in self._waiting else millicpu(task.resources.cpu)

    def memory_of(self, task: TaskSpec) -> int:
        """Returns the MiB that a running task takes: what it asks for, 0 where it does not say."""
        if self.memory_mib is None or task.type in self._waiting:
            return 0
        # One that was taken before the cluster was restarted with less runs when nothing else does.
        return min(task.resources.memory_mib or 0, self.memory_mib)

    @property
    def busy(self) -> float:
        """Returns the number of the cluster's processors that running tasks occupy."""
        return self._millicpu_busy / 1000

    @property
    def memory_busy(self) -> int:
        """Returns the MiB of the cluster's memory that running tasks have asked for."""
        return self._mib_busy

    def close(self) -> None:
        """Lets no further task start, for good."""
        self._closed = True


def millicpu(cpu: float) -> int:
    """Converts a number of processors to thousandths, rounded, but at least one thousandth."""
    return max(1, round(cpu * 1000))
