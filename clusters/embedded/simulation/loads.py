"""Loads for a simulated cluster: runs, each with the time at which it arrives and its deadline."""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from heapq import merge

from msgspec import Struct, structs

from clusters.protocol import RunSpec
from waypost.workflow.task import TaskSpec

SIMULATED = "delay"
"""The type of all simulated tasks; each occupies one processor, or what it asks for, for its `seconds`."""


class Arrival(Struct, frozen=True, kw_only=True):
    """A run of one shard that arrives at a cluster. Times are seconds of the virtual clock."""

    at: float
    run: RunSpec
    deadline: float | None = None
    """The time at which its deadline passes; None for no deadline."""
    name: str = ""
    """What the run is one of, such as a periodic job."""


class Job(Struct, frozen=True, kw_only=True):
    """A periodic job: each `period` seconds a run of `seconds` arrives, and is due when the next one does."""

    seconds: float
    """The time that a worker takes for one run."""
    period: float
    """The seconds from one arrival to the next."""

    @property
    def load(self) -> float:
        """Returns the part of one worker's time that the job takes."""
        return self.seconds / self.period

    def __str__(self) -> str:
        return f"{self.seconds:g}/{self.period:g}"


class Service(StrEnum):
    """The distributions that service times are drawn from, each with any mean."""

    EXPONENTIAL = "exponential"
    CONSTANT = "constant"
    LOGNORMAL = "lognormal"
    PARETO = "pareto"
    """A heavy tail, with a shape of 2.2: most are short, few are very long."""


PARETO_SHAPE = 2.2
LOGNORMAL_SIGMA = 1.5


def squared_variation(service: Service) -> float:
    """Returns the squared coefficient of variation of the service times: variance over squared mean."""
    match service:
        case Service.EXPONENTIAL:
            return 1.0
        case Service.CONSTANT:
            return 0.0
        case Service.LOGNORMAL:
            return math.exp(LOGNORMAL_SIGMA**2) - 1
        case Service.PARETO:
            return 1 / (PARETO_SHAPE * (PARETO_SHAPE - 2))


def service_time(service: Service, mean: float, dice: random.Random) -> float:
    """Draws one service time, in seconds, from a distribution with this mean."""
    match service:
        case Service.EXPONENTIAL:
            return dice.expovariate(1 / mean)
        case Service.CONSTANT:
            return mean
        case Service.LOGNORMAL:
            sigma = LOGNORMAL_SIGMA
            return dice.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)
        case Service.PARETO:
            return mean * (PARETO_SHAPE - 1) / PARETO_SHAPE * dice.paretovariate(PARETO_SHAPE)


def asking(tasks: Iterable[TaskSpec], memory_mib: int | None) -> tuple[TaskSpec, ...]:
    """Returns tasks that ask for so much memory each; None leaves them as they are."""
    if memory_mib is None:
        return tuple(tasks)
    return tuple(
        structs.replace(task, resources=structs.replace(task.resources, memory_mib=memory_mib))
        for task in tasks
    )


def chain(seconds: float, pieces: int = 1) -> tuple[TaskSpec, ...]:
    """Returns tasks of `seconds` in all, one after the other: between two of them others may run."""
    return tuple(
        TaskSpec(
            name=f"t{number}",
            type=SIMULATED,
            run={"seconds": seconds / pieces},
            needs=(f"t{number - 1}",) if number else (),
        )
        for number in range(pieces)
    )


def periodic(jobs: Sequence[Job], *, seconds: float, pieces: int = 1) -> Iterator[Arrival]:
    """Yields the arrivals of periodic jobs, all of which begin at time 0: the worst case, of preemptive ones.

    Each run is a chain of `pieces` tasks, between which others may be served.
    """
    return merge(
        *(_releases(index, job, seconds, pieces) for index, job in enumerate(jobs)),
        key=lambda arrival: arrival.at,
    )


def _releases(index: int, job: Job, seconds: float, pieces: int) -> Iterator[Arrival]:
    spec = RunSpec(run="", tasks=chain(job.seconds, pieces), period_seconds=job.period)
    for number in range(math.ceil(seconds / job.period)):
        at = number * job.period
        run = structs.replace(spec, run=f"j{index}-{number:08}")
        yield Arrival(at=at, run=run, deadline=at + job.period, name=str(job))


def poisson(
    *,
    rate: float,
    service: Service,
    mean: float,
    runs: int,
    seed: int,
    pieces: int = 1,
    memory_mib: int | None = None,
) -> Iterator[Arrival]:
    """Yields `runs` arrivals at random times, `rate` a second on average, of one task each."""
    dice, at = random.Random(seed), 0.0
    for number in range(runs):
        at += dice.expovariate(rate)
        tasks = asking(chain(service_time(service, mean, dice), pieces), memory_mib)
        yield Arrival(at=at, run=RunSpec(run=f"r{number:08}", tasks=tasks))


def recorded(
    workflows: Sequence[tuple[str, tuple[TaskSpec, ...]]], *, rate: float, runs: int, seed: int
) -> Iterator[Arrival]:
    """Yields `runs` arrivals of recorded workflows, drawn at random, at `rate` a second on average."""
    dice, at = random.Random(seed), 0.0
    for number in range(runs):
        name, tasks = dice.choice(workflows)
        yield Arrival(at=at, run=RunSpec(run=f"w{number:08}", tasks=tasks), name=name)
        at += dice.expovariate(rate)


def random_jobs(count: int, utilization: float, dice: random.Random) -> list[Job]:
    """Draws jobs of a given utilization in all, by UUniFast, with periods from 1 to 10 seconds."""
    jobs, left = [], utilization
    for index in range(count):
        rest = left * dice.random() ** (1 / (count - index - 1)) if index < count - 1 else 0.0
        period = 10 ** dice.uniform(0, 1)
        jobs.append(Job(seconds=(left - rest) * period, period=period))
        left = rest
    return jobs
