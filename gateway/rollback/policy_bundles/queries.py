"""The PromQL queries about a policy bundle: the submissions that its revision decided, and the refusals.

Performs no I/O.
"""

from typing import Final

import msgspec

from gateway.rollback.interface import LatestRelease, Queries

COUNTER: Final = "waypost_submission_decisions_total"
NOT_PERMITTED: Final = 'outcome!="permitted"'
REFUSED: Final = 'outcome="refused"'
NOT_REFUSED_YET: Final = " or vector(0)"
"""The PromQL suffix that gives 0 for a counter without a series, as one that never counted."""


def queries(release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
    # Of what rules for all the baseline is what ruled before; in canary, what rules beside it.
    before = "" if release.canary else f" offset {max(0, int(now - release.released_at))}s"
    # What got no answer is a bundle's fault where others are answered beside it. Of the bundle that rules for
    # all it is no evidence: an engine that is down answers none, whatever the bundle.
    bad = NOT_PERMITTED if release.canary else REFUSED
    return _queries(release.revision, window_seconds, bad, before=before, absent="")


def queries_after(revision: str, *, window_seconds: int) -> Queries:
    """Returns the PromQL queries to verify that a rollback of a bundle has helped.

    They give 0 for a rolled-back bundle without series.
    """
    return _queries(revision, window_seconds, NOT_PERMITTED, before="", absent=NOT_REFUSED_YET)


def _queries(revision: str, window_seconds: int, bad: str, *, before: str, absent: str) -> Queries:
    # PromQL knows the escapes of JSON, beside others.
    quoted = msgspec.json.encode(revision).decode()
    own, others, window = f"revision={quoted}", f"revision!={quoted}", f"[{window_seconds}s]"
    refused_of_others = f"sum(increase({COUNTER}{{{others},{bad}}}{window}{before}))"
    return Queries(
        release=f"sum(increase({COUNTER}{{{own}}}{window})){absent}",
        release_bad=f"sum(increase({COUNTER}{{{own},{bad}}}{window})){NOT_REFUSED_YET}",
        baseline=f"sum(increase({COUNTER}{{{others}}}{window}{before}))",
        baseline_bad=refused_of_others + NOT_REFUSED_YET,
    )
