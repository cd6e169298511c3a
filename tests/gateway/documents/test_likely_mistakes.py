"""Tests the warnings about valid documents that probably mean something else."""

from typing import Any

import msgspec
import pytest

from gateway.documents.likely_mistakes import likely_mistakes
from tests.gateway.documents.documents import document, errors_in, read, task


def warnings(**fields: Any) -> list[str]:
    workflow = read(document(task("a"), task("b", **fields)))
    return list(likely_mistakes(workflow, msgspec.json.encode(workflow)))


@pytest.mark.parametrize(
    "text",
    [
        "{{inputs.parameters.x}}",
        "{{ params.x }}",
        "{{item}}",
        "{{ ds }}",
        "$(params.x)",
        "$(tasks.a.results.rows)",
    ],
)
def test_a_placeholder_of_another_system_is_pointed_out(text: str) -> None:
    """It would reach the command as it stands."""
    expected = [f"task b: {text} is not filled in: placeholders are ${{params.NAME}} and ${{shard.item}}"]

    assert warnings(run={"command": ["echo", f"of {text}"]}) == expected
    assert warnings(source={"path": text}) == expected


@pytest.mark.parametrize(
    "text", ["{{.ID}}", "{{json .}}", "$(cat params)", "$(date)", "{{ a + b }}", "$(foo.sh)"]
)
def test_templates_and_shells_of_commands_are_left_alone(text: str) -> None:
    assert warnings(run={"command": ["sh", "-c", text]}) == []


def test_a_variable_that_waypost_sets_has_no_effect() -> None:
    """It was ignored without a word."""
    found = warnings(run={"command": ["true"], "env": {"WAYPOST_RUN": "x", "WAYPOST_URL": "y"}})
    assert found == ["task b: WAYPOST_RUN in env has no effect: Waypost sets it"]
    assert warnings(run={"command": ["true"], "env": {"WAYPOST_URL": "y"}}) == []


@pytest.mark.parametrize(("seconds", "warned"), [(30, True), (1, True), (0.5, False), ("${params.x}", False)])
def test_a_delay_that_its_timeout_ends_is_pointed_out(seconds: Any, warned: bool) -> None:
    found = warnings(type="delay", run={"seconds": seconds}, timeoutSeconds=1)
    assert (
        found
        == [f"task b: it waits {seconds} s and is ended after 1 s (timeoutSeconds): it will fail"] * warned
    )


@pytest.mark.parametrize("word", ["", "${params.none}"])
def test_a_command_without_a_program_is_refused(word: str) -> None:
    """No system starts it."""
    found = errors_in(document(task(run={"command": [word, "x"]}), params={"none": ""}))
    assert found == {
        "/spec/tasks/0/run": "the first word of the command is the program: it must not be empty"
    }


@pytest.mark.parametrize("name", ["shard.item", "shard.item.table"])
def test_an_item_where_there_are_none_is_said_so(name: str) -> None:
    """`must be a string, not null` would not say what is missing."""
    found = errors_in(document(task(run={"command": ["echo", f"${{{name}}}"]}), shards={"count": 2}))
    assert found == {"/spec/tasks/0/run/command/1": f"${{{name}}} names nothing: spec.shards has no items"}


@pytest.mark.parametrize("field", ["source", "target"])
def test_what_is_nearly_an_artifact_is_named(field: str) -> None:
    """It is accepted: documents have had such data before there were artifacts."""
    expected = f"task b: {field}.s3 names no storage: it is data for the task, and no file is moved"
    assert warnings(**{field: {"s3": {"path": "backup/1"}}}) == [expected]
    assert warnings(**{field: {"s3": {"storage": "backups", "path": "backup/1"}}}) == []
    assert warnings(**{field: {"mysql": {"endpoint": "prod"}}}) == []
