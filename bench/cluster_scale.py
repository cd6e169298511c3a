"""Benchmark of a cluster with very many tasks: delays that wait, a large random DAG, a restart.

Usage: python bench/cluster_scale.py [--tasks 100000]
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, cast

from msgspec import structs

from clusters.embedded.executors.delay import DelayExecutor
from clusters.embedded.executors.interface import Lease
from clusters.embedded.executors.registry import EXECUTORS
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.queueing.policies import QueuePolicy
from clusters.embedded.queueing.queue_settings import QueueSettings
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.simulation.loads import SIMULATED, Arrival
from clusters.embedded.simulation.virtual_cluster import VirtualCluster
from clusters.embedded.storage.state_folder import TaskFolders
from clusters.errors import ClusterError
from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    AttemptId,
    Batch,
    Fence,
    RunSpec,
    ShardSpec,
)
from waypost.workflow.task import TaskSpec

ROOT = Path(__file__).parents[1]
A_SHARD = 10_000


LATE: list[float] = []
"""How late each delay ended, in seconds."""


class TimedDelays(DelayExecutor):
    """Executes delays, and notes how late each ends."""

    async def execute(self, launch: Launch, folders: TaskFolders, lease: Lease | None) -> Outcome:
        began = time.monotonic()
        outcome = await super().execute(launch, folders, lease)
        LATE.append(time.monotonic() - began - launch.task.run["seconds"])
        return outcome


def resident_bytes() -> int:
    """Returns the memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def create(node: ClusterNode, tasks: tuple[TaskSpec, ...], shards: int) -> None:
    fence = Fence(boot=(await node.probe()).boot, not_after=1e9)
    spec = RunSpec(run="bench", tasks=tasks, shard_count=shards)
    for shard in range(shards):
        identity = AttemptId(run="bench", shard=shard, epoch=1)
        while True:
            try:
                await node.apply(Batch(runs=(spec,), creates=(ShardSpec(attempt=identity, fence=fence),)))
                break
            except ClusterError as error:  # the journal is slow: it is sent again, as a gateway does
                print(f"shard {shard}: {error}")


async def ended(node: ClusterNode, shards: int) -> None:
    """Waits until all shards have ended."""
    left = shards
    async for event in node.watch(0, ""):
        if isinstance(event, AttemptEnded):
            assert event.end is AttemptEndKind.SUCCEEDED, event
            left -= 1
            if not left:
                return


async def waiting_delays(count: int) -> None:
    """Prints the memory of waiting `delay` tasks, how late they end, and how long a restart takes then."""
    shards, dice = max(1, count // A_SHARD), random.Random(1)
    seconds = {f"t{i}": round(dice.uniform(60, 120), 3) for i in range(min(count, A_SHARD))}
    tasks = tuple(TaskSpec(name=name, type="delay", run={"seconds": took}) for name, took in seconds.items())
    with tempfile.TemporaryDirectory(dir=ROOT / "bench") as folder:
        settings = ClusterNodeSettings(region="bench", state=folder, cpu=2.0)
        async with ClusterNode(settings) as node:
            before, began = resident_bytes(), time.monotonic()
            await create(node, tasks, shards)
            started = time.monotonic() - began
            await asyncio.sleep(5)
            each = (resident_bytes() - before) / count
            print(f"{count:,} delays begun in {started:.1f} s, {each:,.0f} bytes each")
            await ended(node, shards)
            late = sorted(LATE)
            p50, p99 = statistics.median(late) * 1e3, late[int(len(late) * 0.99)] * 1e3
            print(f"they end {p50:.1f} ms late (p50), {p99:.1f} ms (p99), {late[-1] * 1e3:.0f} ms at most")
        began = time.monotonic()
        async with ClusterNode(settings) as node:
            took = time.monotonic() - began
            held = len((await node.attempts()).attempts)
            print(f"a restart with {count:,} tasks in the journal, {held} attempts: {took:.2f} s")


def random_dag(count: int) -> dict[str, tuple[str, ...]]:
    """Returns a random DAG: each task needs up to three of those before it."""
    dice = random.Random(1)
    names = [f"t{i}" for i in range(count)]
    return {
        name: tuple(dict.fromkeys(dice.choice(names[max(0, i - 500) : i]) for _ in range(min(i, 3))))
        for i, name in enumerate(names)
    }


def by_graphlib(graph: dict[str, tuple[str, ...]]) -> float:
    began = time.process_time()
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    while sorter.is_active():
        sorter.done(*sorter.get_ready())
    return time.process_time() - began


def by_scheduler(graph: dict[str, tuple[str, ...]]) -> float:
    """Returns the processor seconds of the scheduler alone, without journal and executors."""
    tasks = tuple(
        TaskSpec(name=name, type=SIMULATED, run={"seconds": 1}, needs=needs) for name, needs in graph.items()
    )
    cluster = VirtualCluster(64, QueueSettings(policy=QueuePolicy.PRIORITY))
    began = time.process_time()
    measures = cluster.run([Arrival(at=0.0, run=RunSpec(run="bench", tasks=tasks))])
    assert measures.summary().tasks == len(graph)
    return time.process_time() - began


async def by_cluster(graph: dict[str, tuple[str, ...]]) -> float:
    """Returns the processor seconds of a whole cluster: journal, events, executor."""
    tasks = tuple(
        TaskSpec(name=name, type="delay", run={"seconds": 0}, needs=needs) for name, needs in graph.items()
    )
    with tempfile.TemporaryDirectory(dir=ROOT / "bench") as folder:
        async with ClusterNode(ClusterNodeSettings(region="bench", state=folder, cpu=64.0)) as node:
            began = time.process_time()
            await create(node, tasks, 1)
            await ended(node, 1)
            return time.process_time() - began


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=100_000)
    count = parser.parse_args().tasks
    graph = random_dag(10_000)
    alone = statistics.median(by_graphlib(graph) for _ in range(5))
    scheduler = statistics.median(by_scheduler(graph) for _ in range(3))
    cluster = await by_cluster(graph)
    each = [seconds / len(graph) * 1e6 for seconds in (alone, scheduler, cluster)]
    print(
        f"a random DAG of {len(graph):,} tasks, processor time a task: graphlib {each[0]:.1f} us,"
        f" the scheduler {each[1]:.0f}, a whole cluster {each[2]:.0f}"
    )
    cast("dict[str, Any]", EXECUTORS)["delay"] = structs.replace(
        EXECUTORS["delay"], build=lambda *_: TimedDelays()
    )
    await waiting_delays(count)


if __name__ == "__main__":
    asyncio.run(main())
