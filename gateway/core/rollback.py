"""The stored data types of automatic rollbacks: the alert that causes one, and the rollback's phases.

The store keeps them as JSON, and the API shows them: field names are public, add, never rename.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class ReleaseKind(StrEnum):
    """The kind of a release that can be rolled back; alerts name it in their label `rollback`."""

    POLICY = "policy"
    """A policy bundle that is active or in canary."""
    WORKFLOW = "workflow"
    """A version of a released workflow that is stable or in canary."""
    ROUTING = "routing"
    """The routing revision in force."""
    EXTERNAL = "external"
    """A version of a deployment outside of Waypost, which another system is asked to roll back."""


class Alert(Struct, frozen=True, kw_only=True):
    """One alert as Alertmanager or Grafana sent it to the gateway. Times are in seconds since 1970.

    `group`, `fingerprint` and `starts_at` are its identity: the sender repeats the same alert.
    """

    group: str
    fingerprint: str
    starts_at: str
    """The alert's start time as the sender wrote it; it is compared, never computed with."""
    name: str
    kind: str = ""
    """The kind of release that the alert is about; empty or unknown: no kind that can be rolled back."""
    subject: str = ""
    """Which release of its kind the alert is about, such as `demo/nightly@3`; empty: it does not say."""
    resolved: bool = False
    received_at: float


class RollbackPhase(StrEnum):
    """The phase of an automatic rollback, from decision to verified effect, or why it was not done."""

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
"""The phases of rollbacks that the gateway has done or begun; a release has at most one such rollback."""
PAGES: Final = frozenset(
    {
        RollbackPhase.UNHELPFUL,
        RollbackPhase.UNVERIFIED,
        RollbackPhase.FAILED,
        RollbackPhase.FROZEN,
        RollbackPhase.WANTED,
    }
)
"""The phases of an automatic rollback in which a person is paged."""


class RollbackStep(Struct, frozen=True, kw_only=True):
    """One change of a rollback's phase: the new phase, its time and reason, and the metrics measured then."""

    phase: RollbackPhase
    at: float
    detail: str
    seen: dict[str, float] = {}


class Rollback(Struct, frozen=True, kw_only=True):
    """One automatic rollback of a release, done or refused, with all its phases; the last one is current."""

    id: int = 0
    """The rollback's number, given by the store; 0 before it is stored."""
    rev: int = 1
    alert: str
    """The name of the alert that caused the rollback."""
    kind: ReleaseKind
    owner: str = ""
    """The owner of the release, whose pause and daily maximum the rollback counts against.

    Of a workflow it is the tenant, of an external deployment its name; empty: the kind's releases have no
    owners, and count together.
    """
    release: str
    """The name of the release that is rolled back, unique within its kind.

    Of a policy bundle its sequence number, of a routing revision its number, of a version of a workflow
    `demo/nightly@3`, of an external deployment `shop@1.4.2`.
    """
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
