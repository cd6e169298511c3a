"""Which answers of the rules are decisions."""

from typing import Any

import msgspec
import pytest

from gateway.policy.answer import AnswerError, parse_answer

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
