"""Benchmark of an embedded cluster: how fast it runs tasks, with durable transitions, beside bare fsync.

Usage: python bench/cluster.py
"""

import asyncio
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.protocol import AttemptEnded, AttemptEndKind, AttemptId, Batch, Fence, RunSpec, ShardSpec
from waypost.workflow.task import TaskSpec

ROOT = Path(__file__).parents[1]


async def run(
    kind: str, how: dict[str, Any], *, shards: int, tasks: int, cpu: float, isolation: str = "auto"
) -> float:
    """Runs `shards` chains of `tasks` tasks on a cluster; returns the seconds until the last shard ends."""
    with tempfile.TemporaryDirectory(dir=ROOT / "bench") as folder:
        settings = ClusterNodeSettings(
            region="bench", state=folder, cpu=cpu, executors={"process": {"isolation": isolation}}
        )
        async with ClusterNode(settings) as node:
            fence = Fence(boot=(await node.probe()).boot, not_after=1e9)
            chain = tuple(
                TaskSpec(name=f"t{i}", type=kind, run=how, needs=(f"t{i - 1}",) if i else ())
                for i in range(tasks)
            )
            spec = RunSpec(run="bench", tasks=chain, shard_count=shards)
            creates = tuple(
                ShardSpec(attempt=AttemptId(run="bench", shard=shard, epoch=1), fence=fence)
                for shard in range(shards)
            )
            began, ended = time.perf_counter(), 0
            await node.apply(Batch(runs=(spec,), creates=creates))
            async for event in node.watch(0, ""):
                if isinstance(event, AttemptEnded):
                    assert event.end is AttemptEndKind.SUCCEEDED, event
                    ended += 1
                    if ended == shards:
                        break
            return time.perf_counter() - began


def fsync_milliseconds() -> float:
    """Returns the median milliseconds of appending 4 kB to a file and syncing it, in 100 measurements."""
    samples = []
    with tempfile.NamedTemporaryFile(dir=ROOT / "bench") as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            samples.append((time.perf_counter() - began) * 1e3)
    return statistics.median(samples)


async def median(
    rounds: int, kind: str, how: dict[str, Any], *, shards: int, tasks: int, cpu: float
) -> float:
    return statistics.median(
        [await run(kind, how, shards=shards, tasks=tasks, cpu=cpu) for _ in range(rounds)]
    )


def processor_seconds(who: int) -> float:
    """Returns the processor time of this process (`RUSAGE_SELF`), or of all that it has waited for."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


async def processes(isolation: str) -> None:
    """Prints how many processes a second are started, and what each costs the cluster and the kernel."""
    before = [processor_seconds(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    command, rounds = {"command": ["/bin/true"]}, 3
    seconds = [
        await run("process", command, shards=8, tasks=125, cpu=8, isolation=isolation) for _ in range(rounds)
    ]
    after = [processor_seconds(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, theirs = (
        (end - begin) / rounds for begin, end in zip(before, after, strict=True)
    )  # 1,000 tasks: milliseconds each
    print(
        f"/bin/true, 8 at a time, isolation {isolation}: {1000 / statistics.median(seconds):.0f} a second"
        f" (aim 700); processor time each: {own:.1f} ms of the cluster, {theirs:.1f} ms of its processes"
    )


async def main() -> None:
    print(f"fsync of 4 kB: {fsync_milliseconds():.2f} ms")
    wide = await median(5, "delay", {"seconds": 0}, shards=10, tasks=100, cpu=1000)
    print(f"1,000 no-op tasks as 10 chains of 100: {wide:.2f} s (aim 0.5 s)")
    chain = await median(5, "delay", {"seconds": 0}, shards=1, tasks=10, cpu=1000)
    print(f"a chain of 10 no-op tasks: {chain:.3f} s (aim 0.1 s)")
    for isolation in ("none", "auto"):
        await processes(isolation)


if __name__ == "__main__":
    asyncio.run(main())
