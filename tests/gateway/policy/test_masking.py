"""Tests that the fields that policy masks, and no others, are removed from a recorded input."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.masking import masked, unanswered
from waypost.json_pointer import pointer_to

PRINCIPAL = Principal(
    subject="ada", issuer="https://issuer.test", tenant="payments", client="ci", groups=("g",), scopes=("s",)
)
DOCUMENT: dict[str, Any] = {"spec": {"params": {"a/b": 1, "key": "secret"}, "tasks": [{"n": 1}, {"n": 2}]}}


def question(**changes: Any) -> Question:
    fields: dict[str, Any] = {
        "action": Action.RUNS_SUBMIT,
        "principal": PRINCIPAL,
        "at": 1.0,
        "workflow": msgspec.json.encode(DOCUMENT),
        "context": {"run": {"id": "r1", "labels": {"x": "y"}}},
    }
    return Question(**fields | changes)


def document(asked: Question) -> Any:
    return None if asked.workflow is None else msgspec.json.decode(asked.workflow)


@pytest.mark.parametrize(
    ("pointer", "params", "tasks"),
    [
        ("/workflow/spec/params/key", {"a/b": 1}, [{"n": 1}, {"n": 2}]),
        ("/workflow/spec/params/a~1b", {"key": "secret"}, [{"n": 1}, {"n": 2}]),
        ("/workflow/spec/tasks/0", {"a/b": 1, "key": "secret"}, [None, {"n": 2}]),
        ("/workflow/spec/tasks/1/n", {"a/b": 1, "key": "secret"}, [{"n": 1}, {}]),
    ],
)
def test_a_value_is_taken_out(pointer: str, params: Any, tasks: Any) -> None:
    """A member of an object goes; an item of a list becomes null: its neighbours keep their places."""
    left = document(masked(question(), [pointer]))
    assert left == {"spec": {"params": params, "tasks": tasks}}


def test_the_whole_document_and_the_claims_may_be_masked() -> None:
    """But never who it was."""
    left = masked(question(), ["/workflow", "/context/run/labels", "/principal"])
    assert left.workflow is None
    assert left.context == {"run": {"id": "r1"}}
    assert left.principal == Principal(subject="ada", issuer="https://issuer.test", tenant="payments")
    assert masked(question(), ["/principal/subject"]).principal == PRINCIPAL
    assert masked(question(), ["/principal/groups"]).principal.groups == ()


@given(st.lists(st.one_of(st.text(max_size=8), st.integers(0, 9).map(str)), max_size=6))
def test_a_pointer_to_nothing_changes_nothing(parts: list[str]) -> None:
    """No pointer that policy can write makes a decision fail."""
    pointer = pointer_to(["workflow", "absent", *parts])
    assert document(masked(question(), [pointer, "", "no pointer", "/"])) == DOCUMENT


def test_the_question_itself_is_left_as_it_is() -> None:
    """The caller goes on with it."""
    asked = question()
    masked(asked, ["/context/run/id", "/workflow/spec"])
    assert asked == question()


def test_a_question_without_an_answer_keeps_the_run_alone() -> None:
    """Nobody has said what else may be recorded."""
    left = unanswered(question())
    assert (left.workflow, left.context) == (None, {"run": {"id": "r1"}})
    assert unanswered(question(context={"run": 1})).context == {}
