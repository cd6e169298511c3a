"""Tests tries as a node runs them: killed only once, and ended even without free descriptors."""

import asyncio

import pytest
from loguru import logger

from clusters.embedded.node import ClusterNode
from clusters.embedded.scheduling.launch import Outcome
from clusters.protocol import (
    AttemptEndKind,
    Batch,
)
from tests.clusters.embedded.working_node import SHARD, ended, finished, process, start
from waypost.tracing.context import TraceContext
from waypost.workflow.task import Retry, TaskSpec


async def test_a_try_is_killed_once(node: ClusterNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor that is ending it must not be interrupted by every tombstone that is sent again."""
    ending, over = asyncio.Event(), asyncio.Event()

    async def execute(*_: object) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await over.wait()
        return Outcome(succeeded=True)

    monkeypatch.setattr(node._task_runner._executors["delay"], "execute", execute)
    await start(node, TaskSpec(name="a", type="delay", run={"seconds": 0}))
    await node.apply(Batch(tombstones=(SHARD,)))
    await ending.wait()
    await node.apply(Batch(tombstones=(SHARD,)))
    await asyncio.sleep(0)
    assert not (await node.apply(Batch(tombstones=(SHARD,)))).tombstones[0].gone

    over.set()
    while not (await node.apply(Batch(tombstones=(SHARD,)))).tombstones[0].gone:
        await asyncio.sleep(0)


async def test_an_executor_that_fails_is_logged_with_the_trace_of_the_try(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search for the trace finds the stack of the failure."""

    async def execute(*_: object) -> Outcome:
        raise KeyError("a mistake")

    monkeypatch.setattr(node._task_runner._executors["delay"], "execute", execute)
    lines: list[object] = []
    sink = logger.add(lambda line: lines.append(line.record["extra"]), level="ERROR")
    span = TraceContext(trace_id="a" * 32, span_id="b" * 16)
    await start(node, TaskSpec(name="a", type="delay", run={"seconds": 0}), span=span)
    await ended(node)
    logger.remove(sink)

    assert lines == [{"run": "run", "shard": 0, "trace_id": "a" * 32}]


async def test_without_descriptors_a_try_still_ends(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was started with the last of them."""

    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("clusters.embedded.executors.process.child_exit.os.pidfd_open", none_left)
    await start(node, process("a", "true"))

    assert (await ended(node)).end is AttemptEndKind.SUCCEEDED


async def test_without_descriptors_an_attempt_is_lost(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another cluster has some."""

    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("clusters.embedded.executors.process.process_start.open_regular", none_left)
    await start(node, process("a", "true"))

    assert (await ended(node)).end is AttemptEndKind.LOST


async def test_without_its_executor_an_attempt_is_lost(
    node: ClusterNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken before a restart, which found the host without: another cluster may have the executor."""
    monkeypatch.setattr(node._task_runner, "_executors", {})
    await start(node, process("a", "true"))

    assert (await ended(node)).end is AttemptEndKind.LOST


async def test_a_try_that_takes_too_long_is_told_from_one_that_fails(node: ClusterNode) -> None:
    """`retry.on` may name the one without the other."""
    retry = Retry(limit=1, backoff_seconds=0, on=("failure",))
    await start(
        node, TaskSpec(name="a", type="delay", run={"seconds": 600}, timeout_seconds=0.01, retry=retry)
    )

    assert (await ended(node)).reason == "task a: timed out after 0.01 s"
    assert (await finished(node))["a"].tries == 1


@pytest.mark.integration
async def test_an_output_that_does_not_fit_its_schema_fails_the_try(node: ClusterNode) -> None:
    """The next try may write a better one; what needs it never sees a wrong one."""
    schema = {"type": "object", "properties": {"rows": {"type": "integer"}}}
    first, later = '{"rows": "x"}', '{"rows": 2}'
    write = f"([ $WAYPOST_TRY = 1 ] && echo '{first}' || echo '{later}') > $WAYPOST_OUTPUT"
    retry = Retry(limit=1, backoff_seconds=0.0)
    read = process("b", "sh", "-c", "echo ${tasks.a.output.rows} > $WAYPOST_OUTPUT", needs=("a",))
    await start(node, process("a", "sh", "-c", write, outputs=schema, retry=retry), read)
    found = await finished(node)

    assert (found["a"].tries, found["a"].output) == (2, {"rows": 2})
    assert found["b"].output == 2


@pytest.mark.integration
async def test_a_wrong_output_is_reported_with_its_place(node: ClusterNode) -> None:
    """A pattern that takes for ever fails its own task alone."""
    wrong = process(
        "a", "sh", "-c", "echo [1,true] > $WAYPOST_OUTPUT", outputs={"items": {"type": "integer"}}
    )
    await start(node, wrong)

    assert (await ended(node)).reason == (
        "task a: the output does not fit its schema: /1 True is not of type 'integer'"
    )


@pytest.mark.integration
async def test_instances_run_with_their_own_inputs_and_logs(node: ClusterNode) -> None:
    """Each reads its item, and has a log under its name."""
    read = (
        "import json, os; given = json.load(open(os.environ['WAYPOST_INPUT']));"
        "print(os.environ['WAYPOST_TASK'], given['item'])"
    )
    listed = process("list", "sh", "-c", 'echo \'["x", "y"]\' > $WAYPOST_OUTPUT')
    each = process(
        "m",
        "sh",
        "-c",
        f'python3 -c "{read}"; echo ${{index}} > $WAYPOST_OUTPUT',
        needs=("list",),
        for_each="${tasks.list.output}",
    )
    total = process("sum", "sh", "-c", "echo '${tasks.m.output}' > $WAYPOST_OUTPUT", needs=("m",))
    await start(node, listed, each, total)
    found = await finished(node)
    text = [chunk.text async for chunk in node.logs(SHARD, "m[1]", offset=0, follow=False)]

    assert found["sum"].output == [0, 1]
    assert text == ["m[1] y\n"]
