"""Tests the audit trail in the API: what a caller may see of it, filters and pages."""

from typing import Any

import httpx
import pytest
from loguru import logger

from gateway.core.decision import Action, Obligations, Reason
from gateway.core.history import HistoryKind
from gateway.core.shard_states import Event, advance
from gateway.store.interface import ShardWrite, Store
from tests.gateway.core.history_entries import history_entry

Document = dict[str, Any]


async def acts(client: httpx.AsyncClient, query: str = "") -> list[tuple[str, str]]:
    answer = await client.get(f"/v1/audit{query}")
    assert answer.status_code == 200, answer.text
    return [(entry["kind"], entry["actor"]) for entry in answer.json()["items"]]


async def test_every_act_is_listed_with_who(client: httpx.AsyncClient, document: Document) -> None:
    """Newest first; what the gateway itself did is not among them."""
    run = (await client.post("/v1/runs", json=document)).json()["id"]
    await client.post(f"/v1/runs/{run}/cancel")
    await client.post("/v1/regions/beijing/cordon")
    await client.post("/v1/regions/beijing/uncordon")

    assert await acts(client) == [("Uncordoned", "ada"), ("Cordoned", "ada"), ("CancelRequested", "ada")]
    assert await acts(client, "?kind=Cordoned&kind=Uncordoned&actor=ada&region=beijing") == [
        ("Uncordoned", "ada"),
        ("Cordoned", "ada"),
    ]
    assert await acts(client, f"?run={run}") == [("CancelRequested", "ada")]
    assert await acts(client, "?actor=nobody") == []
    assert await acts(client, "?since=99999999999") == []


async def test_pages_go_on_where_they_ended(client: httpx.AsyncClient) -> None:
    """By an opaque cursor, null on the last."""
    for path in ("cordon", "uncordon", "cordon"):
        await client.post(f"/v1/regions/beijing/{path}")
    first = (await client.get("/v1/audit?limit=2")).json()
    second = (await client.get("/v1/audit", params={"limit": 2, "continue": first["continue"]})).json()

    kinds = [entry["kind"] for page in (first, second) for entry in page["items"]]
    assert kinds == ["Cordoned", "Uncordoned", "Cordoned"]
    assert second["continue"] is None


async def test_acts_on_runs_of_other_tenants_are_not_seen(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """As in the list of runs: policy names the tenants."""
    run = (await client.post("/v1/runs", json=document)).json()["id"]
    await client.post(f"/v1/runs/{run}/cancel")
    other = {"authorization": "Bearer research.eve"}

    assert (await client.get("/v1/audit", headers=other)).json()["items"] == []
    rules.obligations = Obligations(tenants=("*",))
    assert len((await client.get("/v1/audit", headers=other)).json()["items"]) == 1


async def test_policy_decides_who_may_read(client: httpx.AsyncClient, rules: Any) -> None:
    """By an action of its own."""
    rules.refused[Action.AUDIT_READ] = Reason(rule="scope.missing", message="scope: audit:read is missing")

    assert (await client.get("/v1/audit")).status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "kind=Placed",
        "kind=cordoned",
        "since=-1",
        "since=yesterday",
        "continue=x",
        "continue=MXg",
        "limit=0",
        "who=ada",
    ],
)
async def test_a_query_that_is_not_understood_is_refused(client: httpx.AsyncClient, query: str) -> None:
    """Not ignored: a misspelt filter would widen the answer."""
    assert (await client.get(f"/v1/audit?{query}")).status_code == 400


async def test_what_an_operator_does_is_logged_with_who(
    client: httpx.AsyncClient, store: Store, document: Document
) -> None:
    """Each act once: a second cordon changes nothing."""
    found: list[tuple[str, str | None, str | None]] = []

    def keep(message: Any) -> None:
        extra = message.record["extra"]
        found.append(
            (message.record["message"], extra.get("subject"), extra.get("region") or extra.get("run"))
        )

    sink = logger.add(keep, level="INFO")
    run = (await client.post("/v1/runs", json=document)).json()["id"]
    for path in ("regions/beijing/cordon", "regions/beijing/cordon", "regions/beijing/uncordon"):
        await client.post(f"/v1/{path}")
    await client.post(f"/v1/runs/{run}/cancel")
    for shard in await store.shards(run):
        over = advance(shard, Event.CANCELLED)
        over = advance(over, Event.STOPPED).with_rev(shard.rev + 1)
        stopped = history_entry(HistoryKind.STOPPED, run=run, shard=shard.index)
        await store.record([ShardWrite(shard=over, history=(stopped,))], {})
    assert (await client.post(f"/v1/runs/{run}/retry")).status_code == 202
    logger.remove(sink)

    assert found == [
        ("Cordoned beijing by ada", "ada", "beijing"),
        ("Uncordoned beijing by ada", "ada", "beijing"),
        (f"CancelRequested {run} by ada", "ada", run),
        (f"Reopened {run} by ada", "ada", run),
    ]
