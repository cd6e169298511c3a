"""The interface by which a store keeps policy data: decisions, exceptions, bundles and rollbacks."""

from typing import Protocol

from gateway.policy.rollout.interface import KeepsRollout
from gateway.store.decisions import KeepsDecisions
from gateway.store.exceptions import KeepsExceptions
from gateway.store.rollbacks import KeepsRollbacks


class KeepsPolicy(KeepsDecisions, KeepsExceptions, KeepsRollbacks, KeepsRollout, Protocol):
    """The interface by which a store keeps policy data: decisions, policy exceptions, bundles, rollbacks."""
