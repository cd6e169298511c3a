"""Authorizes an action: asks policy, and converts a refusal to the error that the caller gets."""

import shlex

from gateway.core.decision import TOO_OLD, Decision, Question
from gateway.core.errors import Denied, Unavailable
from gateway.policy.enforcement import can_be_excepted, refuses
from gateway.policy.interface import PolicyEngine


def how_to_except(decision: Decision) -> str:
    """Returns advice on asking for a policy exception, if every refusing rule is soft; else empty."""
    if not can_be_excepted(decision):
        return ""
    commands = sorted(
        {
            f"`waypost policy exceptions ask {shlex.quote(reason.rule)}`"
            for reason in decision.reasons
            if refuses(reason)
        }
    )
    return f" (soft: {' and '.join(commands)} asks for an exception)"


class PolicyFault(Exception):
    """The cause of an `Unavailable` when policy could not answer; the text says why.

    It is logged and not shown to the caller.

    It is logged as the cause of an `Unavailable`, and not shown to the caller.
    """


async def authorize(question: Question, *, policy: PolicyEngine) -> Decision:
    """Asks policy about an action, and returns the policy decision that allows it.

    Raises `Denied` (403, with every reason) or `Unavailable` (503: policy could not answer, so nothing is
    decided).
    """
    decision = await policy.decide(question)
    # A fault also has `allow` False: it is looked at first, so that the caller tries again instead of giving
    # up.
    if decision.fault:
        detail = TOO_OLD if decision.fault == TOO_OLD else "policy could not answer"
        raise Unavailable(detail, decision=decision) from PolicyFault(decision.fault)
    if decision.allow is not True:
        detail = "; ".join(reason.message for reason in decision.reasons) or "policy does not permit it"
        detail += how_to_except(decision)
        raise Denied(detail, reasons=decision.reasons, decision=decision)
    return decision
