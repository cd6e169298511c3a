"""The shipped policies, evaluated for generated documents: both evaluators give the same decision.

OPA gives it too, where it is installed.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.embedded.compilation import compile_source, load_bundle
from gateway.policy.embedded.evaluator import Interpreter, VirtualMachine, parse_result
from gateway.policy.embedded.rego_tests import cases_of
from gateway.policy.question import ENTRY_POINTS, encode_question

BUNDLE = load_bundle(SHIPPED_POLICIES, None)
SOURCE = BUNDLE.source
OPA = shutil.which("opa", path=str(Path(__file__).parents[4] / ".tools")) or shutil.which("opa")
MACHINE, INTERPRETER = compile_source(SOURCE), Interpreter(SOURCE)
DATA: dict[str, Any] = msgspec.json.decode(SOURCE.data)

REGIONS = st.sampled_from(["beijing", "shanghai", "shenzhen", "atlantis"])
TENANTS = st.sampled_from(["demo", "payments", "ghost"])
IMAGES = st.sampled_from(
    [
        "python",
        "untrusted/x",
        "DOCKER.io/untrusted/y",
        "ghcr.io/a/b",
        "${params.i}",
        "",
        "a" * 300,
        'q"uote',
        "é",
    ]
)
TASKS = st.fixed_dictionaries(
    {
        "name": st.text("ab-", min_size=1, max_size=3),
        "type": st.sampled_from(["process", "docker"]),
        "needs": st.just([]),
    }
    | {"run": st.just({"command": ["true"]}) | st.builds(lambda image: {"image": image}, IMAGES | st.none())}
)
SPECS = st.fixed_dictionaries(
    {
        "tasks": st.lists(TASKS, min_size=1, max_size=4),
        "priority": st.integers(0, 9),
        "deadlineSeconds": st.none() | st.floats(1, 1e6),
        "dataClass": st.none() | st.sampled_from(["public", "pii", "secret", "<undefined>"]),
        "placement": st.fixed_dictionaries({"regions": st.lists(REGIONS, max_size=2)}),
        "shards": st.fixed_dictionaries(
            {
                "count": st.none() | st.integers(1, 2000),
                "items": st.none() | st.lists(st.integers(), max_size=2),
            }
        ),
    }
)
WORKFLOWS = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"tenant": TENANTS | st.none()}), "spec": SPECS}
).map(msgspec.json.encode)
PRINCIPALS = st.builds(
    Principal,
    subject=st.just("ada"),
    issuer=st.just("https://issuer.test"),
    tenant=TENANTS,
    scopes=st.lists(
        st.sampled_from(["workflows:submit", "workflows:read", "regions:operate"]), max_size=3
    ).map(tuple),
    groups=st.sampled_from([(), ("/waypost/operators",), ("/platform",)]),
)
QUESTIONS = st.builds(
    Question,
    action=st.sampled_from(Action),
    principal=PRINCIPALS,
    at=st.just(1.0),
    workflow=WORKFLOWS | st.none(),
    context=st.just({})
    | st.builds(lambda tenant: {"run": {"id": "r", "tenant": tenant, "subject": "s"}}, TENANTS),
)


@given(QUESTIONS)
def test_both_evaluators_give_the_same_complete_decision(question: Question) -> None:
    """The document's size selects the evaluator, and must not change the decision."""
    asked = ENTRY_POINTS[question.action], encode_question(question)
    quick = MACHINE.evaluate(*asked)
    assert msgspec.json.decode(quick) == msgspec.json.decode(INTERPRETER.evaluate(*asked))
    parse_result(quick)


@given(QUESTIONS)
def test_what_is_permitted_is_within_the_data(question: Question) -> None:
    """The rules written a second time in Python.

    Nothing is permitted without its scope, its tenant, and regions in which its data may be.
    """
    answer = parse_result(MACHINE.evaluate(ENTRY_POINTS[question.action], encode_question(question)))
    assert answer.allow is not bool(answer.reasons)
    if not answer.allow or question.action not in (Action.RUNS_SUBMIT, Action.RUNS_RETRY):
        return
    document = msgspec.json.decode(question.workflow or b"{}")
    operator = "/waypost/operators" in question.principal.groups
    tenant = document["metadata"]["tenant"] or question.principal.tenant
    limits = DATA["tenants"][tenant]
    spec = document["spec"]
    assert "workflows:submit" in question.principal.scopes
    assert operator or tenant == question.principal.tenant
    assert spec["priority"] <= limits["max_priority"]
    assert answer.obligations.regions
    assert set(answer.obligations.regions) <= set(limits["regions"])
    if spec["dataClass"] is not None:
        assert set(answer.obligations.regions) <= set(DATA["residency"][spec["dataClass"]])
    if spec["placement"]["regions"]:
        assert set(answer.obligations.regions) & set(spec["placement"]["regions"])


@pytest.mark.integration
@pytest.mark.skipif(OPA is None, reason="needs `opa`, on the PATH or in .tools")
def test_opa_gives_the_same_decision_in_every_case(tmp_path: Path) -> None:
    """What the embedded engine refuses, OPA must not permit. All cases are one query."""
    cases = [
        case if case.data is not None else msgspec.structs.replace(case, data=DATA)
        for case in cases_of(BUNDLE)
    ]
    (tmp_path / "cases.json").write_bytes(msgspec.json.encode({"cases": cases}))
    asked = [(ENTRY_POINTS[Action(case.input["action"])], case.data or {}) for case in cases]
    query = ", ".join(
        f"[decision | case := data.cases[{index}]; asked := case.input; "
        + "".join(f"{name}_ := case.data.{name}; " for name in data)
        + f"decision := {rule} with input as asked"
        + "".join(f" with data.{name} as {name}_" for name in data)
        + "]"
        for index, (rule, data) in enumerate(asked)
    )
    loaded = [argument for file, _ in SOURCE.modules for argument in ("-d", str(SHIPPED_POLICIES / file))]
    found = subprocess.run(
        [str(OPA), "eval", *loaded, "-d", str(tmp_path / "cases.json"), f"[{query}]"],
        capture_output=True,
        check=True,
    )
    answers = json.loads(found.stdout)["result"][0]["expressions"][0]["value"]
    assert len(answers) == len(cases) > 100
    for (rule, data), case, answer in zip(asked, cases, answers, strict=True):
        machine = VirtualMachine(msgspec.structs.replace(SOURCE, data=msgspec.json.encode(data).decode()))
        own = msgspec.json.decode(machine.evaluate(rule, msgspec.json.encode(case.input)))
        assert [unordered(one) for one in answer] == [unordered(own)], case.input


def unordered(decision: Any) -> Any:
    """Sets come as lists, in an order that depends on the engine."""
    if isinstance(decision, dict):
        return {name: unordered(value) for name, value in decision.items()}
    return sorted(map(json.dumps, map(unordered, decision))) if isinstance(decision, list) else decision
