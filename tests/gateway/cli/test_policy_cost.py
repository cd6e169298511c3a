"""Tests the cost of rules in `waypost policy check`, beside the shipped rules and for growing documents."""

import shutil
from pathlib import Path

import pytest
from msgspec import structs

from gateway.cli.errors import Exit
from gateway.cli.policy.corpus import grown_input
from gateway.cli.policy.cost import Cost, check_cost
from gateway.cli.policy.opa_cost import check_cost_in_opa
from gateway.cli.policy.rules import check
from gateway.policy.bundle import SHIPPED_POLICIES, Bundle, read_bundle
from gateway.policy.embedded.interpreter import parse_modules
from tests.opa_fixture import OPA, needs_opa

EACH_WITH_EACH = """
submit contains "two tasks of one name" if {
	some i, a in input.workflow.spec.tasks
	some j, b in input.workflow.spec.tasks
	i < j
	a.name == b.name
}
"""
IN_A_FUNCTION = """
submit contains "unknown" if {
	some task in input.workflow.spec.tasks
	some need in task.needs
	not known(need)
}

known(name) if {
	some task in input.workflow.spec.tasks
	task.name == name
}
"""
THREE_LOOPS = """
submit contains "three" if {
	some a in input.workflow.spec.tasks
	some b in input.workflow.spec.tasks
	some c in input.workflow.spec.tasks
	a.name == concat("", [b.name, c.name])
}
"""
SEVERAL_VALUES = """
submit contains bad

bad := {"rule": "images", "message": task.name} if {
	some task in input.workflow.spec.tasks
}
"""
LINEAR = """
names := {task.name | some task in input.workflow.spec.tasks}

submit contains "unknown" if {
	some task in input.workflow.spec.tasks
	some need in task.needs
	not need in names
}
"""
DECISION = """package waypost.submission

import data.waypost.house

decision := {"allow": count(house.submit) == 0, "rules": [], "reasons": [], "obligations": {}}
"""
ALWAYS_MUCH = """
primes contains number if {
	some number in numbers.range(2, 9000)
	number * number == 7
}

submit contains "x" if count(primes) > 0
"""


def little(rules: str) -> Bundle:
    """Returns a bundle of one submission decision, with `rules` that refuse."""
    modules = (("submission.rego", DECISION), ("house/more.rego", f"package waypost.house\n{rules}"))
    shipped = read_bundle(SHIPPED_POLICIES, None)
    return structs.replace(shipped, source=structs.replace(shipped.source, modules=modules))


def cost(bundle: Bundle, *, budget: float = 10.0) -> Cost:
    return check_cost(bundle, parse_modules(bundle.source.modules), budget=budget)


@pytest.mark.parametrize("rules", [EACH_WITH_EACH, IN_A_FUNCTION, THREE_LOOPS])
def test_a_rule_that_grows_faster_than_the_document_is_named(rules: str) -> None:
    """It alone, and not the decision that needs it; also one that could not be waited for."""
    (found,) = cost(little(rules), budget=1.0).problems
    assert (found.file, found.line) == ("house/more.rego", 3)
    assert found.detail.startswith(
        "data.waypost.house.submit grows faster than the document: 1,000 tasks cost"
    )


def test_of_the_rules_of_a_hook_the_one_that_grows_is_named() -> None:
    """They share a name, and stand in files of their own: the first is not to blame for the others."""
    bundle = little(LINEAR)
    oops = f"# Zürich, for bytes that are no characters\npackage waypost.house\n{EACH_WITH_EACH}"
    modules = (
        *bundle.source.modules,
        ("house/oops.rego", oops),
        ("house/z.rego", bundle.source.modules[1][1]),
    )
    found = cost(structs.replace(bundle, source=structs.replace(bundle.source, modules=modules))).problems
    assert [(one.file, one.line) for one in found] == [("house/oops.rego", 4)]


def test_a_rule_that_costs_too_much_is_named() -> None:
    """With how much it may be: a budget in multiples of the rules that ship, not in seconds."""
    found = cost(little(ALWAYS_MUCH), budget=3.0).problems
    assert "what it costs by the rules that ship, over 3" in found[0].detail
    assert [str(one) for one in found[1:]] == ["house/more.rego:3: data.waypost.house.primes is most of it"]


def test_a_rule_that_fails_is_named_with_the_reason() -> None:
    """A failing evaluation costs a hundred times as much, which says nothing of what is wrong."""
    (found,) = cost(little(SEVERAL_VALUES)).problems
    assert (found.file, found.line) == ("house/more.rego", 5)
    assert found.detail.startswith("rules must not produce multiple outputs (in deciding about a submission")


def test_a_rule_that_grows_with_the_document_passes() -> None:
    """The note says what it costs."""
    found = cost(little(LINEAR))
    assert found.problems == ()
    assert "times what it costs by the rules that ship (p99 of 4 questions)" in found.note


def test_the_check_takes_a_budget_and_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The questions that were asked are what counts then."""
    monkeypatch.setattr("gateway.cli.policy.checks.find_opa", lambda: None)
    (tmp_path / "inputs").mkdir()
    without_tests = shutil.ignore_patterns("*_test.rego")  # they take longer than what is tested here
    rules = Path(shutil.copytree(SHIPPED_POLICIES, tmp_path / "rules", ignore=without_tests))
    data = (SHIPPED_POLICIES / "data.json").read_text()
    for tasks in (1, 2):
        (tmp_path / "inputs" / f"{tasks}.json").write_bytes(grown_input(tasks, data))
    assert check(rules, budget=0.01, corpus=tmp_path / "inputs") == Exit.FAILED
    assert "what it costs by the rules that ship, over 0.01" in capsys.readouterr().out
    assert check(rules, corpus=tmp_path / "inputs") == Exit.DONE
    assert "(p99 of 2 questions)" in capsys.readouterr().out


@needs_opa
def test_lines_that_opa_evaluates_too_often_are_named() -> None:
    """For bundles for OPA alone: counted, the same on every machine; also within functions."""
    assert OPA is not None
    (found,) = check_cost_in_opa(OPA, little(IN_A_FUNCTION), budget=10).problems
    assert str(found) == (
        "house/more.rego:11: grows faster than the document: "
        "OPA evaluates it 4,950 times for 100 tasks and 499,500 times for 1,000"
    )
    shipped = read_bundle(SHIPPED_POLICIES, None)
    passed = check_cost_in_opa(OPA, shipped, budget=1.5)
    assert passed.problems == ()
    assert passed.note.startswith("in OPA a decision evaluates 1.0 times what the rules that ship do")
    (dear,) = check_cost_in_opa(OPA, shipped, budget=0.5).problems
    assert "over 0.5" in dear.detail
