"""Tests the stages of runs in the API: acceptance, description, cancellation, large documents."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.core.history import HistoryKind
from gateway.core.shard_states import Phase
from gateway.store.interface import ShardWrite, Store
from tests.gateway.core.history_entries import history_entry

Document = dict[str, Any]
TASK: Document = {"name": "last", "type": "delay", "run": {"seconds": 1}, "priority": 9}


def staged(document: Document, **fields: Any) -> Document:
    spec = document["spec"] | {"collect": [TASK | {"name": "sum"}], "finally": [TASK], **fields}
    return document | {"spec": spec}


async def end(store: Store, run: str, index: int, phase: Phase) -> None:
    """Ends a shard, as the controller would."""
    shard = await store.shard(run, index)
    assert shard is not None
    after = structs.replace(shard, phase=phase, rev=shard.rev + 1)
    entry = history_entry(HistoryKind.FAILED, run=run, shard=index, at=2.0)
    await store.record([ShardWrite(shard=after, history=(entry,))], {})


@pytest.mark.parametrize("padding", [0, 20_000])
async def test_stages_are_shards_of_the_run(
    client: httpx.AsyncClient, document: Document, padding: int
) -> None:
    """Also of a document that is read in a process."""
    document = staged(document, params={"x": "y" * padding}, finallySeconds=30)
    run = (await client.post("/v1/runs", json=document)).json()["id"]

    shown = (await client.get(f"/v1/runs/{run}")).json()

    waiting = [shard["index"] for shard in shown["shards"] if shard["phase"] == "Waiting"]
    assert waiting == [1_000_000, 1_000_001]
    assert shown["phase"] == "Pending"
    assert (await client.get(f"/v1/runs/{run}?shard=finally")).status_code == 200
    missing = await client.get(f"/v1/runs/{run}/logs?task=last&shard=finally")
    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        "task last of shard finally has not started",
    )


async def test_a_shard_that_is_none_is_refused(client: httpx.AsyncClient, document: Document) -> None:
    """With what there is."""
    run = (await client.post("/v1/runs", json=staged(document))).json()["id"]

    for name in ("99", "999999999999999999999", "main", "Finally", ""):
        refused = await client.get(f"/v1/runs/{run}?shard={name}")
        assert refused.status_code == 400
        assert refused.json()["detail"].endswith("or collect or finally")


async def test_a_second_cancellation_is_taken_while_finally_runs(
    client: httpx.AsyncClient, document: Document, store: Store
) -> None:
    """And each is a part of the history."""
    document = staged(document)
    run = (await client.post("/v1/runs", json=document)).json()["id"]
    assert (await client.post(f"/v1/runs/{run}/cancel")).status_code == 202
    for shard in await store.shards(run):
        if shard.index < 1_000_000:
            await end(store, run, shard.index, Phase.CANCELLED)

    again = await client.post(f"/v1/runs/{run}/cancel")

    assert (again.status_code, again.json()["phase"]) == (202, "Cancelling")
    stored = await store.run(run)
    assert stored is not None
    assert stored.finally_cancelled_at is not None
    kinds = [entry.kind for entry in await store.history(run)]
    assert kinds.count(HistoryKind.CANCEL_REQUESTED) == 2
    await end(store, run, 1_000_001, Phase.CANCELLED)
    assert (await client.get(f"/v1/runs/{run}")).json()["phase"] == "Cancelled"


async def test_why_a_run_failed_whose_rest_succeeded_is_in_its_history(
    client: httpx.AsyncClient, document: Document, store: Store
) -> None:
    """`explain` shows it: no shard that people look at first has failed."""
    document = staged(document)
    run = (await client.post("/v1/runs", json=document)).json()["id"]
    for shard in await store.shards(run):
        await end(store, run, shard.index, Phase.SUCCEEDED if shard.index < 1_000_001 else Phase.FAILED)

    story = (await client.get(f"/v1/runs/{run}/explain")).json()

    reasons = [entry["detail"].get("reason") for entry in story["history"] if entry["kind"] == "RunPhase"]
    assert reasons[-1] == "all else succeeded, but finally is Failed"
