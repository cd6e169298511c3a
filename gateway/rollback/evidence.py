"""The evidence about a release, for or against a rollback: numbers measured by Prometheus."""

import math
from typing import Protocol

from msgspec import Struct

from gateway.rollback.interface import Counted, Queries


class Shares(Struct, frozen=True, kw_only=True):
    """The number of events about a release in a time window, and how many of those were bad.

    Events are submissions, of which the refused are bad, or ended shards, of which the failed are bad.
    """

    total: float
    bad: float

    @property
    def share(self) -> float:
        """Returns the proportion of the events that were bad, from 0 to 1; 0 if there were no events."""
        # Prometheus extrapolates both by themselves: the bad may come out as a little more than all.
        return min(1.0, self.bad / self.total) if self.total else 0.0

    @property
    def odds(self) -> float:
        """Returns how many events were bad for each that was not; infinite if all were bad."""
        return self.share / (1 - self.share) if self.share < 1 else math.inf

    @property
    def sound(self) -> bool:
        """Returns whether the numbers can be counts: finite, not negative, `bad` hardly above `total`.

        It may be above by 1 % and one event, since Prometheus extrapolates each number by itself.
        """
        numbers = (self.total, self.bad)
        return all(math.isfinite(number) and number >= 0 for number in numbers) and (
            self.bad <= self.total * 1.01 + 1
        )


class Evidence(Struct, frozen=True, kw_only=True):
    """The measured numbers of a release, of its baseline, and of other possible causes of an alert."""

    counted: Counted
    release: Shares
    baseline: Shares
    failovers: float
    """The number of shards that left a region because of the region, within twice the window."""
    regions_back: float
    """The number of regions that were unreachable at a time in the window, and answer again."""
    clock_offset_seconds: float
    """The seconds by which Prometheus's clock is ahead of the gateway's; negative if it is behind."""

    @property
    def ratio(self) -> float:
        """Returns the release's odds (bad to not bad) divided by the baseline's; infinite if those are zero.

        If all of both were bad, it is 1.
        """
        # Not of shares: of a baseline that has more than half bad, no share is the double.
        if self.release.share == 0:
            return 0.0
        if self.release.share == self.baseline.share:
            return 1.0
        return self.release.odds / self.baseline.odds if self.baseline.odds else math.inf

    @property
    def other_cause(self) -> str:
        """Returns what else than the release may be the cause of bad numbers; an empty text if nothing."""
        if self.failovers > 0:
            return "work was moved off a region"
        return "a region was lost until just now" if self.regions_back > 0 else ""

    def numbers(self) -> dict[str, float]:
        """Returns the measured numbers by name, as they are stored with a rollback's change of phase."""
        numbers = {
            **self._named("release", self.release),
            **self._named("baseline", self.baseline),
            "failovers": self.failovers,
            "regions_back": self.regions_back,
            "clock_offset_seconds": self.clock_offset_seconds,
        }
        # JSON has no NaN and no infinity: such a rollback could not be read again.
        return {name: number for name, number in numbers.items() if math.isfinite(number)}

    def _named(self, name: str, shares: Shares) -> dict[str, float]:
        return {f"{name}_{self.counted.total}": shares.total, f"{name}_{self.counted.bad}": shares.bad}


class NoEvidence(Struct, frozen=True, kw_only=True):
    """The reason why there is no evidence about a release: Prometheus does not answer, or has no numbers."""

    why: str


class KnowsReleases(Protocol):
    """The interface of a source of evidence about releases, such as `Prometheus`."""

    async def evidence(
        self, queries: Queries, counted: Counted, *, window_seconds: int
    ) -> Evidence | NoEvidence: ...
