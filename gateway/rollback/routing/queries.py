"""The PromQL queries about a routing revision: the ended shards that it had placed, and the failed ones.

Performs no I/O.
"""

from typing import Final

import msgspec

from gateway.rollback.interface import LatestRelease, Queries
from observability.ended_shards import SETTINGS

COUNTER: Final = "waypost_shards_ended_total"
ENDED: Final = 'phase!="Cancelled"'
FAILED: Final = 'phase=~"Failed|Quarantined"'
NONE_YET: Final = " or vector(0)"
"""The PromQL suffix that gives 0 for a counter without a series, as one that never counted."""


def queries(release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
    """Returns the PromQL queries about the revision in force, and about the one before it until then."""
    before = f" offset {max(0, int(now - release.released_at))}s"
    return _queries(release.revision, release.returns_to or "", window_seconds, before=before, absent="")


def queries_after(revision: str, returned_to: str, *, window_seconds: int) -> Queries:
    """Returns the PromQL queries to verify that a rollback of a revision has helped.

    They give 0 for a rolled-back revision without series.
    """
    return _queries(revision, returned_to, window_seconds, before="", absent=NONE_YET)


def _queries(own: str, baseline: str, window_seconds: int, *, before: str, absent: str) -> Queries:
    def shards(revision: str, which: str, offset: str) -> str:
        # PromQL knows the escapes of JSON, beside others.
        quoted = msgspec.json.encode(revision or SETTINGS).decode()
        return f"sum(increase({COUNTER}{{routing={quoted},{which}}}[{window_seconds}s]{offset}))"

    return Queries(
        release=shards(own, ENDED, "") + absent,
        release_bad=shards(own, FAILED, "") + NONE_YET,
        baseline=shards(baseline, ENDED, before),
        baseline_bad=shards(baseline, FAILED, before) + NONE_YET,
    )
