"""The part of a store that keeps all policy data: decisions, policy exceptions, bundles and rollbacks."""

from typing import Protocol

from gateway.policy.rollout.interface import KeepsRollout
from gateway.store.decisions import KeepsDecisions
from gateway.store.exceptions import KeepsExceptions
from gateway.store.rollbacks import KeepsRollbacks


class KeepsPolicy(KeepsDecisions, KeepsExceptions, KeepsRollbacks, KeepsRollout, Protocol):
    """The part of a store for policy data: decisions, policy exceptions, bundles and their rollbacks."""
