"""A recorded execution in WfFormat 1.5 (wfcommons.org) as a workflow of `delay` tasks: the same DAG, its recorded run times, scaled."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from clusters.spec import TaskSpec
from gateway.core.document import invalid
from gateway.core.errors import FieldError
from gateway.core.workflow import Metadata, Spec, Workflow

VERSION = "1.5"
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class SpecifiedTask(Struct, rename="camel"):
    """What we read of `workflow.specification.tasks[]`."""

    id: str
    name: str = ""
    parents: list[str] = []
    children: list[str] = []


class ExecutedTask(Struct, rename="camel"):
    """What we read of `workflow.execution.tasks[]`."""

    id: str
    runtime_in_seconds: Annotated[float, Meta(ge=0)]


class Specification(Struct):
    """The DAG as it was written."""

    tasks: Annotated[list[SpecifiedTask], Meta(min_length=1)]


class Execution(Struct):
    """The DAG as it ran."""

    tasks: list[ExecutedTask]


class Recorded(Struct):
    """Both."""

    specification: Specification
    execution: Execution


class Instance(Struct, rename="camel"):
    """What we read of the whole file."""

    workflow: Recorded
    schema_version: str
    name: str = "workflow"


class Converted(Struct, frozen=True, kw_only=True):
    """The document, and each field of the recording that it does not carry."""

    workflow: Workflow
    left_out: tuple[FieldError, ...]


def from_wfformat(value: Any, *, scale: float) -> Converted:
    """The recording as a document; a second that it took becomes `scale` seconds. Raises `Invalid` with pointers."""
    try:
        instance = msgspec.convert(value, Instance)
    except msgspec.ValidationError as error:
        raise invalid([FieldError(_pointer(str(error)), str(error).partition(" - at ")[0])]) from error
    specified, executed = instance.workflow.specification.tasks, instance.workflow.execution.tasks
    if errors := [*_version(instance), *_edges(specified), *_runtimes(specified, executed)]:
        raise invalid(errors)
    names = _names([task.id for task in specified])
    needs: dict[str, dict[str, None]] = {task.id: dict.fromkeys(task.parents) for task in specified}
    for task in specified:
        for child in task.children:
            needs[child][task.id] = None
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
    workflow = Workflow(api_version="waypost/v1", kind="Workflow", metadata=Metadata(name=name), spec=Spec(tasks=tasks))
    return Converted(workflow=workflow, left_out=tuple(_left_out(value, names)))


def _version(instance: Instance) -> list[FieldError]:
    version = instance.schema_version
    return [] if version == VERSION else [FieldError("/schemaVersion", f"is {version}; {VERSION} can be read")]


def _edges(tasks: list[SpecifiedTask]) -> list[FieldError]:
    counts = Counter(task.id for task in tasks)
    at = "/workflow/specification/tasks"
    found = [
        FieldError(f"{at}/{i}/id", f"{task.id} is the id of {counts[task.id]} tasks") for i, task in enumerate(tasks) if counts[task.id] > 1
    ]
    for index, task in enumerate(tasks):
        for field, others in (("parents", task.parents), ("children", task.children)):
            found += [
                FieldError(f"{at}/{index}/{field}/{j}", f"there is no task {other}")
                for j, other in enumerate(others)
                if other not in counts
            ]
    return found


def _runtimes(specified: list[SpecifiedTask], executed: list[ExecutedTask]) -> list[FieldError]:
    known = {task.id for task in executed}
    at = "/workflow/specification/tasks"
    return [FieldError(f"{at}/{i}/id", f"{task.id} has no recorded run time") for i, task in enumerate(specified) if task.id not in known]


def _names(ids: list[str]) -> dict[str, str]:
    """A task name for each id: what is not allowed becomes a dash; where two become one, the later get a number."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for identity in ids:
        stem = UNSAFE.sub("-", identity)[:120] or "task"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name)
        names[identity] = name
    return names


def _left_out(value: Any, names: Mapping[str, str]) -> list[FieldError]:
    """Every field that was in the recording and is not in the document, once for all tasks that have it."""
    recorded = value["workflow"]
    found = [FieldError(f"/{field}", "not carried") for field in value if field not in ("workflow", "schemaVersion", "name")]
    found += [FieldError(f"/workflow/{field}", "not carried") for field in recorded if field not in ("specification", "execution")]
    for part, carried in (("specification", {"id", "name", "parents", "children"}), ("execution", {"id", "runtimeInSeconds"})):
        found += [FieldError(f"/workflow/{part}/{field}", "not carried") for field in recorded[part] if field != "tasks"]
        fields = Counter(field for task in recorded[part]["tasks"] for field in task if field not in carried)
        found += [FieldError(f"/workflow/{part}/tasks/*/{field}", f"not carried, in {n} tasks") for field, n in fields.items()]
    renamed = sum(identity != name for identity, name in names.items())
    return found + ([FieldError("/workflow/specification/tasks/*/id", f"{renamed} ids are spelt otherwise")] if renamed else [])


def _pointer(message: str) -> str:
    """msgspec's `$.a[0].b` as a JSON pointer."""
    path = message.rpartition("`$")[2].rstrip("`") if "`$" in message else ""
    return re.sub(r"\.|\[(\d+)\]", lambda match: f"/{match[1]}" if match[1] else "/", path)
