"""Tests how much one commit deletes."""

from gateway.store.sqlite.archiving.deletion_budget import DeletionBudget


def taken(rows: int, bytes_: int, *sizes: int) -> list[int]:
    budget = DeletionBudget(rows=rows, bytes_=bytes_)
    return [number for (number,) in budget.taken_from((n, size) for n, size in enumerate(sizes))]


def test_a_commit_is_bounded_in_rows_and_in_bytes() -> None:
    """Whichever ends first."""
    assert taken(2, 100, 10, 10, 10) == [0, 1]
    assert taken(9, 25, 10, 10, 10, 1) == [0, 1]
    assert taken(9, 100, 10, 10) == [0, 1]


def test_one_row_that_is_larger_goes_by_itself() -> None:
    """Or it, and all behind it, would never go."""
    assert taken(9, 25, 4_000, 1) == [0]
    budget = DeletionBudget(rows=9, bytes_=25)
    assert (budget.take(4_000), budget.rows, budget.take(0)) == (True, 0, False)
