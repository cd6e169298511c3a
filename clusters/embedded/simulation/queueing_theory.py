"""Waiting times by queueing theory, for loads with Poisson arrivals."""

import math

from clusters.embedded.simulation.loads import Service, squared_variation


def erlang_c(workers: int, load: float) -> float:
    """Returns the probability that a run has to wait in M/M/c, `load` being arrival rate times mean service.

    By the recursion of Erlang B, which stays in range for thousands of workers.
    """
    blocked = 1.0
    for servers in range(1, workers + 1):
        blocked = load * blocked / (servers + load * blocked)
    return blocked / (1 - load / workers * (1 - blocked))


def mean_wait(*, workers: int, rate: float, mean: float, service: Service) -> tuple[float, str] | None:
    """Returns the mean wait and the name of the theorem that gives it; None where no theorem is exact.

    It holds for every order that looks at no service time and lets no worker idle: so for every policy here,
    where runs have equal priorities. None as well where the load is more than the workers can do.
    """
    load = rate * mean
    if load >= workers:
        return None
    if service is Service.EXPONENTIAL:
        return erlang_c(workers, load) * mean / (workers - load), "M/M/c, Erlang C"
    if workers == 1 and math.isfinite(variation := squared_variation(service)):
        return load * mean * (1 + variation) / (2 * (1 - load)), "M/G/1, Pollaczek-Khinchine"
    return None
