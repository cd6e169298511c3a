"""Tests how the levels of rules and policy exceptions change a refusal."""

from typing import Any

import pytest
from msgspec import structs

from gateway.core.approvals import Approval
from gateway.core.decision import Action, Decision, Level, Obligations, Question, Reason
from gateway.core.policy_exception import PolicyException
from gateway.core.principal import Principal
from gateway.policy.enforcement import can_be_excepted, enforce, granted_to, scope_of

NOW = 1_764_000_000.0
DOCUMENT = b'{"metadata":{"name":"nightly","tenant":"payments"},"spec":{"tasks":[]}}'
QUESTION = Question(
    action=Action.RUNS_SUBMIT,
    principal=Principal(subject="ci", issuer="https://issuer.test", tenant="payments"),
    at=NOW,
    workflow=DOCUMENT,
)
APPROVALS = tuple(
    Approval(subject=name, issuer="https://issuer.test", at=NOW, decision_id=name) for name in ("ann", "bob")
)


def reason(rule: str, level: Level) -> Reason:
    return Reason(rule=rule, message=f"{rule} says no", level=level)


def refusal(*reasons: Reason, **changes: Any) -> Decision:
    return structs.replace(
        Decision(
            id="d1",
            at=NOW,
            action=Action.RUNS_SUBMIT,
            allow=False,
            revision="r",
            engine="test",
            rules=tuple(one.rule for one in reasons),
            reasons=reasons,
            obligations=Obligations(regions=("beijing",), max_shards=8),
        ),
        **changes,
    )


def exception(**changes: Any) -> PolicyException:
    return structs.replace(
        PolicyException(
            id="e1",
            rule="image.banned",
            tenant="payments",
            reason="the mirror is down",
            ticket="OPS-7",
            asked_by="ci",
            asked_at=NOW - 60,
            expires_at=NOW + 60,
            approvals=APPROVALS,
        ),
        **changes,
    )


def granted(*exceptions: PolicyException, question: Question = QUESTION) -> dict[str, str]:
    return dict(granted_to(scope_of(question), exceptions, now=NOW))


SOFT = refusal(reason("image.banned", Level.SOFT))


def test_what_only_warns_is_allowed_with_a_warning() -> None:
    """An advisory rule is tried on real work before it refuses any."""
    decision = enforce(refusal(reason("labels.team", Level.ADVISORY)), {})

    assert decision.allow is True
    assert decision.obligations.warnings == ("labels.team: labels.team says no",)
    assert decision.obligations.regions == ("beijing",)


def test_a_soft_rule_refuses_without_an_exception() -> None:
    assert enforce(SOFT, {}) is SOFT


def test_an_exception_overrides_a_soft_rule_and_is_named() -> None:
    """An auditor finds in the decision why it was allowed."""
    decision = enforce(SOFT, granted(exception()))

    assert decision.allow is True
    assert [one.exception for one in decision.reasons] == ["e1"]
    assert decision.rules == ("image.banned",)
    assert decision.obligations.warnings == ("image.banned: image.banned says no (exception e1)",)


def test_a_hard_rule_is_not_overridden() -> None:
    hard = refusal(reason("image.banned", Level.HARD))

    assert enforce(hard, granted(exception())) is hard


def test_a_hard_rule_beside_an_overridden_one_refuses() -> None:
    both = refusal(reason("image.banned", Level.SOFT), reason("priority.cap", Level.HARD))

    assert enforce(both, granted(exception())).allow is False
    assert not can_be_excepted(both)


@pytest.mark.parametrize(
    "decision",
    [
        refusal(),
        refusal(rules=("image.banned",)),
        refusal(reason("image.banned", Level.SOFT), rules=("image.banned", "unexplained")),
        refusal(reason("image.banned", Level.SOFT), fault="no answer"),
        refusal(reason("image.banned", Level.SOFT), action=Action.EXCEPTIONS_APPROVE),
        refusal(reason("image.banned", Level.SOFT), action=Action.RUNS_CANCEL),
    ],
    ids=["no rule", "no reason", "a rule without a reason", "a fault", "an approval", "a cancellation"],
)
def test_what_no_soft_rule_refuses_by_name_stays_refused(decision: Decision) -> None:
    """Lack of a permission, a fault of the engine, and acts on exceptions themselves have no override."""
    assert enforce(decision, {"image.banned": "e1"}).allow is False


@pytest.mark.parametrize(
    "changes",
    [
        {"approvals": APPROVALS[:1]},
        {"approvals": ()},
        {"expires_at": NOW},
        {"revoked_by": "ann"},
        {"tenant": "research"},
        {"rule": "image.latest"},
        {"workflow": "weekly"},
        {"document": "0" * 64},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_exception_that_is_not_for_this_now_does_nothing(changes: dict[str, Any]) -> None:
    assert enforce(SOFT, granted(exception(**changes))).allow is False


def test_an_exception_for_this_document_follows_it_to_its_placement() -> None:
    """What policy obliges changes the document of a run; the exception is for what was submitted."""
    scope = scope_of(QUESTION)
    assert scope is not None
    placing = structs.replace(
        QUESTION, action=Action.RUNS_PLACE, workflow=DOCUMENT + b" ", digest=scope.document
    )
    only = exception(workflow="nightly", document=scope.document)

    assert granted(only) == granted(only, question=placing) == {"image.banned": "e1"}


def test_the_tenant_is_that_of_the_work_not_of_the_operator_who_submits_it() -> None:
    by_operator = structs.replace(
        QUESTION, principal=Principal(subject="op", issuer="https://issuer.test", tenant="operations")
    )

    assert granted(exception(), question=by_operator) == {"image.banned": "e1"}


def test_a_limit_that_was_overridden_does_not_refuse_the_run_again() -> None:
    """The obligations would apply the limit a second time."""
    decision = enforce(refusal(reason("shards.maximum", Level.SOFT)), {"shards.maximum": "e1"})

    assert decision.obligations.max_shards is None
