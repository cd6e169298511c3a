"""Tests that the rules that ship decide about tasks of every stage, with both engines."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.embedded.interpreter import Interpreter
from gateway.policy.embedded.loading import load_bundle
from tests.gateway.policy.embedded.test_agreement import decided, decided_by_opa
from tests.opa_fixture import needs_opa

SHIPPED = load_bundle(SHIPPED_POLICIES, None)
GOOD: dict[str, Any] = {"name": "good", "type": "process", "run": {"command": ["true"]}}
BAD: dict[str, Any] = {"name": "bad", "type": "docker", "run": {"image": "untrusted/x:1"}}
STAGES = ("tasks", "collect", "finally")
ACTIONS = (Action.RUNS_SUBMIT, Action.RUNS_PLACE, Action.RUNS_RETRY)


def question(action: Action, **spec: Any) -> Question:
    """Returns a query of a tenant of the example about a document with these fields in its spec."""
    principal = Principal(
        subject="ada",
        issuer="i",
        tenant="demo",
        client="",
        scopes=("workflows:submit", "workflows:cancel"),
        groups=(),
        expires_at=2e9,
    )
    whole = {"tasks": [GOOD], "priority": 5, "deadlineSeconds": None, "dataClass": None}
    whole |= {"shards": {"count": 1, "items": None}, "placement": {"regions": [], "avoid": []}, **spec}
    document = {"metadata": {"name": "w", "tenant": "demo", "labels": {}}, "spec": whole}
    run = {"id": "r", "tenant": "demo", "subject": "ada", "labels": {}}
    return Question(
        action=action,
        principal=principal,
        at=1.8e9,
        workflow=json.dumps(document, separators=(",", ":")).encode(),
        context={} if action is Action.RUNS_SUBMIT else {"run": run},
    )


@pytest.mark.parametrize("action", ACTIONS)
def test_no_rule_is_evaded_by_a_stage(action: Action) -> None:
    """A banned image is refused wherever its task stands; a good task there changes nothing."""
    interpreter = Interpreter(SHIPPED.source)
    plain = decided(interpreter, question(action))
    assert plain[0] is True
    for stage in STAGES:
        tasks = [GOOD, BAD] if stage == "tasks" else [BAD]
        allow, rules, _, _ = decided(interpreter, question(action, **{stage: tasks}))
        assert (allow, rules) == (False, ["image.banned"]), stage
        assert decided(interpreter, question(action, **{stage: [GOOD]})) == plain


@needs_opa
def test_opa_decides_alike(tmp_path: Path) -> None:
    """It gets the same input."""
    interpreter = Interpreter(SHIPPED.source)
    asked = [
        question(action, **{stage: tasks})
        for action in ACTIONS
        for stage in STAGES
        for tasks in ([GOOD], [BAD])
    ]

    assert decided_by_opa(SHIPPED, asked, tmp_path) == [decided(interpreter, one) for one in asked]
