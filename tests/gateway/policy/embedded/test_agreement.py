"""Tests that the embedded engine and OPA decide generated inputs alike: allow, rules, obligations."""

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision import Action, Question
from gateway.policy.answer import AnswerError
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle
from gateway.policy.embedded.gate import check_rules
from gateway.policy.embedded.interpreter import (
    EvaluationError,
    Interpreter,
    parse_modules,
    parse_result,
)
from gateway.policy.embedded.loading import load_bundle
from gateway.policy.question import ENTRY_POINTS, encode_question
from tests.gateway.policy.embedded.generated_questions import questions, rule_set
from tests.opa_fixture import OPA, needs_opa

QUESTIONS = int(os.environ.get("WAYPOST_POLICY_QUESTIONS", "400"))
"""The number of generated inputs; 10,000 when run by hand."""
SHIPPED = load_bundle(SHIPPED_POLICIES, None)
INTERPRETER = Interpreter(SHIPPED.source)
DATA: dict[str, Any] = msgspec.json.decode(SHIPPED.source.data)


def decided(interpreter: Interpreter, question: Question) -> Any:
    """Returns the embedded engine's allow, rules and obligations, or the text of its error."""
    try:
        text = interpreter.evaluate(ENTRY_POINTS[question.action], encode_question(question))
        parse_result(text)
    except (EvaluationError, AnswerError) as error:
        return str(error)
    return comparable(msgspec.json.decode(text))


def comparable(decision: Any) -> Any:
    """Returns the parts of a decision in which engines must agree; the texts of reasons may differ."""
    obligations = decision["obligations"] | (
        {"regions": sorted(decision["obligations"]["regions"])}
        if "regions" in decision["obligations"]
        else {}
    )
    return decision["allow"], sorted(decision["rules"]), obligations, decision.get("levels")


def decided_by_opa(bundle: Bundle, asked: list[Question], folder: Path) -> list[Any]:
    """Returns the same parts of OPA's decisions in strict mode, evaluated in one call."""
    for name, text in bundle.source.modules:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    inputs = [
        {"rule": ENTRY_POINTS[question.action].split(".")[2], "input": msgspec.Raw(encode_question(question))}
        for question in asked
    ]
    data = msgspec.json.decode(bundle.source.data) | {"questions": inputs}
    (folder / "data.json").write_bytes(msgspec.json.encode(data))
    asking = "one := data.questions[_]; asked := one.input; decision := data.waypost[one.rule].decision"
    query = f"[decision | {asking} with input as asked]"
    printed = subprocess.run(
        [str(OPA), "eval", "--strict-builtin-errors", "--bundle", folder, "--format", "json", query],
        capture_output=True,
        check=True,
    ).stdout
    return [comparable(one) for one in msgspec.json.decode(printed)["result"][0]["expressions"][0]["value"]]


@needs_opa
def test_twenty_rules_and_two_hundred_tenants_are_decided_as_by_opa(tmp_path: Path) -> None:
    """In the ways in which authors write rules, on documents in which fields are missing."""
    bundle = rule_set()
    asked = questions(QUESTIONS, seed=21)
    assert check_rules(parse_modules(bundle.source.modules)) == []
    interpreter = Interpreter(bundle.source)
    own = [decided(interpreter, question) for question in asked]
    theirs = decided_by_opa(bundle, asked, tmp_path)
    assert own == theirs
    rules = {rule for _, names, *_ in own for rule in names}
    assert any(levels for *_, levels in own)
    assert {f"h{number:02}" for number in range(1, 20)} | {"house"} <= rules
    assert {allowed for allowed, *_ in own} == {True, False}


@needs_opa
def test_the_rules_that_ship_are_decided_as_by_opa(tmp_path: Path) -> None:
    """Without house rules, so that more is allowed."""
    asked = questions(QUESTIONS, seed=2)
    bundle = msgspec.structs.replace(
        SHIPPED, source=msgspec.structs.replace(SHIPPED.source, data=rule_set().source.data)
    )
    interpreter = Interpreter(bundle.source)
    own = [decided(interpreter, question) for question in asked]
    assert own == decided_by_opa(bundle, asked, tmp_path)
    assert sum(allowed for allowed, *_ in own) > QUESTIONS / 20


@given(st.integers(0, 2**32))
def test_what_is_permitted_is_within_the_data(seed: int) -> None:
    """The rules written a second time in Python.

    Nothing is permitted without its scope, its tenant, and regions in which its data may be.
    """
    question = questions(1, seed=seed)[0]
    tenant = "demo" if seed % 2 else "payments"
    question = msgspec.structs.replace(
        question, principal=msgspec.structs.replace(question.principal, tenant=tenant)
    )
    answer = parse_result(INTERPRETER.evaluate(ENTRY_POINTS[question.action], encode_question(question)))
    assert answer.allow is not bool(answer.reasons)
    if not answer.allow or question.action not in (Action.RUNS_SUBMIT, Action.RUNS_RETRY):
        return
    document = msgspec.json.decode(question.workflow or b"{}")
    operator = "/waypost/operators" in question.principal.groups
    owner = document["metadata"]["tenant"] or tenant
    limits, spec = DATA["tenants"][owner], document["spec"]
    assert "workflows:submit" in question.principal.scopes
    assert operator or owner == tenant
    assert spec["priority"] <= limits["max_priority"]
    assert answer.obligations.regions
    assert set(answer.obligations.regions) <= set(limits["regions"])
    if spec["dataClass"] is not None:
        assert set(answer.obligations.regions) <= set(DATA["residency"][spec["dataClass"]])
    if spec["placement"]["regions"]:
        assert set(answer.obligations.regions) & set(spec["placement"]["regions"])
