"""Tests the conversion of recorded executions (WfFormat) to workflows."""

import copy
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.errors import Invalid
from gateway.documents.checks import check
from gateway.documents.wfformat import Conversion, from_wfformat
from tests.gateway.documents.documents import EXECUTORS, LIMITS, by_pointer, read

SHARED = Path(os.environ.get("WAYPOST_SHARED", Path(__file__).parents[4] / "shared"))
RECORDINGS = sorted((SHARED / "data/wfinstances").glob("*.json"))

SMALL: dict[str, Any] = {
    "name": "Small Work",
    "schemaVersion": "1.5",
    "createdAt": "2026-11-24",
    "workflow": {
        "specification": {
            "tasks": [
                {"id": "a (1)", "name": "split", "parents": [], "children": ["b"], "inputFiles": ["x"]},
                {"id": "b", "name": "b", "parents": [], "children": []},
                {"id": "a [1]", "parents": ["b", "a (1)"], "children": []},
            ],
            "files": [],
        },
        "execution": {
            "tasks": [
                {"id": "b", "runtimeInSeconds": 2, "avgCPU": 50},
                {"id": "a (1)", "runtimeInSeconds": 1.5},
                {"id": "a [1]", "runtimeInSeconds": 0},
            ],
            "machines": [],
        },
    },
}


def by_name(converted: Conversion) -> dict[str, tuple[Any, set[str]]]:
    return {task.name: (task.run["seconds"], set(task.needs)) for task in converted.workflow.spec.tasks}


def test_a_recording_becomes_a_workflow_of_delays() -> None:
    """Edges may be recorded at either end, run times are joined by id, names stay distinct."""
    converted = from_wfformat(SMALL, scale=0.5)

    assert converted.workflow.metadata.name == "small-work"
    assert by_name(converted) == {"a-1-": (0.75, set()), "b": (1.0, {"a-1-"}), "a-1--2": (0.0, {"b", "a-1-"})}


def test_what_is_not_carried_is_listed() -> None:
    """The user sees what the replay leaves out."""
    converted = from_wfformat(SMALL, scale=1)

    assert by_pointer(converted.left_out) == {
        "/createdAt": "not carried",
        "/workflow/specification/files": "not carried",
        "/workflow/specification/tasks/*/inputFiles": "not carried, in 1 task",
        "/workflow/execution/machines": "not carried",
        "/workflow/execution/tasks/*/avgCPU": "not carried, in 1 task",
        "/workflow/specification/tasks/*/name": "not carried, in 1 task: the id names the task",
    }
    assert by_pointer(converted.renamed) == {
        "/name": "is spelled small-work",
        "/workflow/specification/tasks/*/id": "is spelled otherwise in 2 tasks",
    }


def changed(**changes: Any) -> dict[str, Any]:
    value = copy.deepcopy(SMALL)
    specified, executed = value["workflow"]["specification"]["tasks"], value["workflow"]["execution"]["tasks"]
    value |= changes.pop("top", {})
    specified[1] |= changes.pop("specified", {})
    executed[0] |= changes.pop("executed", {})
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], {"": "must be an object, not an array"}),
        ({}, {"/workflow": "is required", "/schemaVersion": "is required"}),
        ({"schemaVersion": "1.3", "workflow": {"tasks": []}}, {"/schemaVersion": "is 1.3; 1.5 can be read"}),
        (changed(top={"schemaVersion": "1.4"}), {"/schemaVersion": "is 1.4; 1.5 can be read"}),
        (
            changed(specified={"parents": ["x"], "children": ["y", "b"]}),
            {
                "/workflow/specification/tasks/1/parents/0": "there is no task x",
                "/workflow/specification/tasks/1/children/0": "there is no task y",
            },
        ),
        (
            changed(specified={"id": "c"}),
            {
                "/workflow/specification/tasks/1/id": "c has no recorded run time",
                "/workflow/execution/tasks/0/id": "b was recorded but is not specified",
                "/workflow/specification/tasks/0/children/0": "there is no task b",
                "/workflow/specification/tasks/2/parents/0": "there is no task b",
            },
        ),
        (
            changed(executed={"runtimeInSeconds": -1}),
            {"/workflow/execution/tasks/0/runtimeInSeconds": "must be at least 0"},
        ),
        (
            changed(executed={"runtimeInSeconds": "1", "id": None}),
            {
                "/workflow/execution/tasks/0/id": "must be a string, not null",
                "/workflow/execution/tasks/0/runtimeInSeconds": "must be a number, not a string",
            },
        ),
    ],
)
def test_a_bad_recording_is_refused_with_every_place(value: Any, expected: dict[str, str]) -> None:
    """All errors are reported at once, as for a document."""
    with pytest.raises(Invalid) as caught:
        from_wfformat(value, scale=1)
    assert by_pointer(caught.value.errors) == expected


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_a_scale_must_make_run_times(scale: float) -> None:
    """No task takes a negative or infinite time."""
    with pytest.raises(Invalid, match="0 or more"):
        from_wfformat(SMALL, scale=scale)


@pytest.mark.skipif(not RECORDINGS, reason="the recorded workflows are not here (WAYPOST_SHARED)")
def test_there_are_thirteen_recordings() -> None:
    """A folder that lost some would make the next test prove less."""
    assert len(RECORDINGS) == 13


@pytest.mark.skipif(not RECORDINGS, reason="the recorded workflows are not here (WAYPOST_SHARED)")
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: str(path.stem))
def test_a_real_recording_converts_with_every_edge(path: Path) -> None:
    """It passes the checks, keeps each edge that it was recorded with, and each run time."""
    value = msgspec.json.decode(path.read_bytes())
    converted = from_wfformat(value, scale=0.01)
    recorded = value["workflow"]["specification"]["tasks"]
    named = {
        task["id"]: given.name for task, given in zip(recorded, converted.workflow.spec.tasks, strict=True)
    }
    edges = {(named[parent], named[task["id"]]) for task in recorded for parent in task["parents"]}
    edges |= {(named[task["id"]], named[child]) for task in recorded for child in task["children"]}
    took = {named[task["id"]]: task["runtimeInSeconds"] for task in value["workflow"]["execution"]["tasks"]}
    workflow = read(msgspec.to_builtins(converted.workflow))

    assert workflow == converted.workflow
    assert check(workflow, msgspec.json.encode(workflow), LIMITS, EXECUTORS) == []
    assert len(set(named.values())) == len(recorded)
    assert {(need, task.name) for task in workflow.spec.tasks for need in task.needs} == edges
    assert {task.name: task.run["seconds"] for task in workflow.spec.tasks} == {
        name: round(s * 0.01, 6) for name, s in took.items()
    }
