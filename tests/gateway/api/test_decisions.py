"""Tests recorded decisions in the API: who sees which, filters, pages, and the input of one."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.api.http.services import Services
from gateway.core.decision import Action, Obligations, Reason
from gateway.settings import PolicySettings
from gateway.submission.recorded_policy import RecordedPolicy
from tests.gateway.api.callers import caller

Document = dict[str, Any]
BANNED = Reason(rule="image.banned", message="no such image here")


@pytest.fixture
async def policy(services: Services) -> RecordedPolicy:
    return RecordedPolicy(
        services.policy,
        services.store,
        PolicySettings(),
        on_decision=services.metrics.count_decision,
        on_unrecorded=services.metrics.unrecorded_decisions.inc,
    )


@pytest.fixture
async def client(services: Services, policy: RecordedPolicy) -> AsyncIterator[httpx.AsyncClient]:
    async with caller(services, policy=policy) as client:
        yield client


async def listed(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/decisions{query}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_refusals_are_listed_by_who_and_why(
    client: httpx.AsyncClient, policy: RecordedPolicy, rules: Any, document: Document
) -> None:
    """A security team reads the refusals of the day, with what the rules were asked."""
    rules.refused = {Action.RUNS_SUBMIT: BANNED}
    refused = await client.post("/v1/runs", json=document)
    await policy.flush()

    (found,) = await listed(client, "?refused=true&action=runs:submit&subject=ada&since=0")
    assert found["id"] == refused.json()["decision_id"]
    assert (found["allow"], found["tenant"], found["subject"], found["name"]) == (
        False,
        "payments",
        "ada",
        "nightly",
    )
    assert found["reasons"] == [{"rule": "image.banned", "message": "no such image here"}]
    assert found["trace_id"]
    assert "input" not in found

    one = (await client.get(f"/v1/decisions/{found['id']}")).json()
    assert one["input"]["workflow"]["metadata"]["name"] == "nightly"
    assert one["input"]["principal"]["subject"] == "ada"
    assert one["input"]["action"] == "runs:submit"


async def test_what_was_accepted_is_listed_with_its_run(
    client: httpx.AsyncClient, document: Document
) -> None:
    """At once: it was stored with the run. A cancellation and an act on a region are too."""
    run = (await client.post("/v1/runs", json=document)).json()["id"]
    await client.post(f"/v1/runs/{run}/cancel")
    await client.post("/v1/regions/beijing/cordon")

    found = await listed(client)
    assert [(item["action"], item["run"]) for item in found] == [
        ("regions:operate", ""),
        ("runs:cancel", run),
        ("runs:submit", run),
    ]
    assert [item["id"] for item in await listed(client, f"?run={run}&action=runs:submit")] == [found[2]["id"]]
    story = (await client.get(f"/v1/runs/{run}/explain")).json()
    assert all("question" not in decision for decision in story["decisions"])


async def test_decisions_of_other_tenants_are_not_seen(
    services: Services, policy: RecordedPolicy, client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """Neither listed nor got by id, unless policy names the tenant."""
    await client.post("/v1/runs", json=document)
    (found,) = await listed(client)
    async with caller(services, "research.eve", policy=policy) as other:
        assert await listed(other) == []
        assert (await other.get(f"/v1/decisions/{found['id']}")).status_code == 404
        rules.obligations = Obligations(tenants=("*",))
        assert [item["id"] for item in await listed(other)] == [found["id"]]
        assert await listed(other, "?tenant=research") == []
        assert (await other.get(f"/v1/decisions/{found['id']}")).status_code == 200


async def test_a_list_has_the_inputs_where_they_are_asked_for(
    services: Services, client: httpx.AsyncClient, policy: RecordedPolicy, rules: Any, document: Document
) -> None:
    """The same records as one by one, and of the caller's tenants alone."""
    await client.post("/v1/runs", json=document)
    rules.refused = {Action.RUNS_SUBMIT: BANNED}
    await client.post("/v1/runs", json=document)
    await policy.flush()

    found = await listed(client, "?inputs=true&action=runs:submit&limit=200")
    alone = [(await client.get(f"/v1/decisions/{item['id']}")).json() for item in found]
    assert found == alone
    assert [item["input"]["workflow"]["kind"] for item in found] == ["Workflow", "Workflow"]
    async with caller(services, "research.eve", policy=policy) as other:
        assert await listed(other, "?inputs=true") == []


async def test_pages_and_bad_queries(client: httpx.AsyncClient) -> None:
    """A cursor goes on; what it is not is named."""
    for path in ("cordon", "uncordon", "cordon"):
        await client.post(f"/v1/regions/beijing/{path}")
    first = (await client.get("/v1/decisions?limit=2")).json()
    rest = await listed(client, f"?limit=2&continue={first['continue']}")
    assert len(first["items"]) == 2
    assert len(rest) == 1
    for query in ("action=runs:fly", "continue=!", "since=-1", "refused=maybe", "colour=red"):
        assert (await client.get(f"/v1/decisions?{query}")).status_code == 400
    assert (await client.get("/v1/decisions/d9")).status_code == 404


async def test_whom_policy_refuses_sees_nothing(client: httpx.AsyncClient, rules: Any) -> None:
    """The records name callers of a whole tenant."""
    rules.refused = {Action.AUDIT_READ: Reason(rule="audit.scope", message="no")}
    assert (await client.get("/v1/decisions")).status_code == 403
    assert (await client.get("/v1/decisions/d1")).status_code == 403


async def test_the_trail_is_for_those_who_may_see_all(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """It is about all tenants. Page after page until there is no more."""
    await client.post("/v1/runs", json=document)
    assert (await client.get("/v1/audit/trail")).status_code == 403
    rules.obligations = Obligations(tenants=("*",), regions=("beijing",))
    page = (await client.get("/v1/audit/trail")).json()
    assert [entry["kind"] for entry in page["entries"]] == ["Accepted"]
    assert page["entries"][0]["decision"]["question"]["principal"]["subject"] == "ada"
    rest = (await client.get(f"/v1/audit/trail?entry={page['last_entry']}&seal={page['last_seal']}")).json()
    assert (rest["entries"], rest["seals"]) == ([], [])
