"""Tests that large documents, and those with conditions or mistakes, are read in a process of their own."""

from typing import Any

import httpx
import pytest

from gateway.api.http.services import Services
from gateway.core.decision import Obligations
from gateway.store.interface import Store
from gateway.submission.reading.document_reader import DocumentReader, Reading, reader_greeting, reader_pool
from tests.gateway.api.callers import caller

Document = dict[str, Any]


async def test_only_a_small_document_without_mistakes_is_read_on_the_loop(
    client: httpx.AsyncClient, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody else's requests wait meanwhile: what is large or has mistakes takes milliseconds."""
    read, bodies = DocumentReader.read, list[bytes]()

    async def read_noting(reader: DocumentReader, body: bytes, *arguments: Any, **named: Any) -> Reading:
        bodies.append(body)
        return await read(reader, body, *arguments, **named)

    monkeypatch.setattr(DocumentReader, "read", read_noting)
    assert (await client.post("/v1/runs", json=document)).status_code == 202
    assert bodies == []
    task = document["spec"]["tasks"][0]
    for tasks, status in (
        ([task | {"name": f"t{i}", "when": f"{i} < 9 // {'x' * 1_800}"} for i in range(5)], 202),
        ([task | {"when": "1 < 2"}], 202),
        ([task, task], 422),
    ):
        document["spec"]["tasks"] = tasks
        assert (await client.post("/v1/runs", json=document)).status_code == status
    document["spec"]["tasks"] = [{}] * 100
    assert (await client.post("/v1/runs", json=document)).status_code == 422

    assert len(bodies) == 4


@pytest.mark.integration
async def test_a_condition_that_takes_too_long_is_refused_with_a_pointer(
    services: Services, document: Document
) -> None:
    """It compiles a pattern at each turn of a loop: for a minute, unless it is killed."""
    slow = r'params.l.all(x, x.matches("^\\pL{60}$") || true)'
    document["spec"]["params"] = {"l": ["1"] * 1_900}
    document["spec"]["tasks"] = [
        document["spec"]["tasks"][0] | {"name": f"t{index}", "when": when}
        for index, when in enumerate(["true", slow, "shard.index > 0", "1 +", slow])
    ]
    limits = services.settings.documents
    async with (
        reader_pool(reader_greeting(limits, services.executors, {}), size=1) as pool,
        caller(services, reader=DocumentReader(limits, pool)) as client,
    ):
        answer = await client.post("/v1/runs?dryRun=true", json=document)

    assert answer.status_code == 422
    assert {error["pointer"]: error["detail"] for error in answer.json()["errors"]} == {
        "/spec/tasks/1/when": "takes more than 0.1 s of processor time",
        "/spec/tasks/3/when": "not a CEL expression: mismatched input '<EOF>' at line 1, column 4",
        "/spec/tasks/4/when": "takes more than 0.1 s of processor time",
    }


async def test_a_large_document_is_stored_whole_and_as_policy_obliges(
    client: httpx.AsyncClient, store: Store, rules: Any, document: Document
) -> None:
    """Of a document that a process has read the gateway's own process has only an outline."""
    rules.obligations = Obligations(regions=("beijing",), max_priority=3, labels={"cost": "lab"})
    tasks = [document["spec"]["tasks"][0] | {"name": f"t{n}", "priority": n % 9} for n in range(300)]
    items = [{"file": n} for n in range(4)]
    document["spec"] = {"tasks": tasks, "params": {"day": "x"}, "shards": {"items": items}}
    planned = (await client.post("/v1/runs?dryRun=true", json=document)).json()
    answer = await client.post("/v1/runs", json=document)

    assert answer.status_code == 202
    stored = (await client.get(answer.headers["location"])).json()
    assert (stored["shard_count"], stored["labels"]["cost"]) == (4, "lab")
    assert planned["workflow"] == stored["workflow"]
    spec = stored["workflow"]["spec"]
    assert (spec["params"], spec["shards"]["items"]) == ({"day": "x"}, items)
    assert [task.get("priority", 5) for task in spec["tasks"]] == [min(n % 9, 3) for n in range(300)]
    assert [shard.item for shard in await store.shards(stored["id"])] == items
    kept = await store.run(stored["id"])
    assert kept is not None
    assert kept.task_count == 300
