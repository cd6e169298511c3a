"""Processes under a real node: what they get, how they end, and that nothing of them is left."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clusters.embedded.node import Node, NodeSettings
from clusters.embedded.state import Outcome
from clusters.spec import AttemptEnded, AttemptId, Batch, Fence, RunSpec, ShardSpec, SideEffects, TaskChanged, TaskPhase, TaskSpec

SHARD = AttemptId(run="run", shard=0, epoch=1)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with Node(NodeSettings(region="beijing", state=str(tmp_path), cpu=4.0)) as node:
        yield node


async def start(node: Node, *tasks: TaskSpec, **run: Any) -> None:
    fence = Fence(boot=(await node.probe()).boot, not_after=1e9)
    spec = RunSpec(run="run", tasks=tasks, **run)
    await node.apply(Batch(runs=(spec,), creates=(ShardSpec(attempt=SHARD, fence=fence),)))


def process(name: str, *command: str, needs: tuple[str, ...] = (), env: dict[str, str] | None = None, **more: Any) -> TaskSpec:
    return TaskSpec(name=name, type="process", run={"command": list(command), "env": env or {}}, needs=needs, **more)


async def finished(node: Node) -> dict[str, TaskChanged]:
    """The last word on each task, when the attempt is over."""
    found: dict[str, TaskChanged] = {}
    async for event in node.watch(0, ""):
        if isinstance(event, TaskChanged):
            found[event.task] = event
        elif isinstance(event, AttemptEnded):
            break
    return found


async def test_a_talkative_task_does_not_fill_the_disk(node: Node) -> None:
    """Its log is cut while it runs: this one waits for that."""
    talk = "import os, time; [os.write(1, b'x' * 1_000_000) for _ in range(20)]\nwhile os.fstat(1).st_size > 17_000_000: time.sleep(0.01)"
    await start(node, process("talk", sys.executable, "-c", talk))

    assert (await finished(node))["talk"].phase is TaskPhase.SUCCEEDED


async def test_a_task_reads_its_input_and_its_result_reaches_the_next(node: Node) -> None:
    """By files, so that any language will do."""
    write = process("write", "sh", "-c", 'echo \'{"answer": 42}\' > "$WAYPOST_OUTPUT"')
    read = process("read", "sh", "-c", 'cat "$WAYPOST_INPUT"; cp "$WAYPOST_INPUT" "$WAYPOST_OUTPUT"', needs=("write",))
    await start(node, write, read, params={"date": "today"})

    found = await finished(node)

    assert found["write"].output == {"answer": 42}
    assert found["read"].output["outputs"] == {"write": {"answer": 42}}
    assert found["read"].output["params"] == {"date": "today"}
    assert found["read"].output["shard"] == {"index": 0, "count": 1, "item": None}
    text = "".join([chunk.text async for chunk in node.logs(SHARD, "read", offset=0, follow=False)])
    assert '"answer":42' in text


async def test_nothing_of_the_clusters_environment_reaches_a_task(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of the cluster is none of a tenant's business."""
    monkeypatch.setenv("CLUSTER_SECRET", "hunter2")
    await start(node, process("env", "sh", "-c", 'env > env.txt; test -z "$CLUSTER_SECRET"; test "$MODE" = full', env={"MODE": "full"}))

    assert (await finished(node))["env"].phase is TaskPhase.SUCCEEDED


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("sh", "-c", "exit 3"), "exit code 3"),
        (("sh", "-c", "kill -9 $$"), "killed by SIGKILL"),
        (("no-such-program",), "cannot run no-such-program"),
        (("sh", "-c", 'echo "{" > "$WAYPOST_OUTPUT"'), "the output is not JSON"),
        (("sh", "-c", """echo '{"a": {"b": 1, "b": 2}}' > "$WAYPOST_OUTPUT\""""), "the output is not JSON: a name is there twice"),
        (("sh", "-c", 'echo "[9007199254740993]" > "$WAYPOST_OUTPUT"'), "the output holds 9007199254740993, which is not the same"),
        (("sh", "-c", """echo '{"a\\\\u0000": 1}' > "$WAYPOST_OUTPUT\""""), "the output holds a NUL character"),
        (("sh", "-c", """echo '"\\\\ud800"' > "$WAYPOST_OUTPUT\""""), "the output is not JSON"),
        (("sh", "-c", 'head -c 70000 /dev/zero > "$WAYPOST_OUTPUT"'), "the output has more than 64 KiB"),
        (("sh", "-c", 'mkfifo "$WAYPOST_OUTPUT"'), "the output is no regular file"),
        (("sh", "-c", 'mkdir "$WAYPOST_OUTPUT"; touch "$WAYPOST_OUTPUT/x"'), "the output is no regular file"),
        (("sh", "-c", 'ln -s /etc/hostname "$WAYPOST_OUTPUT"'), "the output is a link"),
        (("sh", "-c", "head -c 50000 /dev/zero | tr '\\0' '[' > \"$WAYPOST_OUTPUT\""), "nested more than 64 deep"),
        ((sys.executable, "-c", "import os; open(os.environ['WAYPOST_OUTPUT'], 'w').write('['*65 + '0' + ']'*65)"), "nested more than 64"),
    ],
)
async def test_a_failure_says_what_failed(node: Node, command: tuple[str, ...], reason: str) -> None:
    """Whoever is called at night reads this first."""
    await start(node, process("a", *command))

    assert reason in (await finished(node))["a"].reason


async def test_a_variable_that_no_process_can_have_is_a_failure(node: Node) -> None:
    """Not an exception that nobody hears: the shard would wait for ever."""
    await start(node, process("a", "true", env={"${shard.item}": "x", "A=B": "c"}))

    assert "run: " in (await finished(node))["a"].reason


async def test_an_executor_that_breaks_its_promise_fails_the_task(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a third party's."""

    async def broken(*_: object) -> Outcome:
        raise LookupError("a mistake")

    monkeypatch.setattr(node._executors["process"], "execute", broken)
    await start(node, process("a", "true"))

    assert (await finished(node))["a"].reason == "the executor failed: LookupError"


async def test_a_working_directory_cannot_leave_the_workspace(node: Node) -> None:
    task = TaskSpec(name="a", type="process", run={"command": ["true"], "workingDirectory": "../../.."})
    await start(node, task)

    assert "leads out of the workspace" in (await finished(node))["a"].reason


async def test_a_timeout_ends_grandchildren_too(node: Node, tmp_path: Path) -> None:
    """The whole group: a shell that is killed alone leaves its children working."""
    script = f"sleep 300 & echo $! > {tmp_path}/pid; sleep 300"
    await start(node, process("a", "sh", "-c", script, timeout_seconds=0.5))

    assert (await finished(node))["a"].reason == "timed out after 0.5 s"
    assert not running(int((tmp_path / "pid").read_text()))


async def test_a_timeout_is_for_every_executor(node: Node) -> None:
    """Also for one that starts no process."""
    await start(node, TaskSpec(name="a", type="delay", run={"seconds": 300}, timeout_seconds=0.05))

    assert (await finished(node))["a"].reason == "timed out after 0.05 s"


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_an_exclusive_task_starts_under_its_lease_alone(node: Node) -> None:
    """Without a gateway that grants it nothing may run."""
    await start(node, process("a", "true"), side_effects=SideEffects.EXCLUSIVE)
    assert not node._tries


NODE = """
import asyncio, sys
from clusters.embedded.node import Node, NodeSettings
from clusters.spec import AttemptId, Batch, Fence, RunSpec, ShardSpec, TaskSpec

async def main():
    async with Node(NodeSettings(region="beijing", state=sys.argv[1], cpu=4.0)) as node:
        task = TaskSpec(name="a", type="process", run={"command": ["sh", "-c", f"echo $$ > {sys.argv[1]}/pid; sleep 300"]})
        fence = Fence(boot=(await node.probe()).boot, not_after=1e9)
        spec = ShardSpec(attempt=AttemptId(run="run", shard=0, epoch=1), fence=fence)
        await node.apply(Batch(runs=(RunSpec(run="run", tasks=(task,)),), creates=(spec,)))
        await asyncio.sleep(300)

asyncio.run(main())
"""


@pytest.mark.integration
async def test_a_killed_cluster_takes_its_tasks_with_it(tmp_path: Path) -> None:
    """SIGKILL leaves no time to say goodbye: the watchdog does it, and the journal knows the attempt, asleep."""
    cluster = subprocess.Popen([sys.executable, "-c", NODE, str(tmp_path)], env={**os.environ, "PYTHONPATH": os.getcwd()})
    written = tmp_path / "pid"
    async with asyncio.timeout(30):
        while not (written.exists() and written.read_text().strip()):
            await asyncio.sleep(0.02)
    pid = int(written.read_text())
    assert running(pid)

    cluster.send_signal(signal.SIGKILL)
    cluster.wait()

    async with asyncio.timeout(10):
        while running(pid):
            await asyncio.sleep(0.02)
    async with Node(NodeSettings(region="beijing", state=str(tmp_path), cpu=4.0)) as node:
        assert (await node.attempts()).attempts == ((SHARD, False),)
