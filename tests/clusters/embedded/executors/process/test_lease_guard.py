"""Tests the lease guard of an exclusive try: it ends the command when the lease or the guard ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from clusters.embedded.executors.process import lease_guard
from clusters.embedded.executors.process.process_spec import IDENTITY
from clusters.embedded.executors.process.watchdog_client import PROGRAM
from clusters.embedded.executors.run_lease import RunLease
from clusters.embedded.node import ClusterNode
from clusters.protocol import AttemptEndKind
from tests.clusters.embedded.executors.process.escaping_commands import ESCAPE, pids_in, pids_written
from tests.clusters.embedded.working_node import SHARD, ended, finished, process, running, start
from waypost.workflow.task import Resources, SideEffects
from waypost.workflow.task_phase import TaskPhase

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("leases")]

FULL_MACHINE = f"""
import errno, runpy, subprocess
def popen(*_, **__): raise BlockingIOError(errno.EAGAIN, "")
subprocess.Popen = popen
runpy.run_path({PROGRAM[-1]!r}, run_name="__main__")
"""
"""A guard that can start no process."""


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
    command = [*PROGRAM, "lease", repr(time.monotonic() + until), "0"]
    pipe = subprocess.DEVNULL if closed else subprocess.PIPE
    with tempfile.TemporaryFile() as environment:
        inherited = environment.fileno()
        command += [str(inherited), "touch", str(tmp_path / "done")]
        guard = subprocess.Popen(command, stdin=pipe, pass_fds=[inherited])
    assert guard.wait(20) != 0
    if guard.stdin is not None:
        guard.stdin.close()
    assert not (tmp_path / "done").exists()


async def test_a_command_that_was_killed_with_its_lease_has_not_failed(
    node: ClusterNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster was late with the lease: the task is tried again, and no retry is used up."""
    pids = tmp_path / "pids"

    def expires_at(lease: RunLease) -> float:
        """Returns a near end until a command has begun: that one outlives it, those after it do not."""
        return lease._expires_at if pids_written(pids) else min(lease._expires_at, time.monotonic() + 1.0)

    monkeypatch.setattr(RunLease, "expires_at", property(expires_at))
    # A renewal would let the first command go on.
    monkeypatch.setattr(RunLease, "wait_for_renewal", lambda _: asyncio.Event().wait())
    script = f"echo $$ >> {pids}; test $(wc -l < {pids}) -ge 2 || sleep 300"
    await start(node, process("a", "sh", "-c", script), side_effects=SideEffects.EXCLUSIVE)

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    first, *later = pids_written(pids)
    assert later
    assert not running(first)


async def test_memory_is_bounded_under_a_guard_too(node: ClusterNode) -> None:
    """The field `memoryMib` must hold for exclusive tasks as well."""
    greedy = process("a", sys.executable, "-c", "bytearray(500_000_000)", resources=Resources(memory_mib=100))
    await start(node, greedy, side_effects=SideEffects.EXCLUSIVE)

    reason = "out of memory: exit code 1, its memory is limited to 100 MiB (resources.memoryMiB)"
    assert (await finished(node))["a"].reason == reason


@pytest.mark.parametrize("memory_mib", [None, 100])
@pytest.mark.parametrize("program", ["no-such-program", "/etc/passwd"])
@pytest.mark.parametrize("side_effects", list(SideEffects))
async def test_a_command_that_cannot_be_started_says_why(
    node: ClusterNode, side_effects: SideEffects, program: str, memory_mib: int | None
) -> None:
    """An exit code of 127 would be the command's own, and is no word about its memory."""
    task = process("a", program, resources=Resources(memory_mib=memory_mib))
    await start(node, task, side_effects=side_effects)

    why = "Permission denied" if program.startswith("/") else "No such file or directory"
    assert (await finished(node))["a"].reason == f"cannot run {program}: {why}"


async def test_a_machine_without_another_process_fails_no_task(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is a fault of the machine, whether the cluster or the guard meets it: another cluster may run it."""
    program = tmp_path / "guard.py"
    program.write_text(FULL_MACHINE)
    monkeypatch.setattr(lease_guard, "PROGRAM", (*PROGRAM[:-1], str(program)))
    await start(node, process("a", "true"), side_effects=SideEffects.EXCLUSIVE)

    end = await ended(node)
    assert end.end is AttemptEndKind.LOST
    assert end.reason == "task a: cannot run true: Resource temporarily unavailable"


def test_a_guard_below_a_limit_of_its_own_sets_no_higher_one(tmp_path: Path) -> None:
    """A process without privileges cannot, and its command would not be started."""
    hard = 1 << 30
    ours, guards = socket.socketpair()
    with ours, guards, tempfile.TemporaryFile() as environment:
        command = [*PROGRAM, "lease", repr(time.monotonic() + 60), str(hard * 2), str(environment.fileno())]
        command += ["/bin/sh", "-c", f"ulimit -Hd > {tmp_path}/limit"]
        guard = subprocess.Popen(
            ["/bin/sh", "-c", f'ulimit -d {hard >> 10} && exec "$@"', "sh", *command],
            stdin=guards.fileno(),
            pass_fds=[environment.fileno()],
        )
        guard.wait(20)
        assert ours.recv(100).endswith(b"=0\n")
    assert int((tmp_path / "limit").read_text()) == hard >> 10


@pytest.mark.parametrize("side_effects", list(SideEffects))
async def test_what_a_document_sets_acts_on_its_command_alone(
    node: ClusterNode, side_effects: SideEffects
) -> None:
    """Loaded into the guard, a library of a task could let it run past its lease.

    The loader complains once for each program that it starts with a library that is missing.
    """
    env = {"LD_PRELOAD": "/missing.so"}
    task = process("a", "/bin/true", env=env, resources=Resources(memory_mib=100))
    await start(node, task, side_effects=side_effects)
    await finished(node)

    text = "".join([chunk.text async for chunk in node.logs(SHARD, "a", offset=0, follow=False)])
    assert text.count("/missing.so") == 1


async def test_a_guard_has_no_environment_but_ours(node: ClusterNode) -> None:
    """Nothing that a task may set reaches it; its identity does, by which a later cluster finds it."""
    script = r"""tr '\0' '\n' < /proc/$PPID/environ | sed 's/=.*//' | sort"""
    task = process("a", "sh", "-c", script, env={"PYTHONPATH": "/x", "PATH": "/usr/bin:/bin", "MINE": "1"})
    await start(node, task, side_effects=SideEffects.EXCLUSIVE)
    await finished(node)

    text = "".join([chunk.text async for chunk in node.logs(SHARD, "a", offset=0, follow=False)])
    assert text.split() == sorted(["PATH", *IDENTITY])


async def test_a_child_without_group_and_environment_ends_with_the_guard(
    node: ClusterNode, tmp_path: Path
) -> None:
    """Every descendant of the guard belongs to its try, also one that no environment identifies."""
    script = ESCAPE.replace("setsid", "env -i setsid").format(folder=tmp_path, then="exit 0")
    await start(node, process("a", "sh", "-c", script), side_effects=SideEffects.EXCLUSIVE)

    assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    assert not running(int((tmp_path / "pid").read_text()))
