"""The evidence about a release: numbers measured by Prometheus. Values only."""

import math
from collections.abc import Iterable

from msgspec import Struct


class Shares(Struct, frozen=True, kw_only=True):
    """The number of submissions that were decided in a window, and the number of those refused."""

    submissions: float
    refused: float

    @property
    def share(self) -> float:
        """The part of the submissions that was refused, from 0 to 1."""
        return self.refused / self.submissions if self.submissions else 0.0

    @property
    def sound(self) -> bool:
        """Whether the numbers can be counts: finite, not negative, and the refused at most the total.

        The refused may exceed the total a little, by extrapolation.
        """
        numbers = (self.submissions, self.refused)
        return all(math.isfinite(number) and number >= 0 for number in numbers) and (
            self.refused <= self.submissions * 1.01 + 1
        )


class Evidence(Struct, frozen=True, kw_only=True):
    """The measurements of a release, of its baseline, and of other possible causes."""

    release: Shares
    baseline: Shares
    failovers: float
    """The number of shards that left a region in the window because of the region."""
    clock_offset_seconds: float
    """The seconds by which Prometheus's clock is ahead of the gateway's; negative if it is behind."""

    @property
    def ratio(self) -> float:
        """The release's refused share divided by the baseline's; infinite if the baseline's is zero."""
        if self.release.share == 0:
            return 0.0
        return self.release.share / self.baseline.share if self.baseline.share else math.inf

    def numbers(self) -> dict[str, float]:
        """Returns the numbers as they are stored with a rollback's change of phase."""
        return {
            **_named("release", self.release),
            **_named("baseline", self.baseline),
            "failovers": self.failovers,
            "clock_offset_seconds": self.clock_offset_seconds,
        }


class NoEvidence(Struct, frozen=True, kw_only=True):
    """The reason why there is no evidence: Prometheus does not answer, or has no numbers."""

    why: str


def _named(name: str, shares: Shares) -> dict[str, float]:
    return dict(_finite([(f"{name}_submissions", shares.submissions), (f"{name}_refused", shares.refused)]))


def _finite(numbers: Iterable[tuple[str, float]]) -> Iterable[tuple[str, float]]:
    # JSON has no NaN and no infinity.
    return ((name, number) for name, number in numbers if math.isfinite(number))
