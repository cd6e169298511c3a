"""The interface by which a store keeps the audit trail and its seals (signed digests of its entries)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.core.history import ACTS, HistoryEntry, HistoryKind
from gateway.store.decisions import FoundDecisions, RecordedDecision
from observability.audit import Seal

TRAIL_KINDS: Final = (HistoryKind.ACCEPTED, *ACTS)
"""The kinds of history entries that belong to the audit trail and are sealed."""


class Stretch(Struct, frozen=True, kw_only=True):
    """Consecutive entries of the audit trail, each as JSON: a history entry with its policy decision."""

    entries: Mapping[int, Mapping[str, Any]]
    """The entries by number; numbers rise and have gaps, since other history lies between."""
    last: int
    """The number of the last history entry that was scanned; the requested one if none follows it."""


class ArchivedTrail(Struct, frozen=True, kw_only=True):
    """The oldest part of the audit trail, whose record is in an archive: entries and seals up to a seal.

    The part leaves the store in three steps, each of which can be cut short: an audit entry about it is
    stored; once that entry is sealed the part no longer counts as trail; then its rows are deleted.
    """

    file: str
    """The name of the archive's file that holds the newest seals of the part."""
    last_seal: int
    """The number of the part's last seal."""
    last_entry: int
    """The number of the last entry under that seal."""
    entries: int
    """The number of entries under the seals that the file holds."""
    announced_by: int = 0
    """The number of the audit entry about it, given by the store."""
    before: int = 0
    """The number of the last entry of the part that was archived before, which was cut."""
    cut: bool = False
    """Whether the part no longer counts as trail; its rows are being deleted, or are."""
    deleted_up_to: int = 0
    """The number of the last history entry that was looked at to be deleted."""
    deleted: bool = False
    """Whether no row is left of it, but for entries of runs that are still in the store."""


class KeepsTrail(Protocol):
    """The interface by which a store keeps the audit trail and its seals (signed digests of entries)."""

    async def trail(self, *, after: int) -> Stretch:
        """Reads the next audit entries after the number `after`, without those of a part that was cut.

        The number of rows read is bounded, so that more entries may follow those that are returned.
        """
        ...

    async def seals(self, *, after: int, limit: int) -> Sequence[Seal]:
        """Reads the first `limit` audit seals (signed digests) with a number above `after`, in order.

        Those of a part that was cut are left out.
        """
        ...

    async def last_seal(self) -> Seal | None:
        """Reads the newest audit seal (signed digest of audit entries); None if there is none."""
        ...

    async def add_seal(self, seal: Seal) -> bool:
        """Stores an audit seal (signed digest); returns False, with nothing written, for a taken number."""
        ...


class ArchivesTrail(Protocol):
    """The interface by which a store lets the oldest part of its audit trail go once that is archived.

    `Retains.purge` deletes the rows of a part that was cut. Entries of runs that are still in the store stay
    as long as these: they are the runs' history then, and no part of the trail any more.
    """

    async def sealed_entries(self) -> int:
        """Returns how many entries are under the seals in the store, without a part that was cut."""
        ...

    async def archived_trail(self) -> ArchivedTrail | None:
        """Reads which part of the trail was archived last, and how far it has left; None if none was."""
        ...

    async def announce_archived_trail(self, archived: ArchivedTrail, *, entry: HistoryEntry) -> bool:
        """Stores that a part of the trail is durable in an archive, with the audit entry about it.

        Returns False, with nothing written, while an earlier part has not left the store.
        """
        ...

    async def cut_trail(self) -> bool:
        """Takes the announced part out of the trail; returns False as long as the entry about it has no seal.

        From then neither `trail` nor `seals` return anything of it.
        """
        ...

    async def kept_documents(self, decision_ids: Sequence[str]) -> Sequence[RecordedDecision]:
        """Reads those of the decisions that have a document of their own, which no run has (any more)."""
        ...

    async def left_decisions(
        self, *, before: float, beyond_entry: int, after: str, limit: int
    ) -> FoundDecisions:
        """Lists decisions older than `before` that only they themselves record, the oldest first.

        Left out are those kept up to a bound, those of runs in the store, and those behind entries of the
        trail: for a run's entries all of them, for others those after `beyond_entry`. The page begins after
        the id `after`, and may be short though more follow.
        """
        ...

    async def delete_decisions(self, decision_ids: Sequence[str]) -> None:
        """Deletes decisions that `left_decisions` has listed, once they are durable in an archive."""
        ...
