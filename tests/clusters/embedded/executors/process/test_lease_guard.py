"""The guard of an exclusive try: the command ends with the lease, and with the guard."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clusters.embedded.executors.process.watchdog_client import PROGRAM
from clusters.embedded.executors.run_lease import RunLease
from clusters.embedded.node import ClusterNode
from clusters.embedded.scheduling.lease_requests import LEASE_SECONDS
from clusters.protocol import TaskPhase
from tests.clusters.embedded.executors.process.escaping_commands import ESCAPE, pids_in, pids_written
from tests.clusters.embedded.working_node import SHARD, finished, process, running, start
from waypost.workflow.task import Resources, SideEffects

pytestmark = pytest.mark.usefixtures("leases")


async def test_a_command_ends_with_its_guard(node: ClusterNode, tmp_path: Path) -> None:
    """Otherwise it would run beside its next try."""
    script = f"echo $$ >> {tmp_path}/pids; echo $PPID > {tmp_path}/guard; exec sleep 300"
    await start(node, process("a", "sh", "-c", script), side_effects=SideEffects.EXCLUSIVE)
    (guard,) = await pids_in(tmp_path / "guard")
    os.kill(guard, signal.SIGKILL)

    assert (await finished(node))["a"].reason == "killed by SIGKILL"
    assert [pid for pid in await pids_in(tmp_path / "pids") if running(pid)] == []


@pytest.mark.parametrize(("until", "closed"), [(-5.0, False), (60.0, True)], ids=["expired", "input closed"])
def test_a_guard_starts_nothing_without_a_lease(until: float, closed: bool, tmp_path: Path) -> None:
    """The guard itself may have been started too late."""
    command = [*PROGRAM, "lease", repr(time.monotonic() + until), "0", "touch", str(tmp_path / "done")]
    pipe = subprocess.DEVNULL if closed else subprocess.PIPE
    guard = subprocess.Popen(command, stdin=pipe)
    assert guard.wait(20) != 0
    if guard.stdin is not None:
        guard.stdin.close()
    assert not (tmp_path / "done").exists()


async def test_a_command_that_was_killed_with_its_lease_has_not_failed(
    node: ClusterNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster was late with the lease: the task is tried again, and no retry is used up."""
    monkeypatch.setattr(
        RunLease, "expires_at", property(lambda lease: lease._expires_at - LEASE_SECONDS + 1.0)
    )
    script = f"echo $$ >> {tmp_path}/pids; test $(wc -l < {tmp_path}/pids) = 2 || sleep 300"
    await start(node, process("a", "sh", "-c", script), side_effects=SideEffects.EXCLUSIVE)
    first = (await pids_in(tmp_path / "pids"))[0]
    monkeypatch.undo()

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    assert len(pids_written(tmp_path / "pids")) == 2
    assert not running(first)


async def test_memory_is_bounded_under_a_guard_too(node: ClusterNode) -> None:
    """The field `memoryMib` must hold for exclusive tasks as well."""
    greedy = process("a", sys.executable, "-c", "bytearray(500_000_000)", resources=Resources(memory_mib=100))
    await start(node, greedy, side_effects=SideEffects.EXCLUSIVE)

    assert (await finished(node))["a"].reason == "exit code 1"
    assert "MemoryError" in "".join(
        [chunk.text async for chunk in node.logs(SHARD, "a", offset=0, follow=False)]
    )


async def test_a_child_without_group_and_environment_ends_with_the_guard(
    node: ClusterNode, tmp_path: Path
) -> None:
    """Every descendant of the guard belongs to its try, also one that no environment identifies."""
    script = ESCAPE.replace("setsid", "env -i setsid").format(folder=tmp_path, then="exit 0")
    await start(node, process("a", "sh", "-c", script), side_effects=SideEffects.EXCLUSIVE)

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    assert not running(int((tmp_path / "pid").read_text()))
