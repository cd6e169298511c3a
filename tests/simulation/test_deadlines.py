"""Tests in virtual time deadlines that pass while the gateway is down or hears nothing."""

from msgspec import structs

from gateway.core.shard_states import Phase
from gateway.documents.workflow import Workflow
from tests.simulation.scenario import cut, run, workflow
from tests.simulation.world import World


def within(deadline_seconds: float, given: Workflow) -> Workflow:
    return structs.replace(given, spec=structs.replace(given.spec, deadline_seconds=deadline_seconds))


def phases(world: World) -> set[Phase]:
    return {shard.phase for shard in world.shards.values()}


def slow(world: World) -> None:
    """Delays the reports of clusters on every network path."""
    for path in world.paths.values():
        path.delay_seconds = 0.35


async def without_gateway(world: World, seconds: float) -> None:
    world.kill_gateway()
    world.store_is_out, world.store_back_at = True, world.timeline.now + 2 * seconds
    await run(world, seconds)
    world.store_is_out = False


async def test_what_ended_in_time_while_no_gateway_ran_has_succeeded(world: World) -> None:
    """The next gateway hears of it after the deadline: the cluster's word counts before the gateway's
    clock."""
    await world.submit(within(8.0, workflow(3.0, shards=3)))
    await run(world, 1)
    await without_gateway(world, 13)
    slow(world)
    await world.start_gateway()
    await run(world, 5)

    assert phases(world) == {Phase.SUCCEEDED}


async def test_what_ended_in_time_has_succeeded_though_its_report_comes_later(world: World) -> None:
    """Not only at the start: the report may be on its way when the deadline passes."""
    await world.submit(within(3.4, workflow(3.0, shards=40)))
    end = world.timeline.now + 3.4
    await run(world, 1)
    slow(world)
    await run(world, 12)

    in_time = {start.attempt.shard for start in world.starts if start.ended and start.ended <= end}
    succeeded = {shard.index for shard in world.shards.values() if shard.phase is Phase.SUCCEEDED}
    assert in_time
    assert in_time <= succeeded
    assert phases(world) == {Phase.SUCCEEDED, Phase.FAILED}


async def test_what_is_not_done_when_its_cluster_is_heard_has_expired(world: World) -> None:
    await world.submit(within(8.0, workflow(300.0, shards=3)))
    await run(world, 1)
    await without_gateway(world, 13)
    await world.start_gateway()
    await run(world, 3)

    assert phases(world) == {Phase.FAILED}


async def test_the_deadline_of_work_in_a_region_that_is_lost_is_the_gateways(world: World) -> None:
    """Nobody says more of it, so it is not waited for."""
    await world.submit(within(8.0, workflow(300.0, shards=3)))
    await run(world, 1)
    cut(world, *world.paths)
    await without_gateway(world, 13)
    await world.start_gateway()
    await run(world, 5)

    assert phases(world) == {Phase.FAILED}


async def test_what_expired_has_failed_once_nothing_of_it_runs(world: World) -> None:
    """As what was cancelled: who sees that a run has failed may start it anew."""
    for cluster in world.clusters.values():
        cluster.linger_seconds = 6.0
    await world.submit(within(8.0, workflow(300.0, shards=20)))
    await run(world, 9)
    assert Phase.CANCELLING in phases(world)
    while phases(world) != {Phase.FAILED}:
        failed = {shard.key for shard in world.shards.values() if shard.phase is Phase.FAILED}
        alive = {(one.run, one.shard) for cluster in world.clusters.values() for one in cluster.alive()}
        assert not failed & alive
        await world.tick()
    assert {shard.reason for shard in world.shards.values()} == {"DeadlineExceeded"}
