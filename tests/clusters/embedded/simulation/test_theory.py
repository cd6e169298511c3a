"""Tests the simulated cluster against theory: waiting times, and deadlines of periodic jobs."""

import heapq
import math
import random

import pytest

from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.simulation.loads import (
    Job,
    Service,
    chain,
    periodic,
    poisson,
    random_jobs,
    service_time,
    squared_variation,
)
from clusters.embedded.simulation.measures import Measures
from clusters.embedded.simulation.periodic_theory import liu_layland, theory_of, worst_response
from clusters.embedded.simulation.queueing_theory import erlang_c, mean_wait
from clusters.embedded.simulation.virtual_cluster import VirtualCluster

RM, EDF = QueuePolicy.RATE_MONOTONIC, QueuePolicy.EDF


def simulate(jobs: list[Job], policy: QueuePolicy, *, pieces: int = 1, seconds: float = 150.0) -> Measures:
    cluster = VirtualCluster(1, QueueSettings(policy=policy))
    return cluster.run(periodic(jobs, seconds=seconds, pieces=pieces))


def test_erlang_c_has_its_known_values() -> None:
    """Of one server it is the load; of two with a load of 1 a third; for ten thousand it stays in range."""
    assert erlang_c(1, 0.8) == pytest.approx(0.8)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert erlang_c(10, 8.0) == pytest.approx(0.4092, abs=1e-4)
    assert 0 < erlang_c(10_000, 9_900.0) < 1


def test_bounds_have_their_known_values() -> None:
    """Liu and Layland: 1 for one job, 0.828 for two, ln 2 for many."""
    assert [round(liu_layland(n), 3) for n in (1, 2, 3, 1_000_000)] == [1.0, 0.828, 0.78, 0.693]
    assert theory_of([Job(seconds=1, period=2), Job(seconds=1, period=3)], RM).hyperbolic == pytest.approx(
        2.0
    )


@pytest.mark.parametrize("policy", [QueuePolicy.FIFO, QueuePolicy.PRIORITY])
@pytest.mark.parametrize(
    ("workers", "load", "service"),
    [
        (1, 0.7, Service.EXPONENTIAL),
        (4, 0.8, Service.EXPONENTIAL),
        (1, 0.7, Service.CONSTANT),
        (1, 0.5, Service.LOGNORMAL),
    ],
)
def test_waiting_times_are_those_of_queueing_theory(
    policy: QueuePolicy, workers: int, load: float, service: Service
) -> None:
    """M/M/c by Erlang C, M/G/1 by Pollaczek and Khinchine, within what chance permits."""
    rate = load * workers
    arrivals = poisson(rate=rate, service=service, mean=1.0, runs=6_000, seed=5)
    measured = VirtualCluster(workers, QueueSettings(policy=policy)).run(arrivals).summary()
    expected = mean_wait(workers=workers, rate=rate, mean=1.0, service=service)

    assert expected is not None
    assert abs(measured.wait.mean - expected[0]) < 2.5 * measured.wait.error
    assert measured.utilization == pytest.approx(load, rel=0.08)


@pytest.mark.parametrize("workers", [1, 4])
def test_each_wait_is_that_of_the_plain_recursion(workers: int) -> None:
    """First in, first out: a run begins when it comes, or when the first worker is free."""
    load = list(poisson(rate=0.7 * workers, service=Service.LOGNORMAL, mean=1.0, runs=500, seed=9))
    measured = VirtualCluster(workers, QueueSettings(policy=QueuePolicy.FIFO)).run(load).summary().wait
    free, waits = [0.0] * workers, []
    for arrival in load:
        begins = max(arrival.at, heapq.heappop(free))
        waits.append(begins - arrival.at)
        heapq.heappush(free, begins + arrival.run.tasks[0].run["seconds"])

    assert measured.maximum == pytest.approx(max(waits))
    assert measured.mean == pytest.approx(sum(waits[50:]) / 450)


def test_no_theorem_is_named_where_none_holds() -> None:
    """Several workers with other than exponential service times; more work than they can do."""
    assert mean_wait(workers=2, rate=1.0, mean=1.0, service=Service.PARETO) is None
    assert mean_wait(workers=2, rate=2.0, mean=1.0, service=Service.EXPONENTIAL) is None


@pytest.mark.parametrize("service", Service)
def test_service_times_have_the_mean_and_variation_that_they_say(service: Service) -> None:
    """Theory is computed from these; the variation of a heavy tail is too slow to show."""
    dice = random.Random(3)
    drawn = [service_time(service, 2.0, dice) for _ in range(100_000)]
    mean = sum(drawn) / len(drawn)
    assert mean == pytest.approx(2.0, rel=0.05)
    if service in (Service.EXPONENTIAL, Service.CONSTANT):
        variation = sum((one - mean) ** 2 for one in drawn) / len(drawn) / mean**2
        assert variation == pytest.approx(squared_variation(service), abs=0.05)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("pieces", [1, 5])
def test_jobs_that_theory_calls_schedulable_miss_no_deadline(seed: int, pieces: int) -> None:
    """With blocking by what cannot be interrupted counted in. No response is above its bound."""
    dice = random.Random(seed)
    jobs = random_jobs(4, dice.uniform(0.4, 0.98), dice)
    for policy in (RM, EDF):
        measures = simulate(jobs, policy, pieces=pieces)
        if theory_of(jobs, policy, pieces=pieces).schedulable:
            assert measures.missed == 0
    if theory_of(jobs, RM, pieces=pieces).schedulable:
        found = simulate(jobs, RM, pieces=pieces).worst
        for index, job in enumerate(jobs):
            assert found[str(job)] <= worst_response(jobs, index, pieces=pieces) + 1e-6


@pytest.mark.parametrize(
    ("others", "seconds", "period"), [([], 4.0, 1.0), ([(1.0, 1.0)], 1e-12, 2.0), ([(3.0, 4.0)], 3.0, 8.0)]
)
def test_no_response_is_bounded_where_more_comes_than_can_be_done(
    others: list[tuple[float, float]], seconds: float, period: float
) -> None:
    """Also where the jobs of shorter periods alone leave no time: the search would not end."""
    jobs = [Job(seconds=work, period=each) for work, each in (*others, (seconds, period))]
    assert worst_response(jobs, len(jobs) - 1) == math.inf
    assert theory_of(jobs, RM).schedulable is False


def test_edf_holds_up_to_the_full_processor_where_rate_monotonic_does_not() -> None:
    """Liu and Layland's example of two jobs at U = 1, cut into many pieces: nearly preemptive."""
    jobs = [Job(seconds=2.0, period=5.0), Job(seconds=4.15, period=7.0)]
    assert 0.98 < theory_of(jobs, RM).utilization <= 1

    assert simulate(jobs, EDF, pieces=200, seconds=70.0).missed == 0
    assert simulate(jobs, RM, pieces=200, seconds=70.0).missed > 0


def test_a_long_task_that_cannot_be_interrupted_breaks_the_preemptive_bounds() -> None:
    """Well below Liu and Layland's utilization: what theory without preemption says, and these do not."""
    jobs = [Job(seconds=0.1, period=1.0), Job(seconds=2.0, period=10.0)]
    theory = theory_of(jobs, RM)
    assert theory.utilization < theory.liu_layland

    assert theory.schedulable is False
    assert simulate(jobs, RM).missed > 0
    assert theory_of(jobs, RM, pieces=20).schedulable is True
    assert simulate(jobs, RM, pieces=20).missed == 0


def test_more_work_than_time_misses_deadlines() -> None:
    """Those runs are ended, as a real cluster ends them, and take no more time."""
    measures = simulate([Job(seconds=3.0, period=4.0), Job(seconds=3.0, period=5.0)], EDF)
    assert measures.missed > 0
    assert measures.summary().utilization == pytest.approx(1.0, abs=0.05)


def test_a_chain_is_cut_into_equal_tasks() -> None:
    """As long as the whole."""
    tasks = chain(3.0, 4)
    assert sum(task.run["seconds"] for task in tasks) == pytest.approx(3.0)
    assert [task.needs for task in tasks] == [(), ("t0",), ("t1",), ("t2",)]
