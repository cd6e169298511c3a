"""The interface of a kind of release that can be rolled back, and its values.

A kind finds its latest release, says which numbers are evidence about it, and takes it back. Whether it is
taken back is decided the same way for all kinds.
"""

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from gateway.core.rollback import Alert, ReleaseKind, Rollback


class LatestRelease(Struct, frozen=True, kw_only=True):
    """A release in force, as the gates see it. Times are in seconds since 1970."""

    kind: ReleaseKind
    name: str
    """By which it is named for people, and in rollbacks; unique within its kind."""
    revision: str
    """By which its numbers are found in metrics."""
    digest: str
    released_at: float
    canary: bool
    """Whether it is in force for some alone, beside its baseline; else the baseline was in force before."""
    restored: bool
    """Whether it is in force since another one was taken back: then it is the last known good one."""
    returns_to: str | None
    """The release in force after its rollback, empty for what the gateway was started with; None: nothing."""


class Counted(Struct, frozen=True, kw_only=True):
    """The words for what the evidence of a kind counts; also field names in the records of rollbacks."""

    total: str
    bad: str


class Queries(Struct, frozen=True, kw_only=True):
    """The PromQL queries about a release and its baseline; each is answered by one number.

    They ask for counts, never for shares: whether there is enough to judge by is decided in the gateway.
    """

    release: str
    release_bad: str
    baseline: str
    baseline_bad: str


class Standing(StrEnum):
    """Where a release stands of which a rollback was begun."""

    IN_FORCE = "InForce"
    ROLLED_BACK = "RolledBack"
    REPLACED = "Replaced"
    """Another one is in force, by something else than a rollback."""


class Releases(Protocol):
    """The interface of one kind of release that can be rolled back."""

    @property
    def counted(self) -> Counted: ...

    async def latest(self, alert: Alert) -> LatestRelease | None:
        """Returns the newest release that an alert of this kind may be about; None: there is none.

        It is compared with the one that is returned once the evidence is there: a difference means that the
        evidence may be about what is no longer in force.
        """
        ...

    def queries(self, release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
        """Returns the queries about a release in force and its baseline."""
        ...

    def queries_after(self, rollback: Rollback, *, window_seconds: int) -> Queries:
        """Returns the queries for the verification of a rollback: the baseline is what is in force now.

        Of the release itself there need be no data any more: it is answered by zero then.
        """
        ...

    async def standing(self, rollback: Rollback) -> Standing:
        """Returns where the release of a rollback stands now."""
        ...

    async def take_back(self, rollback: Rollback, *, at: float) -> None:
        """Takes the release back, by the step that people take, with its checks and its audit.

        Raises `Unavailable` where it is to be tried again, and another `GatewayError` where it is not
        possible.
        """
        ...
