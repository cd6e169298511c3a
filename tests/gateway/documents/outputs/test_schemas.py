"""Tests the checks of declared outputs: their schemas, and the paths in placeholders that read them."""

from typing import Any

import pytest

from gateway.documents.outputs.schemas import OutputPaths
from tests.gateway.documents.documents import document, errors_in, task

ROWS = {"type": "object", "properties": {"rows": {"type": "integer"}, "files": {"items": {"type": "string"}}}}


@pytest.mark.parametrize(
    ("schema", "pointer", "detail"),
    [
        ({"type": "whole"}, "/type", "'whole' is not valid under any of the given schemas"),
        ({"properties": {"a": 3}}, "/properties/a", "3 is not of type 'object', 'boolean'"),
        ({"pattern": "("}, "", "pattern '(': missing ), unterminated subpattern at position 0"),
        ({"patternProperties": {"[": {}}}, "", "pattern '[': unterminated character set at position 0"),
        ({"$ref": "http://127.0.0.1/x"}, "", "$ref http://127.0.0.1/x leads nowhere: write #/$defs/NAME"),
        ({"items": {"$ref": "#/$defs/no"}}, "", "$ref #/$defs/no leads nowhere: write #/$defs/NAME"),
        ({"$id": "urn:x"}, "", "$id is not supported"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#"},
            "",
            "$schema is http://json-schema.org/draft-07/schema#;"
            " https://json-schema.org/draft/2020-12/schema is read",
        ),
    ],
)
def test_a_schema_that_cannot_be_applied_is_refused(
    schema: dict[str, Any], pointer: str, detail: str
) -> None:
    """It would fail the task after its work is done; a reference could make a cluster fetch an address."""
    assert errors_in(document(task(outputs=schema))) == {f"/spec/tasks/0/outputs{pointer}": detail}


def test_many_schemas_are_refused_before_they_are_checked() -> None:
    """Checking one object of a schema takes 0.4 ms: a megabyte of them would take minutes."""
    tasks = [task(f"t{n}", outputs={"properties": {f"p{n}-{i}": {} for i in range(100)}}) for n in range(6)]

    assert errors_in(document(*tasks)) == {
        "/spec/tasks": "the schemas of outputs have 6636 bytes and 612 objects; 32768 and 500 are allowed"
    }
    assert errors_in(document(*(task(f"t{n}", outputs=ROWS) for n in range(1_000)))) == {}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("${tasks.list.output}", None),
        ("${tasks.list.output.rows}", None),
        ("${tasks.list.output.files.0}", None),
        ("${tasks.a.b-c.output.x}", None),
        ("${tasks.list.output.row}", "names nothing: the outputs of list declare no row"),
        ("${tasks.list.output.rows.x}", "names nothing: the outputs of list declare no rows.x"),
        ("${tasks.lst.output}", "names nothing: there is no task lst; did you mean list?"),
        ("${tasks.other.output}", "names nothing: put other among the needs"),
        ("${tasks.me.output}", "names nothing: a task has no output before it ends"),
        (
            "${tasks.list.rows}",
            "names nothing: write tasks.NAME.output for the output of a task that it needs",
        ),
    ],
)
@pytest.mark.parametrize("field", ["run", "source", "target"])
def test_a_placeholder_reads_only_what_its_task_needs(text: str, detail: str | None, field: str) -> None:
    """What is certain to be missing is reported at submission, where it stands."""
    value = {"command": ["x", f"of {text}"]} if field == "run" else {"x": [0, text]}
    me = task("me", needs=["list", "a.b-c"], **{field: value})
    found = errors_in(document(task("list", outputs=ROWS), task("a.b-c"), task("other"), me))

    place = "command" if field == "run" else "x"
    assert found == ({} if detail is None else {f"/spec/tasks/3/{field}/{place}/1": f"{text} {detail}"})


@pytest.mark.parametrize(
    ("schema", "path", "missing"),
    [
        ({}, "a.b", None),
        ({"type": "integer"}, "a", "a"),
        ({"properties": {"a": True}}, "a.b", None),
        ({"properties": {"a": True}, "additionalProperties": {"type": "object"}}, "c.d", None),
        ({"properties": {"a": True}, "additionalProperties": {"type": "string"}}, "c.d", "c.d"),
        ({"properties": {"a": True}, "patternProperties": {"^x": True}}, "y", None),
        ({"type": "object", "additionalProperties": False}, "a", "a"),
        ({"allOf": [{"properties": {"a": True}}, {"properties": {"b": True}}]}, "b", None),
        ({"anyOf": [{"type": "null"}, {"properties": {"a": {"type": "string"}}}]}, "a", None),
        ({"anyOf": [{"type": "null"}, {"properties": {"a": {"type": "string"}}}]}, "b", "b"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {"$ref": "#"}}}}}, "a.a.a", None),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {"$ref": "#"}}}}}, "a.b", "a.b"),
        ({"$ref": "#"}, "a", None),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, "0", None),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, "1", "1"),
        ({"type": ["object", "null"], "properties": {"a": {}}}, "b", "b"),
    ],
)
def test_a_path_that_a_schema_does_not_have_is_found(
    schema: dict[str, Any], path: str, missing: str | None
) -> None:
    """Declared fields count as all that there are, unless the schema says that there are others."""
    expected = None if missing is None else tuple(missing.split("."))

    assert expected == OutputPaths(schema).missing(tuple(path.split(".")))


def test_a_schema_of_many_branches_is_judged_quickly() -> None:
    """Each part is looked at once: thirty levels of two references each would be a billion."""
    parts = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}", "title": "x"}]}
        for n in range(30)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": parts | {"d30": {"properties": {"a": True}}}}

    assert OutputPaths(schema).missing(("b",)) == ("b",)


def test_the_type_of_an_output_is_not_guessed() -> None:
    """`seconds` may come from an output; what does not is checked as ever."""
    waits = {"seconds": "${tasks.list.output.rows}"}
    tasks = [task("list"), task("b", type="delay", run=waits, needs=["list"])]
    wrong = task("c", type="delay", run={"seconds": "soon ${params.x}"}, needs=["list"])

    assert errors_in(document(*tasks)) == {}
    assert errors_in(document(*tasks, wrong, params={"x": 1})) == {
        "/spec/tasks/2/run/seconds": "must be a number, not a string"
    }
