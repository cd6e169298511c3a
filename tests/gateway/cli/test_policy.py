"""Tests `waypost policy`: what its commands report about rules before they are in force."""

import json
import re
import shutil
from pathlib import Path

import pytest

from gateway.cli.policy import checks, rules
from gateway.policy.answer import ALWAYS_HARD
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.embedded.loading import load_bundle
from tests.opa_fixture import needs_opa

WORKFLOW = """
apiVersion: waypost/v1
kind: Workflow
metadata: {name: hello, labels: {team: etl}}
spec:
  priority: 5
  tasks:
    - {name: a, type: process, run: {command: ["true"]}}
"""
LABELS = """package waypost.house

submit contains {"rule": "labels.team", "message": "labels: team is missing"} if not has_team

has_team if input.workflow.metadata.labels.team
"""
LABELS_TEST = """package waypost.labels_test

test_without_a_team if {
	count(data.waypost.house.submit) == 1 with input as {"workflow": {"metadata": {"labels": {}}}}
}

test_with_a_team if {
	count(data.waypost.house.submit) == 0 with input as {"workflow": {"metadata": {"labels": {"team": "a"}}}}
}
"""


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED_POLICIES, tmp_path / "policies"))


@pytest.fixture
def untested(tmp_path: Path) -> Path:
    """The shipped rules without their tests, which take longer than all else that is checked."""
    ignore = shutil.ignore_patterns("*_test.rego")
    return Path(shutil.copytree(SHIPPED_POLICIES, tmp_path / "policies", ignore=ignore))


@pytest.fixture
def no_opa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_opa", lambda: None)


@pytest.fixture
def workflow(tmp_path: Path) -> str:
    path = tmp_path / "hello.yaml"
    path.write_text(WORKFLOW)
    return str(path)


def test_the_rules_that_ship_pass(no_opa: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The revision is that of a gateway with these rules; without an OPA it says what was not checked."""
    bundle = load_bundle(SHIPPED_POLICIES, None)
    assert rules.check(SHIPPED_POLICIES) == 0
    unchecked, cost, last = capsys.readouterr().out.splitlines()
    assert unchecked.startswith("note: no opa here")
    assert cost.startswith("note: a decision costs")
    assert last == f"revision {bundle.revision}: {len(bundle.source.modules)} modules"


@needs_opa
def test_with_an_opa_it_says_what_the_tests_reach(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of the rules that ship."""
    assert rules.check(SHIPPED_POLICIES) == 0
    assert "note: tests reach 100 % of the lines\n" in capsys.readouterr().out


def test_all_problems_come_at_once_with_file_and_line(
    no_opa: None, shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An author mends them in one go."""
    one, two = shipped / "house" / "one.rego", shipped / "house" / "two.rego"
    one.parent.mkdir(exist_ok=True)
    one.write_text('package waypost.house\n\nsubmit contains "x" if glob.match("*", [], input.at)\n')
    two.write_text('package waypost.house\n\n\nsubmit contains "y" if time.now_ns() > 1\n')
    assert rules.check(shipped) == 1
    first, second, last = capsys.readouterr().out.splitlines()[-3:]
    assert first.startswith(f"{one}:3: glob.match is not here: ")
    assert second.startswith(f"{two}:4: time.now_ns is refused, ")
    assert last == "refused: 2 problems"


@needs_opa
def test_a_field_that_the_input_does_not_have_is_found(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt field is never there: a rule that denies by it would deny nothing."""
    path = shipped / "house" / "one.rego"
    path.parent.mkdir(exist_ok=True)
    path.write_text('package waypost.house\n\nsubmit contains "x" if input.workflow.spec.prioritiy > 5\n')
    assert rules.check(shipped) == 1
    assert f"{path}:3: undefined ref: input.workflow.spec.prioritiy" in capsys.readouterr().out


def test_a_failing_test_is_a_problem(no_opa: None, shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the line of the test; of many failures the command `test` shows the first of each file."""
    path = shipped / "caller" / "caller.rego"
    path.write_text(path.read_text() + '\ndeny contains {"rule": "odd", "message": "odd"}\n')
    assert rules.check(shipped) == 1
    assert "submission_test.rego:" in capsys.readouterr().out
    assert rules.test(shipped) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("more of its tests")] != []
    assert len(lines) < int(last.split()[-2]) / 2
    assert int(last.split()[-2]) > 50


def test_a_rule_that_no_decision_uses_is_named(
    no_opa: None, untested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt hook would refuse nothing, without a word."""
    path = untested / "house" / "labels.rego"
    path.parent.mkdir(exist_ok=True)
    path.write_text(LABELS.replace("submit contains", "sumbit contains"))
    assert rules.check(untested) == 0
    assert (
        "note: house/labels.rego:3: data.waypost.house.sumbit is used by no decision"
        in capsys.readouterr().out
    )


def test_a_house_rule_with_its_test_is_all_it_takes(
    no_opa: None, shipped: Path, workflow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file, its test beside it; no test of what ships is touched, and the rule decides."""
    house = shipped / "house"
    house.mkdir(exist_ok=True)
    (house / "labels.rego").write_text(LABELS)
    (house / "labels_test.rego").write_text(LABELS_TEST)
    assert rules.check(shipped) == 0
    assert rules.evaluate(shipped, workflow) == 0
    Path(workflow).write_text(WORKFLOW.replace("labels: {team: etl}", "labels: {}"))
    assert rules.evaluate(shipped, workflow) == 3
    assert "refused by labels.team\n  labels.team: labels: team is missing\n" in capsys.readouterr().out


def test_rules_that_the_engine_refuses_are_not_tried(
    shipped: Path, workflow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would be said of them here is not what OPA says: `{"count": n}` matches larger objects."""
    rule = 'package waypost.house\n\nsubmit contains n if {"count": n} = input.workflow.spec.shards\n'
    (shipped / "house" / "shards.rego").write_text(rule)
    assert rules.evaluate(shipped, workflow) == 1
    assert "house/shards.rego:3: an object with names in a pattern" in capsys.readouterr().out


def test_a_level_for_a_rule_that_there_is_not_is_named(
    no_opa: None, shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt id would leave its rule hard, without a word; who calls is not to be made less of."""
    path = shipped / "data.json"
    data = json.loads(path.read_text())
    # With levels of every kind of rule: no test of what ships may depend on there being none.
    ids = set(re.findall(r'"rule": "([\w.]+)"', "".join(map(Path.read_text, shipped.rglob("*.rego")))))
    levels = dict.fromkeys(ids - ALWAYS_HARD, "soft")
    assert "image.banned" in levels
    path.write_text(json.dumps(data | {"levels": levels | {"image.baned": "soft"}}))
    assert rules.check(shipped) == 0
    out = capsys.readouterr().out
    assert "note: data.json: levels: no rule here has the id image.baned\n" in out
    assert "image.banned\n" not in out
    path.write_text(json.dumps(data | {"levels": {"tenant.foreign": "advisory"}}))
    assert rules.check(shipped) == 1
    assert (
        "data.json: $.levels: tenant.foreign is about who calls, and always hard" in capsys.readouterr().out
    )


def test_levels_and_exceptions_are_tried(
    no_opa: None, shipped: Path, workflow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the gateway would enforce them."""
    path = shipped / "data.json"
    data = json.loads(path.read_text())
    data["tenants"]["demo"]["max_shards"] = 1
    Path(workflow).write_text(WORKFLOW.replace("tasks:", "shards: {count: 2}\n  tasks:"))
    codes = []
    for level in ("hard", "soft", "advisory"):
        path.write_text(json.dumps(data | {"levels": {"shards.maximum": level}}))
        codes += [
            rules.evaluate(shipped, workflow),
            rules.evaluate(shipped, workflow, excepted=("shards.maximum",)),
        ]
    assert codes == [3, 3, 3, 0, 0, 0]
    assert "allowed despite shards.maximum" in capsys.readouterr().out


def test_rules_alone_are_checked_too(
    no_opa: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without data, tests and decisions, as rules come from elsewhere."""
    (tmp_path / "a.rego").write_text('package idiom\ndeny contains "x" if input.at > 1\n')
    assert rules.check(tmp_path) == 0
    assert "note: no rule here decides about an action" in capsys.readouterr().out


@needs_opa
def test_a_bundle_for_opa_may_use_what_the_embedded_engine_does_not_have(
    untested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so in its manifest; what no engine may do stays refused."""
    path = untested / "house" / "one.rego"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        'package waypost.house\n\nsubmit contains "x" if glob.match("x*", [], input.principal.subject)\n'
    )
    assert rules.check(untested) == 1
    (untested / ".manifest").write_text('{"metadata": {"engine": "opa"}}')
    capsys.readouterr()
    assert rules.check(untested) == 0
    assert "note: for OPA alone" in capsys.readouterr().out
    path.write_text('package waypost.house\n\nsubmit contains "x" if time.now_ns() > 1\n')
    assert rules.check(untested) == 1
    (untested / ".manifest").write_text('{"metadata": {"engine": "opha"}}')
    assert rules.check(untested) == 1
    assert ".manifest: metadata.engine is 'opha': opa, or none" in capsys.readouterr().out


@needs_opa
def test_what_only_opa_can_read_may_not_ask_the_clock_either(
    untested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The embedded engine does not know template strings, so it cannot tell what a rule with them calls."""
    path = untested / "house" / "one.rego"
    path.parent.mkdir(exist_ok=True)
    (untested / ".manifest").write_text('{"metadata": {"engine": "opa"}}')
    path.write_text('package waypost.house\n\nsubmit contains $"{input.at}" if input.at > 1\n')
    assert rules.check(untested) == 0
    path.write_text('package waypost.house\n\nsubmit contains $"{input.at}" if time.now_ns() > 1\n')
    assert rules.check(untested) == 1
    assert f"{path}:3: undefined function time.now_ns" in capsys.readouterr().out


@needs_opa
def test_one_document_is_tried_by_either_engine(workflow: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same words, since it is the same rules."""
    Path(workflow).write_text(WORKFLOW.replace("priority: 5", "priority: 9"))
    assert [rules.evaluate(SHIPPED_POLICIES, workflow, opa=opa) for opa in (False, True)] == [3, 3]
    printed = capsys.readouterr().out
    assert printed == 2 * printed[: len(printed) // 2]
    assert printed.startswith("refused by priority.cap\n")


def test_a_whole_input_is_tried_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For actions without a workflow, and callers of any kind."""
    path = tmp_path / "input.json"
    principal = {"subject": "a", "issuer": "i", "tenant": "demo", "client": "", "scopes": [], "groups": []}
    path.write_text(json.dumps({"action": "regions:read", "at": 1, "context": {}, "principal": principal}))
    assert rules.evaluate(SHIPPED_POLICIES, str(path)) == 3
    assert "refused by scope.missing" in capsys.readouterr().out


def broken(shipped: Path, rule: str) -> list[str]:
    """Writes wrong data and a wrong rule, and returns the places that the check names."""
    (shipped / "house" / "oops.rego").write_text(f"package waypost.house\n\n{rule}\n")
    return [f"{one.file}:{one.line}" for one in checks.check_bundle(shipped).problems]


@pytest.mark.usefixtures("no_opa")
def test_bad_data_hide_no_problem_of_the_rules(shipped: Path) -> None:
    """Whoever mends one would find the next only then."""
    (shipped / "data.json").write_text("{")
    found = broken(shipped, 'submit contains "late" if time.now_ns() > 1')
    assert found == ["data.json:1", "house/oops.rego:3"]


@needs_opa
def test_a_forbidden_builtin_hides_no_field_that_is_unknown(shipped: Path) -> None:
    """An `opa` that misses a builtin looks at no types."""
    rule = (
        'submit contains "late" if time.now_ns() > 1\n\nsubmit contains "x" if input.workflow.metadata.label'
    )
    assert broken(shipped, rule) == ["house/oops.rego:3", "house/oops.rego:5"]
