"""Replays recorded policy decisions: asks their queries again, of an engine with other rules or of two."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from gateway.core.approvals import AlreadyApproved, ApprovalRefused
from gateway.core.decision import ActionKind, Decision, Question, kind_of
from gateway.core.principal import Principal
from gateway.policy.enforcement import enforce
from gateway.policy.flips import Flip, Recorded, flip_of, granted
from gateway.policy.interface import PolicyEngine

NOT_OF_RULES: Final = frozenset({ApprovalRefused.rule, AlreadyApproved.rule})
"""The rule ids under which the gateway itself refuses approvals; no policy rule has them."""


class _Input(Struct, frozen=True, kw_only=True):
    principal: Principal
    at: float
    workflow: msgspec.Raw = msgspec.Raw(b"")
    """The workflow document as JSON; empty without one.

    msgspec 0.22 takes a union of Raw and None for None alone.
    """
    context: dict[str, Any] = {}


_decode_input = msgspec.json.Decoder(_Input).decode


def question_of(recorded: Recorded) -> Question | None:
    """Rebuilds the policy query of a recorded decision; None if it cannot be asked again.

    It cannot where policy did not answer it, part of it is masked, its document was too large to be kept, or
    the gateway refused an approval that policy permitted.
    """
    if recorded.fault or recorded.obligations.mask or not NOT_OF_RULES.isdisjoint(recorded.rules):
        return None
    try:
        asked = _decode_input(recorded.input)
    except msgspec.MsgspecError:
        return None
    workflow = bytes(asked.workflow) or None
    if workflow is None and kind_of(recorded.action) is ActionKind.WORK:
        return None
    return Question(
        action=recorded.action,
        principal=asked.principal,
        at=asked.at,
        workflow=workflow,
        context=asked.context,
    )


async def replay(
    decisions: Iterable[Recorded], engine: PolicyEngine, *, at_once: int = 1
) -> AsyncIterator[tuple[Recorded, Flip | None]]:
    """Asks `engine` the queries of recorded decisions; yields each decision with its flip, or None.

    A flip is a different decision. Decisions whose query cannot be asked again are left out. Reads
    `decisions` as they are needed, and asks `at_once` questions together: an OPA answers several.
    """
    askable = ((recorded, question) for recorded in decisions if (question := question_of(recorded)))
    while asked := list(islice(askable, at_once)):
        answers = await asyncio.gather(*(engine.decide(question) for _, question in asked))
        for (recorded, _), answer in zip(asked, answers, strict=True):
            yield recorded, flip_of(recorded, answer)


async def compare(
    decisions: Iterable[Recorded], before: PolicyEngine, after: PolicyEngine, *, at_once: int = 1
) -> AsyncIterator[tuple[Recorded, Flip | None]]:
    """Asks two engines the queries of recorded decisions; yields each decision with its flip, or None.

    A flip is a difference between the decisions of the two engines; where neither answers, there is none.
    Decisions whose query cannot be asked again are left out.
    """
    askable = ((recorded, question) for recorded in decisions if (question := question_of(recorded)))
    while asked := list(islice(askable, at_once)):
        old = await asyncio.gather(*(before.decide(question) for _, question in asked))
        new = await asyncio.gather(*(after.decide(question) for _, question in asked))
        for (recorded, _), was, now in zip(asked, old, new, strict=True):
            # What neither answers is no difference between them.
            yield recorded, None if was.fault and now.fault else flip_of(_decided(recorded, was), now)


def _decided(recorded: Recorded, decision: Decision) -> Recorded:
    decision = enforce(decision, granted(recorded))
    return structs.replace(
        recorded, allow=decision.allow, rules=decision.rules, obligations=decision.obligations
    )
