"""Finds the version of a released workflow that an alert may be about, among those that new runs get.

Performs no I/O.
"""

from typing import Final

from msgspec import Struct

from gateway.core.rollback import ReleaseKind
from gateway.core.workflow_release import (
    ALL_PERCENT,
    ReleasedWorkflow,
    VersionState,
    WorkflowVersion,
    label_of,
    release_label,
)
from gateway.rollback.interface import LatestRelease

NUMBER_DIGITS: Final = 9


class Subject(Struct, frozen=True, kw_only=True):
    """The released workflow that an alert or a rollback is about, and its version (None: not named)."""

    tenant: str
    workflow: str
    number: int | None


def subject_of(name: str) -> Subject | None:
    """Parses the name of a workflow or version, `demo/nightly` or `demo/nightly@3`; None for other text."""
    tenant, slash, label = name.rpartition("/")
    workflow, at, number = label.partition("@")
    if not slash or not tenant or not workflow:
        return None
    if not at:
        return Subject(tenant=tenant, workflow=workflow, number=None)
    if not (number.isascii() and number.isdigit() and len(number) <= NUMBER_DIGITS):
        return None
    return Subject(tenant=tenant, workflow=workflow, number=int(number))


def version_in_force(workflow: ReleasedWorkflow, number: int | None) -> LatestRelease | None:
    """Returns the version `number` of a released workflow if submissions run it now; None if they do not.

    Without a number it is the version in canary or the stable one, whichever changed last. None, too, for one
    with no earlier version to return to (unless a rollback restored it): its team must deal with failures.
    """
    running = [one for one in (workflow.stable, workflow.canary) if one is not None]
    if number is None:
        version = max(running, key=lambda one: (one.changed_at, one.number), default=None)
    else:
        version = next((one for one in running if one.number == number), None)
    if version is None:
        return None
    canary = version.state is VersionState.CANARY
    before = workflow.stable if canary else workflow.returns_to
    restored = not canary and _was_restored(workflow, version)
    if before is None and not restored:
        return None
    name = _name(workflow, version)
    return LatestRelease(
        kind=ReleaseKind.WORKFLOW,
        owner=workflow.tenant,
        name=name,
        revision=name,
        # Another workflow may have the same content, and be good.
        digest=f"{workflow.tenant}/{workflow.name}:{version.digest}",
        released_at=version.changed_at,
        # Beside a canary that gets all there is nothing to compare with, only before it.
        canary=canary and version.percent < ALL_PERCENT,
        restored=restored,
        returns_to=None if before is None else _name(workflow, before),
    )


def _name(workflow: ReleasedWorkflow, version: WorkflowVersion) -> str:
    return release_label(workflow.tenant, label_of(workflow, version))


def _was_restored(workflow: ReleasedWorkflow, stable: WorkflowVersion) -> bool:
    # One change has moved both, at one time: the one that was rolled back, and the one that is stable again.
    return any(
        one.state is VersionState.ROLLED_BACK
        and one.number != stable.number
        and one.changed_at == stable.changed_at
        for one in workflow.versions
    )
