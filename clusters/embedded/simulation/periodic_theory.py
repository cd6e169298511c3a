"""Schedulability of periodic jobs on one worker, by theory: preemptive bounds, and tests without preemption.

Deadlines are ends of periods. What a real cluster runs is never preempted: the tests without preemption hold
for it, the bounds only in the limit of jobs that are short, or cut into short tasks.
"""

import math
from collections.abc import Sequence

from msgspec import Struct

from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.simulation.loads import Job

TINY = 1e-9
BUSY_PERIODS = 100_000
"""The most steps of a search for the end of a busy period."""


class PeriodicTheory(Struct, frozen=True, kw_only=True):
    """What theory says of a set of periodic jobs on one worker."""

    utilization: float
    liu_layland: float
    """The utilization up to which rate-monotonic scheduling with preemption meets all deadlines."""
    hyperbolic: float
    """The product of (utilization + 1) over the jobs: up to 2, likewise; it admits more sets."""
    edf_preemptive: bool
    """Whether EDF with preemption meets all deadlines: utilization at most 1."""
    schedulable: bool | None
    """Whether all deadlines are met without preemption under the policy, by an exact or sufficient test.

    None for policies without such a test.
    """


def theory_of(jobs: Sequence[Job], policy: QueuePolicy, *, pieces: int = 1) -> PeriodicTheory:
    """Returns what theory says of the jobs; each run is served in `pieces`, between which others may be."""
    schedulable: bool | None = None
    if policy is QueuePolicy.RATE_MONOTONIC:
        schedulable = all(
            worst_response(jobs, index, pieces=pieces) <= job.period + TINY for index, job in enumerate(jobs)
        )
    elif policy is QueuePolicy.EDF:
        schedulable = edf_schedulable(jobs, pieces=pieces)
    return PeriodicTheory(
        utilization=sum(job.load for job in jobs),
        liu_layland=liu_layland(len(jobs)),
        hyperbolic=math.prod(job.load + 1 for job in jobs),
        edf_preemptive=sum(job.load for job in jobs) <= 1 + TINY,
        schedulable=schedulable,
    )


def due_moments(jobs: Sequence[Job]) -> float:
    """Returns about how many moments `edf_schedulable` looks at: of periods far apart there are many."""
    periods = [job.period for job in jobs]
    return sum(longer / shorter for longer in periods for shorter in periods if shorter < longer)


def liu_layland(jobs: int) -> float:
    """Returns the bound of Liu and Layland (1973) on the utilization of so many jobs: n (2^(1/n) - 1)."""
    return jobs * (2 ** (1 / jobs) - 1)


def worst_response(jobs: Sequence[Job], index: int, *, pieces: int = 1) -> float:
    """Returns an upper bound of a job's response under rate-monotonic scheduling without preemption.

    By the busy period that begins with the longest piece of a job of longer period (George, Rivierre and
    Spuri 1996). With several pieces, only the last of them is safe from jobs of shorter periods. Infinite
    where the busy period does not end.
    """
    job = jobs[index]
    # Of equal periods either may be served first.
    above = [one for at, one in enumerate(jobs) if at != index and one.period <= job.period]
    # More work comes than can be done (or as much before the job has its turn): no busy period ends.
    if sum(one.load for one in above) >= 1 or sum(one.load for one in (*above, job)) > 1 + TINY:
        return math.inf
    blocking = max((one.seconds / pieces for one in jobs if one.period > job.period), default=0.0)
    busy = blocking + job.seconds + sum(one.seconds for one in above)
    for _ in range(BUSY_PERIODS):
        longer = blocking + sum(math.ceil(busy / one.period - TINY) * one.seconds for one in (*above, job))
        if longer <= busy + TINY:
            break
        busy = longer
    else:
        return math.inf
    if busy / job.period > BUSY_PERIODS:
        return math.inf
    last = job.seconds / pieces
    return max(
        _start(blocking + (number + 1) * job.seconds - last, above) + last - number * job.period
        for number in range(math.ceil(busy / job.period - TINY))
    )


def _start(work: float, above: Sequence[Job]) -> float:
    """Returns when the last piece begins, after `work` and all of the jobs `above` that come until then."""
    at = work
    for _ in range(BUSY_PERIODS):
        later = work + sum((math.floor(at / one.period + TINY) + 1) * one.seconds for one in above)
        if later <= at + TINY:
            return at
        at = later
    return math.inf


def edf_schedulable(jobs: Sequence[Job], *, pieces: int = 1) -> bool:
    """Returns whether EDF without preemption meets all deadlines (Jeffay, Stanat and Martel 1991).

    That is, utilization is at most 1, and from no moment on more work can be due than there is time, when a
    piece of a job with a later deadline has just begun.
    """
    ordered = sorted(jobs, key=lambda job: job.period)
    if sum(job.load for job in ordered) > 1 + TINY:
        return False
    for index, job in enumerate(ordered):
        before = ordered[:index]
        points = {
            count * one.period + TINY
            for one in before
            for count in range(1, math.ceil(job.period / one.period))
            if count * one.period < job.period
        }
        for point in points:
            demand = sum(math.floor(point / one.period) * one.seconds for one in before)
            if job.seconds / pieces + demand > point + 2 * TINY:
                return False
    return True
