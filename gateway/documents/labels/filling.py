"""Fills in the placeholders in the labels of a workflow, before policy is asked about them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from gateway.documents.workflow import Workflow
from waypost.workflow.placeholders import PlaceholderError, lookup, malformed, references, render, shown

LABEL_CHARACTERS: Final = 256


def with_filled_labels(workflow: Workflow) -> Workflow:
    """Returns the workflow with `${params.*}` filled in in its labels; the same object if there are none.

    The workflow must have been checked: raises `PlaceholderError` for a placeholder that names nothing.
    """
    labels = workflow.metadata.labels
    if not has_templated_labels(workflow):
        return workflow
    filled = {name: filled_label(value, workflow.spec.params) for name, value in labels.items()}
    return structs.replace(workflow, metadata=structs.replace(workflow.metadata, labels=filled))


def has_templated_labels(workflow: Workflow) -> bool:
    """Returns whether a label may have a placeholder."""
    return any("${" in value for value in workflow.metadata.labels.values())


def filled_label(value: str, params: Mapping[str, Any]) -> str:
    """Returns a label's value with its placeholders filled in: text as it is, numbers as JSON has them.

    Raises `PlaceholderError` for one that is malformed, names no parameter, or gives no text for a label.
    """
    if "${" not in value:
        return value
    for error in malformed(value):
        raise PlaceholderError(error)
    values = {"params": params}
    for names in references(value):
        placeholder = f"${{{shown(names)}}}"
        if names[0] != "params":
            raise PlaceholderError(f"{placeholder} names nothing: labels are of the run, and take params")
        found = lookup(names, values)
        if found is None or isinstance(found, list | dict):
            raise PlaceholderError(f"{placeholder} is no text and no number, as a label's value is")
        # Before it is inserted: a text may be a megabyte, and a label have many of them.
        _check_length(found if isinstance(found, str) else "")
    found = render(value, values, last=True)
    return _check_length(found if isinstance(found, str) else msgspec.json.encode(found).decode())


def _check_length(text: str) -> str:
    if len(text) > LABEL_CHARACTERS:
        raise PlaceholderError(f"has {len(text)} characters, filled in; {LABEL_CHARACTERS} are allowed")
    return text
