"""The interface by which a store keeps releases: released workflows and routing revisions."""

from typing import Protocol

from gateway.store.routing import KeepsRouting
from gateway.store.workflows import KeepsWorkflows


class KeepsReleases(KeepsRouting, KeepsWorkflows, Protocol):
    """The interface by which a store keeps releases: released workflows and routing revisions."""
