"""Converts a recorded execution in WfFormat 1.5 (wfcommons.org) to a workflow of `delay` tasks.

The workflow has the same DAG and the recorded run times, scaled.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from gateway.core.errors import Invalid
from gateway.documents.parsing import invalid_document
from gateway.documents.schema_errors import schema_errors
from gateway.documents.workflow import Metadata, Spec, Workflow
from waypost.json_pointer import FieldError, below
from waypost.workflow.task import TaskSpec

VERSION: Final = "1.5"
SPECIFIED_TASKS: Final = "/workflow/specification/tasks"
EXECUTED_TASKS: Final = "/workflow/execution/tasks"
NOT_IN_TASK_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")


class SpecifiedTask(Struct, rename="camel"):
    """A task in the specification of a WfFormat file (`workflow.specification.tasks[]`)."""

    id: str
    name: str = ""
    parents: list[str] = []
    children: list[str] = []


class ExecutedTask(Struct, rename="camel"):
    """A task in the execution of a WfFormat file (`workflow.execution.tasks[]`)."""

    id: str
    runtime_in_seconds: Annotated[float, Meta(ge=0)]


class Specification(Struct):
    """The specification in a WfFormat file: the tasks of the DAG."""

    tasks: Annotated[list[SpecifiedTask], Meta(min_length=1)]


class Execution(Struct):
    """The execution in a WfFormat file: the tasks that ran, with their run times."""

    tasks: list[ExecutedTask]


class RecordedWorkflow(Struct):
    """The workflow in a WfFormat file: its specification and one recorded execution."""

    specification: Specification
    execution: Execution


class Instance(Struct, rename="camel"):
    """The contents of a WfFormat file, which WfCommons calls an instance; only the fields that are read."""

    workflow: RecordedWorkflow
    schema_version: str
    name: str = "workflow"


class Conversion(Struct, frozen=True, kw_only=True):
    """The result of a conversion from WfFormat: the workflow, and how it differs from the recording.

    `left_out`: recorded fields that the workflow does not carry; `renamed`: names that it spells otherwise.
    """

    workflow: Workflow
    left_out: tuple[FieldError, ...]
    renamed: tuple[FieldError, ...]


def from_wfformat(value: Any, *, scale: float) -> Conversion:
    """Converts a decoded WfFormat file to a workflow in which a recorded second takes `scale` seconds.

    Checks only what the conversion needs; `checks` finds cycles, too many tasks and the like. Raises
    `Invalid` with JSON pointers.
    """
    if not (math.isfinite(scale) and scale >= 0):
        raise Invalid(f"a scale of {scale} makes no run times: it is 0 or more")
    # Comes first: further errors in a recording of another version would mislead.
    if errors := list(_version_errors(value)):
        raise invalid_document(errors)
    try:
        instance = msgspec.convert(value, Instance)
    except msgspec.ValidationError as error:
        raise invalid_document(schema_errors(value, Instance) or [FieldError("", str(error))]) from error
    specified, executed = instance.workflow.specification.tasks, instance.workflow.execution.tasks
    if errors := [*_join_errors(specified, executed), *_edge_errors(specified)]:
        raise invalid_document(errors)
    names = _task_names([task.id for task in specified])
    needs = _needs_by_task(specified)
    took = {task.id: task.runtime_in_seconds for task in executed}
    tasks = tuple(
        TaskSpec(
            name=names[task.id],
            type="delay",
            run={"seconds": round(took[task.id] * scale, 6)},
            needs=tuple(names[need] for need in needs[task.id]),
        )
        for task in specified
    )
    name = re.sub(r"[^a-z0-9]+", "-", instance.name.lower()).strip("-")[:63].rstrip("-") or "workflow"
    workflow = Workflow(
        api_version="waypost/v1", kind="Workflow", metadata=Metadata(name=name), spec=Spec(tasks=tasks)
    )
    return Conversion(
        workflow=workflow,
        left_out=tuple(_left_out_fields(value, instance)),
        renamed=tuple(_renamed_fields(instance, name, names)),
    )


def _version_errors(value: Any) -> Iterator[FieldError]:
    """Yields an error if the WfFormat file has a version other than `VERSION`."""
    version = value.get("schemaVersion") if isinstance(value, dict) else None
    if isinstance(version, str) and version != VERSION:
        yield FieldError("/schemaVersion", f"is {version[:40]}; {VERSION} can be read")


def _join_errors(specified: list[SpecifiedTask], executed: list[ExecutedTask]) -> Iterator[FieldError]:
    """Yields an error for each task id that is not specified exactly once and executed exactly once."""
    counts, runs = Counter(task.id for task in specified), Counter(task.id for task in executed)
    for index, task in enumerate(specified):
        if counts[task.id] > 1:
            yield FieldError(
                f"{SPECIFIED_TASKS}/{index}/id", f"{task.id} is the id of {counts[task.id]} tasks"
            )
        if task.id not in runs:
            yield FieldError(f"{SPECIFIED_TASKS}/{index}/id", f"{task.id} has no recorded run time")
    for index, run in enumerate(executed):
        if runs[run.id] > 1:
            yield FieldError(f"{EXECUTED_TASKS}/{index}/id", f"{run.id} was recorded {runs[run.id]} times")
        if run.id not in counts:
            yield FieldError(f"{EXECUTED_TASKS}/{index}/id", f"{run.id} was recorded but is not specified")


def _edge_errors(specified: list[SpecifiedTask]) -> Iterator[FieldError]:
    """Yields an error for each parent or child that is not among the specified tasks."""
    known = {task.id for task in specified}
    for index, task in enumerate(specified):
        for field, others in (("parents", task.parents), ("children", task.children)):
            for at, other in enumerate(others):
                if other not in known:
                    yield FieldError(f"{SPECIFIED_TASKS}/{index}/{field}/{at}", f"there is no task {other}")


def _needs_by_task(specified: list[SpecifiedTask]) -> dict[str, dict[str, None]]:
    """Returns for each task id the ids of the tasks that it needs, in recorded order, as keys of a dict."""
    # An edge may be recorded at one of its ends only.
    needs: dict[str, dict[str, None]] = {task.id: dict.fromkeys(task.parents) for task in specified}
    for task in specified:
        for child in task.children:
            needs[child][task.id] = None
    return needs


def _task_names(ids: list[str]) -> dict[str, str]:
    """Returns for each task id a valid task name: dashes replace the characters that names may not have.

    Where two ids give the same name, the later gets a number.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    times: Counter[str] = Counter()
    for identity in ids:
        stem = NOT_IN_TASK_NAMES.sub("-", identity)[:120] or "task"
        name = stem
        while name in taken:
            times[stem] += 1
            name = f"{stem}-{times[stem] + 1}"
        taken.add(name)
        names[identity] = name
    return names


def _left_out_fields(value: Any, instance: Instance) -> Iterator[FieldError]:
    """Yields a note for each field of the WfFormat file that the converted workflow leaves out.

    `*` in a pointer stands for all tasks that have the field.
    """
    recorded = value["workflow"]
    yield from (
        FieldError(below("", field), "not carried")
        for field in value
        if field not in ("workflow", "schemaVersion", "name")
    )
    yield from (
        FieldError(below("/workflow", field), "not carried")
        for field in recorded
        if field not in ("specification", "execution")
    )
    for part, carried in (
        ("specification", {"id", "name", "parents", "children"}),
        ("execution", {"id", "runtimeInSeconds"}),
    ):
        at = f"/workflow/{part}"
        yield from (
            FieldError(below(at, field), "not carried") for field in recorded[part] if field != "tasks"
        )
        fields = Counter(field for task in recorded[part]["tasks"] for field in task if field not in carried)
        yield from (
            FieldError(below(f"{at}/tasks/*", field), f"not carried, in {_task_count(times)}")
            for field, times in fields.items()
        )
    if otherwise := sum(task.name not in ("", task.id) for task in instance.workflow.specification.tasks):
        yield FieldError(
            f"{SPECIFIED_TASKS}/*/name", f"not carried, in {_task_count(otherwise)}: the id names the task"
        )


def _renamed_fields(instance: Instance, name: str, names: Mapping[str, str]) -> Iterator[FieldError]:
    """Yields notes on the names of the workflow and its tasks, if the conversion changes them."""
    if instance.name != name:
        yield FieldError("/name", f"is spelled {name}")
    if renamed := sum(identity != given for identity, given in names.items()):
        yield FieldError(f"{SPECIFIED_TASKS}/*/id", f"is spelled otherwise in {_task_count(renamed)}")


def _task_count(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"
