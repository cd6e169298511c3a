"""Tests the reasons for which shards wait, in the answer of `explain`."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from clusters.protocol import ClusterStatus
from gateway.api.explanations.pending_reasons import pending_reason, task_waits
from gateway.api.http.services import Services
from gateway.core.history import HistoryKind
from gateway.core.run import TaskRow
from gateway.core.shard_states import Event, Orphan, Phase, advance
from gateway.regions.region_condition import RegionCondition, Taint
from gateway.regions.region_view import RegionView
from gateway.store.interface import ShardWrite, Store
from tests.gateway.core.history_entries import history_entry
from waypost.workflow.task_phase import TaskPhase


async def waiting_sentence(client: httpx.AsyncClient, document: dict[str, Any]) -> str | None:
    run = (await client.post("/v1/runs", json=document)).json()["id"]
    said: str | None = (await client.get(f"/v1/runs/{run}/explain")).json()["waiting"]
    return said


async def test_the_reason_is_given_though_nothing_is_recorded(
    client: httpx.AsyncClient, views: list[RegionView], document: dict[str, Any]
) -> None:
    """While no region takes work the controller looks at no shard; it is worked out on request."""
    views[0] = structs.replace(views[0], taints=frozenset({Taint.CORDONED}))
    views[1] = structs.replace(views[1], condition=RegionCondition.UNREACHABLE)
    assert await waiting_sentence(client, document) == (
        "2 shards wait: 0/2 regions fit: 1 cordoned, 1 unreachable (beijing: cordoned; shanghai: unreachable)"
    )


@pytest.mark.parametrize(
    ("pause", "said"), [(0.0, "for a turn: beijing fits"), (600.0, "for a pause to end, for 600 s more")]
)
async def test_waiting_for_a_turn_or_a_pause_is_a_reason(
    client: httpx.AsyncClient,
    store: Store,
    services: Services,
    views: list[RegionView],
    document: dict[str, Any],
    pause: float,
    said: str,
) -> None:
    """Or for how long the pause after a lost attempt still is."""
    del views[1]
    name = (await client.post("/v1/runs", json=document)).json()["id"]
    run = await store.run(name)
    assert run is not None
    shards = [structs.replace(shard, not_before=run.created_at + pause) for shard in await store.shards(name)]
    assert pending_reason(run, shards, services, run.created_at) == f"2 shards wait {said}"


async def test_finally_waits_for_attempts_that_are_being_ended(
    client: httpx.AsyncClient, store: Store, services: Services, document: dict[str, Any]
) -> None:
    """Not for a turn, though a region would fit; and not for those in a region that is lost."""
    document["spec"]["finally"] = [{"name": "last", "type": "delay", "run": {"seconds": 1}}]
    name = (await client.post("/v1/runs", json=document)).json()["id"]
    run = await store.run(name)
    assert run is not None
    *rest, last = await store.shards(name)
    orphans = (Orphan(region="beijing", epoch=1), Orphan(region="lost", epoch=2))
    shards = [structs.replace(shard, phase=Phase.FAILED, orphans=orphans) for shard in rest]
    shards.append(structs.replace(last, phase=Phase.PENDING))

    assert pending_reason(run, shards, services, run.created_at) == (
        "1 shard waits: finally begins when no attempt of the run is left in beijing"
    )


async def test_a_gateway_that_no_region_answers_gives_itself_as_the_reason(
    services: Services, store: Store, client: httpx.AsyncClient, views: list[RegionView], document: Any
) -> None:
    """The regions may all be well, and none is to be forgotten. Where one answers, it is as always."""
    name = (await client.post("/v1/runs", json=document)).json()["id"]
    run = await store.run(name)
    assert run is not None
    shards, alone = await store.shards(name), structs.replace(services, cut_off=lambda: True)
    suspect = [structs.replace(shard, phase=Phase.SUSPECT) for shard in shards]
    views[1:] = [
        structs.replace(views[0], name=region, condition=RegionCondition.UNREACHABLE)
        for region in ("shanghai", "shenzhen")
    ]
    assert pending_reason(run, shards, alone, run.created_at) == "2 shards wait for a turn: beijing fits"
    assert "only 1 of 3 regions answer" in (pending_reason(run, suspect, alone, 0.0) or "")
    views[0] = structs.replace(views[0], condition=RegionCondition.UNREACHABLE)

    assert pending_reason(run, shards, alone, 0.0) == (
        "2 shards wait: this gateway takes itself to be cut off from its regions, and none answers"
    )
    assert pending_reason(run, suspect, alone, 0.0) is None


async def test_suspect_shards_that_will_not_be_moved_have_a_reason(
    client: httpx.AsyncClient,
    store: Store,
    services: Services,
    views: list[RegionView],
    document: dict[str, Any],
) -> None:
    """With fewer than half of the regions answering only an operator knows which are lost."""
    name = (await client.post("/v1/runs", json=document)).json()["id"]
    run = await store.run(name)
    assert run is not None
    shards = [structs.replace(shard, phase=Phase.SUSPECT) for shard in await store.shards(name)]
    views.append(structs.replace(views[0], name="shenzhen", condition=RegionCondition.UNREACHABLE))
    assert pending_reason(run, shards, services, 0.0) is None
    views[1] = structs.replace(views[1], condition=RegionCondition.UNREACHABLE)
    said = pending_reason(run, shards, services, 0.0)
    assert said is not None
    assert said.startswith("2 shards wait: only 1 of 3 regions answer")
    assert "(shanghai, shenzhen)" in said
    # Forgotten, or out of the settings.
    views[1:] = [structs.replace(view, counted=False) for view in views[1:]]
    assert pending_reason(run, shards, services, 0.0) is None
    # One that is ejected answers its probes: it shows that the gateway's own network works.
    views[0] = structs.replace(views[0], condition=RegionCondition.EJECTED)
    assert pending_reason(run, shards, services, 0.0) is None


async def test_shards_that_are_over_have_no_reason(
    client: httpx.AsyncClient, store: Store, document: dict[str, Any]
) -> None:
    """Nor of those that have a place."""
    name = (await client.post("/v1/runs", json=document)).json()["id"]
    for shard in await store.shards(name):
        over = advance(shard, Event.EXPIRED).with_rev(shard.rev + 1)
        await store.record(
            [ShardWrite(shard=over, history=(history_entry(HistoryKind.EXPIRED, run=name, at=1.0),))], {}
        )
    assert (await client.get(f"/v1/runs/{name}/explain")).json()["waiting"] is None


async def test_each_task_that_waits_is_named_with_what_it_waits_for(
    client: httpx.AsyncClient, store: Store, views: list[RegionView], document: dict[str, Any]
) -> None:
    """A pause before a retry, with the reason; a processor; a place to start. Those of a shard that runs."""
    steps = [{"name": name, "type": "delay", "run": {"seconds": 1}} for name in "abc"]
    steps.append({"name": "d", "type": "delay", "run": {"seconds": 1}, "needs": ["a"]})
    spec = document["spec"] | {"tasks": steps, "shards": {"count": 1}}
    name = (await client.post("/v1/runs", json=document | {"spec": spec})).json()["id"]
    shard = (await store.shards(name))[0]
    placed = advance(shard, Event.INTENDED, epoch=1, region="beijing")
    shard = advance(placed, Event.CONFIRMED).with_rev(shard.rev + 1)
    now = 1_800_000_000.0
    rows = (
        row(name, "a", TaskPhase.RETRYING, reason="exit code 3", next_try_at=now + 12.4),
        row(name, "b", TaskPhase.RUNNING),
        # Of an earlier attempt.
        structs.replace(row(name, "c", TaskPhase.STOPPED), epoch=0),
    )
    written = await store.record(
        [ShardWrite(shard=shard, tasks=rows, history=(history_entry(HistoryKind.CONFIRMED, run=name),))], {}
    )
    run = await store.run(name)
    assert (written, run is not None) == ([True], True)
    status = ClusterStatus(
        region="beijing", incarnation="i", boot="b", uptime=1.0, slots=9, held=1, seq=1, queued=4, cpu=2.0
    )

    async def said(*regions: RegionView, at: float = now) -> list[str]:
        assert run is not None
        return str(await task_waits(run, [shard], store, regions, at)).split("; task ")

    idle = structs.replace(views[0], name="beijing")
    busy = structs.replace(idle, status=status)
    retry = "task a of shard 0 waits to be tried again, for 12 s more: try 1 failed (exit code 3)"
    processor = "waits for a processor in beijing (it asks for 1 of 2; 4 tasks wait there)"
    assert await said(busy) == [retry, f"c of shard 0 {processor}"]
    assert await said(idle) == [retry, "c of shard 0 waits to be started in beijing"]
    (due, _) = await said(busy, at=now + 60.0)
    assert "waits to be tried again, for a processor in beijing" in due
    story = (await client.get(f"/v1/runs/{name}/explain")).json()
    assert "task a of shard 0 waits to be tried again" in story["waiting"]


def row(run: str, task: str, phase: TaskPhase, **more: Any) -> TaskRow:
    given: dict[str, Any] = {"epoch": 1, "region": "beijing", "incarnation": "i", "tries": 1}
    return TaskRow(run=run, shard=0, task=task, phase=phase, started_at=1.0, **given, **more)
