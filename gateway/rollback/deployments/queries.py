"""The PromQL queries about an external deployment, made from the expressions in its settings.

Performs no I/O.
"""

from string import Template
from typing import Final

from gateway.rollback.deployments.versions import version_of
from gateway.rollback.interface import LatestRelease, Queries
from gateway.rollback_settings import ExternalDeployment

NONE_YET: Final = " or vector(0)"
"""The PromQL suffix that gives 0 for a counter without a series, as one that never counted."""


def queries(
    deployment: ExternalDeployment, release: LatestRelease, *, window_seconds: int, now: float
) -> Queries:
    """Builds the PromQL queries for evidence about a version and the one before it.

    Where both run beside each other the baseline is of the same window, else of the window before the
    deployment.
    """
    before = "" if release.canary else f" offset {max(0, int(now - release.released_at))}s"
    return _queries(deployment, release.name, release.returns_to or "", window_seconds, before, absent="")


def queries_after(
    deployment: ExternalDeployment, rolled_back: str, returned_to: str, *, window_seconds: int
) -> Queries:
    """Builds the PromQL queries to verify a rollback; the rolled-back version need not have series."""
    return _queries(deployment, rolled_back, returned_to, window_seconds, "", absent=NONE_YET)


def _queries(
    deployment: ExternalDeployment, own: str, other: str, window_seconds: int, before: str, *, absent: str
) -> Queries:
    def counted(expression: str, release: str, offset: str) -> str:
        window = f"[{window_seconds}s]{offset}"
        return f"sum({Template(expression).substitute(version=version_of(release), window=window)})"

    return Queries(
        release=counted(deployment.total, own, "") + absent,
        release_bad=counted(deployment.bad, own, "") + NONE_YET,
        baseline=counted(deployment.total, other, before),
        baseline_bad=counted(deployment.bad, other, before) + NONE_YET,
    )
