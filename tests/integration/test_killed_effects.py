"""Tests that the judgment of what tasks wrote sees each thing that must not happen under kills."""

import pytest

from tests.integration.killed_effects import Effect, Kill, TaskKey, faults_of

A, B = ("run", "0", "a"), ("run", "0", "b")
NEEDS: dict[TaskKey, list[TaskKey]] = {A: [], B: [A]}
NAMES = {"a": A, "b": B, "c": ("run", "0", "c")}


def written(*words: str) -> list[Effect]:
    """Returns effects from words such as `a+1` (a starts its first try) and `a-1` (that ends)."""
    return [
        Effect("start" if word[1] == "+" else "end", NAMES[word[0]], 1, int(word[2:]), line)
        for line, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("words", "kills", "fault"),
    [
        (["a+1", "a-1", "b+1", "b-1"], [], ""),
        (["a+1", "a+2", "a-2", "b+1", "b-1"], [Kill(frozenset(), 1)], ""),
        (["a+1", "a-1", "a+2", "a-2", "b+1", "b-1"], [Kill(frozenset({A}), 2)], "again, which was in the"),
        (["a+1", "a-1", "a+2", "a-2", "b+1", "b-1"], [Kill(frozenset(), 2)], ""),
        (["a+1", "a+2", "a-2", "b+1", "b-1"], [], "without a kill between them"),
        (["a+1", "a+1", "a-1", "b+1", "b-1"], [Kill(frozenset(), 1)], "ran a try twice"),
        (["a+1", "b+1", "a-1", "b-1"], [], "before the end of"),
        (["a+1", "a-1", "b+1"], [], "never ended"),
        (["a+1", "a-1", "b+1", "b-1", "c+1"], [], "was in no document"),
    ],
)
def test_what_must_not_happen_is_named(words: list[str], kills: list[Kill], fault: str) -> None:
    """And what may happen is not: a try that a kill ended is followed by another."""
    found = faults_of(written(*words), kills, NEEDS)

    assert len(found) == bool(fault), found
    assert all(fault in one for one in found)
