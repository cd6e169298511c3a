"""Tests which instances of tasks with `forEach` a new attempt need not run again."""

from typing import Any, Literal

import msgspec
import pytest
from msgspec import Raw, structs

from clusters.protocol import TaskResult
from gateway.core.resume import resume
from gateway.core.run import TaskRow, with_lists_of_instances
from gateway.store.rules import RetriedTasks
from tests.gateway.documents.documents import document
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase

LIST = TaskSpec(name="list", type="delay", run={})


def each(scope: Literal["global", "region"] = "global") -> TaskSpec:
    listed = "${tasks.list.output}"
    return TaskSpec(name="m", type="delay", run={}, needs=("list",), for_each=listed, result_scope=scope)


def row(name: str, phase: TaskPhase = TaskPhase.SUCCEEDED, **more: Any) -> TaskRow:
    fields: dict[str, Any] = {"epoch": 1, "incarnation": "old", "output": None} | more
    return TaskRow(
        run="r", shard=0, task=name, phase=phase, region="beijing", tries=1, started_at=0.0, **fields
    )


def carried(*rows: TaskRow, task: TaskSpec | None = None, incarnation: str = "new") -> list[str]:
    found = resume((LIST, task or each()), rows, incarnation=incarnation, carries_failures=True)
    return [result.task for result in found.results]


def test_finished_instances_travel_though_their_task_has_not_ended() -> None:
    """A failover in the middle of two hundred runs the rest only."""
    rows = [
        row("list", output=[1, 2, 3]),
        row("m", TaskPhase.RUNNING, instances=3),
        row("m[0]", output="a"),
        row("m[1]", TaskPhase.RUNNING),
        row("m[2]", TaskPhase.FAILED),
    ]

    assert carried(*rows) == ["list", "m[0]", "m[2]"]


def test_a_finished_task_travels_with_its_instances() -> None:
    """Its output is the list of theirs, which is kept nowhere else."""
    rows = [row("list"), row("m", instances=2), row("m[0]", output="a"), row("m[1]", output="b"), row("m[2]")]
    found = resume((LIST, each()), rows, incarnation="new", carries_failures=True)

    assert found.results[1:] == (
        TaskResult(task="m", instances=2),
        TaskResult(task="m[0]", output="a"),
        TaskResult(task="m[1]", output="b"),
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("list", epoch=2), row("m[0]", epoch=1)], ["list"]),
        ([row("list", epoch=2), row("m[0]", epoch=2)], ["list", "m[0]"]),
        ([row("m[0]")], []),
    ],
)
def test_instances_of_another_list_run_again(rows: list[TaskRow], expected: list[str]) -> None:
    """A list that was made again may have other items: the first is another one."""
    assert carried(*rows) == expected


def test_instances_on_the_disks_of_a_lost_region_run_again() -> None:
    """As tasks of the scope `region` do."""
    rows = [row("list"), row("m[0]"), row("m[1]", incarnation="new")]

    assert carried(*rows, task=each("region")) == ["list", "m[1]"]


def test_a_retry_keeps_the_instances_that_succeeded() -> None:
    """Only where the list is made again, all of them run again."""
    tasks = [
        {"name": "list", "type": "process", "run": {}},
        {"name": "m", "type": "process", "run": {}, "needs": ["list"]},
    ]
    retried = RetriedTasks(msgspec.json.encode(document(*tasks)))
    failed = {"m": TaskPhase.FAILED, "m[0]": TaskPhase.SUCCEEDED, "m[1]": TaskPhase.FAILED}

    assert retried.dropped({"list": TaskPhase.SUCCEEDED} | failed) == ["m", "m[1]"]
    assert retried.dropped({"list": TaskPhase.FAILED} | failed) == ["list", "m", "m[0]", "m[1]"]


def test_the_output_of_a_task_is_the_list_of_its_instances_outputs() -> None:
    """In their order, and only where all are known; encoded outputs are not decoded."""
    rows = [row("m", instances=2), row("m[1]", output={"n": 2}), row("m[0]", output=1)]
    encoded = [structs.replace(one, output=Raw(b"7")) if one.task != "m" else one for one in rows]

    assert with_lists_of_instances(rows)[0].output == [1, {"n": 2}]
    assert with_lists_of_instances(encoded)[0].output == Raw(b"[7,7]")
    assert with_lists_of_instances(rows[:2])[0].output is None
    rows = [row("m", TaskPhase.RUNNING, instances=1), row("m[0]", output=1)]
    assert with_lists_of_instances(rows)[0].output is None
