"""Tests which values a compiled condition reads, however it is written."""

import pytest

from waypost.condition_evaluation.expressions import answer
from waypost.condition_evaluation.messages import ConditionQuestion, ConditionReads


def reads(text: str) -> ConditionReads:
    found = answer(ConditionQuestion(text=text, before_run=True, compile_only=True), {})
    assert found.reads is not None, found.error
    return found.reads


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ('tasks["a"].output.x && tasks . b["output"]', [("tasks", "a", "output"), ("tasks", "b", "output")]),
        ('tasks[r"a"].outputs', [("tasks", "a", "outputs")]),
        ('tasks["\\x61"].output == .tasks.b.output', [("tasks", "a", "output"), ("tasks", "b", "output")]),
        ('tasks["a" + ""].outputs', [("tasks", None, "outputs")]),
        ("tasks[params.f].output", [("params", "f", None), ("tasks", None, "output")]),
        ("params.size() == 2", [("params", None, None)]),
        ("params.all(k, k == 'a') && has(params.a.b)", [("params", None, None), ("params", "a", "b")]),
        ("params.exists(tasks, tasks == 'x')", [("params", None, None)]),
        ("['a'].all(params, .params[params] == 1)", [("params", None, None)]),
        ("[shard].all(x, x.index == 1)", [("shard", None, None)]),
        ("{'params': 1}.params == 1 && 'tasks.b' != '' // tasks.c", []),
        ("timestamp(params.t) > timestamp(0)", [("params", "t", None)]),
    ],
)
def test_what_is_read_is_known(text: str, mentions: list[tuple[str, str | None, str | None]]) -> None:
    """A condition may read only what its task needs: anything else might not have run yet."""
    assert [(m.root, m.name, m.member) for m in reads(text).mentions] == mentions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("has(params.a)", True),
        ('"a" in params', True),
        ('params.a == "in"', False),
        ("params.has == 1", False),
    ],
)
def test_a_condition_may_test_what_is_there(text: str, expected: bool) -> None:
    assert reads(text).tests_presence is expected


@pytest.mark.parametrize(
    ("text", "holds"),
    [("params.a == 1", True), ("tasks.a.output == 1", None), ("'tasks' == string(params.a)", False)],
)
def test_before_the_run_what_reads_no_output_is_evaluated(text: str, holds: bool | None) -> None:
    """Outputs are not known yet."""
    found = answer(ConditionQuestion(text=text, before_run=True), {"a": 1})
    assert (found.holds, found.error) == (holds, "")
