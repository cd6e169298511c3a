"""Stores changes of a released workflow's versions (canary, promote, abort, rollback) with an audit entry.

`take_step` refuses a change that the state of the version does not permit. The API and the rollback
controller both call it.
"""

from typing import Final

from gateway.core.history import HistoryEntry, HistoryKind, WorkflowDetail
from gateway.core.principal import Principal
from gateway.core.workflow_release import ReleasedWorkflow, ReleaseStep, WorkflowVersion, after_step
from gateway.store.workflows import KeepsWorkflows

STEP_KINDS: Final = {
    ReleaseStep.CANARY: HistoryKind.WORKFLOW_CANARIED,
    ReleaseStep.PROMOTE: HistoryKind.WORKFLOW_PROMOTED,
    ReleaseStep.ABORT: HistoryKind.WORKFLOW_ABORTED,
    ReleaseStep.ROLL_BACK: HistoryKind.WORKFLOW_ROLLED_BACK,
}
"""The kind of the history entry about each release change."""


async def take_step(
    store: KeepsWorkflows,
    before: ReleasedWorkflow,
    step: ReleaseStep,
    number: int,
    *,
    by: str,
    at: float,
    decision_id: str,
    percent: float = 0.0,
    steps: tuple[float, ...] = (),
    asked_by: Principal | None = None,
    reason: str = "",
) -> ReleasedWorkflow | None:
    """Makes and stores a release change of one version; returns the workflow after it.

    `by` is the name of who makes the change. `steps` are the shares that a canary gets later; at each one
    policy is asked again whether the caller `asked_by` may do that. Returns None, with nothing stored, where
    the stored workflow is no longer as `before`. Raises `StepRefused` where the states of the versions do not
    allow the change, or there is no such version.
    """
    after = after_step(before, step, number, by=by, at=at, percent=percent, steps=steps, reason=reason)
    version = after.version(number)
    assert version is not None
    entry = workflow_entry(after, version, STEP_KINDS[step], by=by, at=at, decision_id=decision_id)
    return after if await store.write_workflow(after, entry=entry, asked_by=asked_by) else None


def workflow_entry(
    after: ReleasedWorkflow,
    version: WorkflowVersion,
    kind: HistoryKind,
    *,
    by: str,
    at: float,
    decision_id: str,
) -> HistoryEntry:
    """Builds the history entry about a release change of `version`; `after` is the workflow after it.

    `by` is the name of who made the change.
    """
    detail = WorkflowDetail(
        tenant=after.tenant,
        workflow=after.name,
        version=version.number,
        digest=version.digest,
        source=version.source,
        percent=version.percent,
        steps=version.steps,
        reason=version.reason,
        stable=None if after.stable is None else after.stable.number,
        decision_id=decision_id,
    )
    return HistoryEntry(run="", kind=kind, at=at, actor=by, detail=detail)
