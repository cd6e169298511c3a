"""Conditions: what they see, what they may ask, and how much work they may make."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.workflow.condition_cost import analyze
from waypost.workflow.conditions import (
    FUNCTIONS,
    MAXIMUM_CHARACTERS,
    ConditionError,
    compile_condition,
    holds,
)

OUTPUTS = {"scan": {"files": 3, "kinds": ["sql", "csv"]}, "a-b": None}
PARAMS: dict[str, Any] = {"full": True, "limit": 2.0, "many": list(range(5_000))}
SHARD = {"index": 1, "count": 4, "item": {"table": "orders"}}
DAY = 'timestamp("2024-01-02T03:04:05Z")'


def holds_alone(text: str) -> bool:
    return holds(text, outputs=OUTPUTS, params=PARAMS, shard=SHARD)


def test_a_task_that_left_nothing_is_named() -> None:
    """Most often that is it, and the library's words do not tell."""
    with pytest.raises(
        ConditionError, match=r"^the output of a is null: cannot be evaluated: No such overload"
    ):
        holds("tasks.a.output.rows > 1", outputs={"a": None}, params={}, shard={})


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
    assert holds_alone(text) is expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a CEL expression"),
        ('tasks["scan".output', r"missing '\]' at '<EOF>' at line 1, column 20"),
        ("foo == 1", "unknown name foo"),
        ("lowr(params.full)", "there is no function lowr"),
        ('"\\ud800" == "x"', "not a CEL expression"),
        ("99999999999999999999 > 1", "invalid int literal"),
        (" " * (MAXIMUM_CHARACTERS + 1), "has 2049 characters"),
        ("shard.nope == 1", "there is no shard.nope: a shard has count, index, item"),
        ('"${params.go}" == "yes"', "placeholders are not filled in here: write params.name"),
        ('"a".matches("(a{1000}){1000}")', "would take too long: matches"),
        ('"a".matches("\\\\pL{1000}")', "would take too long: matches"),
        ('"a".matches(params.pattern)', "would take too long: matches"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused_at_once(text: str, reason: str) -> None:
    """A misspelt condition must not wait for hours until its task is about to run."""
    with pytest.raises(ConditionError, match=reason):
        compile_condition(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 / (shard.index - 1) == 1", "division by zero"),
        ('tasks["gone"].output', "there is no 'gone'"),
        ("9223372036854775807 + shard.index > 0", "verflow"),
        ('shard.index + "a" == 1', "cannot be evaluated"),
        ('[1][5] == "a"', "out of bounds"),
        ('"a".matches("(")', "not a valid regex"),
        ("shard.index", "gives int, not true or false"),
        ("shard.item", "gives dict, not true or false"),
        ("null", "gives NoneType"),
    ],
)
def test_what_goes_wrong_is_told(text: str, reason: str) -> None:
    """The task fails with it: the library's own exceptions are of a dozen kinds, and one that got out would
    end the scheduler.
    """
    with pytest.raises(ConditionError, match=reason):
        holds_alone(text)


@pytest.mark.parametrize(
    "text",
    [
        "params.many.filter(x, x > 0).size() > 0",
        "params.many.all(x, x in params.many)",
        "params.many.all(x, params.many.all(y, y != x))",
        "params.many.all//\n(x, params.many.all(y, y != x))",
        " + ".join(["params.many"] * 80) + " == []",
        "[1,2,3,4,5,6,7,8,9].map(a, [1,2,3,4,5,6,7,8,9].map(b, [1,2,3,4,5,6,7,8,9].map(c, a + b + c))) == []",
        '["aaaaaaaa"]' + ".map(a, a + a)" * 60 + " == []",
    ],
)
def test_work_without_end_is_refused(text: str) -> None:
    """Nested loops over long lists take hours, and doubling a text sixty times takes all the memory: of a
    cluster that others use too.
    """
    with pytest.raises(ConditionError, match="would take too long"):
        holds_alone(text)


@pytest.mark.parametrize("piece", ["1+", "x.a.", "!", "-", "(", "[", "{1:", "true?1:", "a.map(a,"])
def test_the_longest_condition_does_not_end_the_process(piece: str) -> None:
    """The parser recurses for each operator, and a stack that overflows ends the whole gateway."""
    text = piece * (MAXIMUM_CHARACTERS // len(piece) - 1) + "1"

    with pytest.raises(ConditionError):
        holds_alone(text)


@given(st.text(alphabet="tasks[]{}().,\"'`\\$ab01+-*/%<>=!&|?: \n\0é\u2028", max_size=60))
def test_no_text_brings_anything_but_an_answer_or_a_condition_error(text: str) -> None:
    """Whatever is submitted, neither gateway nor cluster falls over it."""
    with suppress(ConditionError):
        assert holds_alone(text) in (True, False)


def test_each_function_that_is_let_through_exists() -> None:
    """The list is ours, the functions are the library's: if they part, good conditions are refused or bad
    ones accepted.
    """
    calls = [
        'bytes("a") == b"a"',
        '"ab".contains("b")',
        'double("1") == 1.0',
        'duration("1s") > duration("0s")',
        "dyn(1) == 1",
        '"a".endsWith("a")',
        'int("1") == 1',
        '"a".matches("a")',
        'size("a") == 1',
        '"a".startsWith("a")',
        'string(1) == "1"',
        f"{DAY} > {DAY} || true",
        "type(1) == int",
        "uint(1) == 1u",
        *(f"{DAY}.{name}() >= 0" for name in FUNCTIONS if name.startswith("get")),
    ]

    assert all(holds_alone(call) for call in calls)
    assert len(calls) == len(FUNCTIONS)


def test_the_tasks_that_are_read_are_known() -> None:
    """A condition may read only what its task needs: anything else might not have run yet."""
    text = (
        """tasks["a"].output.x && tasks.b.output && tasks[ 'c-d' ].output && """
        """params.tasks["e"] && tasks[params.f] && tasks["a"]"""
    )

    assert compile_condition(text).tasks_read == ("a", "b", "c-d")


@pytest.mark.parametrize(
    "text",
    [
        '"see tasks.b" == params.x',
        "'a\\'tasks.b' == params.x",
        'r"\\" == "tasks.b" || params.x',
        '''"""a "tasks.b" """ == params.x''',
        "params.x // or tasks.b",
    ],
)
def test_what_stands_in_a_literal_or_a_comment_is_not_read(text: str) -> None:
    """A sentence about a task is no use of it, and must not ask for a need."""
    assert compile_condition(text).tasks_read == ()


@pytest.mark.parametrize(
    "text",
    [
        "params.hosts.all(h, h.up)",
        "params.hosts.exists(h, h.name == 'h7') && params.hosts.all(h, h.load >= 0) "
        "&& !params.hosts.exists(h, h.load < 0)",
        "params.names.filter(n, n != '').size() > 0",
        '"2024-01-02".matches("^[0-9]{4}-[0-9]{2}-[0-9]{2}$")',
        "params.all > 1 && params.map == params.filter",
    ],
)
def test_a_loop_over_a_thousand_hosts_is_no_trouble(text: str) -> None:
    """It takes some milliseconds.

    Loops beside one another do not multiply, and a field called `all` is no loop.
    """
    hosts = [{"name": f"h{i}", "up": True, "load": i} for i in range(1_000)]
    params = {"hosts": hosts, "names": list(range(1_000)), "all": 2, "map": 1, "filter": 1}
    if "params.names" in text:
        params = {"names": [f"h{i}" for i in range(1_000)]}

    assert holds(text, outputs={}, params=params, shard=SHARD)


def test_loops_are_counted_by_how_they_are_nested() -> None:
    """Only loops within one another multiply what there is to do."""
    assert analyze("params.a.all(x, x.b.all(y, y > 0)) && params.c.exists(z, z > 0)").depth == 2
    assert analyze('"params.a.all(x, x)" == "" && params.all(1 > 0)').depth == 1
