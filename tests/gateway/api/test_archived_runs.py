"""Tests what the API says of runs that were archived."""

import httpx
import pytest

from gateway.store.interface import Store
from gateway.store.retention import ArchivedRun
from tests.gateway.api.test_runs import ABOUT_ONE, OTHERS, Document, failed, submitted


@pytest.mark.parametrize(("method", "rest"), ABOUT_ONE)
async def test_an_archived_run_says_where_its_record_is(
    client: httpx.AsyncClient, store: Store, document: Document, method: str, rest: str
) -> None:
    """To those who might see it; for others it is not there, and never was."""
    name = await submitted(client, document)
    await failed(store, name)
    run = await store.run(name)
    assert run is not None
    await store.archive_runs([ArchivedRun(run=run, file="runs-1.jsonl.gz", archived_at=1_800_000_000.0)])

    answer = await client.request(method, f"/v1/runs/{name}{rest}")
    assert (answer.status_code, answer.json()["reason"]) == (410, "Archived")
    assert "the run Failed and was archived on 2027-01-15: its record is in runs-1.jsonl.gz" in answer.text
    theirs = await client.request(method, f"/v1/runs/{name}{rest}", headers=OTHERS)
    assert theirs.status_code == 404
    assert (await client.get("/v1/runs")).json()["items"] == []
