"""Steps of simulated scenarios: submit, let time pass, cut a region off, forget it, change the routing."""

from collections.abc import Mapping

from gateway.core.history import HistoryKind
from gateway.core.shard_states import Phase, Shard
from gateway.documents.workflow import Metadata, Shards, Spec, Workflow
from gateway.regions.region_condition import Taint
from gateway.regions.routing import RegionRouting, RoutingDocument, after_apply, after_rollback
from tests.gateway.core.history_entries import history_entry
from tests.simulation.world import REGIONS, World
from waypost.workflow.task import SideEffects, TaskSpec

NOTE = history_entry(HistoryKind.CORDONED, actor="sre")
"""A history entry for store calls that require one; no test reads it."""


def workflow(seconds: float, *, shards: int, side_effects: SideEffects = SideEffects.IDEMPOTENT) -> Workflow:
    task = TaskSpec(name="t", type="delay", run={"seconds": seconds, "failing": 0.0})
    spec = Spec(tasks=(task,), shards=Shards(count=shards), side_effects=side_effects)
    return Workflow(api_version="waypost/v1", kind="Workflow", metadata=Metadata(name="w"), spec=spec)


async def run(world: World, seconds: float) -> None:
    """Lets `seconds` of virtual time pass."""
    until = world.timeline.now + seconds
    while world.timeline.now < until:
        await world.tick()


async def run_until_phase(world: World, seconds: float, phase: Phase, region: str) -> None:
    """Runs the world until every shard in `region` is in `phase`; fails after `seconds`."""
    end = world.timeline.now + seconds
    while {shard.phase for shard in shards_in(world, region)} != {phase}:
        assert world.timeline.now < end, shards_in(world, region)
        await world.tick()


def cut(world: World, *names: str) -> None:
    """Cuts the network to regions in both directions, until `heal`."""
    for name in names:
        world.paths[name].requests_cut = world.paths[name].answers_cut = True
        world.healed_at[name] = 1e9


def heal(world: World, *names: str) -> None:
    for name in names:
        world.healed_at[name] = 0.0


async def give_up(world: World, *names: str) -> None:
    """Marks regions as forgotten (lost for good), as an operator would."""
    for name in names:
        world.given_up.add(name)
        await world.store.add_taint(name, Taint.FORGOTTEN, entry=NOTE)


async def route(world: World, regions: Mapping[str, RegionRouting]) -> int:
    """Puts a routing revision in force, as an operator would, and returns its number."""
    document = RoutingDocument(regions=dict(regions))
    after = after_apply(await world.store.routing(), document, by="sre", at=world.now.wall)
    assert await world.store.write_routing(after, entry=NOTE)
    return after.revisions[-1].number


async def unroute(world: World, number: int) -> None:
    """Rolls the routing revision in force back, as an operator or the gateway itself would."""
    after = after_rollback(await world.store.routing(), number, by="sre", at=world.now.wall)
    assert await world.store.write_routing(after, entry=NOTE)


def placed(world: World) -> dict[str, int]:
    """Counts the shards in each region."""
    return {name: sum(shard.region == name for shard in world.shards.values()) for name in REGIONS}


def shards_in(world: World, region: str) -> list[Shard]:
    return [shard for shard in world.shards.values() if shard.region == region]
