"""Authorizes an action: asks policy, and raises an HTTP error unless policy permits it."""

import shlex
from typing import Final

from gateway.core.decision import TOO_OLD, Decision, Question
from gateway.core.errors import Denied, Unavailable
from gateway.policy.enforcement import can_be_excepted, refuses
from gateway.policy.interface import PolicyEngine

OPTIONS: Final = "--reason WHY --ticket WHERE --expires 7d"
"""The options that the command needs."""


def refusal_text(decision: Decision) -> str:
    """Returns why policy refuses an action, with its warnings, and how to ask for an exception."""
    refusing = [reason.message for reason in decision.reasons if refuses(reason)]
    warning = [reason.message for reason in decision.reasons if not refuses(reason)]
    text = "; ".join(refusing) or "policy does not permit it"
    if warning:
        text += f" (a warning only: {'; '.join(warning)})"
    return text + exception_advice(decision)


def exception_advice(decision: Decision) -> str:
    """Returns a sentence on how to request a policy exception, if every refusing rule is soft; else empty."""
    if not can_be_excepted(decision):
        return ""
    commands = sorted(
        {
            f"`waypost policy exceptions ask {shlex.quote(reason.rule)} {OPTIONS}`"
            for reason in decision.reasons
            if refuses(reason)
        }
    )
    return f" (soft: {' and '.join(commands)} asks for an exception)"


class PolicyFault(Exception):
    """The cause of an `Unavailable` error where policy could not answer.

    It is logged, not sent to callers.
    """


async def authorize(question: Question, *, policy: PolicyEngine) -> Decision:
    """Asks policy about an action; returns the decision if it permits the action, else raises an error.

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
        raise Denied(refusal_text(decision), reasons=decision.reasons, decision=decision)
    return decision
