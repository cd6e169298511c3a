"""The interfaces that the policy rollout needs: a store of bundles and their states, a check of uploads."""

from typing import Protocol

from gateway.core.history import HistoryEntry
from gateway.policy.opa.bundle_archive import Manifest
from gateway.policy.rollout.bundle_states import Rollout


class KeepsRollout(Protocol):
    """The interface of a store that keeps policy bundles and their states (the rollout)."""

    async def rollout(self) -> Rollout:
        """Reads the rollout (all bundles with their states); an empty one if no bundle was ever uploaded."""
        ...

    async def bundle_archive(self, sequence: int) -> bytes | None:
        """Reads the archive of the policy bundle with this sequence number; None if there is none."""
        ...

    async def write_rollout(
        self, rollout: Rollout, *, entry: HistoryEntry, archive: bytes | None = None
    ) -> bool:
        """Writes the rollout's next generation, the audit `entry`, and, of a new bundle, the `archive`.

        Writes nothing and returns False where the stored generation is not the one before. The archives of
        bundles that the rollout no longer has are deleted.
        """
        ...


class ChecksUploads(Protocol):
    """The interface of a checker of uploaded policy bundles."""

    async def check(self, archive: bytes) -> Manifest:
        """Checks an uploaded policy bundle and returns its manifest.

        Raises `Invalid` with every problem of the bundle.
        """
        ...
