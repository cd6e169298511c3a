"""`DeletionBudget`: how many rows, and bytes of them, one commit may delete."""

from collections.abc import Iterable, Iterator
from typing import Any


class DeletionBudget:
    """How many rows, and bytes of them, one commit may still delete: acceptance waits no longer for it.

    The first row is within it however large it is, or that row would never go.
    """

    def __init__(self, *, rows: int, bytes_: int) -> None:
        self._rows, self._bytes, self._begun = rows, bytes_, False

    def __repr__(self) -> str:
        return f"DeletionBudget(rows={self._rows}, bytes_={self._bytes})"

    @property
    def rows(self) -> int:
        """Returns how many rows it has left; 0 if the bytes are used up."""
        return max(0, self._rows) if self._bytes > 0 else 0

    def take(self, size: int) -> bool:
        """Takes a row of `size` bytes off the budget; returns False if it has no room for it."""
        if self._begun and (not self.rows or size > self._bytes):
            self._bytes = 0
            return False
        self._begun, self._rows, self._bytes = True, self._rows - 1, self._bytes - size
        return True

    def taken_from(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Yields rows as long as there is room for them; the last column of each is its size in bytes."""
        for *row, size in rows:
            if not self.take(size):
                return
            yield tuple(row)
