"""The parts of the interface of a store, grouped: policy, releases, and what keeps the store in order."""

from typing import Protocol

from gateway.policy.rollout.interface import KeepsRollout
from gateway.store.backups import RemembersRestore
from gateway.store.clock_steps import CorrectsTimes
from gateway.store.decisions import KeepsDecisions
from gateway.store.exceptions import KeepsExceptions
from gateway.store.rollbacks import KeepsRollbacks
from gateway.store.routing import KeepsRouting
from gateway.store.workflows import KeepsWorkflows


class KeepsPolicy(KeepsDecisions, KeepsExceptions, KeepsRollbacks, KeepsRollout, Protocol):
    """The interface by which a store keeps policy data: decisions, policy exceptions, bundles, rollbacks."""


class KeepsReleases(KeepsRouting, KeepsWorkflows, Protocol):
    """The interface by which a store keeps releases: released workflows and routing revisions."""


class KeepsInOrder(CorrectsTimes, RemembersRestore, Protocol):
    """The interface by which a store is kept in order: its times after a clock was set, and its restore."""
