"""Compares recorded policy decisions with those by other rules: a flip is a decision that differs.

Two decisions are compared by what they allow, by which rules of which level, and with which obligations; not
by the texts of messages, in which engines format numbers differently.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from gateway.core.decision import Action, Decision, Obligations, Reason
from gateway.policy.enforcement import enforce


class Recorded(Struct, frozen=True, kw_only=True):
    """A recorded policy decision, as `waypost decisions export` writes it, with what a replay needs."""

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
    """A flip: a recorded policy decision for which other policy rules give a different decision."""

    id: str
    action: Action
    tenant: str
    kind: str
    """The kind of difference: `allowed`, `refused`, `changed` or `unanswered`.

    `allowed`: it was refused before; `refused`: it was allowed; `changed`: rules or obligations differ;
    `unanswered`: the other rules gave no answer.
    """
    rules: tuple[str, ...]
    """The ids of the rules that made the difference: those that refuse, else those that only one side has."""
    detail: str = ""
    """The difference of levels and obligations, or the reason why there was no answer, as text."""


KINDS = ("allowed", "unanswered", "refused", "changed")
"""The kinds of changed outcomes (flips), the most dangerous first: newly allowed."""


def granted(recorded: Recorded) -> dict[str, str]:
    """Returns the ids of the policy exceptions applied in a recorded decision, by the rule overridden."""
    return {reason.rule: reason.exception for reason in recorded.reasons if reason.exception}


def flip_of(recorded: Recorded, now: Decision) -> Flip | None:
    """Compares a recorded policy decision with the decision `now` by other rules; None if they are equal.

    Policy exceptions that were applied in the recorded one are applied to the other too.
    """
    now = enforce(now, granted(recorded))
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
        levels = _level_changes(recorded.reasons, now.reasons)
        detail = "; ".join([*levels, *_differences(recorded.obligations, now.obligations)])
        if not rules and not detail:
            return None
        kind = "changed"
    return Flip(
        id=recorded.id, action=recorded.action, tenant=recorded.tenant, kind=kind, rules=rules, detail=detail
    )


def _level_changes(before: Iterable[Reason], after: Iterable[Reason]) -> Iterator[str]:
    """Yields a text for each rule whose level (advisory, soft, hard) differs between two answers."""
    former = {reason.rule: reason.level for reason in before}
    for rule, level in sorted({reason.rule: reason.level for reason in after}.items()):
        if former.get(rule, level) != level:
            yield f"level of {rule}: {former[rule]} -> {level}"


def _differences(before: Obligations, after: Obligations) -> Iterator[str]:
    for name in Obligations.__struct_fields__:
        if getattr(before, name) != getattr(after, name):
            yield f"{name}: {getattr(before, name)!r} -> {getattr(after, name)!r}"
