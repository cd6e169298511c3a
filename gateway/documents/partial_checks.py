"""Checks the valid parts of a document with schema errors, so that all errors are reported at once.

Invalid parts are replaced by placeholder values, and errors that may come from such a value are dropped.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import structs

from gateway.documents.checks import check, is_too_large
from gateway.documents.condition_checks import ConditionTrial
from gateway.documents.workflow import Metadata, Spec, Workflow
from gateway.settings import DocumentLimits
from waypost.json_pointer import FieldError, parts_of
from waypost.workflow.run_types import DeclaredExecutors
from waypost.workflow.task import TaskSpec

TASKS: Final = ("spec", "tasks")
RENDERED: Final = frozenset({"run", "source", "target", "when", "forEach"})
"""The fields of a task into which the values of params and shards are filled."""


class PartialChecks:
    """Finds the semantic errors in a document that has schema errors, without consequences of these."""

    def __init__(
        self, limits: DocumentLimits, executors: DeclaredExecutors, engines: Mapping[str, str] = {}
    ) -> None:
        self._limits, self._executors, self._engines = limits, executors, engines
        self._invalid: set[tuple[str, ...]] = set()
        self.trial: ConditionTrial | None = None
        """The conditions of the document that can be evaluated; None if there are none."""

    def __call__(self, value: Any, schema_errors: Iterable[FieldError]) -> list[FieldError]:
        """Returns the errors that `check` finds in `value`, except consequences of `schema_errors`.

        `value` is a decoded document, `schema_errors` are all of its schema errors.
        """
        self._invalid = {tuple(parts_of(error.pointer)) for error in schema_errors}
        workflow = _with_stand_ins(value, self._invalid, self._executors)
        if workflow is None:
            return []
        if workflow.shard_count and not is_too_large(workflow, self._limits):
            self.trial = ConditionTrial(workflow)
        canonical = msgspec.json.encode(workflow)
        return self.independent(check(workflow, canonical, self._limits, self._executors, self._engines))

    def independent(self, found: Iterable[FieldError]) -> list[FieldError]:
        """Returns the errors in `found` that are not consequences of the document's schema errors."""
        return [e for e in found if not _is_consequence(tuple(parts_of(e.pointer)), self._invalid)]


def _with_stand_ins(
    value: Any, invalid: set[tuple[str, ...]], executors: DeclaredExecutors
) -> Workflow | None:
    """Returns the document as a workflow, with placeholder values in its invalid parts.

    Each task keeps its index. None if there are no tasks, or if placeholder values do not make it valid.
    """
    spec = value.get("spec") if isinstance(value, Mapping) else None
    tasks = spec.get("tasks") if isinstance(spec, Mapping) else None
    if not isinstance(spec, Mapping) or not isinstance(tasks, list) or not tasks:
        return None
    # A field is replaced as a whole: an error at /spec/tasks/0/run/command replaces /spec/tasks/0/run.
    invalid_fields = {pointer[:4] if pointer[:2] == TASKS else pointer[:2] for pointer in invalid}
    stand_ins = [
        {"name": f"{index}.unnamed", "type": next(iter(executors.run_types)), "run": {}}
        | _valid_fields(task, TaskSpec, ("spec", "tasks", str(index)), invalid_fields)
        for index, task in enumerate(tasks)
    ]
    whole = {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "unnamed"}
        | _valid_fields(value.get("metadata"), Metadata, ("metadata",), invalid_fields),
        "spec": _valid_fields(spec, Spec, ("spec",), invalid_fields) | {"tasks": stand_ins},
    }
    try:
        return msgspec.convert(whole, Workflow)
    except msgspec.ValidationError:
        return None


def _valid_fields(
    value: Any, type_: type[msgspec.Struct], at: tuple[str, ...], invalid_fields: set[tuple[str, ...]]
) -> dict[str, Any]:
    """Returns the fields of the object `value` that the type `type_` has, without those with a schema error.

    `at` is the path to `value` in the document; `invalid_fields` are paths of fields that have errors.
    """
    if not isinstance(value, Mapping) or at in invalid_fields:
        return {}
    return {
        name: value[name]
        for name in _field_names(type_)
        if name in value and (*at, name) not in invalid_fields
    }


@cache
def _field_names(type_: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in structs.fields(type_))


def _is_consequence(found: tuple[str, ...], invalid: set[tuple[str, ...]]) -> bool:
    """Returns whether the error at the path `found` may come from a part that was replaced or is invalid."""
    if any(found[: len(pointer)] == pointer or pointer[: len(found)] == found for pointer in invalid):
        return True
    if found[:2] != TASKS or len(found) < 4:
        return False
    # What a field of a task is checked with: an error there may come from a stand-in elsewhere.
    task, field = found[:3], found[3]
    reads: set[tuple[str, ...]] = set()
    if field in RENDERED:
        reads |= {("spec", "params"), ("spec", "shards"), (*task, "needs")}
    if field == "run":
        reads |= {(*task, "type"), (*task, "run")}
    return any(pointer[: len(read)] == read for pointer in invalid for read in reads)
