"""Starts attempts on a node that runs real processes, and waits for their ends."""

from pathlib import Path
from typing import Any

from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.protocol import AttemptEnded, AttemptId, Batch, Fence, RunSpec, ShardSpec, TaskChanged
from waypost.workflow.task import TaskSpec

SHARD = AttemptId(run="run", shard=0, epoch=1)


def settings_without_sandbox(state: Path, **more: Any) -> ClusterNodeSettings:
    """Returns settings of a node without sandboxes: to try whether they can be made is half of its start."""
    executors = {"process": {"isolation": "none"}}
    return ClusterNodeSettings(
        region="beijing", state=str(state), executors=executors, trusted_tenants=True, **more
    )


async def start(node: ClusterNode, *tasks: TaskSpec, **run: Any) -> None:
    fence = Fence(boot=(await node.probe()).boot, not_after=1e9)
    spec = RunSpec(run="run", tasks=tasks, **run)
    await node.apply(Batch(runs=(spec,), creates=(ShardSpec(attempt=SHARD, fence=fence),)))


def process(
    name: str, *command: str, needs: tuple[str, ...] = (), env: dict[str, str] | None = None, **more: Any
) -> TaskSpec:
    return TaskSpec(
        name=name, type="process", run={"command": list(command), "env": env or {}}, needs=needs, **more
    )


async def finished(node: ClusterNode) -> dict[str, TaskChanged]:
    """Waits for the end of the attempt, and returns the last event of each task."""
    found: dict[str, TaskChanged] = {}
    async for event in node.watch(0, ""):
        if isinstance(event, TaskChanged):
            found[event.task] = event
        elif isinstance(event, AttemptEnded):
            break
    return found


async def ended(node: ClusterNode) -> AttemptEnded:
    async for event in node.watch(0, ""):
        if isinstance(event, AttemptEnded):
            return event
    raise AssertionError("the stream ended before the attempt")


def running(pid: int) -> bool:
    """Returns whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it was read
        return False
