"""A document that has not the shape of one may have other mistakes too: its sound parts are checked, so that all is told at once."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from gateway.documents.checks import Executors, check
from gateway.documents.workflow import Metadata, Spec, Workflow
from gateway.settings import Documents
from waypost.json_pointer import FieldError, parts_of
from waypost.workflow.task import TaskSpec

TASKS: Final = ("spec", "tasks")
RENDERED: Final = frozenset({"run", "source", "target", "when"})
"""What params and shards are filled into."""


def check_valid_parts(
    value: Any, told: Iterable[FieldError], limits: Documents, executors: Executors, regions: frozenset[str]
) -> list[FieldError]:
    """What `check` finds in the parts of `value` that `told` does not complain of. Nothing that follows from these complaints."""
    bad = {tuple(parts_of(fault.pointer)) for fault in told}
    workflow = _sound(value, bad, executors)
    if workflow is None:
        return []
    found = check(workflow, msgspec.json.encode(workflow), limits, executors, regions)
    return [fault for fault in found if not _follows(tuple(parts_of(fault.pointer)), bad)]


def _sound(value: Any, bad: set[tuple[str, ...]], executors: Executors) -> Workflow | None:
    """The document with stand-ins for what is bad: every task is where it was."""
    spec = value.get("spec") if isinstance(value, Mapping) else None
    tasks = spec.get("tasks") if isinstance(spec, Mapping) else None
    if not isinstance(spec, Mapping) or not isinstance(tasks, list) or not tasks:
        return None
    heads = {pointer[:4] if pointer[:2] == TASKS else pointer[:2] for pointer in bad}
    known = [
        {"name": f"{index}.unnamed", "type": next(iter(executors.runs)), "run": {}}
        | _fields(task, TaskSpec, ("spec", "tasks", str(index)), heads)
        for index, task in enumerate(tasks)
    ]
    whole = {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "unnamed"} | _fields(value.get("metadata"), Metadata, ("metadata",), heads),
        "spec": _fields(spec, Spec, ("spec",), heads) | {"tasks": known},
    }
    try:
        return msgspec.convert(whole, Workflow)
    except msgspec.ValidationError:
        return None


def _fields(
    value: Any, type_: type[msgspec.Struct], at: tuple[str, ...], heads: set[tuple[str, ...]]
) -> dict[str, Any]:
    """The fields of `value` that are known and not bad."""
    if not isinstance(value, Mapping) or at in heads:
        return {}
    return {
        field.encode_name: value[field.encode_name]
        for field in structs.fields(type_)
        if field.encode_name in value and (*at, field.encode_name) not in heads
    }


def _follows(found: tuple[str, ...], bad: set[tuple[str, ...]]) -> bool:
    """Is it said of a stand-in, or of something that reads one?"""
    if any(found[: len(pointer)] == pointer or pointer[: len(found)] == found for pointer in bad):
        return True
    if found[:2] != TASKS or len(found) < 4:
        return False
    task, field = found[:3], found[3]
    reads: set[tuple[str, ...]] = set()
    if field in RENDERED:
        reads |= {("spec", "params"), ("spec", "shards")}
    if field == "run":
        reads |= {(*task, "type"), (*task, "run")}
    if field == "when":
        reads.add((*task, "needs"))
    return any(pointer[: len(read)] == read for pointer in bad for read in reads)
