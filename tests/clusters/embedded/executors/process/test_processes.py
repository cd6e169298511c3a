"""Tests processes that a real node starts: their environment, their output, and how they end."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.storage.task_logs import LOG_BYTES
from clusters.errors import ClusterError
from clusters.protocol import AttemptEndKind
from tests.clusters.embedded.working_node import SHARD, ended, finished, process, running, start
from waypost.tracing.context import TraceContext
from waypost.workflow.run_types import OWN_VARIABLES
from waypost.workflow.task import SideEffects, TaskSpec
from waypost.workflow.task_phase import TaskPhase

pytestmark = pytest.mark.integration


async def test_a_talkative_task_does_not_fill_the_disk(node: ClusterNode) -> None:
    """Its log is shortened while it runs: this task waits for that."""
    talk = """
import os, time
for _ in range(20):
    os.write(1, b'x' * 1_000_000)
while os.fstat(1).st_size > 17_000_000:
    time.sleep(0.01)
"""
    await start(node, process("talk", sys.executable, "-c", talk))

    assert (await finished(node))["talk"].phase is TaskPhase.SUCCEEDED


async def test_a_task_reads_its_input_and_its_result_reaches_the_next(node: ClusterNode) -> None:
    """By files, which every language can read and write."""
    write = process("write", "sh", "-c", 'echo \'{"answer": 42}\' > "$WAYPOST_OUTPUT"')
    read = process(
        "read", "sh", "-c", 'cat "$WAYPOST_INPUT"; cp "$WAYPOST_INPUT" "$WAYPOST_OUTPUT"', needs=("write",)
    )
    await start(node, write, read, params={"date": "today"})

    found = await finished(node)

    assert found["write"].output == {"answer": 42}
    assert found["read"].output["outputs"] == {"write": {"answer": 42}}
    assert found["read"].output["params"] == {"date": "today"}
    assert found["read"].output["shard"] == {"index": 0, "count": 1, "item": None}
    text = "".join([chunk.text async for chunk in node.logs(SHARD, "read", offset=0, follow=False)])
    assert '"answer":42' in text


async def test_nothing_of_the_clusters_environment_reaches_a_task(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold secrets of the cluster, which no tenant may see."""
    monkeypatch.setenv("CLUSTER_SECRET", "hunter2")
    await start(
        node,
        process(
            "env",
            "sh",
            "-c",
            'env > env.txt; test -z "$CLUSTER_SECRET"; test "$MODE" = full',
            env={"MODE": "full"},
        ),
    )

    assert (await finished(node))["env"].phase is TaskPhase.SUCCEEDED


async def test_what_waypost_sets_is_what_submissions_are_warned_of(node: ClusterNode) -> None:
    """A variable of a document under such a name has no effect."""
    given = dict.fromkeys(OWN_VARIABLES, "the document's")
    await start(node, process("a", "sh", "-c", "env > env.txt", env=given))
    await finished(node)

    text = (node._state_folder.task_folders(SHARD, "a").workspace / "env.txt").read_text()
    lines = text.splitlines()
    names = frozenset(line.partition("=")[0] for line in lines if line.startswith("WAYPOST_"))
    assert (names, "the document's" in text) == (OWN_VARIABLES, False)


async def test_a_task_learns_of_the_trace_that_it_runs_in(node: ClusterNode) -> None:
    """By the variables that OpenTelemetry reads; a document's own `TRACEPARENT` stays, without our state."""
    span = TraceContext(trace_id="a" * 32, span_id="b" * 16, flags=1, state="vendor=1")
    script = 'env | grep ^TRACE | sort > "$WAYPOST_TASK.txt"'
    own = {"TRACEPARENT": "its own"}
    await start(node, process("a", "sh", "-c", script), process("b", "sh", "-c", script, env=own), span=span)
    await finished(node)

    workspace, attempt = node._state_folder.task_folders(SHARD, "a").workspace, span.of_attempt("run", 0, 1)
    assert [(workspace / f"{name}.txt").read_text() for name in ("a", "b")] == [
        f"TRACEPARENT={attempt.of_try('a', 1).traceparent}\nTRACESTATE=vendor=1\n",
        "TRACEPARENT=its own\n",
    ]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("sh", "-c", "exit 3"), "exit code 3"),
        (("sh", "-c", "kill -9 $$"), "killed by SIGKILL"),
        (("sh", "-c", "kill -40 $$"), "killed by SIGRTMIN+6"),
        (("no-such-program",), "cannot run no-such-program"),
        (("sh", "-c", 'echo "{" > "$WAYPOST_OUTPUT"'), "the output is not JSON"),
        (
            ("sh", "-c", """echo '{"a": {"b": 1, "b": 2}}' > "$WAYPOST_OUTPUT\""""),
            "the output is not JSON: the name 'b' is there twice",
        ),
        (
            ("sh", "-c", 'echo "[9007199254740993]" > "$WAYPOST_OUTPUT"'),
            "the output holds 9007199254740993, which is not the same",
        ),
        (
            ("sh", "-c", """echo '{"a\\\\u0000": 1}' > "$WAYPOST_OUTPUT\""""),
            "the output holds a NUL character",
        ),
        (("sh", "-c", """echo '"\\\\ud800"' > "$WAYPOST_OUTPUT\""""), "the output is not JSON"),
        (("sh", "-c", 'head -c 70000 /dev/zero > "$WAYPOST_OUTPUT"'), "the output has more than 64 KiB"),
        (("sh", "-c", 'mkfifo "$WAYPOST_OUTPUT"'), "the output is no regular file"),
        (("sh", "-c", 'mkdir "$WAYPOST_OUTPUT"; touch "$WAYPOST_OUTPUT/x"'), "the output is no regular file"),
        (("sh", "-c", 'ln -s /etc/hostname "$WAYPOST_OUTPUT"'), "the output is a link"),
        (
            ("sh", "-c", "head -c 50000 /dev/zero | tr '\\0' '[' > \"$WAYPOST_OUTPUT\""),
            "nested more than 64 deep",
        ),
        (
            (
                sys.executable,
                "-c",
                "import os; open(os.environ['WAYPOST_OUTPUT'], 'w').write('['*65 + '0' + ']'*65)",
            ),
            "nested more than 64",
        ),
    ],
)
async def test_a_failure_says_what_failed(node: ClusterNode, command: tuple[str, ...], reason: str) -> None:
    """The reason is what an operator reads first."""
    await start(node, process("a", *command))

    assert reason in (await finished(node))["a"].reason


async def test_a_folder_of_many_files_as_output_holds_up_nobody(node: ClusterNode) -> None:
    """Its removal would take the event loop a second: it stays until the scratch folder goes."""
    fill = """
import os
folder = os.environ["WAYPOST_OUTPUT"]
os.mkdir(folder)
for number in range(2_000):
    os.close(os.open(f"{folder}/{number}", os.O_CREAT))
"""
    await start(node, process("a", sys.executable, "-c", fill))

    assert (await finished(node))["a"].reason == "the output is no regular file"
    scratch = node._state_folder.task_folders(SHARD, "a").scratch
    assert len(list(scratch.glob("aside-*/*"))) == 2_000


async def test_a_variable_that_no_process_can_have_is_a_failure(node: ClusterNode) -> None:
    """Not an exception in a task of asyncio: the shard would wait for ever."""
    await start(node, process("a", "true", env={"${shard.item}": "x", "A=B": "c"}))

    assert "run: " in (await finished(node))["a"].reason


async def test_an_executor_that_breaks_its_promise_fails_the_task(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor may be a third party's."""

    async def broken(*_: object) -> Outcome:
        raise LookupError("a mistake")

    monkeypatch.setattr(node._task_runner._executors["process"], "execute", broken)
    await start(node, process("a", "true"))

    assert (await finished(node))["a"].reason == "the executor failed: LookupError"


@pytest.mark.parametrize(
    ("directory", "before", "reason"),
    [
        ("f", "touch f", "run: workingDirectory: it is no folder"),
        ("out", "ln -s / out", "run: workingDirectory leads out of the workspace"),
        ("x" * 300, "true", "run: workingDirectory: File name too long"),
        ("l", "ln -s l l", "run: workingDirectory is a link that leads to itself"),
    ],
)
async def test_an_impossible_working_directory_is_a_failure(
    node: ClusterNode, directory: str, before: str, reason: str
) -> None:
    """Also where an earlier task is to blame: it is a mistake in the document, not a fault of the cluster."""
    task = TaskSpec(
        name="b", type="process", run={"command": ["true"], "workingDirectory": directory}, needs=("a",)
    )
    await start(node, process("a", "sh", "-c", before), task)

    assert (await finished(node))["b"].reason == reason


@pytest.mark.parametrize("there", ["mkfifo {log}", "ln -s /etc/hostname {log}", "mkdir {log}"])
async def test_a_log_is_a_file_and_nothing_else(node: ClusterNode, there: str) -> None:
    """An earlier task may put a link to a forbidden file in its place, or a pipe that blocks its reader."""
    log = node._state_folder.task_folders(SHARD, "b").log
    await start(node, process("a", "sh", "-c", there.format(log=log)), process("b", "true", needs=("a",)))

    assert "cannot run true" in (await finished(node))["b"].reason
    with pytest.raises(ClusterError, match="no log"):
        await anext(node.logs(SHARD, "b", offset=0, follow=False))


async def test_a_log_is_shortened_when_its_task_ends(node: ClusterNode) -> None:
    """What was written since the last check may be as much as the disk holds."""
    await start(node, process("a", "sh", "-c", "head -c 40000000 /dev/zero"))
    await finished(node)

    assert node._state_folder.task_folders(SHARD, "a").log.stat().st_size < LOG_BYTES


async def test_an_attempt_is_lost_where_its_folders_cannot_be_made(tmp_path: Path, node: ClusterNode) -> None:
    """Not failed: another cluster may have room."""
    (tmp_path / "scratch").touch()
    await start(node, process("a", "true"))

    assert (await ended(node)).end is AttemptEndKind.LOST


async def test_a_timeout_ends_grandchildren_too(node: ClusterNode, tmp_path: Path) -> None:
    """The whole group: a shell that is killed alone leaves its children working."""
    script = f"sleep 300 & echo $! > {tmp_path}/pid; sleep 300"
    await start(node, process("a", "sh", "-c", script, timeout_seconds=0.5))

    assert (await finished(node))["a"].reason == "timed out after 0.5 s"
    assert not running(int((tmp_path / "pid").read_text()))


async def test_a_timeout_is_for_every_executor(node: ClusterNode) -> None:
    """Also for one that starts no processes."""
    await start(node, TaskSpec(name="a", type="delay", run={"seconds": 300}, timeout_seconds=0.05))

    assert (await finished(node))["a"].reason == "timed out after 0.05 s"


async def test_an_exclusive_task_starts_under_its_lease_alone(node: ClusterNode) -> None:
    """Nothing may run before a gateway has granted the lease."""
    await start(node, process("a", "true"), side_effects=SideEffects.EXCLUSIVE)
    assert not len(node._task_runner)


NODE = """
import asyncio, sys
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.protocol import AttemptId, Batch, Fence, RunSpec, ShardSpec, TaskSpec

NO_SANDBOX = {"process": {"isolation": "none"}}

async def main():
    settings = ClusterNodeSettings(region="beijing", state=sys.argv[1], cpu=4.0, executors=NO_SANDBOX)
    async with ClusterNode(settings) as node:
        command = ["sh", "-c", f"echo $$ > {sys.argv[1]}/pid; sleep 300"]
        task = TaskSpec(name="a", type="process", run={"command": command})
        fence = Fence(boot=(await node.probe()).boot, not_after=1e9)
        spec = ShardSpec(attempt=AttemptId(run="run", shard=0, epoch=1), fence=fence)
        await node.apply(Batch(runs=(RunSpec(run="run", tasks=(task,)),), creates=(spec,)))
        await asyncio.sleep(300)

asyncio.run(main())
"""


@pytest.mark.integration
async def test_a_killed_cluster_takes_its_tasks_with_it(tmp_path: Path) -> None:
    """SIGKILL leaves no time to end them: the watchdog does, and the journal still has the attempt."""
    cluster = subprocess.Popen(
        [sys.executable, "-c", NODE, str(tmp_path)], env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
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
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path), cpu=4.0)) as node:
        assert (await node.attempts()).attempts == ((SHARD, False),)
