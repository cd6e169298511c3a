"""Tests placeholders that read outputs: filled in when the task starts, within bounds, or the task fails."""

from typing import Any

import pytest

from clusters.embedded.scheduling.launch import LARGE_INPUT_BYTES, Launch, Outcome
from clusters.protocol import AttemptEnded, AttemptEndKind
from tests.clusters.embedded.scheduling.stepped_cluster import SteppedCluster, task
from waypost.workflow.placeholders import FILLED_CHARACTERS
from waypost.workflow.task import Retry, TaskSpec


def reading(run: Any, *needs: str, **more: Any) -> TaskSpec:
    return TaskSpec(name="b", type="process", run=run, needs=needs or ("a",), **more)


def launch_after(cluster: SteppedCluster, reader: TaskSpec, output: Any, need: str = "a") -> Launch | None:
    """Starts `reader` after the task that it needs has left `output`; returns its launch, if there is one."""
    cluster.create(task(need), reader)
    step = cluster.end(need, Outcome(succeeded=True, output=output))
    return step.launches[0] if step.launches else None


def failure(cluster: SteppedCluster) -> str:
    (end,) = (event for event in cluster.events if isinstance(event, AttemptEnded))
    assert end.end is AttemptEndKind.FAILED
    return end.reason


def test_an_output_is_filled_in_with_its_type(cluster: SteppedCluster) -> None:
    """A lone placeholder keeps its type; within text what is no text is JSON. The input has it as well."""
    run = {"command": ["load", "${tasks.a.output.rows}", "of ${tasks.a.output.files}"]}
    reader = reading(
        run, source={"s3": {"path": "${tasks.a.output.files.1}"}}, target={"n": "${tasks.a.output}"}
    )

    launch = launch_after(cluster, reader, {"rows": 3, "files": ["x", "y"]})

    assert launch is not None
    assert launch.task.run == {"command": ["load", 3, 'of ["x","y"]']}
    assert launch.input["source"] == {"s3": {"path": "y"}}
    assert launch.input["target"] == {"n": {"rows": 3, "files": ["x", "y"]}}


@pytest.mark.parametrize(("characters", "large"), [(9, False), (LARGE_INPUT_BYTES, True)])
def test_an_input_is_known_to_be_large_by_the_outputs_before_it(
    cluster: SteppedCluster, characters: int, large: bool
) -> None:
    """Without encoding it, which would cost each of a thousand instances 20 ms."""
    launch = launch_after(cluster, reading({"command": ["true"]}), "x" * characters)

    assert launch is not None
    assert launch.large_input is large


@pytest.mark.parametrize("name", ["a.b", "a-b.c", "a.output", "..", ".x.", "a..b"])
def test_any_name_of_a_task_can_be_read(cluster: SteppedCluster, name: str) -> None:
    """Names have dots and dashes, where a path has dots."""
    launch = launch_after(
        cluster, reading({"command": [f"${{tasks.{name}.output.n}}"]}, name), {"n": 1}, name
    )

    assert launch is not None
    assert launch.task.run == {"command": [1]}


def test_what_was_filled_in_is_not_read_as_a_placeholder(cluster: SteppedCluster) -> None:
    """An output is a task's word: it must not read what its reader may read."""
    text = "${shard.index} ${tasks.a.output} $${x} ${$}"

    launch = launch_after(cluster, reading({"command": ["${tasks.a.output}", "x${tasks.a.output}"]}), text)

    assert launch is not None
    assert launch.task.run == {"command": [text, f"x{text}"]}


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"row": 1}, "${tasks.a.output.rows} names nothing: there is no tasks.a.output.rows"),
        (None, "${tasks.a.output.rows} names nothing: the output of a is null"),
        ([1], "${tasks.a.output.rows} names nothing: there is no tasks.a.output.rows"),
    ],
)
def test_a_path_that_the_output_lacks_fails_the_task_at_once(
    cluster: SteppedCluster, output: Any, reason: str
) -> None:
    """The output is final, so no retry can help: none is spent on it."""
    reader = reading({"command": ["${tasks.a.output.rows}"]}, retry=Retry(limit=5))

    assert launch_after(cluster, reader, output) is None
    assert failure(cluster) == f"task b: {reason}"


def test_a_long_output_in_a_thousand_strings_is_refused_before_it_is_held(cluster: SteppedCluster) -> None:
    """It would be 64 MB for one task, and other tenants would wait while it is joined."""
    reader = reading({"command": ["x ${tasks.a.output}"] * 1_000, "env": {"A": "${tasks.a.output}"}})

    assert launch_after(cluster, reader, "x" * 65_000) is None
    assert failure(cluster) == (
        "task b: outputs and items that its placeholders fill in have more than "
        f"{FILLED_CHARACTERS} characters in all: read them from the file in WAYPOST_INPUT"
    )
