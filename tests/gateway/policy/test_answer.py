"""What counts as a decision."""

from typing import Any

import msgspec
import pytest

from gateway.policy.answer import AnswerError, read

PERMITTED: dict[str, Any] = {
    "allow": True,
    "rules": ["r"],
    "reasons": [],
    "obligations": {"labels": {"team": "etl"}},
}


def text(**changes: Any) -> str:
    return msgspec.json.encode(PERMITTED | changes).decode()


def test_a_complete_permission_is_one() -> None:
    """The measure for what follows."""
    assert read(text()).allow is True


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": ["<undefined>"]},
        {"obligations": {"labels": {"team": "<undefined>"}}},
        {"obligations": {"regions": ["a", "<undefined>"]}},
    ],
)
def test_the_word_for_undefined_is_not_a_value(changes: dict[str, Any]) -> None:
    """The quick evaluator writes it where a value is missing, and where text may stand it would pass for text."""
    with pytest.raises(AnswerError, match="undefined"):
        read(text(**changes))


def test_the_word_inside_other_text_is_only_text() -> None:
    """A task may be called so; the sentence about it is a sentence."""
    message = 'task "<undefined>" is banned'
    assert read(text(allow=False, reasons=[{"rule": "r", "message": message}])).reasons[0].message == message


@pytest.mark.parametrize("value", ["", "nul", "[" * 5_000, '{"allow":true,"allow":false'])
def test_what_is_not_json_is_no_decision(value: str) -> None:
    """An evaluator that breaks off in the middle has said nothing."""
    with pytest.raises(AnswerError):
        read(value)
