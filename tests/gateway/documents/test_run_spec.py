"""Tests the rendering of a stored document for the clusters of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents.run_spec import run_spec
from tests.gateway.documents.documents import document, read, task
from waypost.workflow.placeholders import render
from waypost.workflow.task import SideEffects


def test_params_are_filled_in_and_the_shard_is_left() -> None:
    """The gateway renders once for a run; the cluster fills in the shard."""
    workflow = read(
        document(
            task(
                run={"command": ["${params.words}", "${shard.index}"]},
                source={"s3": {"path": "b/${params.date}/${shard.item.name}"}},
                target={"file": "${params.date}"},
            ),
            params={"words": ["a", "b"], "date": "2026-11-24"},
            shards={"items": [{"name": "x"}, {"name": "y"}]},
            sideEffects="exclusive",
        )
    )
    spec = run_spec("run-1", workflow)

    assert spec.run == "run-1"
    assert spec.tasks[0].run == {"command": [["a", "b"], "${shard.index}"]}
    assert spec.tasks[0].source == {"s3": {"path": "b/2026-11-24/${shard.item.name}"}}
    assert spec.tasks[0].target == {"file": "2026-11-24"}
    assert (spec.shard_count, spec.side_effects, spec.params) == (
        2,
        SideEffects.EXCLUSIVE,
        workflow.spec.params,
    )


def test_everything_else_of_a_task_stays_as_it_was_written() -> None:
    """The cluster runs the task that policy saw."""
    written = task(
        when="params.a == 1",
        needs=["b"],
        timeoutSeconds=5,
        retry={"limit": 2},
        resultScope="region",
        priority=7,
    )
    workflow = read(document(written, task("b"), params={"a": 1}))

    assert run_spec("run-1", workflow).tasks == workflow.spec.tasks


@pytest.mark.parametrize(
    "value", ["${shard.index}", "$", "{shard.index}", "$${shard.index}", "", "${$}", "${}"]
)
@pytest.mark.parametrize(
    "text",
    ["${params.a}", "${params.a}{shard.index}", "${params.a}${shard.index}", "$${params.a}", "x${params.a}"],
)
def test_what_a_param_says_reaches_the_task_to_the_letter(value: str, text: str) -> None:
    """The value of a param is not rendered again: its author may not reach what the cluster fills in."""
    spec = run_spec("run-1", read(document(task(run={"command": [text]}), params={"a": value})))
    expected = (
        "${params.a}"
        if text == "$${params.a}"
        else text.replace("${shard.index}", "7").replace("${params.a}", value)
    )

    assert render(spec.tasks[0].run, {"shard": {"index": 7}}, last=True) == {"command": [expected]}


@given(st.text(max_size=20))
def test_text_without_placeholders_is_left_alone(text: str) -> None:
    """Shell, JSON, CEL: dollars and braces have their own meaning in each."""
    if "${" not in text:
        assert render({"x": [text]}, {"params": {}, "shard": {}}, last=True) == {"x": [text]}


def test_the_cluster_gets_what_its_queue_orders_and_bounds_by() -> None:
    """Semaphores and period are the run's, not of a task."""
    spec = run_spec("run-1", read(document(task(semaphore="db"), semaphores={"db": 4}, periodSeconds=60)))

    assert (spec.semaphores, spec.period_seconds, spec.tasks[0].semaphore) == ({"db": 4}, 60.0, "db")
