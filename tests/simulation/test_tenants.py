"""Tests that one tenant's waiting or running work keeps no other tenant's shards from being placed."""

from collections import Counter

import pytest

from gateway.documents.workflow import Metadata, Shards, Spec, Workflow
from gateway.reconciler import tenant_shares
from gateway.reconciler.working_set.working_set import WorkingSet
from gateway.settings import FailoverSettings
from tests.simulation.scenario import run
from tests.simulation.test_placing import slots, starts
from tests.simulation.world import World
from waypost.workflow.task import TaskSpec


def document(tenant: str, seconds: float, *, shards: int, priority: int = 0, tasks: int = 1) -> Workflow:
    chain = tuple(
        TaskSpec(
            name=f"t{n}",
            type="delay",
            run={"seconds": seconds, "failing": 0.0},
            needs=(f"t{n - 1}",) if n else (),
        )
        for n in range(tasks)
    )
    spec = Spec(tasks=chain, shards=Shards(count=shards), priority=priority)
    metadata = Metadata(name="w", tenant=tenant)
    return Workflow(api_version="waypost/v1", kind="Workflow", metadata=metadata, spec=spec)


async def test_a_backlog_of_one_tenant_does_not_delay_another(world: World) -> None:
    """A thousand urgent shards, and slots that come free one by one: every second one is the other's."""
    await slots(world, 4)
    await world.submit(document("noisy", 2.0, shards=1_000, priority=9))
    await run(world, 10)
    await world.submit(document("quiet", 2.0, shards=6))

    order = await starts(world, 6)
    assert Counter(order)["run-001"] == 6
    last = max(n for n, name in enumerate(order) if name == "run-001")
    assert last <= 14, order


async def test_no_tenant_holds_all_slots(world: World) -> None:
    """Work that takes an hour would keep a region from all others for that hour."""
    await slots(world, 40)
    await world.submit(document("noisy", 3_600.0, shards=500, priority=9))
    await world.submit(document("loud", 3_600.0, shards=500, priority=9))
    assert 80 <= len(await starts(world, 10)) < 120, "most of the slots are used"

    await world.submit(document("quiet", 1.0, shards=3))
    assert await starts(world, 2) == ["run-002"] * 3


async def test_a_tenant_alone_uses_most_of_a_region(world: World) -> None:
    """Four fifths of it, though others could come."""
    await slots(world, 40)
    await world.submit(document("noisy", 3_600.0, shards=500))

    assert len(await starts(world, 10)) == 96


async def test_no_tenant_holds_tasks_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand shards of ten thousand tasks would be ten million in the memory of one cluster."""
    monkeypatch.setattr(tenant_shares, "TASKS_MAXIMUM", 30)
    await slots(world, 40)
    await world.submit(document("noisy", 3_600.0, shards=500, tasks=10))
    assert len(await starts(world, 5)) == 9

    await world.submit(document("quiet", 1.0, shards=3, tasks=10))
    assert await starts(world, 2) == ["run-001"] * 3


async def test_policy_is_not_asked_about_a_whole_backlog_in_one_pass(world: World) -> None:
    """Decisions that grew old while their runs waited are made again a few at a time, tenant by tenant."""
    world.failover = FailoverSettings(decision_fresh_seconds=1.0)
    world.kill_gateway()
    await world.start_gateway()
    await slots(world, 0)
    for _ in range(40):
        await world.submit(document("noisy", 0.1, shards=1))
    await run(world, 3)
    asked = len(world.policy.asked)
    await slots(world, 40)
    await run(world, 10)

    by_pass = Counter(question.at for question in world.policy.asked[asked:])
    assert max(by_pass.values()) <= tenant_shares.ASKED_MAXIMUM
    assert world.done()


async def test_a_look_at_the_regions_counts_no_shards(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers may ask for the regions a thousand times a second, and there may be thousands of shards."""
    await slots(world, 40)
    await world.submit(document("noisy", 3_600.0, shards=12))
    await run(world, 5)
    monkeypatch.setattr(WorkingSet, "count_inflight", None)

    assert world.controller is not None
    assert sum(view.inflight for view in world.controller.views(world.now)) == 12
