"""What the text of a condition shows before it is compiled."""

import pytest

from waypost.workflow.conditions import MAXIMUM_CHARACTERS, condition_text, text_error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (" " * (MAXIMUM_CHARACTERS + 1), "has 2049 characters; 2048 are allowed"),
        ("shard.nope == 1", "there is no shard.nope: a shard has count, index, item"),
        ('tasks["a"].outputs.rows > 1', 'there is no tasks["a"].outputs: a task has output'),
        (
            '"${params.go}" == "yes"',
            "placeholders are not filled in here: write params.name for ${params.name}",
        ),
        (
            'timestamp("2026-01-31T10:00:00+0800") > timestamp(params.from)',
            "2026-01-31T10:00:00+0800 is no time as RFC 3339 writes it: 2026-01-31T10:00:00Z",
        ),
        ('tasks["a"]["output"] == tasks.b.output && shard.item.nope == "shard.nope"', None),
        ("timestamp(\"2026-01-31T10:00:00.5+08:00\") > timestamp('1970-01-01T00:00:00Z')", None),
        ("'timestamp(\"soon\")' != params.x", None),
    ],
)
def test_what_the_text_alone_shows(text: str, error: str | None) -> None:
    assert text_error(text) == error


def test_the_tasks_that_are_read_are_known() -> None:
    """A condition may read only what its task needs: anything else might not have run yet."""
    text = (
        """tasks["a"].output.x && tasks.b.output && tasks[ 'c-d' ].output && """
        """params.tasks["e"] && tasks[params.f] && tasks["a"]"""
    )

    assert condition_text(text).tasks_read == ("a", "b", "c-d")
    assert condition_text(text).roots == {"tasks", "params"}


@pytest.mark.parametrize(
    "text",
    [
        '"see tasks.b" == params.x',
        "'a\\'tasks.b' == params.x",
        'r"\\" == "tasks.b" || params.x',
        '''"""a "tasks.b" """ == params.x''',
        "params.x // or tasks.b",
        "params.x == 'not closed: tasks.b",
        "\\'" * 500 + "tasks.b",
    ],
)
def test_what_stands_in_a_literal_or_a_comment_is_not_read(text: str) -> None:
    """A sentence about a task is no use of it, and must not ask for a need."""
    assert condition_text(text).tasks_read == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.a == 1 && has(params.gone)", {"a": 1}),
        ("params[params.a] == 1", {"a": 1, "b": 2}),
        ('"b" in params', {"a": 1, "b": 2}),
        ("size(params) == 2 || params.a == 1", {"a": 1, "b": 2}),
        ("shard.index == 0", {}),
    ],
)
def test_only_what_may_be_read_is_handed_over(text: str, expected: dict[str, int]) -> None:
    """Params may have a mebibyte, and thousands of conditions may read one name of them."""
    assert condition_text(text).selected("params", {"a": 1, "b": 2}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("has(params.a)", True), ('"a" in params', True), ('params.a == "in"', False), ("params.has", False)],
)
def test_a_condition_may_test_what_is_there(text: str, expected: bool) -> None:
    assert condition_text(text).tests_presence is expected
