"""Tests that conditions of tasks are evaluated beside the cluster, which goes on meanwhile."""

import asyncio
from pathlib import Path

import pytest

from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.protocol import Batch
from tests.clusters.embedded.working_node import SHARD, ended, finished, process, start
from waypost.workflow.task_phase import TaskPhase

pytestmark = pytest.mark.integration

SLOW = r'params.l.all(x, x.matches("^\\pL{60}$") || true)'
PARAMS = {"l": ["1"] * 1_900}


def node_in(folder: Path, condition_seconds: float = 0.1) -> ClusterNode:
    settings = ClusterNodeSettings(
        region="r", state=str(folder), cpu=4.0, condition_seconds=condition_seconds
    )
    return ClusterNode(settings)


async def test_conditions_decide_what_runs(tmp_path: Path) -> None:
    """They see what the tasks before them left, and what was skipped counts as finished."""
    async with node_in(tmp_path) as node:
        await start(
            node,
            process("a", "sh", "-c", 'echo 3 > "$WAYPOST_OUTPUT"'),
            process("b", "true", needs=("a",), when='tasks["a"].output == 3 && params.go'),
            process("c", "false", needs=("a",), when='tasks["a"].output > 3'),
            process("d", "true", needs=("c",), when='tasks["c"].output == null'),
            params={"go": True},
        )
        phases = {name: event.phase for name, event in (await finished(node)).items()}
    succeeded = TaskPhase.SUCCEEDED
    assert phases == {"a": succeeded, "b": succeeded, "c": TaskPhase.SKIPPED, "d": succeeded}


async def test_what_takes_too_long_fails_its_task_alone(tmp_path: Path) -> None:
    """It would take a minute with the interpreter lock held; probes and other tasks go on."""
    async with node_in(tmp_path, condition_seconds=0.3) as node:
        await start(node, process("slow", "true", when=SLOW), process("plain", "true"), params=PARAMS)
        await node.probe()
        plain = await finished(node)
        end = await ended(node)
    assert plain["plain"].phase is TaskPhase.SUCCEEDED
    assert end.reason == "task slow: when: takes more than 0.3 s of processor time"


async def test_an_attempt_is_stopped_while_its_condition_is_evaluated(tmp_path: Path) -> None:
    """A tombstone waits for no evaluation, and the answer starts nothing."""
    async with node_in(tmp_path, condition_seconds=30.0) as node:
        await start(node, process("slow", "true", when=SLOW), params=PARAMS)
        (answer,) = (await node.apply(Batch(tombstones=(SHARD,)))).tombstones
        assert answer.gone


async def test_a_restart_evaluates_again(tmp_path: Path) -> None:
    """The node stops in the middle of an evaluation; the next one asks again when the attempt is created."""
    tasks = (process("slow", "true", when=SLOW), process("after", "true", needs=("slow",)))
    async with node_in(tmp_path, condition_seconds=30.0) as node:
        await start(node, *tasks, params=PARAMS)
    async with node_in(tmp_path, condition_seconds=0.1) as node:
        await start(node, *tasks, params=PARAMS)
        assert (await ended(node)).reason == "task slow: when: takes more than 0.1 s of processor time"


async def test_without_a_process_the_cluster_asks_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is short of memory is no fault of the task."""
    monkeypatch.setattr("clusters.embedded.condition_runner.RETRY_SECONDS", 0.0)
    with monkeypatch.context() as broken:
        broken.setattr("waypost.worker_pool.sys.executable", "/nonexistent")
        node = await node_in(tmp_path).__aenter__()
        await start(node, process("a", "true", when="true"))
        for _ in range(20):
            await asyncio.sleep(0)
    try:
        assert (await finished(node))["a"].phase is TaskPhase.SUCCEEDED
    finally:
        await node.__aexit__(None, None, None)
