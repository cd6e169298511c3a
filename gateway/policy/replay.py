"""Replays recorded decisions against other rules: who would be answered otherwise, and by which rule.

Compares what is allowed, by which rules and with which obligations; the texts of messages are left out, since
engines format numbers in them differently.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct, structs

from gateway.core.decision import Action, Decision, Obligations, Question, Reason
from gateway.core.principal import Principal
from gateway.policy.enforcement import enforce
from gateway.policy.interface import PolicyEngine


class Recorded(Struct, frozen=True, kw_only=True):
    """A decision as `waypost decisions export` writes it; what a replay does not need is left out."""

    id: str
    action: Action
    allow: bool
    tenant: str = ""
    rules: tuple[str, ...] = ()
    fault: str = ""
    obligations: Obligations = Obligations()
    reasons: tuple[Reason, ...] = ()
    input: msgspec.Raw = msgspec.Raw(b"null")


class Flip(Struct, frozen=True, kw_only=True):
    """A recorded decision that the other rules answer otherwise."""

    id: str
    action: Action
    tenant: str
    kind: str
    """`allowed`: it was refused before; `refused`: it was allowed; `changed`: rules or obligations differ;
    `unanswered`: the other rules gave no answer.
    """
    rules: tuple[str, ...]
    """The rules that made the difference: those of the answer that refuses, else those that only one has."""
    detail: str = ""
    """What differs in the obligations, or why there was no answer."""


KINDS = ("allowed", "unanswered", "refused", "changed")
"""The kinds of flips, the most dangerous first: what is newly allowed was refused for a reason."""


class _Input(Struct, frozen=True, kw_only=True):
    principal: Principal
    at: float
    workflow: msgspec.Raw = msgspec.Raw(b"")
    """Empty: there is none. msgspec 0.22 takes a union of Raw and None for None alone."""
    context: dict[str, Any] = {}


_decode_input = msgspec.json.Decoder(_Input).decode


def question_of(recorded: Recorded) -> Question | None:
    """The question that was asked; None where it cannot be asked again.

    Policy did not answer it, part of it is masked, or its document was too large to be kept.
    """
    if recorded.fault or recorded.obligations.mask:
        return None
    try:
        asked = _decode_input(recorded.input)
    except msgspec.MsgspecError:
        return None
    workflow = bytes(asked.workflow) or None
    if workflow is None and recorded.action in (Action.RUNS_SUBMIT, Action.RUNS_PLACE, Action.RUNS_RETRY):
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
    """Asks `engine` each question again; yields each decision that was asked, with its flip if it is one.

    Reads `decisions` as they are needed, and asks `at_once` questions together: an OPA answers several.
    """
    askable = ((recorded, question) for recorded in decisions if (question := question_of(recorded)))
    while asked := list(islice(askable, at_once)):
        answers = await asyncio.gather(*(engine.decide(question) for _, question in asked))
        for (recorded, _), answer in zip(asked, answers, strict=True):
            yield recorded, flip_of(recorded, answer)


async def compare(
    decisions: Iterable[Recorded], before: PolicyEngine, after: PolicyEngine, *, at_once: int = 1
) -> AsyncIterator[tuple[Recorded, Flip | None]]:
    """Asks both engines each question, whatever was decided then; yields each, with its flip if it is one."""
    askable = ((recorded, question) for recorded in decisions if (question := question_of(recorded)))
    while asked := list(islice(askable, at_once)):
        old = await asyncio.gather(*(before.decide(question) for _, question in asked))
        new = await asyncio.gather(*(after.decide(question) for _, question in asked))
        for (recorded, _), was, now in zip(asked, old, new, strict=True):
            # What neither answers is no difference between them.
            yield recorded, None if was.fault and now.fault else flip_of(_decided(recorded, was), now)


def _decided(recorded: Recorded, decision: Decision) -> Recorded:
    decision = enforce(decision, _granted(recorded))
    return structs.replace(
        recorded, allow=decision.allow, rules=decision.rules, obligations=decision.obligations
    )


def _granted(recorded: Recorded) -> dict[str, str]:
    """The exceptions that counted for the recorded decision, by the rule that each overrides."""
    return {reason.rule: reason.exception for reason in recorded.reasons if reason.exception}


def flip_of(recorded: Recorded, now: Decision) -> Flip | None:
    """What differs between the recorded decision and the one of other rules; None: nothing.

    Exceptions that counted for the recorded one count for the other too.
    """
    now = enforce(now, _granted(recorded))
    rules: tuple[str, ...] = ()
    detail = ""
    if now.fault:
        kind, detail = "unanswered", now.fault
    elif now.allow and not recorded.allow:
        kind, rules = "allowed", recorded.rules
    elif recorded.allow and not now.allow:
        kind, rules = "refused", now.rules
    else:
        rules = tuple(sorted(set(recorded.rules) ^ set(now.rules)))
        detail = _differences(recorded.obligations, now.obligations)
        if not rules and not detail:
            return None
        kind = "changed"
    return Flip(
        id=recorded.id, action=recorded.action, tenant=recorded.tenant, kind=kind, rules=rules, detail=detail
    )


def _differences(before: Obligations, after: Obligations) -> str:
    return "; ".join(
        f"{name}: {getattr(before, name)!r} -> {getattr(after, name)!r}"
        for name in Obligations.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    )
