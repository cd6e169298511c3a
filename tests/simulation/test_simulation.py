"""Runs the real controller and store against random faults, from seeds.

By hand, after a change of what a shard's life depends on: `python -m pytest
tests/simulation/test_simulation.py --seeds 1000`.
"""

from collections.abc import Callable

import pytest

from gateway.settings import FailoverSettings
from gateway.store.sqlite.store import SqliteStore
from tests.simulation.random_routing import misplaced
from tests.simulation.stages import begun_too_often
from tests.simulation.store_and_policy import ChangingPolicy
from tests.simulation.workflows import random_workflow
from tests.simulation.world import World
from waypost.sqlite_group_commit import Database


async def simulate(
    seed: int,
    *,
    trouble: float,
    seconds: float,
    runs: int,
    policy: Callable[[World], ChangingPolicy] | None = None,
) -> World:
    async with SqliteStore(Database(":memory:", inline=True)) as store:
        world = World(store, seed, trouble=trouble, failover=FailoverSettings(decision_fresh_seconds=15.0))
        if policy is not None:
            world.policy = policy(world)
        await world.start_gateway()
        while world.timeline.now < seconds:
            if len(world.runs) < runs and world.rng.random() < 0.1:
                await world.submit(random_workflow(world.rng))
            if trouble:
                await world.operate()
            await world.tick()
        world.trouble = 0.0
        while not world.done() and world.timeline.now < seconds + 600:
            await world.operate()
            await world.tick()
        assert await misplaced(store, world.runs) == []
        if world.done():
            assert await begun_too_often(store, list(world.runs)) == []
        return world


@pytest.mark.parametrize("seed", range(3))
async def test_without_trouble_everything_ends_at_its_first_attempt(seed: int) -> None:
    """The case without faults, so that the others mean something."""
    world = await simulate(seed, trouble=0.0, seconds=30, runs=8)

    assert world.done()
    assert {shard.failovers for shard in world.shards.values()} == {0}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "troubled" in metafunc.fixturenames:
        metafunc.parametrize("troubled", range(metafunc.config.getoption("--seeds")))


async def test_whatever_happens_the_invariants_hold_and_all_ends(troubled: int) -> None:
    """I1 to I9, L1 and the deadlines hold whatever breaks: processes, network, journals, slots, store,
    policy."""
    world = await simulate(troubled, trouble=1.0, seconds=120, runs=12)

    assert world.done(), [
        shard for shard in world.shards.values() if not shard.phase.terminal or shard.orphans
    ]
