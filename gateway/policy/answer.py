"""What the rules said, taken at their word only where it is complete and of the right types."""

from typing import Final

import msgspec
from msgspec import Struct, structs

from gateway.core.decision import Obligations, Reason

REASONS_MAXIMUM: Final = 100
MESSAGE_MAXIMUM: Final = 500
"""Decisions are stored: a document with ten thousand banned images must not make ten thousand sentences."""


class PolicyAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of a `decision` rule. Nothing may be left out."""

    allow: bool
    rules: tuple[str, ...]
    reasons: tuple[Reason, ...]
    obligations: Obligations


class AnswerError(Exception):
    """What came back is not a decision."""


_decode = msgspec.json.Decoder(PolicyAnswer).decode


def parse_answer(text: str) -> PolicyAnswer:
    """The answer in `text`, bounded. Raises `AnswerError`: undefined, null, a wrong type, a field too many or too few, a contradiction."""
    try:
        answer = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise AnswerError(f"the rules' answer is not a decision: {error}") from error
    if answer.allow and answer.reasons:
        raise AnswerError(f"the rules allow and refuse at once: {answer.reasons[0].rule}")
    return answer if answer.allow else _bounded(answer)


def _bounded(answer: PolicyAnswer) -> PolicyAnswer:
    reasons = tuple(
        structs.replace(reason, message=reason.message[:MESSAGE_MAXIMUM])
        for reason in answer.reasons[:REASONS_MAXIMUM]
    )
    if (left := len(answer.reasons) - REASONS_MAXIMUM) > 0:
        reasons = (*reasons, Reason(rule="reasons.more", message=f"and {left} more reasons"))
    return structs.replace(answer, rules=answer.rules[:REASONS_MAXIMUM], reasons=reasons)
