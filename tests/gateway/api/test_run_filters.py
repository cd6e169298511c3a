"""Tests the filters of the list of runs, also those that could match nothing."""

from typing import Any

import httpx
import pytest

from gateway.store.interface import FoundRuns, RunQuery, Store
from waypost.turns import turn_key

Document = dict[str, Any]


async def submitted(client: httpx.AsyncClient, document: Document) -> str:
    return str((await client.post("/v1/runs", json=document)).json()["id"])


async def test_a_list_is_narrowed_to_ids_that_begin_so(client: httpx.AsyncClient, document: Document) -> None:
    """So that a person need not type a whole id; pages go on as in any other list."""
    ids = sorted([await submitted(client, document) for _ in range(3)], reverse=True)
    whole = (await client.get("/v1/runs", params={"id": ids[1]})).json()
    assert ([run["id"] for run in whole["items"]], whole["continue"]) == ([ids[1]], None)
    page = (await client.get("/v1/runs", params={"id": ids[0][0], "limit": 2})).json()
    assert [run["id"] for run in page["items"]] == ids[:2]
    rest = (await client.get("/v1/runs", params={"id": ids[0][0], "continue": page["continue"]})).json()
    assert ([run["id"] for run in rest["items"]], rest["continue"]) == (ids[2:], None)
    assert (await client.get("/v1/runs", params={"id": "f" * 28})).json()["items"] == []
    for wrong in ("", "x", "f" * 29, "%", "F"):
        assert (await client.get("/v1/runs", params={"id": wrong})).status_code == 400


@pytest.mark.parametrize("label", ["team!=data", "!team", "team in (a)", "te am=a", "=a", f"{'a' * 64}=b"])
async def test_a_label_that_no_run_can_have_is_refused(client: httpx.AsyncClient, label: str) -> None:
    """Instead of an empty list, which looks like an answer."""
    refused = await client.get("/v1/runs", params={"label": label})
    assert (refused.status_code, "NAME=VALUE" in refused.json()["detail"]) == (400, True)


async def test_what_is_read_for_a_caller_is_read_in_its_tenants_turn(
    client: httpx.AsyncClient, store: Store, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads without a key are the process's own, and wait for nobody, nor would a flood of calls."""
    keys: list[str | None] = []
    runs = store.runs

    async def noting(query: RunQuery) -> FoundRuns:
        keys.append(turn_key.get())
        return await runs(query)

    monkeypatch.setattr(store, "runs", noting)
    await client.get("/v1/runs")
    assert keys == ["payments"]


async def test_runs_are_found_by_labels_that_were_filled_in(
    client: httpx.AsyncClient, document: Document
) -> None:
    """Of a small document and of one that a process reads: policy and lists see the value."""
    document["spec"]["params"] = {"date": "2026-01-31"}
    document["metadata"]["labels"] = {"day": "d-${params.date}"}
    small = (await client.post("/v1/runs", json=document)).json()
    document["spec"]["tasks"][0]["when"] = "params.date != ''"
    read = (await client.post("/v1/runs", json=document)).json()

    found = (await client.get("/v1/runs", params={"label": "day=d-2026-01-31"})).json()["items"]
    assert {run["id"] for run in found} == {small["id"], read["id"]}
