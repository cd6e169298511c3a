"""The numbers that decide about a release, as Prometheus has them. Values only."""

import math
from collections.abc import Iterable

from msgspec import Struct


class Shares(Struct, frozen=True, kw_only=True):
    """How many submissions were decided in a window, and how many of them were not permitted."""

    submissions: float
    refused: float

    @property
    def share(self) -> float:
        """The part that was not permitted."""
        return self.refused / self.submissions if self.submissions else 0.0

    @property
    def sound(self) -> bool:
        """Whether these can be counts at all; a little more than all comes of extrapolation."""
        numbers = (self.submissions, self.refused)
        return all(math.isfinite(number) and number >= 0 for number in numbers) and (
            self.refused <= self.submissions * 1.01 + 1
        )


class Evidence(Struct, frozen=True, kw_only=True):
    """What was measured of a release, of its baseline, and of what else may have caused it."""

    release: Shares
    baseline: Shares
    failovers: float
    """Shards that left a region because of the region, in the window."""
    clock_offset_seconds: float
    """How far Prometheus's clock is ahead of the gateway's; negative: behind."""

    @property
    def ratio(self) -> float:
        """How many times the baseline's share the release's is; infinite where the baseline has none."""
        if self.release.share == 0:
            return 0.0
        return self.release.share / self.baseline.share if self.baseline.share else math.inf

    def numbers(self) -> dict[str, float]:
        """The numbers for the record of a step."""
        return {
            **_named("release", self.release),
            **_named("baseline", self.baseline),
            "failovers": self.failovers,
            "clock_offset_seconds": self.clock_offset_seconds,
        }


class NoEvidence(Struct, frozen=True, kw_only=True):
    """There are no numbers to decide by: Prometheus does not answer, or has none."""

    why: str


def _named(name: str, shares: Shares) -> dict[str, float]:
    return dict(_finite([(f"{name}_submissions", shares.submissions), (f"{name}_refused", shares.refused)]))


def _finite(numbers: Iterable[tuple[str, float]]) -> Iterable[tuple[str, float]]:
    # JSON has no NaN and no infinity.
    return ((name, number) for name, number in numbers if math.isfinite(number))
