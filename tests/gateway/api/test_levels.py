"""Tests submissions under soft and advisory rules, with policy exceptions, through the API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.decision import Action, Question
from gateway.core.principal import Principal
from gateway.identity.development_issuer import SCOPES
from gateway.identity.interface import RequestCredentials
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.settings import PolicySettings
from gateway.store.interface import Store
from gateway.submission.recorded_policy import RecordedPolicy
from tests.gateway.api.conftest import Door

Document = dict[str, Any]
LEVELS = {"shards.maximum": "soft", "deadline.maximum": "advisory"}
PATH = "/v1/policy/exceptions"


class ScopedDoor(Door):
    """A fake authenticator that gives everybody every scope, and makes tenant `operations` operators."""

    async def authenticate(self, credentials: RequestCredentials) -> Principal:
        principal = await super().authenticate(credentials)
        groups = ("/waypost/operators",) if principal.tenant == "operations" else ()
        return structs.replace(principal, scopes=SCOPES, groups=groups)


@pytest.fixture
async def policy(tmp_path: Path, services: Services, store: Store) -> AsyncIterator[RecordedPolicy]:
    data = msgspec.json.decode((SHIPPED_POLICIES / "data.json").read_bytes())
    data["tenants"]["payments"] |= {"max_shards": 1, "max_deadline_seconds": 60}
    path = tmp_path / "data.json"
    path.write_bytes(msgspec.json.encode(data | {"levels": LEVELS}))
    async with RecordedPolicy(
        EmbeddedPolicyEngine(SHIPPED_POLICIES, path),
        store,
        PolicySettings(),
        on_decision=lambda _: None,
        on_unrecorded=lambda _: None,
        exceptions=services.exceptions,
    ) as policy:
        yield policy


@pytest.fixture
async def client(services: Services, policy: RecordedPolicy) -> AsyncIterator[httpx.AsyncClient]:
    of_rules = structs.replace(services, policy=policy, authenticator=ScopedDoor())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api(of_rules), raise_app_exceptions=True),
        base_url="http://gateway",
        headers={"authorization": "Bearer payments.ada"},
    ) as client:
        yield client


def by(subject: str) -> dict[str, str]:
    return {"authorization": f"Bearer operations.{subject}"}


async def grant(client: httpx.AsyncClient, services: Services, **changes: Any) -> str:
    body = {"rule": "shards.maximum", "reason": "a backfill", "ticket": "OPS-7"}
    body |= {"expires_at": services.clock() + 60} | changes
    exception = str((await client.post(PATH, json=body)).json()["id"])
    for name in ("bob", "eve"):
        answer = await client.post(f"{PATH}/{exception}/approve", headers=by(name))
        assert answer.status_code == 200, answer.text
    return exception


async def test_a_soft_rule_refuses_with_the_command_that_asks_for_an_exception(
    client: httpx.AsyncClient, document: Document
) -> None:
    answer = await client.post("/v1/runs", json=document)

    assert answer.status_code == 403
    assert (
        "`waypost policy exceptions ask shards.maximum --reason WHY --ticket WHERE --expires 7d`"
        in answer.json()["detail"]
    )
    assert answer.json()["reasons"][0]["level"] == "soft"


async def test_a_refusal_tells_advisory_rules_from_those_that_refuse(
    client: httpx.AsyncClient, document: Document
) -> None:
    """Whoever mends what only warns is refused again."""
    document["spec"]["deadlineSeconds"] = 3_600
    detail = (await client.post("/v1/runs", json=document)).json()["detail"]
    refusing, warning = detail.split(" (a warning only: ")
    assert refusing.startswith("shards: ") and "deadline" not in refusing
    assert warning.startswith("deadline: 3600 s") and "asks for an exception" in warning


async def test_an_exception_lets_a_run_in_and_the_record_says_which(
    client: httpx.AsyncClient, services: Services, store: Store, document: Document
) -> None:
    """Where the run is explained, in the decision's record, and with the acceptance itself."""
    exception = await grant(client, services, workflow="nightly")

    answer = await client.post("/v1/runs", json=document)

    assert answer.status_code == 202
    assert f"(exception {exception})" in answer.headers["warning"]
    story = (await client.get(f"/v1/runs/{answer.json()['id']}/explain")).json()
    assert story["decisions"][0]["reasons"][0]["exception"] == exception
    recorded = await store.recorded_decision(answer.json()["decision_id"])
    assert recorded is not None
    assert (recorded.decision.allow, recorded.decision.reasons[0].exception) == (True, exception)
    trail = await store.trail(after=0)
    assert list(trail.entries.values())[-1]["decision"]["reasons"][0]["exception"] == exception


async def test_the_run_is_placed_by_the_exception_until_it_is_revoked(
    client: httpx.AsyncClient, services: Services, store: Store, policy: RecordedPolicy, document: Document
) -> None:
    exception = await grant(client, services)
    run = await store.run((await client.post("/v1/runs", json=document)).json()["id"])
    assert run is not None
    assert run.principal is not None
    placing = Question(
        action=Action.RUNS_PLACE,
        principal=run.principal,
        at=services.clock(),
        workflow=run.workflow,
        context={"run": {"id": run.id, "tenant": run.tenant, "subject": run.subject}},
        digest=run.fingerprint.hex(),
    )
    before = await policy.decide(placing)

    await client.post(f"{PATH}/{exception}/revoke")

    assert [before.allow, (await policy.decide(placing)).allow] == [True, False]


async def test_an_exception_for_another_workflow_or_document_or_that_one_person_approved_lets_nothing_in(
    client: httpx.AsyncClient, services: Services, document: Document
) -> None:
    await grant(client, services, workflow="weekly")
    await grant(client, services, document="0" * 64)
    body = {"rule": "shards.maximum", "reason": "r", "ticket": "t", "expires_at": services.clock() + 60}
    half = (await client.post(PATH, json=body)).json()["id"]
    await client.post(f"{PATH}/{half}/approve", headers=by("bob"))

    assert (await client.post("/v1/runs", json=document)).status_code == 403


async def test_the_record_of_a_soft_refusal_has_the_digest_that_an_exception_can_name(
    client: httpx.AsyncClient, services: Services, policy: RecordedPolicy, document: Document
) -> None:
    refused = (await client.post("/v1/runs", json=document)).json()["decision_id"]
    await policy.flush()
    record = (await client.get(f"/v1/decisions/{refused}")).json()

    await grant(client, services, document=record["digest"])

    assert (await client.post("/v1/runs", json=document)).status_code == 202


async def test_a_tenant_does_not_approve_its_own_exceptions(
    client: httpx.AsyncClient, services: Services
) -> None:
    body = {"rule": "shards.maximum", "reason": "r", "ticket": "t", "expires_at": services.clock() + 60}
    one = (await client.post(PATH, json=body)).json()["id"]

    answer = await client.post(f"{PATH}/{one}/approve", headers={"authorization": "Bearer payments.bob"})

    assert (answer.status_code, answer.json()["reasons"][0]["rule"]) == (403, "exception.approver")


async def test_an_advisory_rule_warns_in_a_dry_run_and_an_acceptance(
    client: httpx.AsyncClient, document: Document
) -> None:
    document["spec"] |= {"deadlineSeconds": 3_600}
    document["spec"]["shards"] = {"count": 1}

    plan = await client.post("/v1/runs?dryRun=true", json=document)
    accepted = await client.post("/v1/runs", json=document)

    assert (plan.status_code, accepted.status_code) == (200, 202)
    for answer in (plan, accepted):
        assert "deadline.maximum: deadline: 3600 s" in answer.headers["warning"]
    assert plan.json()["decision"]["obligations"]["warnings"]
