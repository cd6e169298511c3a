"""Tests the checks of a condition's text before it is compiled."""

import pytest

from waypost.workflow.conditions import MAXIMUM_CHARACTERS, selected, text_error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (" " * (MAXIMUM_CHARACTERS + 1), "has 2049 characters; 2048 are allowed"),
        (
            '"${params.go}" == "yes"',
            "placeholders are not filled in here: write params.name for ${params.name}",
        ),
        ("params.a == 1", None),
    ],
)
def test_what_the_text_alone_shows(text: str, error: str | None) -> None:
    assert text_error(text) == error


ALL = {"a": 1, "b": 2, "size": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.a == 1 && has(params.gone)", {"a": 1}),
        ("params . a == 1 || params[ 'b' ].size() == 1", {"a": 1, "b": 2}),
        (".params.a == 1", {"a": 1}),
        ("params.size == 3", {"size": 3}),
        ("shard.index == 0 && myparams.a", {}),
        ("params[params.a] == 1", ALL),
        ('"b" in params', ALL),
        ("size(params) == 2 || params.a == 1", ALL),
        ('has(params.a) && params.all(k, k == "a")', ALL),
        ("has(params.a) && params.size() == 2", ALL),
        ("params.size () == 2", ALL),
        ("params.size // a comment\n () == 2", ALL),
        ("params // .a\n .b == 2", ALL),
        ("[params].all(p, p.b == 2)", ALL),
        ('params[r"b"] == 2', ALL),
        ('params["\\x62"] == 2', ALL),
        ("params['''b'''] == 2", ALL),
        ("[1].all(params, .params == {}) && params.a == 1", ALL),
        ("params.`a-b` == 1", ALL),
        ("'params' == params.a", ALL),
    ],
)
def test_what_may_be_read_is_handed_over(text: str, expected: dict[str, int]) -> None:
    """Params may have a mebibyte, and thousands of conditions may read one name of them: where every mention
    is followed by a name, those alone. In doubt all of them: what is missing changes the answer.
    """
    assert selected(text, "params", ALL) == expected
