"""Tests which results of the rules are valid decisions."""

from typing import Any

import msgspec
import pytest

from gateway.core.decision import Level
from gateway.policy.answer import ALWAYS_HARD, REASONS_MAXIMUM, AnswerError, parse_answer

PERMITTED: dict[str, Any] = {
    "allow": True,
    "rules": ["r"],
    "reasons": [],
    "obligations": {"labels": {"team": "etl"}},
}


def text(**changes: Any) -> str:
    return msgspec.json.encode(PERMITTED | changes).decode()


def test_a_complete_permission_is_one() -> None:
    """The refusals below prove something only if this one is accepted."""
    assert parse_answer(text()).allow is True


@pytest.mark.parametrize("value", ["", "nul", "[" * 5_000, '{"allow":true,"allow":false'])
def test_what_is_not_json_is_no_decision(value: str) -> None:
    """An evaluator that stops in the middle has given no answer."""
    with pytest.raises(AnswerError):
        parse_answer(value)


def refusal(*rules: str, levels: dict[str, str], count: int = 1) -> str:
    reasons = [{"rule": rule, "message": "no", "level": "advisory"} for rule in rules for _ in range(count)]
    return text(allow=False, rules=list(rules), reasons=reasons, levels=levels)


def test_the_level_of_a_reason_is_that_of_the_data_not_of_the_rule() -> None:
    """Levels live outside the rules: who writes a rule does not say how it is enforced."""
    answer = parse_answer(refusal("a", "b", levels={"b": "soft"}))

    assert [reason.level for reason in answer.reasons] == [Level.HARD, Level.SOFT]


def test_a_rule_about_who_calls_is_hard_whatever_is_said() -> None:
    levels = dict.fromkeys(ALWAYS_HARD, "advisory")

    answer = parse_answer(refusal(*sorted(ALWAYS_HARD), levels=levels))

    assert {reason.level for reason in answer.reasons} == {Level.HARD}


def test_an_unknown_level_is_no_decision() -> None:
    with pytest.raises(AnswerError):
        parse_answer(refusal("a", levels={"a": "sfot"}))


@pytest.mark.parametrize(
    ("levels", "want"),
    [
        ({"a": "advisory", "b": "advisory"}, Level.ADVISORY),
        ({"a": "soft", "b": "advisory"}, Level.ADVISORY),
        ({"a": "soft", "b": "soft"}, Level.HARD),
        ({"a": "soft"}, Level.HARD),
    ],
)
def test_reasons_that_are_left_out_refuse_unless_their_rule_is_shown_or_only_warns(
    levels: dict[str, str], want: Level
) -> None:
    """What is left out could otherwise hide a hard rule behind a hundred warnings."""
    reasons = [{"rule": "a", "message": "no"}] * REASONS_MAXIMUM + [{"rule": "b", "message": "no"}]

    answer = parse_answer(text(allow=False, reasons=reasons, levels=levels))

    assert answer.reasons[-1].level is want
