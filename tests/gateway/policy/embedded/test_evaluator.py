"""Results of regorus: an undefined part is not accepted as text."""

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
    """The virtual machine writes it in place of a missing value, where it would pass for text."""
    with pytest.raises(AnswerError, match="undefined"):
        parse_result(text(**changes))


def test_the_word_inside_other_text_is_only_text() -> None:
    """A task may have that name, and messages may contain it."""
    message = 'task "<undefined>" is banned'
    assert (
        parse_result(text(allow=False, reasons=[{"rule": "r", "message": message}])).reasons[0].message
        == message
    )
