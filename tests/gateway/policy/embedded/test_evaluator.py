"""What regorus returns, parsed: an undefined part is no text."""

from typing import Any

import pytest

from gateway.policy.answer import AnswerError
from gateway.policy.embedded.evaluator import parse_result
from tests.gateway.policy.test_answer import text


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": ["<undefined>"]},
        {"obligations": {"labels": {"team": "<undefined>"}}},
        {"obligations": {"regions": ["a", "<undefined>"]}},
    ],
)
def test_the_word_for_undefined_is_not_a_value(changes: dict[str, Any]) -> None:
    """The quick evaluator writes it where a value is missing, and where text may stand it would pass for
    text."""
    with pytest.raises(AnswerError, match="undefined"):
        parse_result(text(**changes))


def test_the_word_inside_other_text_is_only_text() -> None:
    """A task may be called so; the sentence about it is a sentence."""
    message = 'task "<undefined>" is banned'
    assert (
        parse_result(text(allow=False, reasons=[{"rule": "r", "message": message}])).reasons[0].message
        == message
    )
