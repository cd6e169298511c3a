"""Tests the memory limit of a task: it holds from the command's start on, and failures name it."""

import resource
import sys
from pathlib import Path

import pytest
from msgspec import structs

from clusters.embedded.executors.process.memory_limit import limited_command, memory_reason
from clusters.embedded.executors.process.process_spec import ProcessSpec
from clusters.embedded.node import ClusterNode
from tests.clusters.embedded.working_node import SHARD, finished, process, start
from waypost.workflow.task import Resources
from waypost.workflow.task_phase import TaskPhase

pytestmark = pytest.mark.integration

LIMITED = Resources(memory_mib=100)


async def test_a_child_that_is_started_at_once_is_limited(node: ClusterNode) -> None:
    """Limited only after its start, a command had children without a limit in every second try."""
    script = 'sh -c "ulimit -d" > "$WAYPOST_OUTPUT"'
    names = [f"t{number}" for number in range(20)]
    await start(node, *(process(name, "sh", "-c", script, resources=LIMITED) for name in names))

    assert {name: event.output for name, event in (await finished(node)).items()} == dict.fromkeys(
        names, 100 * 1024
    )


async def test_a_command_that_gets_no_more_memory_fails_for_memory(node: ClusterNode) -> None:
    """Its exit code alone says nothing."""
    greedy = process("a", "sh", "-c", f"{sys.executable} -c 'bytearray(400 << 20)'", resources=LIMITED)
    await start(node, greedy)

    reason = "out of memory: exit code 1, its memory is limited to 100 MiB (resources.memoryMiB)"
    assert (await finished(node))["a"].reason == reason


async def test_a_limited_command_gets_its_environment_and_nothing_else(node: ClusterNode) -> None:
    """Names that no shell could set, and one that looks like an option, included."""
    env = {"a.b": "1", "-u": "2", "EMPTY": "", "TWO": "x=y\nz", "PATH": "/usr/bin:/bin"}
    task = process("a", "/usr/bin/env", "-0", env=env, resources=LIMITED)
    await start(node, task)
    await finished(node)

    text = "".join([chunk.text async for chunk in node.logs(SHARD, "a", offset=0, follow=False)])
    given = {item for item in text.split("\0") if item and not item.startswith("WAYPOST_")}
    folders = node._state_folder.task_folders(SHARD, "a")
    base = {"LANG=C.UTF-8", f"HOME={folders.workspace}", f"TMPDIR={folders.scratch}"}
    assert given == base | {f"{name}={value}" for name, value in env.items()}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("no-such-program", "cannot run no-such-program: No such file or directory"),
        ("/etc/passwd", "cannot run /etc/passwd: Permission denied"),
        ("./a=b", "cannot run ./a=b: a program with memoryMiB cannot have = in its name"),
    ],
)
async def test_a_program_that_cannot_run_is_named(node: ClusterNode, command: str, reason: str) -> None:
    """As without a limit: "exit code 127" would leave people to guess."""
    await start(node, process("a", command, resources=LIMITED))

    assert (await finished(node))["a"].reason == reason


async def test_a_variable_with_a_nul_character_is_a_failure(node: ClusterNode) -> None:
    """It would end the variable and begin another one."""
    await start(node, process("a", "true", env={"A": "x\0LD_PRELOAD=y"}, resources=LIMITED))

    found = (await finished(node))["a"]
    assert (found.phase, "NUL" in found.reason) == (TaskPhase.FAILED, True)


@pytest.mark.parametrize(
    ("written", "out_of_memory"),
    [
        (b"terminate called after throwing an instance of 'std::bad_alloc'\n", True),
        (b"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n", True),
        (b"java.lang.OutOfMemoryError: Java heap space\n", True),
        (b"memory allocation of 419430400 bytes failed\n", True),
        (b"sort: memory exhausted\n", True),
        (b"fork: Cannot allocate memory\n", True),
        (b"no such table: users\n", False),
        (b"", False),
    ],
)
def test_what_a_program_wrote_last_says_whether_memory_was_short(
    tmp_path: Path, written: bytes, out_of_memory: bool
) -> None:
    """Only what this try wrote counts: the log also holds the earlier ones."""
    log, earlier = tmp_path / "a.log", b"MemoryError\n"
    log.write_bytes(earlier + written)
    spec = ProcessSpec(command=["x"], directory=tmp_path, environment={}, log=log, memory_bytes=64 << 20)

    reason = memory_reason(spec, "exit code 1", len(earlier))

    assert reason.startswith("out of memory: ") is out_of_memory
    assert "exit code 1" in reason
    assert "64 MiB" in reason


def test_a_cluster_below_a_limit_of_its_own_sets_no_higher_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without privileges cannot, and no command would be started."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 20, 1 << 30))
    spec = ProcessSpec(command=["true"], directory=tmp_path, environment={}, log=tmp_path / "log")

    limits = [limited_command(structs.replace(spec, memory_bytes=size))[4] for size in (1 << 29, 1 << 31)]
    assert limits == [str(1 << 19), str(1 << 20)]
