"""What the life of bundles needs of a store: to keep them, and where each of them stands."""

from typing import Protocol

from gateway.core.history import HistoryEntry
from gateway.policy.rollout.bundle_states import Rollout


class KeepsRollout(Protocol):
    """The part of a store that keeps the bundles of policy."""

    async def rollout(self) -> Rollout:
        """All bundles as they stand; an empty rollout where none was ever uploaded."""
        ...

    async def bundle_archive(self, sequence: int) -> bytes | None:
        """The archive of a bundle; None: there is none."""
        ...

    async def write_rollout(
        self, rollout: Rollout, *, entry: HistoryEntry, archive: bytes | None = None
    ) -> bool:
        """Writes the next generation of the rollout, with `entry`; `archive` is that of its newest bundle.

        False, and nothing written, where the stored generation is not the one before. The archives of bundles
        that it does not have any more are deleted.
        """
        ...
