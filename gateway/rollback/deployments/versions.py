"""Finds the version of an external deployment that an alert may be about, among those that Prometheus knows.

Performs no I/O.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.core.rollback import ReleaseKind, Rollback, RollbackPhase
from gateway.rollback.interface import LatestRelease
from gateway.rollback_settings import ExternalDeployment

VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
"""The form of a version. It is put into queries and requests, where none of these characters ends a text."""


def named(deployment: str, version: str) -> str:
    """Returns the name of a version of a deployment as a release: `shop@1.4.2`."""
    return f"{deployment}@{version}"


def version_of(release: str) -> str:
    """Returns the version in the name of a release, the part after `@`."""
    return release.partition("@")[2]


def latest_version(
    deployment: ExternalDeployment, deployed: Mapping[str, float], past: Sequence[Rollback]
) -> LatestRelease:
    """Returns the version of a deployment that was deployed last, with the one before it to return to.

    `deployed` has the time of each version's deployment in seconds since 1970, `past` the rollbacks so far.
    Where the versions or times cannot be true, the release has the reason in `unknown`.
    """
    if not deployed:
        return unknown_version(deployment, "Prometheus knows no version of it")
    if not all(map(VERSION.fullmatch, deployed)):
        return unknown_version(deployment, "Prometheus has a version of it with other characters")
    if not all(0 < at < math.inf for at in deployed.values()):
        return unknown_version(deployment, "Prometheus has a time of deployment that cannot be")
    version, *before = sorted(deployed, key=lambda one: (deployed[one], one), reverse=True)
    if before and deployed[before[0]] == deployed[version]:
        return unknown_version(deployment, "two versions of it were deployed at one time")
    name = named(deployment.name, version)
    return LatestRelease(
        kind=ReleaseKind.EXTERNAL,
        name=name,
        revision=version,
        digest=f"{deployment.name}:{version}",
        released_at=deployed[version],
        canary=deployment.canary,
        restored=any(_returned_to(name, rollback) for rollback in past),
        owner=deployment.name,
        returns_to=named(deployment.name, before[0]) if before else None,
    )


def unknown_version(deployment: ExternalDeployment, why: str) -> LatestRelease:
    """Returns a release for a deployment whose version cannot be known, and is never rolled back."""
    return LatestRelease(
        kind=ReleaseKind.EXTERNAL,
        name=deployment.name,
        revision="",
        digest="",
        released_at=math.nan,
        canary=False,
        restored=False,
        owner=deployment.name,
        returns_to=None,
        unknown=why,
    )


def _returned_to(name: str, rollback: Rollback) -> bool:
    returned = rollback.phase not in (RollbackPhase.INTENDED, RollbackPhase.FAILED)
    return rollback.kind is ReleaseKind.EXTERNAL and rollback.returns_to == name and returned
