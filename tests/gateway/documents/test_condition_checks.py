"""Conditions are evaluated at submission, as far as their inputs are known then."""

import pytest

from tests.gateway.documents.documents import document, errors_in, task


@pytest.mark.parametrize(
    ("when", "detail"),
    [
        ("1 + 1", "gives int, not true or false"),
        ("shard.index + 1", "gives int, not true or false in shard 0"),
        ("params.nope > 1", "cannot be evaluated: there is no 'nope'"),
        ('tasks["a"].output.x == params.nope', "there is no params.nope"),
        ("params.go", "gives str, not true or false"),
        ("shard.item.table == 'x'", "cannot be evaluated: there is no 'table' in shard 2"),
        ("params.many.all(x, x in params.many)", "would take too long: a loop over up to"),
        (
            'tasks["a"].output.x == 1 && params.many.all(x, x in params.many)',
            "would take too long: a loop over up to",
        ),
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


def test_conditions_are_tried_only_so_long() -> None:
    """Finding out that a condition takes too long takes time too.

    Thousands of them would keep a thread busy for seconds.
    """
    tasks = [task(f"t{i}", when=f"size(params.many) > {i}") for i in range(100)]

    assert len(errors_in(document(*tasks, params={"many": [1] * 200_000}))) == 1
