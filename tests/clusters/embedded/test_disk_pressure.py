"""Tests what a node does when its disk is short of space: whose files go, and why their tasks fail."""

import asyncio
from pathlib import Path

import pytest

from clusters.embedded import disk_pressure
from clusters.embedded.disk_pressure import next_eviction
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.storage import state_folder
from clusters.embedded.storage.disk_usage import FreeSpace, usage_of_shards
from clusters.protocol import AttemptId, Batch, Fence, RunSpec, ShardSpec, TaskChanged
from tests.clusters.embedded.working_node import SHARD, finished, process, start
from waypost.workflow.task import Retry
from waypost.workflow.task_phase import TaskPhase

MIB = 1 << 20
SHORT = FreeSpace(free=0, reserve=10 * MIB, unit="MiB")
AMPLE = FreeSpace(free=100 * MIB, reserve=10 * MIB, unit="MiB")
FILL = """
import pathlib, time
pathlib.Path("big").write_bytes(bytes(20 << 20))
time.sleep(300)
"""
HIDE = """
import os, time
file = open("big", "wb")
os.unlink("big")
file.write(bytes(20 << 20))
file.flush()
time.sleep(300)
"""


def test_the_largest_shard_of_the_run_that_takes_most_gives_way() -> None:
    """A run is not safe because it has many shards."""
    usage = {("many", 0): 30 * MIB, ("many", 1): 40 * MIB, ("one", 0): 60 * MIB}

    eviction = next_eviction(usage, SHORT)

    assert eviction is not None
    assert eviction.shard == ("many", 1)
    assert "less than 10 MiB left, and this run takes 70 MiB" in eviction.reason


def test_nobody_gives_way_where_no_run_takes_the_room() -> None:
    """Something else fills the disk: the files of a small run would help nobody."""
    assert next_eviction({("a", 0): 9 * MIB}, SHORT) is None
    assert next_eviction({}, SHORT) is None


def test_usage_counts_what_lies_in_folders_of_shards(tmp_path: Path) -> None:
    """In workspaces and in scratch folders, by any depth; not logs, which are bounded."""
    for kind, size in (("workspaces", 4), ("scratch", 2), ("logs", 8)):
        folder = tmp_path / kind / "run" / "3" / "1" / "deep"
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(size * MIB))
    (tmp_path / "workspaces" / "run" / "not a shard").mkdir()

    usage = usage_of_shards(tmp_path, "MiB")

    assert list(usage) == [("run", 3)]
    assert 6 * MIB <= usage["run", 3] < 7 * MIB
    assert usage_of_shards(tmp_path, "files")["run", 3] == 8


@pytest.mark.parametrize("fill", [FILL, HIDE], ids=["files", "unlinked files"])
async def test_a_task_that_fills_the_disk_fails_for_it_and_its_files_go(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fill: str
) -> None:
    """Else the region is lost with its disk, and after the failover the next one."""
    monkeypatch.setattr(disk_pressure, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(disk_pressure, "free_space_on", lambda _: room(tmp_path))
    await start(node, process("a", "python3", "-c", fill))
    await node.apply(await other_attempt(node))

    found: dict[str, TaskChanged] = {}
    async for event in node.watch(0, ""):
        if isinstance(event, TaskChanged):
            found[event.attempt.run] = event
        if len(found) == 2 and all(event.phase is not TaskPhase.RUNNING for event in found.values()):
            break

    assert "and this run takes" in found["run"].reason
    value = node.metrics.registry.get_sample_value
    assert value("waypost_cluster_evictions_total") == 1
    assert 0 < (value("waypost_disk_free_ratio") or 0) <= 1
    assert found["other"].phase is TaskPhase.SUCCEEDED
    assert not node._state_folder.task_folders(SHARD, "a").workspace.exists()


async def test_a_later_task_does_not_run_without_the_files_that_were_removed(
    node: ClusterNode,
) -> None:
    """It would find an empty workspace, and might succeed with a wrong result."""
    await start(node, process("a", "sleep", "300", retry=Retry(limit=1, backoff_seconds=0)))
    await node._task_runner.evict([SHARD], "no room")

    found = (await finished(node))["a"]
    assert (found.reason, found.tries) == ("no room", 2)


async def test_a_task_that_fails_on_a_full_disk_says_so(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit code alone would send people to the wrong place."""
    monkeypatch.setattr(state_folder, "free_space_on", lambda _: SHORT)
    await start(node, process("a", "sh", "-c", "exit 3"))

    assert (await finished(node))["a"].reason == "exit code 3; the disk of this cluster is nearly full"


async def test_files_of_a_shard_that_has_ended_go_before_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that ended when the disk was full has left it full."""
    monkeypatch.setattr(disk_pressure, "CHECK_SECONDS", 0.01)
    settings = ClusterNodeSettings(region="beijing", state=str(tmp_path), cpu=4.0)
    async with ClusterNode(settings) as node:
        await start(node, process("a", "sh", "-c", "head -c 20000000 /dev/zero > big; exit 1"))
        await finished(node)
        big = node._state_folder.task_folders(SHARD, "a").workspace / "big"
        assert big.exists()
        monkeypatch.setattr(disk_pressure, "free_space_on", lambda _: SHORT if big.exists() else AMPLE)
        while await asyncio.to_thread(big.exists):
            await node.probe()


def room(root: Path) -> FreeSpace:
    """Returns the space of a simulated disk: short while the shard of these tests uses over 15 MiB."""
    usage = usage_of_shards(root, "MiB").get(("run", 0), 0)
    return SHORT if usage > 15 * MIB else AMPLE


async def other_attempt(node: ClusterNode) -> Batch:
    """Returns a batch that creates an attempt of another run, which uses no disk space."""
    fence = Fence(boot=(await node.probe()).boot, not_after=1e9)
    spec = ShardSpec(attempt=AttemptId(run="other", shard=0, epoch=1), fence=fence)
    return Batch(runs=(RunSpec(run="other", tasks=(process("a", "sleep", "0.3"),)),), creates=(spec,))
