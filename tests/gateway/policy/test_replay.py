"""Tests the differences that a replay of recorded decisions finds."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from gateway.core.decision import Action, Decision, Level, Obligations, Question, Reason
from gateway.core.principal import Principal
from gateway.policy.enforcement import enforce
from gateway.policy.flips import KINDS, Flip, Recorded, flip_of
from gateway.policy.question import encode_question
from gateway.policy.replay import question_of

ASKED = Question(
    action=Action.RUNS_SUBMIT,
    principal=Principal(subject="ada", issuer="https://issuer.test", tenant="payments", groups=("g",)),
    at=1.5,
    workflow=b'{"metadata":{"name":"n"}}',
    context={"x": 1},
)


def recorded(**changes: Any) -> Recorded:
    fields: dict[str, Any] = {
        "id": "d1",
        "action": Action.RUNS_SUBMIT,
        "allow": True,
        "tenant": "payments",
        "rules": ("a",),
        "obligations": Obligations(regions=("beijing",)),
        "input": msgspec.Raw(encode_question(ASKED)),
    }
    return Recorded(**fields | changes)


def decided(**changes: Any) -> Decision:
    fields: dict[str, Any] = {
        "id": "e1",
        "at": 1.5,
        "action": Action.RUNS_SUBMIT,
        "allow": True,
        "revision": "r",
        "engine": "test",
        "rules": ("a",),
        "obligations": Obligations(regions=("beijing",)),
    }
    return Decision(**fields | changes)


def test_the_question_is_the_one_that_was_asked() -> None:
    """To the byte: the same input, so the same answer."""
    again = question_of(recorded())
    assert again is not None
    assert encode_question(again) == encode_question(ASKED)


@pytest.mark.parametrize(
    "changes",
    [
        {"fault": "no answer"},
        {"obligations": Obligations(mask=("/workflow/x",))},
        {"input": msgspec.Raw(encode_question(structs.replace(ASKED, workflow=None)))},
        {"rules": ("approval.own",)},
        {"input": msgspec.Raw(b"null")},
        {"input": msgspec.Raw(b'{"principal": 1}')},
    ],
    ids=["unanswered", "masked", "too large", "own approval", "absent", "no input"],
)
def test_what_was_not_recorded_whole_cannot_be_asked_again(changes: dict[str, Any]) -> None:
    """A document with holes would be another question."""
    assert question_of(recorded(**changes)) is None


def test_a_question_about_no_document_can_be_asked_again() -> None:
    """A cancellation, an act on a region."""
    asked = structs.replace(ASKED, action=Action.RUNS_CANCEL, workflow=None)
    again = question_of(recorded(action=Action.RUNS_CANCEL, input=msgspec.Raw(encode_question(asked))))
    assert again == structs.replace(asked)


@pytest.mark.parametrize(
    ("before", "now", "kind", "rules"),
    [
        ({"allow": False, "rules": ("image.banned",)}, {"rules": ("b",)}, "allowed", ("image.banned",)),
        ({}, {"allow": False, "rules": ("cost.cap",)}, "refused", ("cost.cap",)),
        ({}, {"allow": False, "fault": "late"}, "unanswered", ()),
        ({}, {"rules": ("a", "b")}, "changed", ("b",)),
        ({}, {"obligations": Obligations(regions=("shanghai",))}, "changed", ()),
        ({"allow": False}, {"allow": False, "rules": ("c",)}, "changed", ("a", "c")),
    ],
)
def test_each_kind_of_flip(
    before: dict[str, Any], now: dict[str, Any], kind: str, rules: tuple[str, ...]
) -> None:
    """With the rules that made the difference."""
    flip = flip_of(recorded(**before), decided(**now))
    assert flip is not None
    assert (flip.kind, flip.rules) == (kind, rules)
    assert flip.kind in KINDS


def test_the_same_answer_is_no_flip() -> None:
    """Duration, engine, revision and id differ always."""
    assert flip_of(recorded(), decided(duration_seconds=9.0)) is None
    assert isinstance(flip_of(recorded(), decided(allow=False)), Flip)


def test_a_refusal_that_became_overridable_is_a_flip() -> None:
    """The rules are the same, and what was certain to be refused no longer is."""
    hard, soft = (Reason(rule="a", message="no", level=level) for level in (Level.HARD, Level.SOFT))
    before = recorded(allow=False, reasons=(hard,))
    flip = flip_of(before, decided(allow=False, reasons=(soft,)))
    assert flip is not None and (flip.kind, flip.detail) == ("changed", "level of a: hard -> soft")
    assert flip_of(before, decided(allow=False, reasons=(hard,))) is None


def test_what_an_exception_let_in_is_no_flip_by_the_same_rules_and_one_where_the_rule_is_hard() -> None:
    """A replay enforces levels as the gateway does, with the exceptions that counted then."""
    soft = decided(allow=False, reasons=(Reason(rule="a", message="no", level=Level.SOFT),))
    then = enforce(soft, {"a": "e1"})
    known = recorded(allow=True, reasons=then.reasons, obligations=then.obligations)
    hard = structs.replace(soft, reasons=(Reason(rule="a", message="no"),))

    assert flip_of(known, soft) is None
    assert [flip and flip.kind for flip in (flip_of(known, hard), flip_of(recorded(), soft))] == [
        "refused",
        "refused",
    ]
