"""Documents to begin from."""

from collections.abc import Sequence
from typing import Any

import msgspec

from clusters.embedded.executors.registry import DECLARED
from gateway.documents.checks import check
from gateway.documents.parsing import parse
from gateway.documents.workflow import Workflow
from gateway.settings import DocumentLimits
from waypost.json_pointer import FieldError
from waypost.workflow.run_types import DeclaredExecutors

LIMITS = DocumentLimits()
EXECUTORS = DeclaredExecutors(run_types=DECLARED.run_types, exclusive=frozenset({"process"}))


def task(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "process", "run": {"command": ["true"]}, **fields}


def document(*tasks: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "nightly"},
        "spec": {"tasks": list(tasks) or [task()], **spec},
    }


def read(value: Any, limits: DocumentLimits = LIMITS) -> Workflow:
    return parse(msgspec.json.encode(value), "application/json", limits)


def errors_in(value: Any, limits: DocumentLimits = LIMITS) -> dict[str, str]:
    """What the checks find, by pointer; two at one place are joined."""
    workflow = read(value, limits)
    return by_pointer(check(workflow, msgspec.json.encode(workflow), limits, EXECUTORS))


def by_pointer(errors: Sequence[FieldError]) -> dict[str, str]:
    found: dict[str, str] = {}
    for error in errors:
        found[error.pointer] = (
            f"{found[error.pointer]}; {error.detail}" if error.pointer in found else error.detail
        )
    return found
