"""Tests conditions: which values they see, what they may use, and the texts of their errors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from waypost.condition_evaluation.expressions import answer
from waypost.condition_evaluation.messages import ConditionAnswer, ConditionQuestion
from waypost.workflow.conditions import MAXIMUM_CHARACTERS

OUTPUTS = {"scan": {"files": 3, "kinds": ["sql", "csv"]}, "a-b": None}
PARAMS: dict[str, Any] = {"full": True, "limit": 2.0}
SHARD = {"index": 1, "count": 4, "item": {"table": "orders"}}


def ask(text: str, **changes: Any) -> ConditionAnswer:
    question = ConditionQuestion(text=text, outputs=OUTPUTS, shard=SHARD)
    return answer(replace(question, **changes), PARAMS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('tasks["scan"].output.files > 2', True),
        ("tasks.scan.output.files > params.limit", True),
        ('tasks["a-b"].output == null', True),
        ("shard.index == shard.count - 1", False),
        ('shard.item.table == "orders" && params.full', True),
        ('tasks["scan"].output.kinds.exists(kind, kind == "csv")', True),
        ('has(tasks["scan"].output.errors)', False),
        ('size(tasks["scan"].output.kinds) == 2 && type(shard.index) == int', True),
    ],
)
def test_a_condition_sees_outputs_params_and_shard(text: str, expected: bool) -> None:
    """The three things that a task may depend on."""
    assert ask(text) == ConditionAnswer(holds=expected)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "not a CEL expression: mismatched input '<EOF>' at line 1, column 1"),
        ('tasks["scan".output', "not a CEL expression: missing ']' at '<EOF>' at line 1, column 20"),
        ("foo == 1", "unknown name foo at line 1, column 1: a condition sees tasks, params and shard"),
        ("1 == 1 &&\n lowr(params.full)", "there is no function lowr at line 2, column 6"),
        ("99999999999999999999 > 1", "invalid int literal"),
        ("1 + 1", "gives int, not true or false"),
        ('tasks["scan"].output == 1 ? 1 : 2', "gives int, not true or false"),
        ("{timestamp(0): 1}", "Unsupported map key type"),
        ("(" * 600 + "true" + ")" * 600, "not a CEL expression: it is nested too deeply"),
        ("true" + " || !(true" * 40 + ")" * 40, "not a CEL expression: it is nested too deeply"),
        ("[1]" + ".filter(x, true)" * 100 + ".size() > 0", "not a CEL expression: it is nested too deeply"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused_when_it_is_compiled(text: str, error: str) -> None:
    """A misspelt condition must not wait for hours until its task is about to run."""
    found = ask(text, compile_only=True)

    assert (found.holds, error in found.error) == (None, True), found.error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1 / (shard.index - 1) == 1", "cannot be evaluated: divide by zero"),
        ('tasks["gone"].output', "the output of a-b is null: cannot be evaluated: there is no 'gone'"),
        ("9223372036854775807 + shard.index > 0", "cannot be evaluated: integer overflow"),
        ("shard.index", "gives int, not true or false"),
        ("shard.item", "gives map, not true or false"),
        ("params.none == 1", "cannot be evaluated: there is no 'none'"),
        ("[1, 2].all(x, [1].map(y, x)[9] == x)", "cannot be evaluated: Index error"),
    ],
)
def test_what_goes_wrong_is_said(text: str, error: str) -> None:
    """The task fails with this sentence."""
    found = ask(text)

    assert (found.holds, error in found.error) == (None, True), found.error


def test_a_task_that_left_nothing_is_named() -> None:
    """Most often that is it, and the library's words do not say so."""
    found = ask("tasks.a.output.rows > 1", outputs={"a": None})

    assert found.error.startswith("the output of a is null: cannot be evaluated: ")


def test_loops_have_an_end() -> None:
    many = list(range(150))
    found = answer(ConditionQuestion(text="params.l.all(x, params.l.all(y, x + y >= 0))"), {"l": many})

    assert found.error == "cannot be evaluated: its loops take more than 10,000 turns"


@pytest.mark.parametrize("piece", ["1+", "x.a.", "!", "-", "(", "[", "{1:", "true?1:", "a.map(a,"])
def test_the_longest_condition_does_not_end_the_process(piece: str) -> None:
    """A parser that recurses for each operator would overflow the stack."""
    assert ask(piece * (MAXIMUM_CHARACTERS // len(piece) - 1) + "1").error


@given(st.text(alphabet="tasks[]{}().,\"'`\\$ab01+-*/%<>=!&|?: \n\0é\u2028", max_size=60))
def test_no_text_brings_anything_but_an_answer_or_a_sentence(text: str) -> None:
    """Whatever is submitted, the process answers."""
    found = ask(text)

    assert (found.holds is not None) != (found.error != "")
