"""Alerts that other systems send, and the rollbacks that follow from them. Values only.

The store keeps both as JSON, and the API shows them: field names are public, add, never rename.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class ReleaseKind(StrEnum):
    """The kind of a release that can be rolled back; an alert names it in its label `rollback`."""

    POLICY = "policy"
    """A policy bundle, which is active or in canary."""


class Alert(Struct, frozen=True, kw_only=True):
    """One alert as Alertmanager or Grafana has sent it; times are in seconds since 1970.

    `group`, `fingerprint` and `starts_at` are its identity: the same alert is sent again and again.
    """

    group: str
    fingerprint: str
    starts_at: str
    """As it was sent: it is compared, never computed with."""
    name: str
    kind: str = ""
    """The kind of release that it is about; empty or unknown: none that can be taken back."""
    resolved: bool = False
    received_at: float


class RollbackPhase(StrEnum):
    """The phase of a rollback."""

    INTENDED = "Intended"
    """It was decided, and is durable; the release is taken back next."""
    DONE = "Done"
    """The release is taken back; whether that helped is not known yet."""
    HELPED = "Helped"
    UNHELPFUL = "Unhelpful"
    """The release is taken back, and what is measured is still bad: a person is wanted."""
    UNVERIFIED = "Unverified"
    """The release is taken back; whether that helped cannot be known: a person is wanted."""
    FAILED = "Failed"
    """The release could not be taken back: a person is wanted."""
    FROZEN = "Frozen"
    """There was no evidence to decide by: nothing was done, and a person is wanted."""
    WANTED = "Wanted"
    """It is not for the gateway to do: a person is wanted."""
    DRY_RUN = "DryRun"
    """It would have been done, were rollback.mode on."""


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
"""The phases of rollbacks that the gateway has done, or has begun: each release has one at most."""
PAGES: Final = frozenset(
    {
        RollbackPhase.UNHELPFUL,
        RollbackPhase.UNVERIFIED,
        RollbackPhase.FAILED,
        RollbackPhase.FROZEN,
        RollbackPhase.WANTED,
    }
)
"""The phases in which a person is wanted."""


class RollbackStep(Struct, frozen=True, kw_only=True):
    """One step of a rollback: the phase it came to, when, why, and the numbers that were seen then."""

    phase: RollbackPhase
    at: float
    detail: str
    seen: dict[str, float] = {}


class Rollback(Struct, frozen=True, kw_only=True):
    """The rollback of a release, done or refused with the reason. Its last step has its present phase."""

    id: int = 0
    """The number that the store gives it; 0 before it is stored."""
    rev: int = 1
    alert: str
    """The name of the alert that has led to it."""
    kind: ReleaseKind
    release: str
    """The release: of a policy bundle its sequence."""
    digest: str
    returns_to: str
    """The release that decides again; empty: what the gateway was started with."""
    revision: str
    """The revision by which the release is found in metrics."""
    steps: tuple[RollbackStep, ...]

    @property
    def phase(self) -> RollbackPhase:
        return self.steps[-1].phase

    @property
    def began_at(self) -> float:
        """The time of the rollback's first step, in seconds since 1970."""
        return self.steps[0].at
