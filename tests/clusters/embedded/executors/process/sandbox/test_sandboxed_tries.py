"""Tests that what a try promises holds inside a sandbox too: its end, its lease, its start, its folders."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from clusters.cluster_status import Isolation
from clusters.embedded.executors.process.sandbox import probe
from clusters.embedded.executors.process.sandbox.start_script import Limits, start_script
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.protocol import AttemptEndKind
from tests.clusters.embedded.executors.process.escaping_commands import wait_until_gone
from tests.clusters.embedded.executors.process.sandbox.isolated_cluster import needs_sandbox
from tests.clusters.embedded.working_node import SHARD, ended, finished, process, start
from waypost.workflow.task import SideEffects, TaskSpec

pytestmark = [pytest.mark.integration, needs_sandbox, pytest.mark.usefixtures("leases")]
BOTH = [SideEffects.IDEMPOTENT, SideEffects.EXCLUSIVE]


def settings(state: Path, **process: object) -> ClusterNodeSettings:
    return ClusterNodeSettings(region="beijing", state=str(state), cpu=4.0, executors={"process": process})


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ClusterNode]:
    async with ClusterNode(settings(tmp_path, isolation="sandbox")) as node:
        yield node


async def appears(path: Path) -> None:
    async with asyncio.timeout(20):
        while not list(path.parent.glob(path.name)):
            await asyncio.sleep(0.01)


def guard_below(root: Path) -> int:
    return next(
        pid for pid in processes_of(root) if b"\0lease\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def processes_of(root: Path) -> list[int]:
    """Returns the living processes of tries below `root`, also bubblewrap's own and guards."""
    mark, found = f"WAYPOST_WORKSPACE={root}".encode(), []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) != os.getpid()):
        try:
            if mark in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("side_effects", BOTH)
async def test_a_task_gets_sigterm_and_its_grace_period(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects
) -> None:
    """bubblewrap would end at SIGTERM, and the command with it at once: the signal goes past it."""
    script = "trap 'sleep 0.3; touch clean; exit' TERM; touch begun; while :; do sleep 0.02; done"
    await start(node, process("a", "sh", "-c", script), side_effects=side_effects)
    workspace = node._state_folder.task_folders(SHARD, "a").workspace
    await appears(workspace / "begun")
    await wait_until_gone(node)

    assert (workspace / "clean").exists()
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("side_effects", BOTH)
async def test_a_stubborn_daemon_ends_with_its_try(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects
) -> None:
    """One that has left group, session and environment: the namespace ends with the try."""
    daemon = "trap '' TERM HUP; touch $0/begun; while :; do sleep 0.1; done"
    script = f'setsid env -i sh -c "{daemon.replace("$", chr(92) + "$")}" $PWD & exec sleep 300'
    await start(node, process("a", "sh", "-c", script, timeout_seconds=3), side_effects=side_effects)
    await appears(node._state_folder.task_folders(SHARD, "a").workspace / "begun")

    assert (await finished(node))["a"].reason == "timed out after 3 s"
    assert processes_of(tmp_path) == []


async def test_a_sandbox_ends_with_its_guard(node: ClusterNode, tmp_path: Path) -> None:
    """Otherwise it would run beside its next try."""
    await start(
        node, process("a", "sh", "-c", "touch begun; exec sleep 300"), side_effects=SideEffects.EXCLUSIVE
    )
    await appears(node._state_folder.task_folders(SHARD, "a").workspace / "begun")
    os.kill(guard_below(tmp_path), signal.SIGKILL)

    assert (await finished(node))["a"].reason == "killed by SIGKILL"
    assert processes_of(tmp_path) == []


async def test_a_sandbox_that_cannot_be_made_is_the_machines_fault(node: ClusterNode, tmp_path: Path) -> None:
    """Another cluster may make one: the attempt is lost, and no retry is used up."""
    executor = node._task_runner._executors["process"]
    executor._sandbox = structs.replace(executor._sandbox, etc="/nowhere")  # type: ignore[attr-defined]
    await start(node, process("a", "true"))

    end = await ended(node)
    assert end.end is AttemptEndKind.LOST
    assert "its sandbox could not be made: bwrap: " in end.reason


async def test_a_program_outside_of_the_sandbox_is_named(node: ClusterNode, tmp_path: Path) -> None:
    """Exit code 127 of a shell would leave people to guess what is wrong with a path that exists."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    await start(node, process("a", str(program)))

    assert "is not in its sandbox" in (await finished(node))["a"].reason


async def test_folders_of_the_settings_are_seen_and_the_clusters_own_are_not(tmp_path: Path) -> None:
    """Also where the cluster's folder lies in one that tasks may change."""
    shared, tools = tmp_path / "shared", tmp_path / "tools"
    (shared / "state").mkdir(parents=True)
    tools.mkdir()
    (tools / "tool").write_text("a tool")
    node_settings = settings(
        shared / "state",
        isolation="sandbox",
        own_user=False,
        read_only=[str(tools)],
        writable=[str(shared)],
    )
    script = (
        f"cat {tools}/tool > {shared}/copy && ! touch {tools}/x 2> /dev/null"
        f" && ! ls {shared}/state/journal.db 2> /dev/null && touch mine"
    )
    async with ClusterNode(node_settings) as node:
        assert node._scheduler.status(0).isolation is Isolation.SANDBOX
        await start(node, process("a", "sh", "-c", script))
        assert (await finished(node))["a"].reason == ""
    assert (shared / "copy").read_text() == "a tool"
    assert (shared / "state/workspaces/run/0/mine").exists()


async def test_a_working_directory_is_made_inside_by_the_tasks_user(node: ClusterNode) -> None:
    """Made outside, through a link of a task, it could be anywhere."""
    task = TaskSpec(
        name="a", type="process", run={"command": ["sh", "-c", "pwd; touch x"], "workingDirectory": "a/b"}
    )
    await start(node, task)

    assert (await finished(node))["a"].reason == ""
    assert (node._state_folder.task_folders(SHARD, "a").workspace / "a" / "b" / "x").exists()


async def test_without_bubblewrap_nothing_runs_where_a_sandbox_is_demanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `auto` tasks run without one, and the status says so."""
    monkeypatch.setattr(f"{probe.__name__}.shutil.which", lambda *_, **__: None)
    async with ClusterNode(settings(tmp_path / "a", isolation="sandbox")) as node:
        assert "process" not in node._scheduler.status(0).executors
    async with ClusterNode(settings(tmp_path / "b")) as node:
        status = node._scheduler.status(0)
        assert "process" in status.executors
        assert (status.isolation, status.tenants) == (Isolation.NONE, ())


def test_no_variable_acts_on_the_shell_that_sets_the_limits() -> None:
    """Names that no shell can export go to env(1), which runs when the limits hold."""
    script = start_script(["true"], {"A": "x'y", "a.b": "1", "ENV": "/x"}, Limits(file_bytes=512)).decode()
    lines = script.splitlines()
    assert lines.index("ulimit -f 1") < lines.index("export A='x'\"'\"'y'")
    assert lines[-1] == "exec /usr/bin/env -- a.b=1 ENV=/x true < /dev/null"
