"""The request for a change of a policy rollout (activate, canary, ...), its result, and its audit entry."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from gateway.core.decision import Action, Decision, Question
from gateway.core.errors import Conflict
from gateway.core.history import HistoryEntry, HistoryKind, PolicyDetail
from gateway.core.principal import Principal
from gateway.policy.rollout.bundle_states import PendingStep, Release, Rollout, Step, StepRefused

KINDS: Final[Mapping[Step, HistoryKind]] = {
    Step.SHADOW: HistoryKind.POLICY_SHADOWED,
    Step.CANARY: HistoryKind.POLICY_CANARIED,
    Step.ACTIVATE: HistoryKind.POLICY_ACTIVATED,
    Step.ROLL_BACK: HistoryKind.POLICY_ROLLED_BACK,
}


class Act(Struct, frozen=True, kw_only=True):
    """A request for a change of a policy rollout (activate, canary, ...): who asks, when, by which decision.

    The decision is the policy decision that permits the request.
    """

    by: str
    at: float
    decision_id: str
    principal: Principal | None = None
    """The verified caller; None if no person asks."""
    decision: Decision | None = None
    approvals: int = 0
    """The number of other people who must approve the step, by that policy decision."""


class Taken(Struct, frozen=True, kw_only=True):
    """The result of a requested rollout change: the bundle after it, and the change if it awaits approval."""

    release: Release
    pending: PendingStep | None = None
    """The rollout step that others must approve first; None if it was carried out."""


def step_question(step: Step, sequence: int, act: Act) -> Question:
    """Returns the policy query that asks whether a caller may change the rollout (activate, canary, ...)."""
    principal = act.principal or Principal(subject=act.by, issuer="", tenant="")
    operation = {"operation": step.value, "sequence": sequence}
    return Question(
        action=Action.POLICY_OPERATE, principal=principal, at=act.at, context={"policy": operation}
    )


def audit_entry(
    kind: HistoryKind,
    release: Release,
    act: Act,
    *,
    decides: int | None = None,
    pending: PendingStep | None = None,
) -> HistoryEntry:
    """Builds the audit trail's entry for a change of a policy rollout.

    `pending` is the change if other people had, or have, to approve it.
    """
    share = release.share if pending is None else pending.share
    detail = PolicyDetail(
        sequence=release.sequence,
        revision=release.revision,
        decision_id=act.decision_id,
        tenants=share.tenants,
        percent=share.percent,
        decides=decides,
        step="" if pending is None else pending.step.value,
        asked_by="" if pending is None else pending.asked_by,
    )
    return HistoryEntry(run="", kind=kind, at=act.at, actor=act.by, detail=detail)


@contextmanager
def refusals() -> Iterator[None]:
    """Converts a `StepRefused` (a refused rollout change) inside the `with` block to a `Conflict`."""
    try:
        yield
    except StepRefused as error:
        raise Conflict(str(error)) from error


def release_of(rollout: Rollout, sequence: int) -> Release:
    """Returns the rollout's bundle with this sequence number. Raises `Conflict` if there is none."""
    release = rollout.release(sequence)
    if release is None:
        raise Conflict(f"there is no bundle {sequence}")
    return release
