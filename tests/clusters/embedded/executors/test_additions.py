"""Tests that an executor with settings needs one entry in the registry, and nothing else."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from clusters.embedded.executors import registry
from clusters.embedded.executors.delay import DelayExecutor
from clusters.embedded.executors.interface import ExecutorContext, Lease
from clusters.embedded.executors.process import executor as process_executor
from clusters.embedded.executors.process.termination import terminate
from clusters.embedded.executors.registry import EXECUTORS, RegisteredExecutor
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders
from tests.clusters.embedded.working_node import finished, process, start
from waypost.workflow.task import TaskSpec


class ImageRun(Struct, frozen=True, kw_only=True):
    """The `run` of a task in a container."""

    image: str


class DockerSettings(Struct, frozen=True, kw_only=True):
    """The settings type of an example executor that calls a daemon."""

    socket: str = "/run/docker.sock"
    cpus: float = 1.0
    images: tuple[str, ...] = ()


class DockerExecutor(DelayExecutor):
    """An example executor whose output says what it would run, and its settings."""

    def __init__(self, context: ExecutorContext, settings: DockerSettings) -> None:
        self._said = f"{context.region} {settings.socket} {settings.cpus} {' '.join(settings.images)}"

    async def execute(self, launch: Launch, folders: TaskFolders, lease: Lease | None) -> Outcome:
        return Outcome(succeeded=True, output=f"{launch.task.run['image']} {self._said}")


def no_daemon(context: ExecutorContext, settings: DockerSettings) -> str:
    # On the event loop a daemon that does not answer would hold up the whole cluster.
    assert threading.current_thread() is not threading.main_thread()
    assert context.region == "beijing"
    return "" if settings.socket == "/run/mine.sock" else f"no daemon at {settings.socket}"


@pytest.fixture(autouse=True)
def docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the example executor."""
    entry = RegisteredExecutor(
        run_type=ImageRun,
        exclusive=False,
        settings=DockerSettings,
        build=DockerExecutor,
        unavailable=no_daemon,
    )
    monkeypatch.setattr(registry, "EXECUTORS", {**EXECUTORS, "docker": entry})


def settings(state: Path, **executors: dict[str, Any]) -> ClusterNodeSettings:
    return ClusterNodeSettings(region="beijing", state=str(state), cpu=4.0, executors=executors)


async def test_another_executor_with_settings_is_one_entry(tmp_path: Path) -> None:
    """They reach what builds it, as text from the command line or as values."""
    given = {"socket": "/run/mine.sock", "cpus": "2", "images": '["alpine", "busybox"]'}
    async with ClusterNode(settings(tmp_path, docker=given)) as node:
        await start(node, TaskSpec(name="a", type="docker", run={"image": "alpine"}))
        assert (await finished(node))["a"].output == "alpine beijing /run/mine.sock 2.0 alpine busybox"


async def test_the_text_of_a_list_is_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images: is not JSON"):
        async with ClusterNode(settings(tmp_path, docker={"images": "alpine,busybox"})):
            pass


async def test_an_executor_that_this_host_cannot_run_is_left_out(tmp_path: Path) -> None:
    """By its settings: here there is no daemon where they say."""
    async with ClusterNode(settings(tmp_path)) as node:
        executors = (await node.attempts()).status.executors
        assert "docker" not in executors
        assert {"delay", "process"} <= set(executors)


async def test_the_grace_of_a_command_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has to save its work may need longer than two seconds."""
    graces: list[float] = []

    async def recorded(*ended: Any, grace_seconds: float) -> None:
        graces.append(grace_seconds)
        await terminate(*ended, grace_seconds=grace_seconds)

    monkeypatch.setattr(process_executor, "terminate", recorded)
    for executors in ({"process": {"grace_seconds": "30"}}, {}):
        state = tmp_path / str(len(graces))
        begun = state / "workspaces" / "run" / "0" / "begun"
        async with ClusterNode(settings(state, **executors)) as node:
            await start(node, process("a", "sh", "-c", "touch begun; exec sleep 300"))
            async with asyncio.timeout(10):
                while not begun.exists():
                    await asyncio.sleep(0.01)
    assert graces == [30.0, 2.0]
