"""Tests that the OPA engine and the embedded engine decide alike, also when queries share calls."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from gateway.core.decision import Decision, Level
from gateway.policy.embedded.interpreter import Interpreter
from gateway.policy.opa.address import parse_address
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.gateway.policy.embedded.generated_questions import questions, rule_set
from tests.gateway.policy.embedded.test_agreement import QUESTIONS, decided
from tests.opa_fixture import needs_opa, opa_with

AT_ONCE = 100


def comparable(decision: Decision) -> Any:
    """Returns a decision's allow, rules and obligations, in the form of `decided`."""
    obligations = msgspec.json.decode(msgspec.json.encode(decision.obligations))
    return decision.allow, sorted(decision.rules), without_defaults(obligations)


def without_defaults(obligations: dict[str, Any]) -> dict[str, Any]:
    """Removes unset obligations, since the rules leave out what they do not limit."""
    found = {name: value for name, value in obligations.items() if value not in (None, {}, [])}
    return found | ({"regions": sorted(found["regions"])} if "regions" in found else {})


def levels_of(decision: Decision) -> dict[str, str]:
    """Returns the levels of the refusing rules, without hard ones."""
    return {reason.rule: reason.level for reason in decision.reasons if reason.level is not Level.HARD}


@needs_opa
async def test_both_engines_decide_alike_over_the_wire(tmp_path: Path) -> None:
    """Twenty rules, two hundred tenants, and every action, asked a hundred at a time."""
    bundle, asked = rule_set(), questions(QUESTIONS, seed=3)
    interpreter = Interpreter(bundle.source)
    theirs: list[Decision] = []
    async with (
        opa_with(tmp_path, bundle) as opa,
        OpaPolicyEngine(parse_address(opa.engine), deadline_seconds=30) as engine,
    ):
        for start in range(0, len(asked), AT_ONCE):
            theirs += await asyncio.gather(*map(engine.decide, asked[start : start + AT_ONCE]))
    assert [decision.fault for decision in theirs if decision.fault] == []
    for question, decision in zip(asked, theirs, strict=True):
        allow, rules, obligations, levels = decided(interpreter, question)
        assert comparable(decision) == (allow, rules, without_defaults(obligations)), question
        assert levels_of(decision) == (levels or {}), question
    assert {decision.allow for decision in theirs} == {True, False}
    assert {decision.revision for decision in theirs} == {bundle.revision}
