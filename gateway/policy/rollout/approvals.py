"""Returns the state of a rollout after a change that needs approval was requested, and after each approval.

Performs no I/O. Who may approve is decided as for every approval, by `gateway.core.approvals`. A change
that is made before the last approval cancels the one that waits for approvals.
"""

from msgspec import structs

from gateway.core.approvals import check_approval
from gateway.policy.rollout.acts import Act
from gateway.policy.rollout.bundle_states import PendingStep, Rollout, Step, StepRefused


def approvals_needed(rollout: Rollout, step: Step, act: Act) -> int:
    """Returns how many other people must approve a rollout change (activate, canary, ...).

    That is as many as the active bundle's rules ask for. After a rollback a person needs, for a canary or an
    activation, at least as many as the rolled-back bundle's rules asked for.
    """
    # Where no person asks (a bundle in a file), the settings of the gateway have approved it.
    if step not in (Step.CANARY, Step.ACTIVATE) or act.principal is None:
        return act.approvals
    return max(act.approvals, rollout.approvals_kept)


def after_request(rollout: Rollout, pending: PendingStep) -> Rollout:
    """Returns the rollout with `pending`, a change that waits for approvals, added.

    Raises `StepRefused` if somebody else's change is waiting.
    """
    before = rollout.pending
    if before is not None and before.asked_by != pending.asked_by and before.expires_at > pending.asked_at:
        raise StepRefused(
            f"{before.asked_by} has asked to {before.step} bundle {before.sequence}: approve that,"
            " or roll it back"
        )
    return structs.replace(rollout, generation=rollout.generation + 1, pending=pending)


def after_approval(rollout: Rollout, sequence: int, *, by: str, at: float) -> Rollout:
    """Returns the rollout after one more approval of the pending change of the bundle `sequence`.

    Raises `StepRefused` where none is pending or it has expired, `ApprovalRefused` if `by` is the requester,
    and `AlreadyApproved` if `by` has approved it before.
    """
    pending = rollout.pending
    if pending is None or pending.sequence != sequence:
        raise StepRefused(f"nobody has asked for a step of bundle {sequence} that needs approval")
    if pending.expires_at <= at:
        raise StepRefused(f"what {pending.asked_by} has asked for has expired: ask for it again")
    check_approval(pending.asked_by, pending.approved_by, by)
    approved = structs.replace(pending, approved_by=(*pending.approved_by, by))
    return structs.replace(rollout, generation=rollout.generation + 1, pending=approved)
