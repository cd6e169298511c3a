"""Parses the values of policy's `decision` rules; raises `AnswerError` for incomplete or mistyped ones."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct, structs

from gateway.core.decision import Level, Obligations, Reason
from gateway.policy.fault_texts import of_answer

REASONS_MAXIMUM: Final = 100
"""The maximum number of reasons of an answer that are kept; a further one says how many are left out."""
MORE: Final = "reasons.more"
MESSAGE_MAXIMUM: Final = 500
"""The maximum number of characters of a message that are kept.

Decisions are stored with their run: ten thousand banned images must not make ten thousand sentences.
"""


class PolicyAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of a `decision` rule in a policy bundle: whether it allows, the reasons if not, obligations.

    A `Decision` is made from it. All fields but `levels` must be there.
    """

    allow: bool
    rules: tuple[str, ...]
    reasons: tuple[Reason, ...]
    obligations: Obligations
    """The limits and changes for the work; of a refusal those that apply if every reason is overridden."""
    levels: dict[str, Level] = {}
    """The enforcement levels of rules that refuse, by rule id. A rule that is absent here is hard."""


ALWAYS_HARD: Final = frozenset(
    {
        "action.unknown",
        "document.missing",
        "exception.approver",
        "exception.missing",
        "release.missing",
        "run.missing",
        "scope.missing",
        "tenant.foreign",
        "tenant.issuer",
        "tenant.missing",
        "tenant.unknown",
    }
)
"""The ids of rules about the caller, which are always hard, whatever the policy data says."""


def level_of(rule: str, levels: Mapping[str, Level]) -> Level:
    """Returns the enforcement level of the policy rule with the id `rule`: that in `levels`, else hard.

    Rules about the caller (`ALWAYS_HARD`), and a refusal that names no rule, are always hard.
    """
    return Level.HARD if not rule or rule in ALWAYS_HARD else levels.get(rule, Level.HARD)


class AnswerError(Exception):
    """Raised if the value of a `decision` rule is not a complete, well-typed `PolicyAnswer`."""


_decode = msgspec.json.Decoder(PolicyAnswer).decode


def parse_answer(text: str | bytes) -> PolicyAnswer:
    """Parses the value of a `decision` rule from JSON; shortens an overlong list of reasons.

    Raises `AnswerError` for null, a wrong type, a field too many or too few, or `allow` with reasons.
    """
    try:
        answer = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise AnswerError(f"the rules' answer is not a decision: {of_answer(str(error))}") from error
    # The rules contradict themselves: which part is wrong cannot be known, so nothing is permitted.
    if answer.allow and answer.reasons:
        raise AnswerError(f"the rules allow and refuse at once: {answer.reasons[0].rule}")
    return answer if answer.allow else _bounded_refusal(answer)


def _bounded_refusal(answer: PolicyAnswer) -> PolicyAnswer:
    """Shortens a refusal's lists of reasons and rules, and its messages; gives each reason its rule's level.

    A list keeps its first `REASONS_MAXIMUM` items, a message its first `MESSAGE_MAXIMUM` characters.
    """
    reasons = tuple(
        # The level is not the rule's own to say.
        Reason(
            rule=reason.rule,
            message=reason.message[:MESSAGE_MAXIMUM],
            level=level_of(reason.rule, answer.levels),
        )
        for reason in answer.reasons[:REASONS_MAXIMUM]
    )
    if left := answer.reasons[REASONS_MAXIMUM:]:
        reasons = (*reasons, _more(left, {reason.rule for reason in reasons}, answer.levels))
    return structs.replace(answer, rules=answer.rules[:REASONS_MAXIMUM], reasons=reasons)


def _more(left: Sequence[Reason], shown: Collection[str], levels: Mapping[str, Level]) -> Reason:
    """Returns one reason ("and 7 more reasons") that stands for the reasons that are left out.

    It is hard, unless all rules that appear only among those left out are advisory.
    """
    others = {reason.rule for reason in left}.difference(shown)
    warns = all(level_of(rule, levels) is Level.ADVISORY for rule in others)
    level = Level.ADVISORY if warns else Level.HARD
    return Reason(rule=MORE, message=f"and {len(left)} more reasons", level=level)
