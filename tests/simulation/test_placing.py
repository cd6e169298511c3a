"""Tests in virtual time which shard is placed, where and when, on the real controller and store."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pytest
from msgspec import json as msgjson

from gateway.core.history import HistoryKind, TransitionDetail, UnplaceableDetail
from gateway.core.run import Run
from gateway.core.shard_states import Orphan, Phase, Shard
from gateway.documents.workflow import Metadata, PlacementWishes, Shards, Spec, Workflow
from gateway.reconciler import dispatch
from gateway.regions.region_condition import Taint
from gateway.settings import FailoverSettings
from gateway.store.interface import Admission, Cursor, ShardWrite
from tests.gateway.core.history_entries import history_entry
from tests.simulation.invariants import span_of_run
from tests.simulation.scenario import NOTE, cut, placed, run, workflow
from tests.simulation.world import REGIONS, World
from waypost.workflow.task import SideEffects, TaskSpec


async def slots(world: World, count: int) -> None:
    """Sets the number of slots of each region's cluster to `count`."""
    for cluster in world.clusters.values():
        cluster.slots = count
    await run(world, 3)


def document(seconds: float, *, shards: int, priority: int = 5, regions: tuple[str, ...] = ()) -> Workflow:
    task = TaskSpec(name="t", type="delay", run={"seconds": seconds, "failing": 0.0})
    spec = Spec(
        tasks=(task,),
        shards=Shards(count=shards),
        priority=priority,
        placement=PlacementWishes(regions=regions),
    )
    return Workflow(api_version="waypost/v1", kind="Workflow", metadata=Metadata(name="w"), spec=spec)


async def starts(world: World, seconds: float) -> list[str]:
    """Returns the run of each shard that is placed within `seconds`, in order."""
    order: list[str] = []
    until = world.timeline.now + seconds
    while world.timeline.now < until:
        before = {key for key, shard in world.shards.items() if shard.epoch}
        await world.tick()
        order += [key[0] for key, shard in world.shards.items() if shard.epoch and key not in before]
    return order


def count_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that gets the number of shard writes of each later commit."""
    counts: list[int] = []
    record = world.store.record

    async def counting(writes: Sequence[ShardWrite], cursors: Mapping[str, Cursor]) -> Sequence[bool]:
        counts.append(len(writes))
        return await record(writes, cursors)

    monkeypatch.setattr(world.store, "record", counting)
    return counts


async def until(world: World, true: Callable[[], bool], *, seconds: float) -> float:
    """Runs the world until `true` holds, at most `seconds`; returns the seconds that it took."""
    since = world.timeline.now
    while not true() and world.timeline.now < since + seconds:
        await world.tick()
    return world.timeline.now - since


async def test_a_free_slot_goes_to_the_most_urgent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards that found no place stay in line, and waiting writes nothing: 1,200 shards must not keep the
    store busy."""
    await slots(world, 4)
    await world.submit(document(2.0, shards=12))
    await run(world, 1)
    await world.submit(document(2.0, shards=600, priority=9))
    await world.submit(document(2.0, shards=600, priority=0))
    writes = count_writes(world, monkeypatch)

    order = await starts(world, 30)

    assert set(order) == {"run-001"}
    assert len(order) > 100
    assert sum(writes) < 6 * len(order), "intent, confirmation, start, end, and nothing for those that wait"


async def test_shards_that_wait_for_a_full_region_let_those_pass_that_fit_elsewhere(world: World) -> None:
    """More shards than one pass reads ask for the region that is full: the others must not wait behind
    them."""
    await slots(world, 4)
    await world.submit(document(30.0, shards=600, priority=9, regions=("beijing",)))
    await run(world, 2)
    await world.submit(document(1.0, shards=6, priority=0))

    assert set(await starts(world, 2)) == {"run-001"}
    noted = [
        entry.detail.reason
        for entry in await world.store.history("run-000")
        if isinstance(entry.detail, UnplaceableDetail)
    ]
    assert noted == ["0/3 regions fit: 2 not among the wished regions, 1 no free slot"], (
        "recorded once, for all of the run"
    )


async def test_the_most_urgent_run_gets_the_slot_that_it_waits_for(world: World) -> None:
    """Being passed must not put it behind those that passed it."""
    await slots(world, 4)
    await world.submit(document(5.0, shards=4, regions=("beijing",)))
    await run(world, 1)
    await world.submit(document(30.0, shards=4, priority=9, regions=("beijing",)))
    await run(world, 1)
    await world.submit(document(30.0, shards=40, priority=0))

    assert (await starts(world, 10)).count("run-001") == 4


async def test_shards_that_wait_for_a_lease_let_others_pass(world: World) -> None:
    """An exclusive shard waits for its orphan's lease to end; more of them than one pass reads must not hold
    up others."""
    cut(world, "beijing")
    await run(world, 10)
    exclusive = workflow(1.0, shards=600, side_effects=SideEffects.EXCLUSIVE)
    orphans = (Orphan(region="beijing", epoch=1),)
    await admit(
        world,
        "run-900",
        exclusive,
        tuple(Shard(run="run-900", index=n, epoch=1, orphans=orphans) for n in range(600)),
    )
    await world.submit(document(1.0, shards=3, priority=0))
    others = [("run-001", n) for n in range(3)]

    assert await until(world, lambda: all(world.shards[key].epoch for key in others), seconds=60) < 3
    assert world.shards["run-900", 0].phase is Phase.PENDING


async def admit(world: World, run_id: str, document: Workflow, shards: tuple[Shard, ...]) -> None:
    """Stores a run whose shards have already had attempts."""
    given = Run(
        id=run_id,
        tenant="t",
        name="w",
        subject="s",
        issuer="i",
        priority=9,
        shard_count=len(shards),
        workflow=msgjson.encode(document),
        created_at=world.now.wall,
        decision_id="d",
        decided_at=world.now.wall,
        permitted=REGIONS,
        span=span_of_run(run_id),
    )
    note = history_entry(HistoryKind.ACCEPTED, run=run_id, at=world.now.wall)
    await world.store.admit(
        Admission(run=given, shards=shards, decision=world._decision("d"), history=(note,))
    )
    world.runs[run_id] = document
    world.shards |= {shard.key: shard for shard in shards}


@pytest.mark.parametrize("creates", [8, 200])
async def test_a_burst_on_healthy_regions_causes_no_failover(
    world: World, monkeypatch: pytest.MonkeyPatch, creates: int
) -> None:
    """A fence runs from the placement: what cannot be sent before it must not be placed yet (large documents:
    few a call)."""
    monkeypatch.setattr(dispatch, "BATCH_CREATES", creates)
    for path in world.paths.values():
        path.delay_seconds = 0.2
    await slots(world, 5000)
    for _ in range(2):
        await world.submit(document(10_000.0, shards=300))

    took = await until(
        world, lambda: all(shard.phase is Phase.RUNNING for shard in world.shards.values()), seconds=60
    )

    assert took < 60
    assert {(shard.failovers, shard.epoch) for shard in world.shards.values()} == {(0, 1)}


async def test_what_was_never_sent_is_no_failover(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fence may pass before the gateway can send: twenty times must not quarantine a shard."""
    monkeypatch.setattr(dispatch, "due_creates", lambda *_: [])
    await world.submit(document(1.0, shards=3))
    await run(world, 7)

    assert all(shard.epoch > 1 for shard in world.shards.values())
    assert {shard.failovers for shard in world.shards.values()} == {0}


async def test_a_region_that_is_seen_empty_gets_nothing_more(world: World) -> None:
    """A cordon is in force from its commit: an operator who sees an empty region may stop it."""
    await run(world, 0.3)
    await world.store.add_taint("beijing", Taint.CORDONED, entry=NOTE)
    await world.submit(workflow(20.0, shards=12))
    await run(world, 2)

    assert placed(world)["beijing"] == 0


async def test_a_replaced_journal_does_not_end_a_lease(world: World) -> None:
    """The new journal knows nothing of the attempt: the old cluster may be up, and run it until its lease
    ends."""
    await world.submit(workflow(200.0, shards=3, side_effects=SideEffects.EXCLUSIVE))
    await run(world, 3)
    there = [key for key, shard in world.shards.items() if shard.region == "beijing"]
    assert there
    cluster = world.clusters["beijing"]
    cluster.crash(world.timeline.now)
    cluster.lose_journal()
    cluster.restart(world.timeline.now)
    await world.store.release_incarnation("beijing", entry=NOTE)
    await until(world, lambda: any(world.shards[key].orphans for key in there), seconds=10)
    world.kill_gateway()
    await world.start_gateway()

    assert await until(world, lambda: any(world.shards[key].epoch > 1 for key in there), seconds=60) >= 16.5
    await run(world, 5)
    assert all(world.shards[key].epoch > 1 and not world.shards[key].orphans for key in there)


async def test_what_is_not_confirmed_in_a_region_leaves_it_when_policy_refuses(world: World) -> None:
    """T3: asked again, policy no longer permits the region: attempts that were not confirmed there go
    elsewhere."""
    world.failover = FailoverSettings(decision_fresh_seconds=1.0)
    world.kill_gateway()
    await world.start_gateway()
    await slots(world, 2)
    world.paths["beijing"].requests_cut, world.healed_at["beijing"] = True, world.timeline.now + 30
    await world.submit(document(0.3, shards=60))
    world.permitted.append((world.timeline.now, ("shanghai", "shenzhen")))
    await run(world, 30)

    kinds = Counter(
        (entry.kind, entry.detail.reason)
        for entry in await world.store.history("run-000")
        if isinstance(entry.detail, TransitionDetail)
    )
    assert kinds[HistoryKind.REFUSED, "NotPermitted"] == 2
    assert {shard.failovers for shard in world.shards.values()} == {0}
    await run(world, 30)
    assert world.done()
