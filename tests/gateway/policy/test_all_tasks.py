"""Tests that rules see the tasks of all stages, and that what is masked there is masked in the record."""

import json
from typing import Any

import pytest

from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.all_tasks import with_all_tasks
from gateway.policy.masking import masked
from gateway.policy.question import encode_question


def document(**spec: Any) -> bytes:
    return json.dumps({"metadata": {"name": "a"}, "spec": spec}, separators=(",", ":")).encode()


def task(name: str, secret: str = "s") -> dict[str, Any]:
    return {"name": name, "run": {"env": {"SECRET": secret}}}


STAGED = document(tasks=[task("a"), task("b")], collect=[task("c")], **{"finally": [task("d")]}, priority=5)


def question(workflow: bytes) -> Question:
    principal = Principal(subject="ada", issuer="i", tenant="demo")
    return Question(action=Action.RUNS_SUBMIT, principal=principal, at=1.0, workflow=workflow)


def test_the_tasks_of_all_stages_are_where_rules_look_for_tasks() -> None:
    """No rule about tasks is evaded by writing one into `finally`, nor is a rule that is older."""
    seen = json.loads(encode_question(question(STAGED)))["workflow"]["spec"]

    assert [task["name"] for task in seen["tasks"]] == ["a", "b", "c", "d"]
    assert [task["name"] for task in seen["collect"] + seen["finally"]] == ["c", "d"]
    assert seen["priority"] == 5


@pytest.mark.parametrize(
    "workflow",
    [
        document(tasks=[task("finally")]),
        document(tasks=[{"name": "a", "run": {"finally": 1}}]),
        b'{"finally": 1}',
        b'{"spec": ["finally"]}',
        document(tasks={"finally": 1}, collect=[]),
    ],
)
def test_what_has_no_stages_stays_as_it_is(workflow: bytes) -> None:
    """Policy is also asked about documents that nobody has checked (`waypost policy eval`)."""
    assert json.loads(with_all_tasks(workflow)) == json.loads(workflow)


@pytest.mark.parametrize(
    ("pointer", "left"),
    [
        ("/workflow/spec/tasks/1/run/env", "acd"),
        ("/workflow/spec/tasks/2/run/env", "abd"),
        ("/workflow/spec/tasks/3/run/env", "abc"),
        ("/workflow/spec/finally/0/run/env", "abc"),
        ("/workflow/spec/tasks/4/run/env", "abcd"),
        ("/workflow/spec/tasks", ""),
    ],
)
def test_what_a_rule_masks_among_all_tasks_is_not_recorded(pointer: str, left: str) -> None:
    """The record has the document as it was sent: there the task is in its stage."""
    kept = json.loads(masked(question(STAGED), [pointer]).workflow or b"")["spec"]
    tasks = [one for stage in ("tasks", "collect", "finally") for one in kept.get(stage, ())]

    assert "".join(one["name"] for one in tasks if "env" in one["run"]) == left
