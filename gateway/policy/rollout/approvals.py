"""Records steps that wait for approval, and the approvals of other people. Pure.

Who asks never approves, administrators included: four eyes are two people's. A step that is taken meanwhile
ends what waits.
"""

from msgspec import structs

from gateway.policy.rollout.bundle_states import PendingStep, Rollout, StepRefused


class OwnApproval(Exception):
    """The error that somebody approves their own request, or approves a second time."""


def after_request(rollout: Rollout, pending: PendingStep) -> Rollout:
    """The rollout with a new step that waits for approvals. Raises `StepRefused` where another one waits."""
    before = rollout.pending
    if before is not None and before.asked_by != pending.asked_by and before.expires_at > pending.asked_at:
        raise StepRefused(
            f"{before.asked_by} has asked to {before.step} bundle {before.sequence}: approve that,"
            " or roll it back"
        )
    return structs.replace(rollout, generation=rollout.generation + 1, pending=pending)


def after_approval(rollout: Rollout, sequence: int, *, by: str, at: float) -> Rollout:
    """The rollout with one more approval of the step that waits for the bundle `sequence`.

    Raises `StepRefused` where none waits, and `OwnApproval`.
    """
    pending = rollout.pending
    if pending is None or pending.sequence != sequence:
        raise StepRefused(f"nobody has asked for a step of bundle {sequence} that needs approval")
    if pending.expires_at <= at:
        raise StepRefused(f"what {pending.asked_by} has asked for has expired: ask for it again")
    if by == pending.asked_by:
        raise OwnApproval("who asks for a step cannot approve it: somebody else must")
    if by in pending.approved_by:
        raise OwnApproval("you have approved it already: somebody else must")
    approved = structs.replace(pending, approved_by=(*pending.approved_by, by))
    return structs.replace(rollout, generation=rollout.generation + 1, pending=approved)
