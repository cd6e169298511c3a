"""Releases of named workflows: the versions of a workflow, their states, and the functions that change them.

Performs no I/O.

A version's content never changes. The stable version is the last known good one: submissions by name run it,
but for the share that a version in canary gets.
"""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct, structs

ALL_PERCENT: Final = 100.0
REFUSED_KEPT: Final = 200
VERSIONS_KEPT: Final = 50
"""The number of versions that are kept of one workflow, beside those that are in force or the last good one.

Of older ones neither state nor document is kept.
"""


class VersionState(StrEnum):
    """The state of a named workflow's version: applied, in canary, stable, superseded or rolled back."""

    APPLIED = "Applied"
    """The version is stored, and no submission runs it."""
    CANARY = "Canary"
    """A share of the submissions by name runs the version."""
    STABLE = "Stable"
    """The version runs for all submissions by name that the canary version does not get."""
    SUPERSEDED = "Superseded"
    """The version was stable until another version was promoted."""
    ROLLED_BACK = "RolledBack"
    """The version was rolled back for good: a new version with the same content is refused."""


class ReleaseStep(StrEnum):
    """A change of a workflow's release: a version's canary or its end, promotion, or rollback."""

    CANARY = "canary"
    PROMOTE = "promote"
    ABORT = "abort"
    """Ends a canary without a verdict: the version may be tried again."""
    ROLL_BACK = "rollback"


class WorkflowVersion(Struct, frozen=True, kw_only=True):
    """One version of a named workflow: number, state, author. Its document is stored separately."""

    number: int
    digest: str
    """The SHA-256 of the document, in hexadecimal."""
    source: str
    """The source revision (such as a git commit) of the document, as its author names it; may be empty."""
    applied_by: str
    applied_at: float
    state: VersionState
    changed_by: str
    changed_at: float
    percent: float = 0.0
    """The share of submissions that run it, in percent, while it is in canary."""
    steps: tuple[float, ...] = ()
    """The shares that follow, each once the analysis of the one before has held; at 100 it is promoted."""
    reason: str = ""
    """The reason of the last change, where the gateway made it by itself; empty where a person did."""


class ReleasedWorkflow(Struct, frozen=True, kw_only=True):
    """A named workflow of a tenant with its versions, oldest first. `rev` rises with each change."""

    tenant: str
    name: str
    rev: int = 0
    versions: tuple[WorkflowVersion, ...] = ()
    refused: tuple[str, ...] = ()
    """The digests of rolled-back versions that are not kept any more, up to a limit, oldest first."""

    def version(self, number: int) -> WorkflowVersion | None:
        return next((one for one in self.versions if one.number == number), None)

    @property
    def stable(self) -> WorkflowVersion | None:
        return next((one for one in self.versions if one.state is VersionState.STABLE), None)

    @property
    def canary(self) -> WorkflowVersion | None:
        return next((one for one in self.versions if one.state is VersionState.CANARY), None)

    @property
    def returns_to(self) -> WorkflowVersion | None:
        """The version that becomes stable if the stable version is rolled back; None if there is none.

        It is the superseded version that was stable last, without those whose content was rolled back under
        another number.
        """
        before = [
            one
            for one in self.versions
            if one.state is VersionState.SUPERSEDED and not self.refusal(one.digest)
        ]
        return max(before, key=lambda one: (one.changed_at, one.number), default=None)

    def refusal(self, digest: str) -> str:
        """Returns why content must not be released: it was rolled back before; empty if it may be.

        `digest` is the SHA-256 of the content.
        """
        for one in self.versions:
            if one.digest == digest and one.state is VersionState.ROLLED_BACK:
                return f"version {one.number} has this content, and was rolled back"
        return "an older version has this content, and was rolled back" if digest in self.refused else ""


class StepRefused(Exception):
    """Raised for a release change that the states of the workflow's versions do not permit."""


def after_apply(
    workflow: ReleasedWorkflow, *, digest: str, source: str, by: str, at: float
) -> ReleasedWorkflow:
    """Returns the workflow with a new version of its document: Stable if it is the first, else Applied.

    Returns the workflow unchanged where its newest version has this content. Raises `StepRefused` for content
    that was rolled back.
    """
    newest = workflow.versions[-1] if workflow.versions else None
    if refusal := workflow.refusal(digest):
        raise StepRefused(refusal)
    if newest is not None and newest.digest == digest:
        return workflow
    version = WorkflowVersion(
        number=1 if newest is None else newest.number + 1,
        digest=digest,
        source=source,
        applied_by=by,
        applied_at=at,
        state=VersionState.STABLE if newest is None else VersionState.APPLIED,
        changed_by=by,
        changed_at=at,
    )
    return _kept(workflow, (*workflow.versions, version))


def after_step(
    workflow: ReleasedWorkflow,
    step: ReleaseStep,
    number: int,
    *,
    by: str,
    at: float,
    percent: float = 0.0,
    steps: tuple[float, ...] = (),
    reason: str = "",
) -> ReleasedWorkflow:
    """Returns the workflow after the change `step` (canary, promote, abort or roll back) of version `number`.

    Raises `StepRefused` if there is no such version, or if the versions' states do not permit the change.
    """
    version = workflow.version(number)
    if version is None:
        raise StepRefused(f"there is no version {number}")
    if version.state not in PERMITTED[step]:
        raise StepRefused(f"version {number} is {version.state}{_instead(workflow, step, version)}")
    canary = workflow.canary
    if step is not ReleaseStep.ROLL_BACK and canary is not None and canary is not version:
        raise StepRefused(f"version {canary.number} is in canary: promote it or roll it back first")
    if step in (ReleaseStep.CANARY, ReleaseStep.PROMOTE) and (refusal := workflow.refusal(version.digest)):
        raise StepRefused(refusal)
    states = STEPS[step](workflow, version)
    # The order of changes is that of their times, also where the clock was set back meanwhile.
    at = max(at, math.nextafter(max(one.changed_at for one in workflow.versions), math.inf))
    return structs.replace(
        workflow,
        rev=workflow.rev + 1,
        versions=tuple(
            structs.replace(
                one,
                state=states[one.number],
                changed_by=by,
                changed_at=at,
                percent=percent if states[one.number] is VersionState.CANARY else 0.0,
                steps=steps if states[one.number] is VersionState.CANARY else (),
                reason=reason if one is version else "",
            )
            if one.number in states
            else one
            for one in workflow.versions
        ),
    )


def next_stage(canary: WorkflowVersion) -> tuple[ReleaseStep, float, tuple[float, ...]]:
    """Returns a staged canary's next change (canary or promote), its percentage and the percentages after."""
    percent, *steps = canary.steps
    if percent >= ALL_PERCENT:
        return ReleaseStep.PROMOTE, ALL_PERCENT, ()
    return ReleaseStep.CANARY, percent, tuple(steps)


def step_context(
    workflow: ReleasedWorkflow, step: ReleaseStep, number: int, percent: float
) -> dict[str, Any]:
    """Builds the part of the policy rules' input about a release change: workflow, version, change, share."""
    share = {"percent": percent} if step is ReleaseStep.CANARY else {}
    named = {"tenant": workflow.tenant, "workflow": workflow.name, "operation": step.value}
    return named | {"version": number} | share


def label_of(workflow: ReleasedWorkflow, version: WorkflowVersion) -> str:
    """Returns a version's name within its tenant, such as `nightly@3`."""
    return f"{workflow.name}@{version.number}"


def release_label(tenant: str, label: str) -> str:
    """Returns a version's name among those of all tenants, such as `demo/nightly@3`."""
    return f"{tenant}/{label}"


def version_for(workflow: ReleasedWorkflow, chance: float) -> WorkflowVersion | None:
    """Returns the version that a submission by name runs, canary or stable, as `chance` (0 to 1) decides."""
    canary = workflow.canary
    if canary is not None and chance * 100 < canary.percent:
        return canary
    return workflow.stable


def _instead(workflow: ReleasedWorkflow, step: ReleaseStep, version: WorkflowVersion) -> str:
    """Returns what to do instead of a change that the version's state does not permit."""
    stable = workflow.stable
    returned = version.state is VersionState.SUPERSEDED and version is workflow.returns_to
    if step is ReleaseStep.PROMOTE and returned and stable is not None:
        return f": roll version {stable.number} back, and it is stable again"
    taken = " or ".join(sorted(PERMITTED[step]))
    return f"; {step} takes a version that is {taken}"


def _canary(_: ReleasedWorkflow, version: WorkflowVersion) -> Mapping[int, VersionState]:
    return {version.number: VersionState.CANARY}


def _aborted(_: ReleasedWorkflow, version: WorkflowVersion) -> Mapping[int, VersionState]:
    return {version.number: VersionState.APPLIED}


def _promoted(workflow: ReleasedWorkflow, version: WorkflowVersion) -> Mapping[int, VersionState]:
    stable = workflow.stable
    before = {} if stable is None else {stable.number: VersionState.SUPERSEDED}
    return before | {version.number: VersionState.STABLE}


def _rolled_back(workflow: ReleasedWorkflow, version: WorkflowVersion) -> Mapping[int, VersionState]:
    states = {version.number: VersionState.ROLLED_BACK}
    if version.state is VersionState.CANARY:
        return states
    good = workflow.returns_to
    if good is None:
        raise StepRefused(f"before version {version.number} there is none to return to")
    return states | {good.number: VersionState.STABLE}


def _kept(workflow: ReleasedWorkflow, versions: tuple[WorkflowVersion, ...]) -> ReleasedWorkflow:
    in_force = (VersionState.STABLE, VersionState.CANARY)
    # Without the last good one a bad version could not be rolled back.
    good = workflow.returns_to
    kept = tuple(
        one
        for one in versions
        if one.state in in_force or one is good or one.number > versions[-1].number - VERSIONS_KEPT
    )
    gone = (one.digest for one in versions if one not in kept and one.state is VersionState.ROLLED_BACK)
    refused = (*workflow.refused, *gone)[-REFUSED_KEPT:]
    return structs.replace(workflow, rev=workflow.rev + 1, versions=kept, refused=refused)


PERMITTED: Final[Mapping[ReleaseStep, frozenset[VersionState]]] = {
    ReleaseStep.CANARY: frozenset({VersionState.APPLIED, VersionState.CANARY}),
    ReleaseStep.PROMOTE: frozenset({VersionState.APPLIED, VersionState.CANARY}),
    ReleaseStep.ABORT: frozenset({VersionState.CANARY}),
    ReleaseStep.ROLL_BACK: frozenset({VersionState.STABLE, VersionState.CANARY}),
}
"""The states that a version may be in for each release change."""
STEPS: Final[
    Mapping[ReleaseStep, Callable[[ReleasedWorkflow, WorkflowVersion], Mapping[int, VersionState]]]
] = {
    ReleaseStep.CANARY: _canary,
    ReleaseStep.PROMOTE: _promoted,
    ReleaseStep.ABORT: _aborted,
    ReleaseStep.ROLL_BACK: _rolled_back,
}
"""For each release change, the function that returns the new states of the versions."""
