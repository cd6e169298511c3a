"""Tests that conditions are evaluated at submission, as far as their inputs are known then."""

from typing import Any

import pytest

from gateway.documents import condition_checks
from gateway.documents.condition_checks import ConditionTrial
from gateway.documents.placeholder_checks import distinct_shards
from gateway.documents.workflow import Workflow
from tests.gateway.documents.documents import document, errors_in, read, task
from waypost.condition_evaluation.expressions import answer


@pytest.mark.parametrize(
    ("when", "detail"),
    [
        ("1 + 1", "gives int, not true or false"),
        ("shard.index", "gives int, not true or false in shard 0"),
        ("params.nope > 1", "there is no params.nope"),
        ('tasks["a"].output.x == params.nope', "there is no params.nope"),
        (".params.nope == 1", "there is no params.nope"),
        ('.tasks["c"].output == 1', "reads what c left: put it among the needs"),
        ('tasks["\\x63"].output == 1', "reads what c left: put it among the needs"),
        ("shard.nope == 1", "there is no shard.nope: a shard has count, index, item"),
        ('tasks[r"a"].outputs == 1', 'there is no tasks["a"].outputs: a task has output'),
        ('tasks["a" + ""].outputs == 1', "there is no tasks[...].outputs: a task has output"),
        (
            'timestamp(tasks["a"].output) > timestamp("2026-1-1T00:00:00Z")',
            "'2026-1-1T00:00:00Z' is no time as RFC 3339 writes it",
        ),
        (
            "timestamp(params.go) > timestamp(0)",
            "cannot be evaluated: 'yes' is no time as RFC 3339 writes it",
        ),
        ("params.go", "gives string, not true or false"),
        ("shard.item.table == 'x'", "cannot be evaluated: there is no 'table' in shard 2"),
        ("params.many.all(x, x == 1)", "cannot be evaluated: its loops take more than 10,000 turns"),
        ('tasks["a"].output.x ==', "not a CEL expression: mismatched input '<EOF>' at line 1, column 23"),
        (
            "'${params.go}' == 'yes'",
            "placeholders are not filled in here: write params.name for ${params.name}",
        ),
    ],
)
def test_a_condition_that_is_known_to_fail_is_refused(when: str, detail: str) -> None:
    """Params and items are known at submission: the error must not come hours later."""
    items = [{"table": "x"}, {"table": "y"}, {"view": "z"}]
    found = errors_in(
        document(
            task("a"),
            task("b", needs=["a"], when=when),
            params={"go": "yes", "many": [1] * 15_000},
            shards={"items": items},
        )
    )

    assert list(found) == ["/spec/tasks/1/when"]
    assert found["/spec/tasks/1/when"].startswith(detail)


@pytest.mark.parametrize(
    "when",
    [
        "has(params.nope) && params.nope > 1",
        '"nope" in params && tasks["a"].output == params.nope',
        'has(params.nope) && tasks["a"].output == params.nope',
        '"see tasks.b" == params.go',
        'has(shard.item.table) && shard.item.table == "x"',
        'tasks["a"].output',
        'has(params.go) && params.all(k, k == "go")',
        "params.size() == 1 && params.exists(k, k == 'go')",
        'tasks.size() == 1 && tasks.all(name, name == "a")',
        '.params.go == "yes" && .tasks["a"].output',
        "[{'nope': 1}].all(params, params.nope == 1)",
        "params.nope == 1 || true",
    ],
)
def test_a_condition_that_may_hold_is_accepted(when: str) -> None:
    """A condition that tests whether a name is there may go on without it."""
    items = [{"table": "x"}, {"view": "z"}]

    assert (
        errors_in(
            document(
                task("a"), task("b", needs=["a"], when=when), params={"go": "yes"}, shards={"items": items}
            )
        )
        == {}
    )


def test_each_text_is_asked_about_once_and_once_for_each_form_of_item() -> None:
    """Thousands of tasks may have the same condition, and thousands of shards the same form."""
    items = [{"a": 1}, {"a": 2}, {"b": 1}, {"b": 2}, {"a": "x"}]
    whens = ["shard.item.a != 1", "shard.item.a != 2", "params.go", 'tasks["t0"].output == shard.index']
    tasks = [task(f"t{i}", needs=["t0"] if i % 4 == 3 else [], when=whens[i % 4]) for i in range(40)]
    trial = ConditionTrial(read(document(*tasks, params={"go": True}, shards={"items": items})))

    first = [answer(question, trial.params) for question in trial.first]
    further = list(trial.further(first))

    assert [(q.text, q.shard["index"]) for q in trial.first] == [(text, 0) for text in whens]
    assert [(a.holds, a.error) for a in first] == [(False, ""), (True, ""), (True, ""), (None, "")]
    assert [(q.text, q.shard["index"]) for q in further] == [
        (text, index) for index in (2, 4) for text in whens[:2]
    ]
    assert len({id(question.shard) for question in further}) == 2


def test_what_has_no_answer_has_no_error() -> None:
    """There is not time for all: what is left undiscovered shows when the task is about to run."""
    items = [{"a": 1}, {"b": 1}]
    workflow = read(document(task(when="shard.item.a == 1"), shards={"items": items}))
    trial = ConditionTrial(workflow)

    assert list(trial.errors([answer(q, {}) for q in trial.first], [])) == []


def test_distinct_items_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each condition: 2,000 of them over 1,000 items took seven seconds."""
    calls: list[Workflow] = []

    def noting(workflow: Workflow) -> Any:
        calls.append(workflow)
        return distinct_shards(workflow)

    monkeypatch.setattr(condition_checks, "distinct_shards", noting)
    tasks = [task(f"t{n}", when=f"shard.item.a != {n}") for n in range(30)]
    workflow = read(document(*tasks, shards={"items": [{"a": n} for n in range(5)]}))
    trial = ConditionTrial(workflow)
    first = [answer(question, {}) for question in trial.first]
    assert (len(calls), len(first), len(list(trial.further(first))) % 30) == (1, 30, 0)
