"""The rules that ship, asked about documents that nobody thought of: both evaluators, one answer."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.principal import Action, Principal, Question
from gateway.policy.answer import read as read_answer
from gateway.policy.bundle import examine, read
from gateway.policy.evaluator import Interpreter
from gateway.policy.question import ENTRY_POINTS, encode
from gateway.policy.regorus import SHIPPED

RULES = read(SHIPPED, None).rules
MACHINE, INTERPRETER = examine(RULES), Interpreter(RULES)
DATA: dict[str, Any] = msgspec.json.decode(RULES.data)

REGIONS = st.sampled_from(["beijing", "shanghai", "shenzhen", "atlantis"])
TENANTS = st.sampled_from(["demo", "payments", "ghost"])
IMAGES = st.sampled_from(["python", "untrusted/x", "DOCKER.io/untrusted/y", "ghcr.io/a/b", "${params.i}", "", "a" * 300, 'q"uote', "é"])
TASKS = st.fixed_dictionaries(
    {"name": st.text("ab-", min_size=1, max_size=3), "type": st.sampled_from(["process", "docker"]), "needs": st.just([])}
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
            {"count": st.none() | st.integers(1, 2000), "items": st.none() | st.lists(st.integers(), max_size=2)}
        ),
    }
)
WORKFLOWS = st.fixed_dictionaries({"metadata": st.fixed_dictionaries({"tenant": TENANTS | st.none()}), "spec": SPECS}).map(
    msgspec.json.encode
)
PRINCIPALS = st.builds(
    Principal,
    subject=st.just("ada"),
    issuer=st.just("https://issuer.test"),
    tenant=TENANTS,
    scopes=st.lists(st.sampled_from(["workflows:submit", "workflows:read", "regions:operate"]), max_size=3).map(tuple),
    groups=st.sampled_from([(), ("/waypost/operators",), ("/platform",)]),
)
QUESTIONS = st.builds(
    Question,
    action=st.sampled_from(Action),
    principal=PRINCIPALS,
    at=st.just(1.0),
    workflow=WORKFLOWS | st.none(),
    context=st.just({}) | st.builds(lambda tenant: {"run": {"id": "r", "tenant": tenant, "subject": "s"}}, TENANTS),
)


@given(QUESTIONS)
def test_both_evaluators_give_the_same_complete_decision(question: Question) -> None:
    """Which of them is asked depends on bytes alone: it must not show in the answer."""
    asked = ENTRY_POINTS[question.action], encode(question)
    quick = MACHINE.evaluate(*asked)
    assert msgspec.json.decode(quick) == msgspec.json.decode(INTERPRETER.evaluate(*asked))
    read_answer(quick)


@given(QUESTIONS)
def test_what_is_permitted_is_within_the_data(question: Question) -> None:
    """Read once more without Rego: nothing gets in without its scope, its tenant, and regions that its data may be in."""
    answer = read_answer(MACHINE.evaluate(ENTRY_POINTS[question.action], encode(question)))
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
        assert set(answer.obligations.regions) <= set(spec["placement"]["regions"])
