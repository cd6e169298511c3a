"""Tests reading the log of a task through the API, from the regions in which it ran."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs

from clusters.errors import ClusterError
from clusters.protocol import AttemptId, LogChunk
from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.history import HistoryEntry, HistoryKind, PlacementDetail
from gateway.core.run import TaskRow
from gateway.core.shard_states import Event, advance
from gateway.store.interface import ShardWrite, Store
from waypost.workflow.task_phase import TaskPhase

Document = dict[str, Any]


class Region:
    """A fake region that holds the logs of attempts, by epoch.

    `gone` breaks a stream off after so many chunks.
    """

    def __init__(self, written: dict[int, list[str]], *, error: str = "", gone: int | None = None) -> None:
        self.written, self.error, self.gone = written, error, gone
        self.read = asyncio.Event()

    async def logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        if self.error:
            raise ClusterError(self.error)
        at = 0
        for number, text in enumerate(self.written[attempt.epoch]):
            at += len(text)
            if at > offset:
                yield LogChunk(text=text, offset=at)
            if number + 1 == self.gone:
                self.read.set()
                raise ClusterError("Unreachable")


def with_clusters(services: Services, **clusters: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(api(structs.replace(services, clusters=clusters)))
    return httpx.AsyncClient(
        transport=transport, base_url="http://gateway", headers={"authorization": "Bearer payments.ada"}
    )


async def started(
    store: Store,
    run: str,
    region: str,
    epoch: int,
    phase: TaskPhase = TaskPhase.RUNNING,
    history: tuple[HistoryEntry, ...] = (),
    instances: int | None = None,
) -> None:
    """Writes to the store that task `a` of shard 0 was reported by this attempt."""
    shard = (await store.shards(run))[0]
    if shard.phase.placed:
        shard = structs.replace(advance(shard, Event.REGION_LOST), rev=shard.rev)
        shard = advance(shard, Event.ABANDONED)
    placed = advance(shard, Event.INTENDED, epoch=epoch, region=region)
    row = TaskRow(
        run=run,
        shard=0,
        task="a",
        phase=phase,
        epoch=epoch,
        region=region,
        incarnation="i",
        tries=1,
        started_at=1.0,
        instances=instances,
    )
    write = ShardWrite(shard=placed.with_rev(shard.rev + 1), tasks=(row,), history=history)
    assert await store.record([write], {}) == [True]


@pytest.fixture
async def run(client: httpx.AsyncClient, document: Document) -> str:
    return str((await client.post("/v1/runs", json=document)).json()["id"])


async def test_a_log_comes_from_the_region_that_has_it(services: Services, store: Store, run: str) -> None:
    """As text for people, as NDJSON with offsets for programs."""
    await started(store, run, "beijing", 1)
    async with with_clusters(services, beijing=Region({1: ["one\n", "two\n"]})) as client:
        text = await client.get(f"/v1/runs/{run}/logs?task=a")
        lines = await client.get(
            f"/v1/runs/{run}/logs?task=a&offset=4", headers={"accept": "application/x-ndjson"}
        )

    assert (text.text, text.headers["content-type"]) == ("one\ntwo\n", "text/plain; charset=utf-8")
    assert [msgspec.json.decode(line) for line in lines.text.splitlines()] == [
        {"region": "beijing", "epoch": 1, "text": "two\n", "offset": 8}
    ]


async def test_a_follower_changes_regions_with_the_shard(services: Services, store: Store, run: str) -> None:
    """The first region dies in the middle; what the next attempt writes is read from its beginning."""
    await started(store, run, "beijing", 1)
    beijing, shanghai = Region({1: ["one\n", "two\n"]}, gone=1), Region({2: ["again\n", "done\n"]})
    async with with_clusters(services, beijing=beijing, shanghai=shanghai) as client:
        following = asyncio.create_task(client.get(f"/v1/runs/{run}/logs?task=a&follow=true"))
        await beijing.read.wait()
        await started(store, run, "shanghai", 2, TaskPhase.SUCCEEDED)
        answer = await asyncio.wait_for(following, 10)

    assert answer.text == "one\nagain\ndone\n"


async def test_the_log_of_an_earlier_attempt_is_read_where_that_ran(
    services: Services, store: Store, run: str
) -> None:
    """After a failover it says why the task went there; following it does not wait for the current one."""
    for epoch, region in ((1, "beijing"), (2, "shanghai")):
        await started(store, run, region, epoch, history=(placed_in(run, region, epoch),))
    beijing, shanghai = Region({1: ["first\n"]}), Region({2: ["second\n"]})
    async with with_clusters(services, beijing=beijing, shanghai=shanghai) as client:
        url = f"/v1/runs/{run}/logs?task=a"
        texts = [
            (await client.get(f"{url}{more}")).text
            for more in ("", "&attempt=1", "&attempt=1&follow=true", "&attempt=2")
        ]
        missing = await client.get(f"{url}&attempt=3")
        malformed = await client.get(f"{url}&attempt=0")

    assert texts == ["second\n", "first\n", "first\n", "second\n"]
    assert (missing.status_code, "no attempt 3" in missing.json()["detail"]) == (404, True)
    assert malformed.status_code == 400


def placed_in(run: str, region: str, epoch: int) -> HistoryEntry:
    detail = PlacementDetail(region=region, epoch=epoch, scores={}, rejected={}, decision_id="d")
    return HistoryEntry(run=run, kind=HistoryKind.PLACED, at=1.0, shard=0, detail=detail)


@pytest.mark.parametrize(
    ("region", "error", "status"),
    [("beijing", "NotFound", 404), ("beijing", "Unreachable", 503), ("shanghai", "", 503)],
)
async def test_a_region_that_cannot_be_read_is_a_status(
    services: Services, store: Store, run: str, region: str, error: str, status: int
) -> None:
    """And not a stream that breaks off."""
    await started(store, run, region, 1)
    async with with_clusters(services, beijing=Region({1: []}, error=error)) as client:
        answer = await client.get(f"/v1/runs/{run}/logs?task=a")

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("task=a", 404),
        ("task=a&shard=2", 400),
        ("task=a&follow=yes", 400),
        ("task=a&offset=-1", 400),
        ("task=a&tail=-1", 400),
        ("task=a&since=10m", 400),
        ("task=a&timestamps=1", 400),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, store: Store, run: str, query: str, status: int
) -> None:
    """By what is wrong with it; a task that has not started has no log."""
    assert (await client.get(f"/v1/runs/{run}/logs?{query}")).status_code == status


async def test_an_attempt_whose_region_is_gone_says_so(services: Services, store: Store, run: str) -> None:
    """Out of the settings it does not come back, and is not to be tried again; unreachable it may be."""
    for epoch, region in ((1, "beijing"), (2, "shanghai"), (3, "shenzhen")):
        await started(store, run, region, epoch, history=(placed_in(run, region, epoch),))
    lost = Region({2: []}, error="Unreachable")
    async with with_clusters(services, shanghai=lost, shenzhen=Region({3: ["third\n"]})) as client:
        url = f"/v1/runs/{run}/logs?task=a"
        gone, unreachable = await client.get(f"{url}&attempt=1"), await client.get(f"{url}&attempt=2")

    assert gone.status_code == 404
    assert "attempt 1 of shard 0 ran in beijing, which is not among" in gone.json()["detail"]
    assert (unreachable.status_code, unreachable.json()["retryable"]) == (503, True)
    assert "shanghai, where attempt 2 of the task ran, cannot be read" in unreachable.json()["detail"]


async def test_a_log_goes_on_over_the_pause_before_a_retry(
    services: Services, store: Store, run: str
) -> None:
    """The task is not over: a follower waits for the next try's words."""
    await started(store, run, "beijing", 1, TaskPhase.RETRYING)
    beijing, shanghai = Region({1: ["try 1\n"]}, gone=1), Region({2: ["try 2\n"]})
    async with with_clusters(services, beijing=beijing, shanghai=shanghai) as client:
        following = asyncio.create_task(client.get(f"/v1/runs/{run}/logs?task=a&follow=true"))
        await beijing.read.wait()
        await started(store, run, "shanghai", 2, TaskPhase.SUCCEEDED)
        answer = await asyncio.wait_for(following, 10)
    assert answer.text == "try 1\ntry 2\n"


async def test_a_task_for_each_item_leaves_the_log_to_its_instances(
    services: Services, store: Store, run: str
) -> None:
    """The answer names one, and no region is asked."""
    await started(store, run, "beijing", 1, instances=2)
    async with with_clusters(services, beijing=Region({1: []}, error="BadRequest")) as client:
        answer = await client.get(f"/v1/runs/{run}/logs?task=a")

    assert (answer.status_code, "its 2 instances have, as a[0]" in answer.json()["detail"]) == (404, True)
