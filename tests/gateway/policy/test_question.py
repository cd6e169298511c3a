"""Tests the input documents that rules get."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.bundle import SCHEMAS
from gateway.policy.question import ENTRY_POINTS, QuestionError, encode_question

SCHEMA: dict[str, Any] = msgspec.json.decode((SCHEMAS / "input.json").read_bytes())
VALIDATOR = Draft202012Validator(SCHEMA)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PRINCIPALS = st.builds(
    Principal,
    subject=WORDS,
    issuer=WORDS,
    tenant=WORDS,
    client=WORDS,
    scopes=st.lists(WORDS, max_size=3).map(tuple),
    groups=st.lists(WORDS, max_size=3).map(tuple),
    expires_at=st.floats(0, 1e10),
)
QUESTIONS = st.builds(
    Question,
    action=st.sampled_from(Action),
    principal=PRINCIPALS,
    at=st.floats(0, 1e10),
    workflow=st.none() | st.just(b'{"metadata":{},"spec":{}}'),
    context=st.just({})
    | st.fixed_dictionaries({"run": st.fixed_dictionaries({"id": WORDS, "tenant": WORDS, "subject": WORDS})}),
)


@given(QUESTIONS)
def test_every_question_has_the_frozen_shape(question: Question) -> None:
    """Rules are written against the schema of the input: each question fits it and says what was asked."""
    read = msgspec.json.decode(encode_question(question))
    VALIDATOR.validate(read)
    assert read["principal"] == msgspec.to_builtins(question.principal) | {
        "scopes": list(question.principal.scopes),
        "groups": list(question.principal.groups),
    }
    assert (read["action"], read["at"], read["context"]) == (question.action, question.at, question.context)
    assert ("workflow" in read) == (question.workflow is not None)


def test_the_schema_knows_every_action() -> None:
    """Authors of rules find every action in the schema."""
    assert SCHEMA["properties"]["action"]["enum"] == list(Action)


def test_every_action_has_a_rule_that_answers_it() -> None:
    """Submission and placement have rule sets of their own; access answers the rest."""
    assert set(ENTRY_POINTS) == set(Action)
    assert ENTRY_POINTS[Action.RUNS_SUBMIT] == "data.waypost.submission.decision"
    assert ENTRY_POINTS[Action.RUNS_PLACE] == "data.waypost.placement.decision"
    assert ENTRY_POINTS[Action.RUNS_RETRY] == "data.waypost.access.decision"


@pytest.mark.parametrize("value", [2**53, -(2**53), 2**64])
def test_an_integer_that_engines_would_round_is_no_question(value: int) -> None:
    """Two ids that differ in the last digit would be equal to the rules."""
    asker = Principal(subject="ada", issuer="https://issuer.test", tenant="demo")
    with pytest.raises(QuestionError, match="is not the same number to every reader"):
        encode_question(
            Question(
                action=Action.RUNS_READ, principal=asker, at=1.0, context={"run": {"labels": [{"id": value}]}}
            )
        )
    encode_question(
        Question(action=Action.RUNS_READ, principal=asker, at=1.0, context={"run": {"id": 2**53 - 1}})
    )
