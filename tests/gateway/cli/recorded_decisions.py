"""Decisions of the shipped rules as `waypost decisions export` writes them, for tests of other rules."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.api.records.views import full_record
from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.store.decisions import RecordedDecision

DATA: dict[str, Any] = {
    "tenants": {
        "payments": {"max_priority": 7, "regions": ["beijing"]},
        "research": {"max_priority": 3, "regions": ["shanghai"]},
    },
    "residency": {},
    "banned_images": [],
}


def question(tenant: str, scope: str, number: int) -> Question:
    document = {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": f"n{number}", "tenant": tenant, "labels": {}},
        "spec": {"tasks": [{"name": "a", "type": "delay", "run": {"seconds": 1}}], "priority": 2},
    }
    who = Principal(subject="ada", issuer="https://issuer.test", tenant=tenant, scopes=(scope,))
    return Question(
        action=Action.RUNS_SUBMIT,
        principal=who,
        at=1_800_000_000.0 + number,
        workflow=msgspec.json.encode(document),
    )


async def exported(data: Path, questions: Sequence[Question]) -> bytes:
    """Decides the given inputs and returns them as `waypost decisions export` writes them."""
    async with EmbeddedPolicyEngine(SHIPPED_POLICIES, data) as engine:
        decisions = [await engine.decide(asked) for asked in questions]
    records = [full_record(RecordedDecision(decision=decision)) for decision in decisions]
    return b"\n".join(msgspec.json.encode(record) for record in records)
