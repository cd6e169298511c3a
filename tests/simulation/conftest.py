"""A calm world, for tests with one fault each: nothing goes wrong by itself, and nothing heals."""

from collections.abc import AsyncIterator

import pytest

from gateway.store.sqlite.store import SqliteStore
from tests.simulation.test_operators import run
from tests.simulation.world import World
from waypost.sqlite_database import Database


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    async with SqliteStore(Database(":memory:", inline=True)) as store:
        yield store


@pytest.fixture
async def world(store: SqliteStore) -> World:
    world = World(store, 1, trouble=1e-9)
    for road in world.roads.values():
        road.delay_seconds = 0.02
    await world.start_gateway()
    await run(world, 5)
    return world
