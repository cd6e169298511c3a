"""Nothing of a try outlives it: neither what left its process group, nor what lost its guard, its watchdog or its cluster."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from clusters.embedded.executors.process import watchdog
from clusters.embedded.executors.process.watchdog_client import PROGRAM
from clusters.embedded.executors.run_lease import RunLease
from clusters.embedded.node import ClusterNode, ClusterNodeSettings
from clusters.embedded.scheduling.lease_requests import LEASE_SECONDS
from clusters.protocol import Batch, LeaseAsked, Renewal, TaskPhase
from tests.clusters.embedded.working_node import SHARD, ended, finished, process, running, start
from waypost.workflow.task import Resources, SideEffects

ESCAPE = "setsid sh -c 'echo $$ > {folder}/pid; exec sleep 300' & while ! test -s {folder}/pid; do sleep 0.01; done; {then}"
ENDS = [SideEffects.IDEMPOTENT, SideEffects.EXCLUSIVE]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ClusterNode]:
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path), cpu=4.0)) as node:
        granting = asyncio.create_task(grant(node))
        yield node
        granting.cancel()


async def grant(node: ClusterNode) -> None:
    """As a gateway does that has no doubts."""
    async for event in node.watch(0, ""):
        if isinstance(event, LeaseAsked):
            await node.apply(Batch(renewals=(Renewal(attempt=event.attempt, ask=event.ask),)))


async def written(path: Path, lines: int = 1) -> list[int]:
    """The numbers in it, when there are so many."""
    async with asyncio.timeout(20):
        while len(found := numbers(path)) < lines:
            await asyncio.sleep(0.01)
    return found


async def gone(node: ClusterNode) -> None:
    """Asks as often as a gateway might."""
    async with asyncio.timeout(20):
        while not (await node.apply(Batch(tombstones=(SHARD,)))).tombstones[0].gone:
            await asyncio.sleep(0.02)


def numbers(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize("side_effects", ENDS)
async def test_a_child_that_left_the_group_ends_with_its_try(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects
) -> None:
    """A daemon keeps nothing of its parents but its environment; of an exclusive attempt it would be one of two at once."""
    await start(
        node,
        process("a", "sh", "-c", ESCAPE.format(folder=tmp_path, then="exit 0")),
        side_effects=side_effects,
    )

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    assert not running(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("side_effects", ENDS)
async def test_a_child_that_left_the_group_is_killed_with_its_try(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects
) -> None:
    """Gone means that nothing runs any more."""
    await start(
        node,
        process("a", "sh", "-c", ESCAPE.format(folder=tmp_path, then="exec sleep 300")),
        side_effects=side_effects,
    )
    (pid,) = await written(tmp_path / "pid")
    await gone(node)

    assert not running(pid)


async def test_children_of_children_that_left_are_found_while_everything_moves(
    node: ClusterNode, tmp_path: Path
) -> None:
    """Each that ends hands its own on, maybe while we look; and who becomes another program has no name for a moment."""
    escape = "setsid sh -c '(setsid sleep 300 &); setsid sleep 300' & exit 0"
    await start(node, *(process(f"t{number}", "sh", "-c", escape) for number in range(80)))
    await ended(node)

    mark = f"WAYPOST_WORKSPACE={tmp_path}/workspaces/run/0".encode()
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    assert [pid for pid in pids if mark in (watchdog.environment_of(pid) or [])] == []


async def test_a_child_that_left_everything_behind_ends_with_its_guard(
    node: ClusterNode, tmp_path: Path
) -> None:
    """Of an exclusive attempt not even one that has no environment may stay: whatever descends from its guard is the try's."""
    script = ESCAPE.replace("setsid", "env -i setsid").format(folder=tmp_path, then="exit 0")
    await start(node, process("a", "sh", "-c", script), side_effects=SideEffects.EXCLUSIVE)

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    assert not running(int((tmp_path / "pid").read_text()))


async def test_other_tries_keep_what_left_their_group(node: ClusterNode, tmp_path: Path) -> None:
    """Each is known by its environment."""
    stays = ESCAPE.format(folder=tmp_path, then=f"while ! test -e {tmp_path}/end; do sleep 0.01; done")
    await start(
        node,
        process("a", "sh", "-c", stays),
        process("b", "sh", "-c", f"while ! test -s {tmp_path}/pid; do sleep 0.01; done"),
    )
    (pid,) = await written(tmp_path / "pid")
    async for event in node.watch(0, ""):
        if getattr(event, "task", "") == "b" and getattr(event, "phase", None) is TaskPhase.SUCCEEDED:
            break
    assert running(pid)
    (tmp_path / "end").touch()
    await ended(node)
    assert not running(pid)


def test_children_are_found_where_the_kernel_has_no_list_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then each process is asked whether it is ours."""
    monkeypatch.setattr(watchdog, "CHILDREN", "/proc/nowhere")
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    assert child.pid in watchdog.reap_children()
    assert child.pid not in watchdog.reap_children(spared={child.pid})
    child.kill()
    child.wait()


def test_who_has_ended_may_have_left_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """They became ours after the list was made on which it still stood."""
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


async def test_a_command_ends_with_its_guard(node: ClusterNode, tmp_path: Path) -> None:
    """Else it would run beside its next try."""
    script = f"echo $$ >> {tmp_path}/pids; echo $PPID > {tmp_path}/guard; exec sleep 300"
    await start(node, process("a", "sh", "-c", script), side_effects=SideEffects.EXCLUSIVE)
    (guard,) = await written(tmp_path / "guard")
    os.kill(guard, signal.SIGKILL)

    assert (await finished(node))["a"].reason == "killed by SIGKILL"
    assert [pid for pid in await written(tmp_path / "pids") if running(pid)] == []


@pytest.mark.parametrize(("until", "closed"), [(-5.0, False), (60.0, True)], ids=["over", "nobody renews it"])
def test_a_guard_starts_nothing_without_a_lease(until: float, closed: bool, tmp_path: Path) -> None:
    """It may have come too late itself."""
    command = [*PROGRAM, "lease", repr(time.monotonic() + until), "0", "touch", str(tmp_path / "done")]
    pipe = subprocess.DEVNULL if closed else subprocess.PIPE
    guard = subprocess.Popen(command, stdin=pipe)
    assert guard.wait(20) != 0
    if guard.stdin is not None:
        guard.stdin.close()
    assert not (tmp_path / "done").exists()


async def test_a_command_that_its_guard_ended_has_not_failed(
    node: ClusterNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease was over because this cluster was late: the task is tried again, and has lost no retry."""
    monkeypatch.setattr(
        RunLease, "expires_at", property(lambda lease: lease._expires_at - LEASE_SECONDS + 1.0)
    )
    script = f"echo $$ >> {tmp_path}/pids; test $(wc -l < {tmp_path}/pids) = 2 || sleep 300"
    await start(node, process("a", "sh", "-c", script), side_effects=SideEffects.EXCLUSIVE)
    first = (await written(tmp_path / "pids"))[0]
    monkeypatch.undo()

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    assert len(numbers(tmp_path / "pids")) == 2
    assert not running(first)


async def test_memory_is_bounded_under_a_guard_too(node: ClusterNode) -> None:
    """A field that is taken and does nothing is a trap."""
    greedy = process("a", sys.executable, "-c", "bytearray(500_000_000)", resources=Resources(memory_mib=100))
    await start(node, greedy, side_effects=SideEffects.EXCLUSIVE)

    assert (await finished(node))["a"].reason == "exit code 1"
    assert "MemoryError" in "".join(
        [chunk.text async for chunk in node.logs(SHARD, "a", offset=0, follow=False)]
    )


@pytest.mark.parametrize("side_effects", ENDS)
async def test_a_task_that_is_told_to_end_has_its_time_however_often_it_is_told(
    node: ClusterNode, tmp_path: Path, side_effects: SideEffects
) -> None:
    """A gateway repeats its tombstones until the attempt is gone."""
    script = f"trap 'sleep 0.5; touch {tmp_path}/clean; exit' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.02; done"
    await start(node, process("a", "sh", "-c", script), side_effects=side_effects)
    await written(tmp_path / "pid")
    await gone(node)

    assert (tmp_path / "clean").exists()


async def test_a_watchdog_that_ends_is_replaced_and_knows_everything(
    node: ClusterNode, tmp_path: Path
) -> None:
    """Without it nothing would end the tasks of a cluster that is killed."""
    await start(
        node,
        process("a", "sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 300"),
        process("b", "sleep", "0.01", needs=("a",)),
    )
    (pid,) = await written(tmp_path / "pid")
    client = node._task_runner._executors["process"]._watchdog  # type: ignore[attr-defined]
    first = client._watchdog
    first.kill()
    async with asyncio.timeout(20):
        while client._watchdog is first:
            await asyncio.sleep(0.01)
    assert running(pid)
    client._detach().wait()

    async with asyncio.timeout(20):
        while running(pid):
            await asyncio.sleep(0.01)


async def test_a_cluster_first_ends_what_the_last_one_left(tmp_path: Path) -> None:
    """Its watchdog may have been killed with it."""
    workspace = tmp_path / "workspaces/run/0"
    left = subprocess.Popen(
        ["sleep", "300"], env={"WAYPOST_WORKSPACE": str(workspace)}, start_new_session=True
    )
    other = subprocess.Popen(
        ["sleep", "300"], env={"WAYPOST_WORKSPACE": f"{tmp_path}-2/workspaces/run/0"}, start_new_session=True
    )
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path))):
        assert left.wait(20) == -signal.SIGKILL
        assert other.poll() is None
    other.kill()
    other.wait()


async def test_the_watchdog_also_ends_what_it_was_not_told_of(tmp_path: Path) -> None:
    """A child that has left its group is on no list."""
    left = subprocess.Popen(
        ["sleep", "300"], env={"WAYPOST_WORKSPACE": f"{tmp_path}/run/0"}, start_new_session=True
    )
    process = subprocess.Popen([*PROGRAM, "groups", str(tmp_path)], stdin=subprocess.PIPE)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=20)
    assert left.wait(20) == -signal.SIGKILL
