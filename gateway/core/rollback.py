"""Alerts from other systems, and the automatic rollbacks of releases that follow from them. Values only.

The store keeps both as JSON, and the API shows them: field names are public, add, never rename.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class ReleaseKind(StrEnum):
    """The kind of a release that can be rolled back; an alert names it in its label `rollback`."""

    POLICY = "policy"
    """A policy bundle that is active or in canary."""


class Alert(Struct, frozen=True, kw_only=True):
    """One alert as Alertmanager or Grafana sent it; times are in seconds since 1970.

    `group`, `fingerprint` and `starts_at` are its identity: the same alert is sent again and again.
    """

    group: str
    fingerprint: str
    starts_at: str
    """The alert's start time as the sender wrote it; it is compared, never computed with."""
    name: str
    kind: str = ""
    """The kind of release that the alert is about; empty or unknown: no kind that can be rolled back."""
    resolved: bool = False
    received_at: float


class RollbackPhase(StrEnum):
    """The phase of an automatic rollback, from the decision about the alert to its verification."""

    INTENDED = "Intended"
    """The rollback is decided and stored; the release is rolled back next."""
    DONE = "Done"
    """The release is rolled back; whether that helped is not known yet."""
    HELPED = "Helped"
    UNHELPFUL = "Unhelpful"
    """The release is rolled back and the metrics are still bad: a person is paged."""
    UNVERIFIED = "Unverified"
    """The release is rolled back, and whether that helped cannot be measured: a person is paged."""
    FAILED = "Failed"
    """The release could not be rolled back: a person is paged."""
    FROZEN = "Frozen"
    """Nothing was done for lack of evidence to decide by: a person is paged."""
    WANTED = "Wanted"
    """The gateway may not roll the release back by itself: a person is paged."""
    DRY_RUN = "DryRun"
    """Nothing was done since rollback.mode is not on; otherwise the release would have been rolled back."""


ACTED: Final = frozenset(
    {
        RollbackPhase.INTENDED,
        RollbackPhase.DONE,
        RollbackPhase.HELPED,
        RollbackPhase.UNHELPFUL,
        RollbackPhase.UNVERIFIED,
        RollbackPhase.FAILED,
    }
)
"""The phases of rollbacks that the gateway has done or begun; each release has at most one such rollback."""
PAGES: Final = frozenset(
    {
        RollbackPhase.UNHELPFUL,
        RollbackPhase.UNVERIFIED,
        RollbackPhase.FAILED,
        RollbackPhase.FROZEN,
        RollbackPhase.WANTED,
    }
)
"""The phases in which a person is paged."""


class RollbackStep(Struct, frozen=True, kw_only=True):
    """One change of a rollback's phase: the new phase, when, why, and the measured numbers at that time."""

    phase: RollbackPhase
    at: float
    detail: str
    seen: dict[str, float] = {}


class Rollback(Struct, frozen=True, kw_only=True):
    """The rollback of a release, done or refused with the reason; its last entry has the present phase."""

    id: int = 0
    """The rollback's number, given by the store; 0 before it is stored."""
    rev: int = 1
    alert: str
    """The name of the alert that caused the rollback."""
    kind: ReleaseKind
    release: str
    """The id of the release that is rolled back: the sequence number of a policy bundle."""
    digest: str
    returns_to: str
    """The release that is in force again afterwards; empty for the one that the gateway was started with."""
    revision: str
    """The revision by which metrics name the release."""
    steps: tuple[RollbackStep, ...]

    @property
    def phase(self) -> RollbackPhase:
        return self.steps[-1].phase

    @property
    def began_at(self) -> float:
        """The time of the rollback's first phase, in seconds since 1970."""
        return self.steps[0].at
