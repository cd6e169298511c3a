"""The interfaces that the rollout needs: a store of bundles with their states, and a check of uploads."""

from typing import Protocol

from gateway.core.history import HistoryEntry
from gateway.policy.opa.bundle_archive import Manifest
from gateway.policy.rollout.bundle_states import Rollout


class KeepsRollout(Protocol):
    """The part of a store that keeps the policy bundles and their states."""

    async def rollout(self) -> Rollout:
        """Returns the rollout as stored; an empty one if no bundle was ever uploaded."""
        ...

    async def bundle_archive(self, sequence: int) -> bytes | None:
        """Returns the archive of the bundle with this sequence; None if there is none."""
        ...

    async def write_rollout(
        self, rollout: Rollout, *, entry: HistoryEntry, archive: bytes | None = None
    ) -> bool:
        """Stores the next generation of the rollout, with `entry`, and a new bundle's `archive`.

        False, and nothing written, where the stored generation is not the one before. The archives of bundles
        that it does not have any more are deleted.
        """
        ...


class ChecksUploads(Protocol):
    """The interface of a checker of uploaded bundles."""

    async def check(self, archive: bytes) -> Manifest:
        """Returns the manifest of a good bundle. Raises `Invalid`, with everything that is wrong with it."""
        ...
