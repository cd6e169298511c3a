"""Counts ended shards by released version of a workflow, with a bound on the number of versions."""

from collections import Counter
from operator import itemgetter
from typing import Final

from msgspec import Struct
from prometheus_client import Histogram

from observability.metric_declaration import RELEASE, RELEASE_OUTCOMES

OTHER: Final = "other"
IDLE_SECONDS: Final = 3_600.0
"""The time without a shard that begins or ends after which a version gives way to another one."""


class _Version(Struct):
    outcomes: dict[str, Histogram]
    seen_at: float


class ReleaseCounts:
    """The counts of ended shards by released version of a workflow, for a bounded number of versions.

    The release `other` has the counts of further versions. At the bound, a new version takes the place of one
    that has been idle for `IDLE_SECONDS`, or else of one of the tenant with the most versions, if that tenant
    then still has as many as the tenant of the new one. No other version gives way: while its shards run, its
    counts would have gaps.
    """

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._versions: dict[str, _Version] = {}
        """The counted versions by name, the one longest idle first."""
        self._other = self._children(OTHER)

    def __repr__(self) -> str:
        return f"<ReleaseCounts of {len(self._versions)} versions>"

    def begin(self, release: str, *, at: float) -> None:
        """Creates the metric series of the version `release`, at zero, when a shard of it is under way.

        `at` is the wall-clock time. Prometheus would not see the growth of a series that appears with its
        first counts.
        """
        self._outcomes(release, at)

    def observe(self, release: str, outcome: str, seconds: float, *, at: float) -> None:
        """Counts a shard of version `release` that ended at wall-clock time `at`, by outcome and duration."""
        self._outcomes(release, at)[outcome].observe(seconds)

    def _outcomes(self, release: str, at: float) -> dict[str, Histogram]:
        version = self._versions.pop(release, None)
        if version is None:
            if not self._has_room(release, at):
                return self._other
            version = _Version(outcomes=self._children(release), seen_at=at)
        version.seen_at = at
        self._versions[release] = version
        return version.outcomes

    def _has_room(self, release: str, at: float) -> bool:
        if len(self._versions) < RELEASE.most - 1:
            return True
        longest, version = next(iter(self._versions.items()))
        if at - version.seen_at < IDLE_SECONDS:
            # A tenant of many versions makes room for those of others, or it alone would be counted.
            counts = Counter(map(_tenant, self._versions))
            noisiest, most = max(counts.items(), key=itemgetter(1))
            if counts[_tenant(release)] + 1 >= most:
                return False
            longest = next(name for name in self._versions if _tenant(name) == noisiest)
        for outcome in self._versions.pop(longest).outcomes:
            self._histogram.remove(longest, outcome)
        return True

    def _children(self, release: str) -> dict[str, Histogram]:
        # All from the start: a counter that appears with its first failure hides that one from rates.
        return {outcome: self._histogram.labels(release, outcome) for outcome in RELEASE_OUTCOMES}


def _tenant(release: str) -> str:
    return release.partition("/")[0]
