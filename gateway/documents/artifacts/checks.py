"""Checks the artifacts of a workflow: their fields, and where they cannot be stored."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.documents.workflow import Workflow
from waypost.json_pointer import FieldError, below
from waypost.workflow.artifacts import FILLED_IN, KINDS, artifact_faults, is_artifact
from waypost.workflow.placeholders import PlaceholderError, lone_placeholder, lookup
from waypost.workflow.task import SideEffects


def artifact_errors(workflow: Workflow) -> Iterator[FieldError]:
    """Yields the errors in each task's source and target that are artifacts, each with a JSON pointer."""
    exclusive = workflow.spec.side_effects is SideEffects.EXCLUSIVE
    for at, task in workflow.spec.located_tasks:
        for name, data in (("source", task.source), ("target", task.target)):
            if data is None or not is_artifact(data):
                if (kind := _filled_in(data or {}, workflow.spec.params)) is not None:
                    yield FieldError(below(at, name, kind), FILLED_IN)
                continue
            for where, fault in artifact_faults(data, of_target=name == "target", filled_in=False):
                yield FieldError(below(at, name, *where), fault)
        if exclusive and is_artifact(task.target):
            asked = "which sideEffects: exclusive asks for"
            yield FieldError(f"{at}/target", f"storing a file cannot be ended with a lease, {asked}")


def _filled_in(data: Mapping[str, Any], params: Mapping[str, Any]) -> str | None:
    """Returns the kind of which a parameter would make an artifact that policy does not see; None if none."""
    for kind in KINDS:
        names = lone_placeholder(value) if isinstance(value := data.get(kind), str) else None
        if names is not None and names[0] == "params":
            with contextlib.suppress(PlaceholderError):  # which has an error of its own
                if is_artifact({kind: lookup(names, {"params": params})}):
                    return kind
    return None
