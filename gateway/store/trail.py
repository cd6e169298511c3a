"""The part of a store that keeps the audit trail (acceptances and people's actions) and its seals."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.core.history import ACTS, HistoryKind
from observability.audit import Seal

TRAIL_KINDS: Final = (HistoryKind.ACCEPTED, *ACTS)
"""The kinds of history entries that belong to the audit trail and are sealed."""


class Stretch(Struct, frozen=True, kw_only=True):
    """A range of consecutive entries of the audit trail, each as JSON: history entry with its decision."""

    entries: Mapping[int, Mapping[str, Any]]
    """The entries by number; numbers rise and have gaps, since other history lies between."""
    last: int
    """The number of the last history entry that was scanned; the requested one if none follows it."""


class KeepsTrail(Protocol):
    """The part of a store that keeps the audit trail and its seals."""

    async def trail(self, *, after: int) -> Stretch:
        """Returns the next entries after the number `after`; the number of scanned entries is bounded."""
        ...

    async def seals(self, *, after: int, limit: int) -> Sequence[Seal]:
        """Returns the first `limit` seals with a number above `after`, in order."""
        ...

    async def last_seal(self) -> Seal | None:
        """Returns the newest seal; None if there is none."""
        ...

    async def add_seal(self, seal: Seal) -> bool:
        """Stores a seal; returns False, with nothing written, if its number is taken."""
        ...
