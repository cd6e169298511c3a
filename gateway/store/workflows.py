"""The part of a store that keeps released workflows: their versions, states and documents."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.history import HistoryEntry
from gateway.core.principal import Principal
from gateway.core.workflow_release import ReleasedWorkflow


class FoundWorkflows(Struct, frozen=True, kw_only=True):
    """A page of workflows by tenant and name, and the last one of it; None on the last page."""

    workflows: tuple[ReleasedWorkflow, ...]
    next: tuple[str, str] | None


class StagedWorkflow(Struct, frozen=True, kw_only=True):
    """A workflow whose canary has further shares to come, and the caller who asked for them."""

    workflow: ReleasedWorkflow
    asked_by: Principal


class KeepsWorkflows(Protocol):
    """The part of a store that keeps released workflows."""

    async def released_workflow(self, tenant: str, name: str) -> ReleasedWorkflow | None:
        """Returns the workflow with its versions; None if there is none."""
        ...

    async def released_workflows(
        self, *, tenants: tuple[str, ...] | None, limit: int, after: tuple[str, str] = ("", "")
    ) -> FoundWorkflows:
        """Returns one page of the workflows of these tenants (None: of all), by tenant and name."""
        ...

    async def staged_workflows(
        self, *, limit: int, after: tuple[str, str] = ("", "")
    ) -> Sequence[StagedWorkflow]:
        """Returns the workflows whose canary has further shares to come, by tenant and name."""
        ...

    async def workflow_document(self, tenant: str, name: str, number: int) -> bytes | None:
        """Returns the document of a version, as JSON; None if it is not kept."""
        ...

    async def write_workflow(
        self,
        workflow: ReleasedWorkflow,
        *,
        entry: HistoryEntry,
        document: bytes | None = None,
        asked_by: Principal | None = None,
    ) -> bool:
        """Stores the workflow's next state, with the `document` of its newest version if that is new.

        `asked_by` is kept for a canary with further shares, until none is left. Documents of versions that it
        has no more are deleted. False, and nothing written, unless the stored
        `rev` is the one before.
        """
        ...
