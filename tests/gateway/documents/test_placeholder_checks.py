"""Tests the checks of placeholders: names, permitted places, and the values that fill them."""

from typing import Any

import pytest

from gateway.documents import placeholder_checks
from gateway.documents.placeholder_checks import PlaceholderChecks
from tests.gateway.documents.documents import document, errors_in, read, task
from waypost.workflow.placeholders import lookup


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("${params.gone}", "${params.gone} names nothing: there is no params.gone"),
        ("${params.deep.x.y}", "${params.deep.x.y} names nothing: there is no params.deep.x"),
        (
            "${shard.number}",
            "${shard.number} names nothing: there are params.NAME, tasks.NAME.output, "
            "shard.index, shard.count, shard.item, and with forEach item and index",
        ),
        (
            "${secrets.x}",
            "${secrets.x} names nothing: there are params.NAME, tasks.NAME.output, "
            "shard.index, shard.count, shard.item, and with forEach item and index",
        ),
        ("${shard.item.b}", "${shard.item.b} names nothing: there is no shard.item.b in shard 1"),
        ("a ${params.deep", "'${params.deep' is not a placeholder: its } is missing"),
        ("${params}", "'${params}' is not a placeholder: write $${ for a literal ${"),
    ],
)
@pytest.mark.parametrize("field", ["run", "source", "target"])
def test_a_placeholder_that_cannot_be_filled_in_is_reported_where_it_is(
    text: str, detail: str, field: str
) -> None:
    """The error names the string, and the shard whose item lacks the field, before anything runs."""
    value: Any = {"command": ["x", text]} if field == "run" else {"s3": [{"path/to": text}]}
    found = errors_in(
        document(task("a", **{field: value}), params={"deep": {}}, shards={"items": [{"b": 1}, {"a": 1}]})
    )

    assert found == {
        "/spec/tasks/0/run/command/1" if field == "run" else f"/spec/tasks/0/{field}/s3/0/path~1to": detail
    }


def test_a_placeholder_in_a_name_is_refused() -> None:
    """It would silently stay as it is."""
    found = errors_in(document(task(run={"command": ["x"], "env": {"${params.a}": "1"}}), params={"a": "b"}))

    assert found == {
        "/spec/tasks/0/run/env/${params.a}": "placeholders are filled in in values, not in names"
    }


def test_what_is_filled_in_must_fit_the_executor() -> None:
    """A list in place of a string is reported at submission, as the first shard would have it."""
    tasks = [
        task(run={"command": "${params.words}"}),
        task("b", type="delay", run={"seconds": "${shard.item}"}),
    ]

    assert errors_in(document(*tasks, params={"words": "x"}, shards={"items": ["soon"]})) == {
        "/spec/tasks/0/run/command": "must be an array, not a string",
        "/spec/tasks/1/run/seconds": "must be a number, not a string",
    }


def test_placeholders_cannot_make_a_document_endless() -> None:
    """Ten kilobytes of placeholders for a long text would make gigabytes.

    The gateway and every cluster would have to hold them.
    """
    many = task(run={"command": ["${params.text}"] * 1000})
    items = task(run={"command": ["${shard.item.text}"] * 1000})

    assert errors_in(document(many, params={"text": "x" * 10_000})) == {
        "/spec/tasks": "placeholders add 10002000 characters; 1048576 are allowed"
    }
    assert list(errors_in(document(items, shards={"items": [{"text": ""}, {"text": "x" * 10_000}]}))) == [
        "/spec/tasks"
    ]


def test_a_number_may_be_a_word_of_a_command() -> None:
    """`${shard.index}` alone keeps its type, and nearly every fan-out passes it on in a command."""
    assert (
        errors_in(
            document(
                task(
                    run={
                        "command": ["split", "${shard.index}", "${shard.count}"],
                        "env": {"N": "${shard.index}"},
                    }
                )
            )
        )
        == {}
    )


def test_an_item_of_another_form_is_filled_in_too() -> None:
    """Otherwise the first shard would run, and the second would fail hours later."""
    tasks = [
        task(run={"command": ["echo", "${shard.item}"]}),
        task("b", run={"command": ["echo", "of ${shard.item}", "${shard.index}"]}),
    ]

    assert errors_in(document(*tasks, shards={"items": ["a", "b", {"x": 1}, {"x": 2}]})) == {
        "/spec/tasks/0/run/command/1": "must be a string or a number or a boolean, not an object, in shard 2"
    }


def test_the_forms_of_a_thousand_items_are_checked_in_bounded_time() -> None:
    """If every item has another form, only some are rendered; errors in the rest show when they run."""
    items = [{f"x{i}": i} for i in range(1_000)]
    tasks = [task(f"t{i}", run={"command": ["echo", "${shard.item}"]}) for i in range(250)]

    assert len(errors_in(document(*tasks, shards={"items": items}))) == 250


def test_all_bad_placeholders_of_a_text_are_reported() -> None:
    """Each is a separate mistake."""
    assert errors_in(document(task(run={"command": ["${params.a} ${params.b} ${ x }"]}))) == {
        "/spec/tasks/0/run/command/0": "${params.a} names nothing: there is no params.a; "
        "${params.b} names nothing: there is no params.b; "
        "'${ x }' is not a placeholder: write $${ for a literal ${"
    }


@pytest.mark.parametrize(
    ("text", "count"), [("${" * 500, 10), ("${params.gone} " * 500, 1), ("${x} ${params.gone}" * 4, 5)]
)
def test_a_text_full_of_mistakes_has_few_errors(text: str, count: int) -> None:
    """Each looks at the rest of its text: 300,000 of them took a processor for 13 seconds."""
    workflow = read(document(task("a", run={"command": ["x", text]})))
    assert len(list(PlaceholderChecks(workflow).errors(workflow.spec.tasks[0], ""))) == count


def test_a_name_that_is_not_there_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in each of a thousand items for each of the times that it is used."""
    looked_up: list[tuple[str, ...]] = []

    def noting(names: tuple[str, ...], values: Any) -> Any:
        looked_up.append(names)
        return lookup(names, values)

    monkeypatch.setattr(placeholder_checks, "lookup", noting)
    items = [{"n": n} for n in range(20)] + [{"m": 1}]
    texts = ["${shard.item.n}" * 50, "${shard.item.n}" * 50]
    workflow = read(document(task("a", run={"command": texts}), shards={"items": items}))
    errors = list(PlaceholderChecks(workflow).errors(workflow.spec.tasks[0], ""))
    assert (len(errors), len(looked_up) <= len(items)) == (2, True)
