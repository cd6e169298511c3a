"""Conditions are evaluated at submission, as far as their inputs are known then."""

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

    assert [(q.text, q.shard.get("index"), q.compile_only) for q in trial.first] == [
        (whens[0], 0, False),
        (whens[1], 0, False),
        (whens[2], None, False),
        (whens[3], 0, True),
    ]
    assert [(q.text, q.shard["index"]) for q in trial.further()] == [
        (text, index) for index in (2, 4) for text in whens[:2]
    ]
    assert len({id(q.shard) for q in trial.further()}) == 2


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
    assert (len(calls), len(trial.first), len(list(trial.further())) % 30) == (1, 30, 0)
