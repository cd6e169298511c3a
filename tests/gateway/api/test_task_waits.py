"""Tests the call that asks regions what the tasks of a run wait for."""

import asyncio
from typing import Any, cast

import httpx
import pytest

from clusters.checked_cluster import CheckedCluster
from clusters.errors import ClusterError
from clusters.protocol import AttemptId
from clusters.task_waits import TaskWait, TaskWaits, WaitReason
from gateway.api.explanations import task_waits
from gateway.api.explanations.task_waits import clause
from gateway.api.http.services import Services
from gateway.core.history import HistoryKind
from gateway.core.shard_states import Event, advance
from gateway.store.interface import ShardWrite, Store
from tests.clusters.embedded.scripted_cluster import ScriptedCluster
from tests.gateway.core.history_entries import history_entry


class AskedCluster(ScriptedCluster):
    """A cluster that says what tasks wait for, fails, or never answers."""

    def __init__(self, answer: TaskWaits | Exception | None) -> None:
        super().__init__()
        self.answer, self.attempts_asked = answer, list[AttemptId]()

    async def waits(self, attempt: AttemptId) -> TaskWaits:
        self.attempts_asked.append(attempt)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


async def running(store: Store, client: httpx.AsyncClient, document: dict[str, Any]) -> str:
    """Submits a run of two shards that run in beijing and shanghai; returns its id."""
    name = str((await client.post("/v1/runs", json=document)).json()["id"])
    for shard, region in zip(await store.shards(name), ("beijing", "shanghai"), strict=True):
        placed = advance(shard, Event.INTENDED, epoch=1, region=region)
        confirmed = advance(placed, Event.CONFIRMED).with_rev(shard.rev + 1)
        entry = history_entry(HistoryKind.CONFIRMED, run=name)
        assert await store.record([ShardWrite(shard=confirmed, history=(entry,))], {}) == [True]
    return name


def serve(services: Services, **clusters: Any) -> None:
    checked = {name: CheckedCluster(cluster, region=name) for name, cluster in clusters.items()}
    cast("dict[str, Any]", services.clusters).update(checked)


SEMAPHORE = TaskWait(task="a", reason=WaitReason.SEMAPHORE, seconds=2.0, name="db", taken=4, places=4)


async def test_each_region_is_asked_for_the_shards_that_run_there(
    client: httpx.AsyncClient, services: Services, store: Store, document: dict[str, Any]
) -> None:
    """The gateway knows of no semaphore and of no turn."""
    beijing = AskedCluster(TaskWaits(waits=(SEMAPHORE,), left_out=3))
    serve(services, beijing=beijing, shanghai=AskedCluster(TaskWaits(waits=())))
    name = await running(store, client, document)
    found = (await client.get(f"/v1/runs/{name}/waits")).json()

    assert found == {
        "items": [
            {
                "shard": 0,
                "region": "beijing",
                "task": "a",
                "reason": "Semaphore",
                "text": "waits for the semaphore db: 4 of 4 places are taken",
                "seconds": 2.0,
            }
        ],
        "unknown": [],
        "left_out": 3,
    }
    assert beijing.attempts_asked == [AttemptId(run=name, shard=0, epoch=1)]
    assert (await client.get(f"/v1/runs/{name}/waits?shard=1")).json()["items"] == []


async def test_a_region_that_does_not_say_it_is_no_error(
    client: httpx.AsyncClient,
    services: Services,
    store: Store,
    document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It hangs, or its cluster is of an older version: the rest is shown."""
    monkeypatch.setattr(task_waits, "ASKED_SECONDS", 0.01)
    serve(services, beijing=AskedCluster(None), shanghai=AskedCluster(ClusterError("NotFound")))
    name = await running(store, client, document)

    assert (await client.get(f"/v1/runs/{name}/waits")).json() == {
        "items": [],
        "unknown": [0, 1],
        "left_out": 0,
    }


@pytest.mark.parametrize("reason", WaitReason)
def test_each_reason_has_words(reason: WaitReason) -> None:
    """None is shown as a bare word."""
    assert clause(TaskWait(task="a", reason=reason, name="db", ahead=2)).startswith("waits ")


@pytest.mark.parametrize(("name", "behind"), [("", "for"), ("b", "behind b, which waits for")])
def test_memory_is_told_in_numbers(name: str, behind: str) -> None:
    """What is asked for, taken, and there."""
    wait = TaskWait(task="a", reason=WaitReason.MEMORY, name=name, asked=512, taken=3_900, places=4_096)
    assert clause(wait) == (
        f"waits {behind} 512 MiB of memory: running tasks have asked for 3900 of 4096 MiB"
    )
