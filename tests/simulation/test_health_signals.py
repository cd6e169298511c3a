"""Tests in virtual time what a gateway reports of itself while it cannot do its work."""

from tests.simulation.scenario import cut, run
from tests.simulation.test_outages import FailingStore, store
from tests.simulation.world import REGIONS, World

__all__ = ["store"]  # fixtures


def gauge(world: World, name: str = "waypost_cut_off") -> float | None:
    assert world.controller is not None
    world.controller.set_gauges(world.now)
    return world.controller._metrics.registry.get_sample_value(name)


async def test_a_gateway_that_is_cut_off_shows_it(world: World) -> None:
    """All regions Unreachable at once, and nothing moves: without it an operator looks in the wrong place."""
    assert world.controller is not None
    assert (world.controller.cut_off, gauge(world)) == (False, 0)

    cut(world, *REGIONS)
    await run(world, 20)
    assert (world.controller.cut_off, gauge(world)) == (True, 1)
    assert gauge(world, "waypost_failover_frozen") == 1

    for name in REGIONS:
        world.healed_at[name] = 0.0
    await run(world, 60)
    assert (world.controller.cut_off, gauge(world)) == (False, 0)
    assert gauge(world, "waypost_failover_frozen") == 0


async def test_a_gateway_whose_store_takes_no_writes_shows_it(world: World, store: FailingStore) -> None:
    """It decides nothing, and is not ready, until the store takes writes again."""
    assert world.controller is not None
    store.names = {"taints", "check_writable"}
    await run(world, 5)
    assert world.controller.outage
    assert gauge(world, "waypost_store_writable") == 0

    store.names = set()
    await run(world, 10)
    assert (world.controller.outage, gauge(world, "waypost_store_writable")) == ("", 1)
