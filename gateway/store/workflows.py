"""The interface by which a store keeps released workflows: their versions, states and documents."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.history import HistoryEntry
from gateway.core.principal import Principal
from gateway.core.workflow_release import ReleasedWorkflow


class FoundWorkflows(Struct, frozen=True, kw_only=True):
    """A page of released workflows, by tenant and name; the next page begins after `next`.

    `next` is None on the last page.
    """

    workflows: tuple[ReleasedWorkflow, ...]
    next: tuple[str, str] | None


class StagedWorkflow(Struct, frozen=True, kw_only=True):
    """A released workflow whose canary is to get further shares later, and the caller who asked for these."""

    workflow: ReleasedWorkflow
    asked_by: Principal


class KeepsWorkflows(Protocol):
    """The interface by which a store keeps released workflows."""

    async def released_workflow(self, tenant: str, name: str) -> ReleasedWorkflow | None:
        """Reads a tenant's released workflow with its versions; None if there is none of this name."""
        ...

    async def count_workflows(self, tenant: str) -> int:
        """Returns how many released workflows a tenant has."""
        ...

    async def released_workflows(
        self, *, tenants: tuple[str, ...] | None, limit: int, after: tuple[str, str] = ("", "")
    ) -> FoundWorkflows:
        """Returns one page of the released workflows of these tenants (None: of all), by tenant and name."""
        ...

    async def staged_workflows(
        self, *, limit: int, after: tuple[str, str] = ("", "")
    ) -> Sequence[StagedWorkflow]:
        """Reads the released workflows whose canary is to get further shares, by tenant and name."""
        ...

    async def workflow_document(self, tenant: str, name: str, number: int) -> bytes | None:
        """Reads the document of a released workflow's version, as JSON; None if it is not kept."""
        ...

    async def write_workflow(
        self,
        workflow: ReleasedWorkflow,
        *,
        entry: HistoryEntry,
        document: bytes | None = None,
        asked_by: Principal | None = None,
    ) -> bool:
        """Stores the next state of a released workflow, and the `document` of a version that is new in it.

        `asked_by` is kept for a canary with further shares, until none is left. With a `document`, documents
        of versions that the workflow no longer has are deleted. Returns False, with nothing written, unless
        the stored `rev` is the one before.
        """
        ...
