"""Tests that decisions over large policy data are evaluated in a process that can be killed."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.core.decision import Decision
from gateway.policy.embedded import interpreter
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.embedded.interpreter import Interpreter, prepare_rules
from gateway.policy.embedded.interruption import CHECKPOINT, DataSize, is_bounded, size_of
from gateway.policy.embedded.rewriting.rules import rewrite_rules
from gateway.policy.embedded.syntax_tree import Module
from gateway.policy.source import PolicySource
from tests.conformance.policy_engine import document, submission
from tests.gateway.policy.embedded.engines import write
from tests.gateway.policy.embedded.test_evaluation_worker import DECISION

LOOP_OVER_DATA = "slow if { some n in data.house.numbers; n < 0 }" + DECISION
PAIRS_OF_DATA = "slow if { some a in data.house.numbers; some b in data.house.numbers; a + b < 0 }" + DECISION


async def inline_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: str, numbers: int
) -> tuple[int, Decision]:
    """Counts how often a small document is begun on the event loop; returns the decision too."""
    begun = 0
    evaluate = Interpreter.evaluate

    def counted(self: Interpreter, rule: str, document: bytes, **options: Any) -> str:
        nonlocal begun
        begun += "until" in options
        return evaluate(self, rule, document, **options)

    monkeypatch.setattr(Interpreter, "evaluate", counted)
    data = {"numbers": list(range(numbers))}
    async with EmbeddedPolicyEngine(write(tmp_path, rules, data), budget_seconds=0.5) as engine:
        decision = await engine.decide(submission(document("a")))
    return begun, decision


@pytest.mark.integration
@pytest.mark.parametrize(("numbers", "begun"), [(200, 1), (2_000, 1), (2_001, 0), (100_000, 0)])
async def test_a_loop_over_much_data_is_never_begun_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: int, begun: int
) -> None:
    """Nothing ends a loop within: it would stall everybody for as long as it takes."""
    found, decision = await inline_rounds(tmp_path, monkeypatch, LOOP_OVER_DATA, numbers)
    assert (found, decision.fault, decision.rules) == (begun, "", ("r",))


@pytest.mark.integration
@pytest.mark.parametrize(("numbers", "begun"), [(2_000, 1), (10_000, 0)])
async def test_all_pairs_of_data_for_a_small_document_are_killed_at_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: int, begun: int
) -> None:
    """In the process: what was begun on the event loop ends at a checkpoint."""
    found, decision = await inline_rounds(tmp_path, monkeypatch, PAIRS_OF_DATA, numbers)
    assert (found, decision.allow, decision.fault) == (begun, False, "no decision within 0.5 s")


def test_the_least_and_the_most_data_are_measured() -> None:
    """All that JSON can be."""
    assert size_of(1) == DataSize(members=0, values=1)
    assert size_of({"a": [1, [2, 3, 4]], "b": {}}) == DataSize(members=3, values=8)


@pytest.mark.parametrize(("members", "checked"), [(250, False), (251, True)])
def test_with_much_data_each_loop_has_a_checkpoint(members: int, checked: bool) -> None:
    """Many loops, one after the other, would take long together."""
    module = ("a.rego", "package a\nimport rego.v1\nr if { some n in data.numbers; n < 0 }\n")
    data = f'{{"numbers": {list(range(members))}}}'
    rules = prepare_rules(PolicySource(modules=(module,), data=data, entry_points=()))
    assert (CHECKPOINT in rules.modules[0][1]) == checked


@pytest.mark.parametrize(("members", "values", "bounded"), [(2, 20_000, True), (2, 20_001, False)])
def test_much_data_is_much_also_in_small_parts(members: int, values: int, bounded: bool) -> None:
    """`walk` goes through all of it."""
    assert is_bounded([], DataSize(members=members, values=values)) == bounded


def test_rules_are_prepared_once_for_their_check_and_their_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """With other data too, unless there are more of them: then more of the rules may take long."""
    rewritten = []

    def rewrite(*arguments: Any) -> tuple[Module, ...]:
        rewritten.append(arguments)
        return rewrite_rules(*arguments)

    monkeypatch.setattr(interpreter, "rewrite_rules", rewrite)
    source = PolicySource(modules=(("a.rego", "package once\n"),), data='{"a": 1}', entry_points=())
    found = [prepare_rules(structs.replace(source, data=data)) for data in ('{"a": 1}', '{"b": 2}')]
    assert ([rules.data for rules in found], len(rewritten)) == (['{"a": 1}', '{"b": 2}'], 1)
    prepare_rules(structs.replace(source, data=json.dumps({"a": [1] * 300})))
    assert len(rewritten) == 2
