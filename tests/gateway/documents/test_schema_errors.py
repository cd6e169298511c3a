"""Tests the sentences and JSON pointers of schema errors."""

import json
from typing import Any

import pytest

from tests.gateway.documents.documents import (
    document,
    schema_errors_in,
    task,
)


def test_every_schema_error_is_reported_at_once() -> None:
    """Nobody wants to correct one error per submission; each error says where it is and what to do."""
    broken = {
        "apiVersion": "v2",
        "kind": "Workflow",
        "metadata": {"name": "Not A Label", "label": {}},
        "spec": {
            "tasks": [
                {
                    "name": "a b",
                    "run": [],
                    "need": ["x"],
                    "timeoutSeconds": "1m",
                    "retry": {"limit": 101},
                    "resources": {"cpu": 0},
                },
                {"name": "c" * 129, "type": "process", "run": {}, "resultScope": "regional", "x~/y": 1},
            ],
            "sideEffects": "Exclusive",
            "shards": {"count": 0},
        },
    }

    assert schema_errors_in(broken) == {
        "/apiVersion": "must be waypost/v1",
        "/metadata/name": "'Not A Label' is not a DNS label: lower-case letters, digits and dashes",
        "/metadata/label": "is not a field here; did you mean labels?",
        "/spec/tasks/0/name": "'a b' is not a name of 1 to 128 letters, digits, dots, dashes and underscores",
        "/spec/tasks/0/type": "is required",
        "/spec/tasks/0/run": "must be an object, not an array",
        "/spec/tasks/0/need": "is not a field here; did you mean needs?",
        "/spec/tasks/0/timeoutSeconds": "must be a number, not a string",
        "/spec/tasks/0/retry/limit": "must be at most 100",
        "/spec/tasks/0/resources/cpu": "must be more than 0",
        "/spec/tasks/1/name": f"'{'c' * 80}...' is not a name of 1 to 128 letters, digits, dots, dashes "
        "and underscores",
        "/spec/tasks/1/resultScope": "must be one of global, region; did you mean region?",
        "/spec/tasks/1/x~0~1y": "is not a field here; there are name, type, run, source, target, needs, "
        "runs, when, whenSkipped, continueOnFailure, timeoutSeconds, retry, outputs, forEach, "
        "maxParallel, resultScope, priority, resources, semaphore, secrets",
        "/spec/sideEffects": "must be one of exclusive, idempotent; did you mean exclusive?",
        "/spec/shards/count": "must be at least 1",
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, {f"/{field}": "is required" for field in ("apiVersion", "kind", "metadata", "spec")}),
        ([], {"": "must be an object, not an array"}),
        (None, {"": "must be an object, not null"}),
        (document(tasks=[]), {"/spec/tasks": "must have at least 1 item; it has 0"}),
        (document(task(when=["x"])), {"/spec/tasks/0/when": "must be a string, not an array"}),
        (document(dataClass=""), {"/spec/dataClass": "must have at least 1 character; it has 0"}),
        (document(data_class="x"), {"/spec/data_class": "is not a field here; did you mean dataClass?"}),
        (document(priority=5.0), {"/spec/priority": "must be an integer: write 5 for 5.0"}),
        (document(priority=True), {"/spec/priority": "must be an integer, not a boolean"}),
        (
            document(task(resources={"memoryMiB": 10**14})),
            {"/spec/tasks/0/resources/memoryMiB": "must be at most 1073741824"},
        ),
        (
            document(task("a\n")),
            {
                "/spec/tasks/0/name": "'a\\n' is not a name of 1 to 128 letters, digits, dots, dashes "
                "and underscores"
            },
        ),
    ],
)
def test_an_error_is_a_sentence(value: Any, expected: dict[str, str]) -> None:
    """The errors use the document's words, not those of a schema library."""
    assert schema_errors_in(json.dumps(value).encode()) == expected


def test_what_a_retry_cannot_name_is_refused() -> None:
    """A word that nobody knows would leave the task without its retries. Of a number no word is said."""
    broken = document(task(retry={"on": [75, "timout", 300, 0, None], "jitter": 2}))

    assert schema_errors_in(broken) == {
        "/spec/tasks/0/retry/on/1": "must be one of failure, lost, timeout; did you mean timeout?",
        "/spec/tasks/0/retry/on/2": "must be at most 255",
        "/spec/tasks/0/retry/on/3": "must be at least 1",
        "/spec/tasks/0/retry/on/4": "must be one of failure, lost, timeout",
        "/spec/tasks/0/retry/jitter": "must be at most 1",
    }
