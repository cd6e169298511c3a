"""Tests placeholders: types, paths, literals, and that no filled-in value is interpreted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.workflow.placeholders import PlaceholderError, malformed, references, render

PARAMS = {"date": "2026-11-24", "n": 3, "deep": {"name": "x", "list": [1, None]}, "nothing": None}
SHARD = {"index": 2, "count": 8, "item": {"table": "orders"}}
VALUES = {"params": PARAMS, "shard": SHARD}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${params.date}", "2026-11-24"),
        ("${params.n}", 3),
        ("${params.deep}", {"name": "x", "list": [1, None]}),
        ("${params.nothing}", None),
        ("${shard.item.table}", "orders"),
        ("backup/${params.date}/${shard.index}", "backup/2026-11-24/2"),
        ("of ${shard.count}: ${params.deep}", 'of 8: {"name":"x","list":[1,null]}'),
        ("no placeholder, $HOME and $(date)", "no placeholder, $HOME and $(date)"),
        ("$${params.date}", "${params.date}"),
        ("${$}${params.n}", "$3"),
        ("${$}{params.n}", "${params.n}"),
        ("", ""),
    ],
)
def test_a_string_is_filled_in(text: str, expected: Any) -> None:
    """A lone placeholder keeps its value's JSON type, since a command's argument list or a number must stay
    one; text stays text.
    """
    assert expected == render(text, VALUES, last=True)
    assert expected == render(render(text, {"params": PARAMS}, last=False), {"shard": SHARD}, last=True)


def test_strings_are_found_at_any_depth() -> None:
    """`source` and `target` nest as they like; numbers and names of fields stay what they are."""
    value = {"s3": [{"path": "b/${params.date}", "n": 1, "${params.n}": True}], "x": ("${shard.index}",)}

    assert render(value, VALUES, last=True) == {
        "s3": [{"path": "b/2026-11-24", "n": 1, "${params.n}": True}],
        "x": [2],
    }


def test_the_first_pass_leaves_the_shard_to_the_cluster() -> None:
    """The gateway renders once a run; only the cluster knows the shard."""
    assert (
        render("${params.date} ${shard.index} $${x}", {"params": PARAMS}, last=False)
        == "2026-11-24 ${shard.index} $${x}"
    )


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("${params.a}", {"a": "${shard.item.secret}"}),
        ("x ${params.a}", {"a": "${shard.index}"}),
        ("${params.a}{shard.index}", {"a": "$"}),
        ("${params.a}${params.b}", {"a": "$", "b": "{shard.index}"}),
        ("${params.a}${params.b}{shard.index}", {"a": "$", "b": "$"}),
        ("${params.a}", {"a": ["$${shard.index}", {"k": "${$}"}]}),
        ("${params.a}${shard.index}", {"a": "$"}),
        ("${params.a}${shard.index}", {"a": ""}),
    ],
)
def test_a_value_is_never_rendered_again(text: str, params: dict[str, Any]) -> None:
    """Whoever chooses a param must not reach into what the cluster fills in, not even with the help of the
    text around it.
    """
    once = render(text, {"params": params, "shard": {"index": 7, "item": {"secret": "s"}}}, last=True)
    twice = render(
        render(text, {"params": params}, last=False),
        {"shard": {"index": 7, "item": {"secret": "s"}}},
        last=True,
    )

    assert once == twice
    assert "s" not in str(twice).replace("shard", "").replace("secret", "")


PIECES = [
    "$",
    "{",
    "}",
    "${",
    "$${",
    "${$}",
    "${}",
    "${params.a}",
    "${params.b}",
    "${shard.index}",
    "shard.index}",
    "a",
]
pieces = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@given(text=pieces, a=pieces, b=st.one_of(pieces, st.lists(pieces, max_size=2), st.integers(), st.none()))
def test_two_passes_say_what_one_would(text: str, a: str, b: Any) -> None:
    """One pass over all values cannot inject anything, by construction: so two that agree with it cannot
    either.
    """
    params, shard = {"a": a, "b": b}, {"index": 7}
    try:
        once = render(text, {"params": params, "shard": shard}, last=True)
    except PlaceholderError:
        with pytest.raises(PlaceholderError):
            render(text, {"params": params}, last=False)
        return

    assert once == render(render(text, {"params": params}, last=False), {"shard": shard}, last=True)


@pytest.mark.parametrize(
    "text", ["${params.gone}", "${params.deep.gone}", "${params.date.x}", "x ${shard.item.gone}"]
)
def test_a_placeholder_that_names_nothing_is_told(text: str) -> None:
    """An empty string in its place would be a backup in the wrong folder."""
    with pytest.raises(PlaceholderError, match="names nothing"):
        render(text, VALUES, last=True)


def test_references_are_listed_and_broken_ones_refused() -> None:
    """Submission checks each of them before anything runs."""
    assert list(references("${params.a} $${no} ${$} ${shard.item.b-c}")) == [
        ("params", "a"),
        ("shard", "item", "b-c"),
    ]
    for broken in ("${params}", "${", "${params.a", "${ params.a }", "${1.a}", "${a..b}"):
        assert ["is not a placeholder" in mistake for mistake in malformed(f"{broken} {broken}")] == [
            True,
            True,
        ]
        assert len(list(malformed(f"{broken} ${{params.a}}"))) == 1
        with pytest.raises(PlaceholderError, match="is not a placeholder"):
            render(broken, VALUES, last=False)


def test_a_placeholder_is_not_quoted_whole_however_long() -> None:
    """It may be a megabyte: so long would be the refusal and its log line."""
    with pytest.raises(PlaceholderError) as refused:
        render("${params" + ".a" * 100_000 + "}", {"params": {"a": {}}}, last=True)
    assert str(refused.value).endswith("...} names nothing: there is no params.a.a")
    assert len(str(refused.value)) < 300
