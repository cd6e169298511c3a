"""The fixture of a simulated world without random faults, for tests that cause one fault each."""

from collections.abc import AsyncIterator

import pytest

from gateway.store.sqlite.store import SqliteStore
from tests.simulation.scenario import run
from tests.simulation.world import World
from waypost.sqlite_group_commit import Database


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    async with SqliteStore(Database(":memory:", inline=True)) as store:
        yield store


@pytest.fixture
async def world(store: SqliteStore) -> World:
    world = World(store, 1, trouble=1e-9)
    for path in world.paths.values():
        path.delay_seconds = 0.02
    await world.start_gateway()
    await run(world, 5)
    return world
