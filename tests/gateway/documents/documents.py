"""Example documents for tests, and functions that return the errors found in them."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from clusters.embedded.executors.registry import DECLARED
from gateway.core.errors import Invalid
from gateway.documents.checks import check, is_too_large
from gateway.documents.condition_checks import ConditionTrial
from gateway.documents.parsing import parse
from gateway.documents.workflow import Workflow
from gateway.settings import DocumentLimits
from waypost.condition_evaluation.expressions import answer
from waypost.json_pointer import FieldError
from waypost.workflow.run_types import DeclaredExecutors

JSON, YAML = "application/json", "application/yaml"
LIMITS = DocumentLimits()
EXECUTORS = DeclaredExecutors(
    run_types=DECLARED.run_types, exclusive=frozenset({"process"}), secrets=DECLARED.secrets
)
KNOWN = ", ".join(sorted(EXECUTORS.run_types))


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
    """Returns the errors that the semantic checks and a trial of the conditions find, by JSON pointer."""
    workflow = read(value, limits)
    found = check(workflow, msgspec.json.encode(workflow), limits, EXECUTORS)
    if not is_too_large(workflow, limits):
        trial = ConditionTrial(workflow)
        first = [answer(question, trial.params) for question in trial.first]
        further = [answer(question, trial.params) for question in trial.further(first)]
        found = [*found, *trial.errors(first, further)]
    return by_pointer(found)


def schema_errors_in(body: bytes | dict[str, Any], media_type: str = JSON) -> dict[str, str]:
    """Returns the errors of a document that does not fit its schema, by JSON pointer."""
    with pytest.raises(Invalid) as caught:
        parse(body if isinstance(body, bytes) else json.dumps(body).encode(), media_type, LIMITS)
    return by_pointer(caught.value.errors)


def by_pointer(errors: Sequence[FieldError]) -> dict[str, str]:
    found: dict[str, str] = {}
    for error in errors:
        found[error.pointer] = (
            f"{found[error.pointer]}; {error.detail}" if error.pointer in found else error.detail
        )
    return found
