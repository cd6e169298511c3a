"""Tests that a shortened document has what rules may read, and that a strange one stays whole."""

import msgspec
import pytest

from gateway.policy.shortened_document import DocumentShortener

PARTS = [("name",), ("run", "image"), ("retry",), ("retry", "limit")]


def workflow(*tasks: object, **spec: object) -> dict[str, object]:
    return {"apiVersion": "waypost/v1", "metadata": {"name": "a"}, "spec": {"tasks": tasks, **spec}}


def test_of_tasks_what_may_be_read_is_kept_and_of_the_rest_all() -> None:
    task = {"name": "a", "type": "container", "run": {"image": "i", "command": ["b"]}, "retry": {"limit": 2}}
    document = msgspec.json.encode(workflow(task, {"type": "delay"}, params={"a": [1.50]}, priority=3))
    kept = msgspec.json.decode(DocumentShortener(PARTS).shorten(document))
    assert kept == msgspec.json.decode(
        msgspec.json.encode(
            workflow(
                {"name": "a", "run": {"image": "i"}, "retry": {"limit": 2}},
                {},
                params={"a": [1.50]},
                priority=3,
            )
        )
    )


@pytest.mark.parametrize(
    "document",
    [
        workflow("no task"),
        workflow({"run": None}),
        workflow({"run": "python"}),
        {"spec": {}},
        {"spec": {"tasks": None}},
        {"unknown": 1},
        [],
    ],
)
def test_a_document_that_is_not_as_workflows_are_stays_whole(document: object) -> None:
    encoded = msgspec.json.encode(document)
    assert DocumentShortener(PARTS).shorten(encoded) == encoded


@pytest.mark.parametrize("document", [b"", b"{", b'{"spec":{}},"principal":{}', b"{} {}"])
def test_what_is_not_json_is_left_to_the_engine_to_refuse(document: bytes) -> None:
    assert DocumentShortener(PARTS).shorten(document) == document
