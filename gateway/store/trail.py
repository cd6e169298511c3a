"""The part of a store that keeps the audit trail (acceptances and people's actions) and its seals."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.core.history import ACTS, HistoryKind
from observability.audit import Seal

TRAIL_KINDS: Final = (HistoryKind.ACCEPTED, *ACTS)
"""The kinds of history entries that are sealed."""


class Stretch(Struct, frozen=True, kw_only=True):
    """A range of consecutive entries of the trail. An entry is JSON: the history entry with its decision."""

    entries: Mapping[int, Mapping[str, Any]]
    """The entries by their numbers, which rise and have gaps: other history lies between."""
    last: int
    """The number up to which was looked; the one asked for where there was nothing behind it."""


class KeepsTrail(Protocol):
    """The part of a store that keeps the audit trail and its seals."""

    async def trail(self, *, after: int) -> Stretch:
        """The next entries after the number `after`; the number of entries looked at is bounded."""
        ...

    async def seals(self, *, after: int, limit: int) -> Sequence[Seal]:
        """The first `limit` seals with a number above `after`, in order."""
        ...

    async def last_seal(self) -> Seal | None:
        """The newest seal; None: there is none."""
        ...

    async def add_seal(self, seal: Seal) -> bool:
        """Stores a seal; False, and nothing written, where its number is taken."""
        ...
