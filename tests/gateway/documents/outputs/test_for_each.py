"""Tests the checks of `forEach`: lists, placeholders for lists, their length, and what items have."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from gateway.documents.outputs.forms import first_of_each_form
from tests.gateway.documents.documents import document, errors_in, task

LIST = {"type": "array", "items": {"type": "string"}}


def over(for_each: Any, *words: Any, **more: Any) -> dict[str, Any]:
    return task("each", forEach=for_each, run={"command": ["x", *words]}, **more)


@pytest.mark.parametrize(
    ("for_each", "error"),
    [
        (["a", {"b": 1}, 3], None),
        ([], None),
        ("${params.tables}", None),
        ("${shard.item.parts}", None),
        ("${tasks.list.output.tables}", None),
        ("tables", "is a list, or one placeholder for a list such as ${params.tables}"),
        ("x${params.tables}", "is a list, or one placeholder for a list such as ${params.tables}"),
        ("${params.name}", "is a list, or one placeholder for a list such as ${params.tables}"),
        ("${params.gone}", "${params.gone} names nothing: there is no params.gone"),
        ("${tasks.zzz.output}", "${tasks.zzz.output} names nothing: there is no task zzz"),
        ("${item}", "${item} names nothing: its task has no forEach"),
        (["${index}"], None),
    ],
)
def test_for_each_is_a_list_or_one_placeholder_for_one(for_each: Any, error: str | None) -> None:
    """A list that is known is looked at before the run, at its place."""
    params = {"tables": ["x", "y"], "name": "z"}
    found = errors_in(
        document(
            task("list"),
            over(for_each, needs=["list"]),
            params=params,
            shards={"items": [{"parts": [1]}, {"parts": []}]},
        )
    )

    if for_each == ["${index}"]:
        assert found == {"/spec/tasks/1/forEach/0": "${index} names nothing: its task has no forEach"}
    else:
        assert found == ({} if error is None else {"/spec/tasks/1/forEach": error})


def test_more_than_a_thousand_instances_are_refused() -> None:
    """Each is journalled, reported and stored by itself."""
    assert errors_in(document(over(list(range(1_000))))) == {}
    assert errors_in(document(over(list(range(1_001))))) == {
        "/spec/tasks/0/forEach": "has 1001 items; 1000 are allowed"
    }
    two = [task(name, forEach=list(range(600)), run={"command": ["x"]}) for name in "ab"]
    assert errors_in(document(*two)) == {
        "/spec/tasks": "forEach makes 1200 instances of tasks; 1000 are allowed in a shard"
    }


@pytest.mark.parametrize(
    ("word", "detail"),
    [
        ("${item.name} ${index}", None),
        ("${item.size}", "${item.size} names nothing: there is no item.size in item 1"),
        ("${index.x}", "${index.x} names nothing: there is no index.x in item 0"),
    ],
)
def test_what_an_item_lacks_is_found_before_the_run(word: str, detail: str | None) -> None:
    """One item of each form is looked at."""
    items = [{"name": "a", "size": 1}, {"name": "b"}]

    assert errors_in(document(over(items, word))) == (
        {} if detail is None else {"/spec/tasks/0/run/command/1": detail}
    )


def test_items_that_come_from_an_output_are_not_guessed() -> None:
    """Their fields show when the task starts; a task without forEach has none."""
    tasks = [task("list"), over("${tasks.list.output}", "${item.size}", needs=["list"])]
    wrong = task("c", run={"command": ["${item}", "${index}"]})

    assert errors_in(document(*tasks)) == {}
    assert errors_in(document(*tasks, wrong)) == {
        "/spec/tasks/2/run/command/0": "${item} names nothing: its task has no forEach",
        "/spec/tasks/2/run/command/1": "${index} names nothing: its task has no forEach",
    }


def test_what_items_fill_in_must_fit_the_executor() -> None:
    """The run is checked with an item of each form."""
    waits = task("w", type="delay", forEach=[1, "soon"], run={"seconds": "${item}"})

    assert errors_in(document(waits)) == {"/spec/tasks/0/run/seconds": "must be a number, not a string"}


def test_the_output_of_a_task_with_for_each_is_a_list() -> None:
    """Its schema is that of each instance."""
    each = over(["a"], outputs={"type": "object", "properties": {"n": {"type": "integer"}}})

    def reader(path: str) -> dict[str, str]:
        read = task("r", needs=["each"], run={"command": [f"${{tasks.each.output{path}}}"]})
        return errors_in(document(each, read))

    assert [reader(path) for path in ("", ".0", ".0.n")] == [{}, {}, {}]
    assert [*reader(".n").values()] == [
        "${tasks.each.output.n} names nothing: the outputs of each declare no n"
    ]
    assert [*reader(".0.m").values()] == [
        "${tasks.each.output.0.m} names nothing: the outputs of each declare no 0.m"
    ]


def test_max_parallel_is_for_instances() -> None:
    """Elsewhere it would bound nothing."""
    assert errors_in(document(over([1], maxParallel=3))) == {}
    assert errors_in(document(task(maxParallel=3))) == {
        "/spec/tasks/0/maxParallel": "bounds the instances of a task with forEach"
    }


def test_instances_have_names_of_128_characters_at_most() -> None:
    """Names of instances are longer than that of their task."""
    assert list(errors_in(document(task("a" * 124, forEach=[1], run={"command": ["x"]})))) == [
        "/spec/tasks/0/name"
    ]


def test_a_long_item_in_a_thousand_strings_is_refused_before_it_is_held() -> None:
    """A megabyte of document would be 35 GB; no region would run it either."""
    assert errors_in(document(over(["x" * 60_000], "${item}" * 4))) == {}
    assert errors_in(document(over(["x" * 60_000], "${item}" * 1_000, "${item}"))) == {
        "/spec/tasks/0/run": "outputs and items that its placeholders fill in have more than 262144"
        " characters in all: read them from the file in WAYPOST_INPUT"
    }


def test_a_list_that_many_tasks_name_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine hundred tasks over one list of a thousand items took more than the time of a reader process."""
    look = MagicMock(side_effect=first_of_each_form)
    monkeypatch.setattr("gateway.documents.outputs.for_each.first_of_each_form", look)
    tasks = [
        task(f"t{n}", forEach="${params.l}", run={"command": ["x", "${item.a}", "${item.b}"]})
        for n in range(9)
    ]
    errors = errors_in(document(*tasks, params={"l": [{"a": 1}, {"a": 2}]}))

    assert errors == {
        f"/spec/tasks/{n}/run/command/2": "${item.b} names nothing: there is no item.b in item 0"
        for n in range(9)
    }
    assert look.call_count == 1
