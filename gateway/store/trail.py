"""The interface by which a store keeps the audit trail and its seals (signed digests of its entries)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.core.history import ACTS, HistoryKind
from observability.audit import Seal

TRAIL_KINDS: Final = (HistoryKind.ACCEPTED, *ACTS)
"""The kinds of history entries that belong to the audit trail and are sealed."""


class Stretch(Struct, frozen=True, kw_only=True):
    """Consecutive entries of the audit trail, each as JSON: a history entry with its policy decision."""

    entries: Mapping[int, Mapping[str, Any]]
    """The entries by number; numbers rise and have gaps, since other history lies between."""
    last: int
    """The number of the last history entry that was scanned; the requested one if none follows it."""


class KeepsTrail(Protocol):
    """The interface by which a store keeps the audit trail and its seals (signed digests of entries)."""

    async def trail(self, *, after: int) -> Stretch:
        """Reads the next audit entries after the number `after`.

        The number of rows read is bounded, so that more entries may follow those that are returned.
        """
        ...

    async def seals(self, *, after: int, limit: int) -> Sequence[Seal]:
        """Reads the first `limit` audit seals (signed digests) with a number above `after`, in order."""
        ...

    async def last_seal(self) -> Seal | None:
        """Reads the newest audit seal (signed digest of audit entries); None if there is none."""
        ...

    async def add_seal(self, seal: Seal) -> bool:
        """Stores an audit seal (signed digest); returns False, with nothing written, for a taken number."""
        ...
