"""Parses the answer of the rules. An incomplete or wrongly typed one is an error, never a permission."""

from typing import Final

import msgspec
from msgspec import Struct, structs

from gateway.core.decision import Obligations, Reason

REASONS_MAXIMUM: Final = 100
"""The most reasons of an answer that are kept; one more says how many are left out."""
MESSAGE_MAXIMUM: Final = 500
"""The most characters of a message that are kept.

Decisions are stored with their run: ten thousand banned images must not make ten thousand sentences.
"""


class PolicyAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of a `decision` rule, of which a `Decision` is made. No field may be missing."""

    allow: bool
    rules: tuple[str, ...]
    reasons: tuple[Reason, ...]
    obligations: Obligations


class AnswerError(Exception):
    """The value of a `decision` rule is no complete, well-typed `PolicyAnswer`."""


_decode = msgspec.json.Decoder(PolicyAnswer).decode


def parse_answer(text: str | bytes) -> PolicyAnswer:
    """Parses JSON into an answer with a bounded list of reasons.

    Raises `AnswerError` for null, a wrong type, a field too many or too few, or `allow` with reasons.
    """
    try:
        answer = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise AnswerError(f"the rules' answer is not a decision: {error}") from error
    # The rules contradict themselves: which part is wrong cannot be known, so nothing is permitted.
    if answer.allow and answer.reasons:
        raise AnswerError(f"the rules allow and refuse at once: {answer.reasons[0].rule}")
    return answer if answer.allow else _truncate(answer)


def _truncate(answer: PolicyAnswer) -> PolicyAnswer:
    """Limits the number of reasons and rules, and the length of messages."""
    reasons = tuple(
        structs.replace(reason, message=reason.message[:MESSAGE_MAXIMUM])
        for reason in answer.reasons[:REASONS_MAXIMUM]
    )
    if (left := len(answer.reasons) - REASONS_MAXIMUM) > 0:
        reasons = (*reasons, Reason(rule="reasons.more", message=f"and {left} more reasons"))
    return structs.replace(answer, rules=answer.rules[:REASONS_MAXIMUM], reasons=reasons)
