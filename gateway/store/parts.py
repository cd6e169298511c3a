"""Protocols that are parts of the interface `Store`: for policy data, for releases, and for upkeep.

Upkeep is the correction of times after a clock was set, the mark of a restored copy, and retention.
"""

from typing import Protocol

from gateway.policy.rollout.interface import KeepsRollout
from gateway.steady_clock import MachineBoot
from gateway.store.backups import RemembersRestore
from gateway.store.decisions import KeepsDecisions
from gateway.store.exceptions import KeepsExceptions
from gateway.store.notifications.outbox import KeepsNotifications
from gateway.store.retention import Retains
from gateway.store.rollbacks import KeepsRollbacks
from gateway.store.routing import KeepsRouting
from gateway.store.stages.interface import FeedsStages
from gateway.store.trail import ArchivesTrail, KeepsTrail
from gateway.store.workflows import KeepsWorkflows


class KeepsPolicy(KeepsDecisions, KeepsExceptions, KeepsRollbacks, KeepsRollout, Protocol):
    """The interface by which a store keeps policy data: decisions, policy exceptions, bundles, rollbacks."""


class KeepsReleases(KeepsRouting, KeepsWorkflows, Protocol):
    """The interface by which a store keeps releases: released workflows and routing revisions."""


class KeepsRunData(KeepsTrail, FeedsStages, KeepsNotifications, Protocol):
    """The interface of a store for further data of runs: audit trail, inputs of stages, notifications."""


class CorrectsTimes(Protocol):
    """The interface by which a store corrects its stored times after the wall clock was set."""

    async def correct_times(self, boot: MachineBoot) -> float:
        """Moves deadlines of open runs, and pauses of shards, if the wall clock was set since the last call.

        `boot` is the machine's latest boot, with its time by the present clock. To be called once, at the
        start of the gateway. Returns the seconds by which the clock was set forward (below 0: back); 0 if it
        was not. Raises `Unavailable` where the store cannot answer or commit.
        """
        ...


class KeepsInOrder(CorrectsTimes, RemembersRestore, Retains, ArchivesTrail, Protocol):
    """The interface by which a store is kept in order: times after a clock was set, restore, retention."""
