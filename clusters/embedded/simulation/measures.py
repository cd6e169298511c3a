"""What happened in a simulation: response and waiting times, throughput, use of workers, missed deadlines."""

import math
import statistics
from collections.abc import Sequence

from msgspec import Struct

from clusters.embedded.scheduling.launch import Launch
from clusters.embedded.simulation.loads import Arrival

WARM_UP = 10
"""One part in so many of the runs, the first, is left out of response and waiting times."""
BATCHES = 20
"""The number of batches by whose means the error of a mean is estimated: runs depend on those before."""


class Spread(Struct, frozen=True, kw_only=True):
    """The distribution of a measured time, in seconds."""

    mean: float
    error: float
    """Half the width of the mean's 95 % confidence interval, by the means of batches."""
    p50: float
    p95: float
    p99: float
    maximum: float


class Summary(Struct, frozen=True, kw_only=True):
    """The result of a simulation, of one load on one cluster."""

    runs: int
    tasks: int
    seconds: float
    """The virtual time from the first arrival to the last end."""
    throughput: float
    """The runs that ended in a second."""
    utilization: float
    """The part of the workers' time, until the last arrival, in which they had a task."""
    response: Spread
    """From a run's arrival to its end."""
    wait: Spread
    """From the moment a task was ready to its start."""
    missed: int
    """The runs that were ended by their deadlines."""


class Measures:
    """Collects what happens to runs and tasks in a simulation."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.ended = self.missed = self._tasks = 0
        self._arrived: dict[str, float] = {}
        self._running: dict[tuple[str, str], float] = {}
        self._cpu = self._busy = self._changed = self._last = 0.0
        self._until_last_arrival = (0.0, 0.0)
        """The virtual time of the last arrival, and the processor seconds until then."""
        self._first: float | None = None
        self.responses: list[float] = []
        self._waits: list[float] = []
        self.names: dict[str, str] = {}
        self.worst: dict[str, float] = {}
        """The longest response of the runs of each name."""

    def arrive(self, arrival: Arrival) -> None:
        """Counts a run that has arrived."""
        self._first = arrival.at if self._first is None else self._first
        self._integrate(arrival.at)
        self._until_last_arrival = (arrival.at, self._busy)
        self._arrived[arrival.run.run] = arrival.at
        self.names[arrival.run.run] = arrival.name

    def start_task(self, launch: Launch, now: float) -> None:
        """Counts a task that a worker begins at the virtual time `now`."""
        self._tasks += 1
        self._waits.append(launch.waited_seconds)
        self._integrate(now)
        cpu = launch.task.resources.cpu
        self._running[launch.attempt.run, launch.task.name] = cpu
        self._cpu += cpu

    def end_task(self, run: str, task: str, now: float) -> None:
        """Counts the end of a task that was started: its worker is free from `now` on."""
        self._integrate(now)
        self._cpu -= self._running.pop((run, task))

    def _integrate(self, now: float) -> None:
        self._busy += self._cpu * (now - self._changed)
        self._changed = now

    def end_run(self, run: str, now: float, *, succeeded: bool) -> None:
        """Counts the end of a run, which missed its deadline if it has not `succeeded`."""
        self.ended += 1
        self.missed += not succeeded
        response = now - self._arrived.pop(run)
        self.responses.append(response)
        name = self.names.pop(run)
        self.worst[name] = max(self.worst.get(name, 0.0), response)
        self._last = now

    def summary(self) -> Summary:
        """Returns the result of all that was counted."""
        first = self._first or 0.0
        seconds = self._last - first
        # Not to the end of a long last task, beside which nothing is left to do.
        arrived, busy = self._until_last_arrival
        if arrived == first:
            arrived, busy = self._last, self._busy
        return Summary(
            runs=self.ended,
            tasks=self._tasks,
            seconds=seconds,
            throughput=self.ended / seconds if seconds else 0.0,
            utilization=busy / ((arrived - first) * self._workers) if arrived > first else 0.0,
            response=spread(self.responses),
            wait=spread(self._waits),
            missed=self.missed,
        )


def spread(values: Sequence[float]) -> Spread:
    """Sums up measured times, without those of the warm-up."""
    kept = list(values[len(values) // WARM_UP :]) or [0.0]
    size = max(1, len(kept) // BATCHES)
    means = [statistics.fmean(kept[at : at + size]) for at in range(0, len(kept) - size + 1, size)]
    error = 1.96 * statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0.0
    ordered = sorted(kept)
    return Spread(
        mean=statistics.fmean(kept),
        error=error,
        p50=_quantile(ordered, 0.5),
        p95=_quantile(ordered, 0.95),
        p99=_quantile(ordered, 0.99),
        maximum=ordered[-1],
    )


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
