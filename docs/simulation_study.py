"""Runs the study of docs/simulation.md: prints its tables, and draws its plot with matplotlib.

Usage: python -m docs.simulation_study [--sets 20], after `pip install -r docs/requirements.lock`.
"""

import argparse
import math
import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.simulation.loads import Service, periodic, poisson, random_jobs
from clusters.embedded.simulation.periodic_theory import liu_layland, theory_of
from clusters.embedded.simulation.queueing_theory import mean_wait
from clusters.embedded.simulation.virtual_cluster import VirtualCluster

PICTURE: Final = Path(__file__).parent / "images" / "simulation.png"
JOBS: Final = 4
SEEDS: Final = 8
"""The number of repetitions, with chances of their own, by which the error of a mean wait is estimated."""
UTILIZATIONS: Final = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
QUEUES: Final = (
    (1, 0.5, Service.EXPONENTIAL, 20_000),
    (1, 0.8, Service.EXPONENTIAL, 64_000),
    (4, 0.8, Service.EXPONENTIAL, 20_000),
    (16, 0.9, Service.EXPONENTIAL, 80_000),
    (100, 0.9, Service.EXPONENTIAL, 80_000),
    (1, 0.5, Service.CONSTANT, 20_000),
    (1, 0.5, Service.LOGNORMAL, 80_000),
)


def kept(policy: QueuePolicy, utilization: float, *, sets: int, pieces: int) -> tuple[float, float]:
    """Returns the parts of random job sets that meet all deadlines: measured, and proven by theory."""
    dice, met, proven = random.Random(f"{utilization}"), 0, 0  # noqa: S311  # to be repeated
    for _ in range(sets):
        jobs = random_jobs(JOBS, utilization, dice)
        load = periodic(jobs, seconds=50.0, pieces=pieces)
        met += VirtualCluster(1, QueueSettings(policy=policy)).run(load).missed == 0
        proven += theory_of(jobs, policy, pieces=pieces).schedulable is True
    return met / sets, proven / sets


def draw(curves: Sequence[tuple[str, str, Sequence[float]]]) -> None:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, style, values in curves:
        axes.plot(UTILIZATIONS, values, style, label=name)
    axes.axvline(liu_layland(JOBS), color="gray", linestyle=":", label="Liu and Layland's bound (preemptive)")
    axes.set_xlabel(f"utilization of {JOBS} random periodic jobs, one worker")
    axes.set_ylabel("job sets that meet all deadlines")
    axes.legend(fontsize="small")
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=20)
    sets = parser.parse_args().sets
    print("| workers | load | run times | mean wait by theory | simulated (95 %) |")
    print("| --- | --- | --- | --- | --- |")
    for row, (workers, load, service, runs) in enumerate(QUEUES):
        rate = workers * load
        waits = [
            VirtualCluster(workers, QueueSettings(policy=QueuePolicy.FIFO))
            .run(poisson(rate=rate, service=service, mean=1.0, runs=runs // SEEDS, seed=seed))
            .summary()
            .wait.mean
            for seed in range(row * SEEDS, (row + 1) * SEEDS)
        ]
        error = 1.96 * statistics.stdev(waits) / math.sqrt(SEEDS)
        expected = mean_wait(workers=workers, rate=rate, mean=1.0, service=service) or (float("nan"), "none")
        print(
            f"| {workers:,} | {load} | {service} | {expected[0]:.4g} s ({expected[1]}) "
            f"| {statistics.fmean(waits):.4g} +- {error:.2g} s |",
            flush=True,
        )
    curves = []
    for policy, color in ((QueuePolicy.RATE_MONOTONIC, "C0"), (QueuePolicy.EDF, "C1")):
        for pieces, mark in ((1, "s"), (10, "o")):
            found = [kept(policy, utilization, sets=sets, pieces=pieces) for utilization in UTILIZATIONS]
            name = f"{policy}, runs of {pieces} task{'s' * (pieces > 1)}"
            curves.append((f"{name}: simulated", f"{color}{mark}-", [met for met, _ in found]))
            curves.append((f"{name}: proven", f"{color}{mark}--", [proven for _, proven in found]))
            cells = " | ".join(f"{met:.0%} ({proven:.0%})" for met, proven in found)
            print(f"| {name} | {cells} |", flush=True)
    draw(curves)


if __name__ == "__main__":
    main()
