"""Checks the labels of a workflow: their number, their names, and the placeholders in their values."""

import re
from collections.abc import Iterator
from typing import Final

from gateway.documents.labels.filling import filled_label
from gateway.documents.workflow import Workflow
from waypost.json_pointer import FieldError, below
from waypost.workflow.placeholders import PlaceholderError

MAXIMUM_LABELS: Final = 64
"""The maximum number of labels of one run: lists of runs show all labels."""
LABEL_NAME: Final = re.compile(r"[A-Za-z0-9._/-]{1,63}")
"""Matches a valid label name."""


def label_errors(workflow: Workflow) -> Iterator[FieldError]:
    """Yields the errors in the labels of a workflow, each with a JSON pointer."""
    labels = workflow.metadata.labels
    if len(labels) > MAXIMUM_LABELS:
        yield FieldError("/metadata/labels", f"there are {len(labels)} labels; {MAXIMUM_LABELS} are allowed")
        return
    for name, value in labels.items():
        # A long name is left out of the pointer, which would repeat it.
        at = below("/metadata/labels", name) if len(name) < 128 else "/metadata/labels"
        try:
            filled_label(value, workflow.spec.params)
        except PlaceholderError as error:
            yield FieldError(at, str(error))
        if not LABEL_NAME.fullmatch(name):
            rule = "the name of a label has 1 to 63 letters, digits, dots, dashes, slashes and underscores"
            yield FieldError(at, rule)
