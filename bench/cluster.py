"""Benchmark of an embedded cluster: how fast it runs tasks, with durable transitions, beside bare fsync.

Usage: python bench/cluster.py
"""

import asyncio
import os
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


async def run(kind: str, how: dict[str, Any], *, shards: int, tasks: int, cpu: float) -> float:
    """Runs `shards` chains of `tasks` tasks on a cluster; returns the seconds until the last shard ends."""
    with tempfile.TemporaryDirectory(dir=ROOT / "bench") as folder:
        async with ClusterNode(ClusterNodeSettings(region="bench", state=folder, cpu=cpu)) as node:
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


async def main() -> None:
    print(f"fsync of 4 kB: {fsync_milliseconds():.2f} ms")
    wide = await median(5, "delay", {"seconds": 0}, shards=10, tasks=100, cpu=1000)
    print(f"1,000 no-op tasks as 10 chains of 100: {wide:.2f} s (aim 0.5 s)")
    chain = await median(5, "delay", {"seconds": 0}, shards=1, tasks=10, cpu=1000)
    print(f"a chain of 10 no-op tasks: {chain:.3f} s (aim 0.1 s)")
    processes = await median(3, "process", {"command": ["/bin/true"]}, shards=8, tasks=125, cpu=8)
    print(f"/bin/true, 8 at a time: {1000 / processes:.0f} a second (aim 700)")


if __name__ == "__main__":
    asyncio.run(main())
