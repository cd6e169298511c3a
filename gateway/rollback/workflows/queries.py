"""The PromQL queries about a version of a released workflow: its ended shards, and the failed ones.

Performs no I/O.
"""

from typing import Final

import msgspec

from gateway.rollback.interface import LatestRelease, Queries

COUNTER: Final = "waypost_release_shard_seconds_count"
FAILED: Final = ',outcome="failed"'
NONE_YET: Final = " or vector(0)"
"""The PromQL suffix that gives 0 for a counter without a series, as one that never counted."""


def queries(release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
    # What slows or breaks all versions is not this one's fault: its baseline is the one to return to.
    before = "" if release.canary else f" offset {max(0, int(now - release.released_at))}s"
    baseline = release.returns_to or ""
    return _queries(release.revision, baseline, window_seconds, before=before, absent="")


def queries_after(revision: str, returned_to: str, *, window_seconds: int) -> Queries:
    """Returns the PromQL queries to verify that a rollback of a version has helped.

    They give 0 for a rolled-back version without series.
    """
    return _queries(revision, returned_to, window_seconds, before="", absent=NONE_YET)


def _queries(own: str, baseline: str, window_seconds: int, *, before: str, absent: str) -> Queries:
    def ended(version: str, matchers: str, offset: str) -> str:
        # PromQL knows the escapes of JSON, beside others.
        quoted = msgspec.json.encode(version).decode()
        return f"sum(increase({COUNTER}{{release={quoted}{matchers}}}[{window_seconds}s]{offset}))"

    return Queries(
        release=ended(own, "", "") + absent,
        release_bad=ended(own, FAILED, "") + NONE_YET,
        baseline=ended(baseline, "", before),
        baseline_bad=ended(baseline, FAILED, before) + NONE_YET,
    )
