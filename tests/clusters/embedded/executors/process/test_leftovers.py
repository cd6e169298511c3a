"""Tests that no process of a try outlives it, even one that has left its process group."""

import os
import subprocess
from pathlib import Path

import pytest

from clusters.embedded.executors.process import watchdog
from clusters.embedded.executors.process.leftovers import find_leftovers, kill_leftovers
from clusters.embedded.node import ClusterNode
from tests.clusters.embedded.executors.process.escaping_commands import ESCAPE, pids_in, wait_until_gone
from tests.clusters.embedded.working_node import ended, finished, process, running, start
from waypost.workflow.task import SideEffects
from waypost.workflow.task_phase import TaskPhase

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("leases")]
BOTH = [SideEffects.IDEMPOTENT, SideEffects.EXCLUSIVE]


@pytest.mark.parametrize("side_effects", BOTH)
async def test_a_child_that_left_the_group_ends_with_its_try(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects
) -> None:
    """A daemon keeps only its environment. In an exclusive attempt it would run beside the next one."""
    await start(
        node,
        process("a", "sh", "-c", ESCAPE.format(folder=tmp_path, then="exit 0")),
        side_effects=side_effects,
    )

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    assert not running(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("side_effects", BOTH)
async def test_a_child_that_left_the_group_is_killed_with_its_try(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects
) -> None:
    """An attempt is gone when none of its processes runs any more."""
    await start(
        node,
        process("a", "sh", "-c", ESCAPE.format(folder=tmp_path, then="exec sleep 300")),
        side_effects=side_effects,
    )
    (pid,) = await pids_in(tmp_path / "pid")
    await wait_until_gone(node)

    assert not running(pid)


async def test_grandchildren_that_left_the_group_are_found_while_processes_come_and_go(
    node: ClusterNode, tmp_path: Path
) -> None:
    """One that ends leaves us its children while we look; one that calls exec has no environment yet."""
    escape = "setsid sh -c '(setsid sleep 300 &); setsid sleep 300' & exit 0"
    await start(node, *(process(f"t{number}", "sh", "-c", escape) for number in range(80)))
    await ended(node)

    mark = f"WAYPOST_WORKSPACE={tmp_path}/workspaces/run/0".encode()
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    assert [pid for pid in pids if mark in (watchdog.environment_of(pid) or [])] == []


async def test_other_tries_keep_what_left_their_group(node: ClusterNode, tmp_path: Path) -> None:
    """The environment says to which try a process belongs."""
    stays = ESCAPE.format(folder=tmp_path, then=f"while ! test -e {tmp_path}/end; do sleep 0.01; done")
    await start(
        node,
        process("a", "sh", "-c", stays),
        process("b", "sh", "-c", f"while ! test -s {tmp_path}/pid; do sleep 0.01; done"),
    )
    (pid,) = await pids_in(tmp_path / "pid")
    async for event in node.watch(0, ""):
        if getattr(event, "task", "") == "b" and getattr(event, "phase", None) is TaskPhase.SUCCEEDED:
            break
    assert running(pid)
    (tmp_path / "end").touch()
    await ended(node)
    assert not running(pid)


def test_children_are_found_on_a_kernel_without_a_list_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then every process is tried."""
    monkeypatch.setattr(watchdog, "CHILDREN", "/proc/nowhere")
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    assert child.pid in watchdog.reap_children()
    assert child.pid not in watchdog.reap_children(spared={child.pid})
    child.kill()
    child.wait()


def test_children_left_by_one_that_was_just_reaped_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """They became ours after the list had been read in which their parent was."""
    ended, left = (
        subprocess.Popen(["true"], start_new_session=True),
        subprocess.Popen(["sleep", "300"], start_new_session=True),
    )
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    lists = iter([[ended.pid], [left.pid]])
    monkeypatch.setattr(watchdog, "_listed_children", lambda: next(lists))

    assert watchdog.reap_children() == [left.pid]
    left.kill()
    left.wait()
    ended.wait()


def test_finding_what_is_left_kills_nothing() -> None:
    """The executor looks first and ends a try in an order: SIGTERM comes before SIGKILL."""
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    leftovers = find_leftovers([child.pid], [b"WAYPOST_RUN=none"])
    assert leftovers.groups == (child.pid,)
    assert child.poll() is None

    kill_leftovers(leftovers)
    child.wait()
    assert find_leftovers([child.pid], [b"WAYPOST_RUN=none"]).groups == ()


@pytest.mark.parametrize("side_effects", BOTH)
async def test_a_task_gets_its_grace_period_however_often_its_end_is_requested(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects
) -> None:
    """A gateway repeats its tombstones until the attempt is gone."""
    on_term = f"trap 'sleep 0.5; touch {tmp_path}/clean; exit' TERM"
    script = f"{on_term}; echo $$ > {tmp_path}/pid; while :; do sleep 0.02; done"
    await start(node, process("a", "sh", "-c", script), side_effects=side_effects)
    await pids_in(tmp_path / "pid")
    await wait_until_gone(node)

    assert (tmp_path / "clean").exists()
