"""The interface of a kind of release (policy bundles, workflows) that can be rolled back, with its types.

A kind finds its latest release, gives the queries for evidence about it, and rolls it back. Whether a release
is rolled back is decided the same way for all kinds.
"""

from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from gateway.core.rollback import Alert, ReleaseKind, Rollback

ACTOR: Final = "rollback"
"""The name of the rollback controller in the audit trail, as the actor of its acts."""


class LatestRelease(Struct, frozen=True, kw_only=True):
    """A release in force, since when, whether in canary, and what its rollback would return to.

    Times are in seconds since 1970.
    """

    kind: ReleaseKind
    name: str
    """The release's name for people and in rollbacks; unique within its kind."""
    revision: str
    """The revision by which metrics name the release."""
    digest: str
    released_at: float
    canary: bool
    """Whether the release is in canary, beside its baseline; else the baseline was before it."""
    restored: bool
    """Whether the release is in force because another was rolled back: the last good one."""
    owner: str = ""
    """The owner whose pause and daily maximum a rollback counts against, such as a tenant; empty: none."""
    returns_to: str | None
    """The release in force after its rollback, empty for that of the start; None if none."""
    unknown: str = ""
    """Why it is not known which release is in force; empty if it is known. Then nothing is rolled back."""


class Counted(Struct, frozen=True, kw_only=True):
    """The names of the two counts in a kind's evidence, such as "submissions" and "refusals".

    They are also field names in rollback records.
    """

    total: str
    bad: str


class Queries(Struct, frozen=True, kw_only=True):
    """The PromQL queries about a release and its baseline, each with one number as its answer.

    They ask for counts, never for shares: whether there is enough to judge by is decided in the gateway.
    """

    release: str
    release_bad: str
    baseline: str
    baseline_bad: str


class Standing(StrEnum):
    """The present states of a release whose rollback was begun: in force, rolled back, replaced."""

    IN_FORCE = "InForce"
    ROLLED_BACK = "RolledBack"
    REPLACED = "Replaced"
    """Another release is in force, by something other than a rollback."""


class Releases(Protocol):
    """The interface of one kind of release: finds the latest, gives queries for evidence, rolls it back."""

    @property
    def counted(self) -> Counted: ...

    async def latest(self, alert: Alert) -> LatestRelease | None:
        """Returns the newest release that `alert` may be about; None if there is none.

        The controller calls this before it asks for evidence and again afterwards: if the results differ, the
        evidence may be about a release that is no longer in force.
        """
        ...

    def queries(self, release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
        """Returns the PromQL queries for evidence about a release in force and its baseline."""
        ...

    def queries_after(self, rollback: Rollback, *, window_seconds: int) -> Queries:
        """Returns the PromQL queries to verify a rollback; the baseline is the release now in force.

        If the rolled-back release has no data any more, its queries are answered by zero.
        """
        ...

    async def standing(self, rollback: Rollback) -> Standing:
        """Returns the present state of a rollback's release: in force, rolled back or replaced."""
        ...

    async def take_back(self, rollback: Rollback, *, at: float) -> None:
        """Rolls the release back by the same call as people use, with its checks and its audit entry.

        Raises `Unavailable` where it is to be tried again, and another `GatewayError` where it is not
        possible.
        """
        ...
