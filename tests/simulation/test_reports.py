"""Tests old, repeated and incomplete reports of clusters, and that batches hold only committed facts."""

import pytest
from msgspec import structs

from clusters.protocol import AttemptEndKind, Batch, BatchAnswers, CreateAnswer, CreateOutcome
from gateway.core.shard_states import Phase
from gateway.reconciler.links.region_link import BATCHES_AT_ONCE
from gateway.reconciler.links.reports import BatchResult, StreamEvent
from gateway.store.sqlite.store import SqliteStore
from tests.simulation.scenario import NOTE, run, shards_in, workflow
from tests.simulation.world import World
from waypost.workflow.task import SideEffects
from waypost.workflow.task_phase import TaskPhase


async def test_a_list_made_before_a_create_arrived_says_nothing_of_it(world: World) -> None:
    """It was asked for earlier and arrives later: an attempt that it does not name may well run."""
    for path in world.paths.values():
        path.delay_seconds = 0.25
    for _ in range(60):
        await world.submit(workflow(2.0, shards=3))
        for link in world.links.values():
            link.list_attempts()
        await run(world, 0.3)
    await run(world, 20)

    assert {(shard.phase, shard.attempts_lost) for shard in world.shards.values()} == {(Phase.SUCCEEDED, 0)}


async def test_an_attempt_that_its_cluster_does_not_know_is_lost(world: World) -> None:
    """Found when lists are compared, every 30 s: otherwise it would be waited for without end."""
    await world.submit(workflow(60.0, shards=6))
    await run(world, 3)
    shard = shards_in(world, "beijing")[0]
    cluster = world.clusters["beijing"]
    cluster._stop(cluster.journal.attempts.pop(shard.attempt), world.timeline.now)
    await run(world, 35)

    assert world.shards[shard.key].attempts_lost == 1
    assert world.shards[shard.key].phase is Phase.RUNNING


async def test_a_cluster_that_restarts_between_two_probes_is_sent_its_attempts_again(world: World) -> None:
    """The region was never Unreachable, but its attempts sleep: the new stream shows it by its boot and its
    list (T6)."""
    await world.submit(workflow(10.0, shards=6))
    await run(world, 3)
    world.clusters["beijing"].crash(world.timeline.now)
    world.clusters["beijing"].restart(world.timeline.now)
    mine = {shard.key for shard in shards_in(world, "beijing")}
    await run(world, 20)

    assert {(world.shards[key].phase, world.shards[key].epoch) for key in mine} == {(Phase.SUCCEEDED, 1)}


async def test_an_answer_of_an_earlier_boot_confirms_nothing(world: World) -> None:
    """The answer was on its way when the cluster crashed: in this boot the attempt is asleep, and nothing of
    it runs."""
    await world.submit(workflow(60.0, shards=6))
    await run(world, 3)
    cluster, link = world.clusters["beijing"], world.links["beijing"]
    shard, before = shards_in(world, "beijing")[0], cluster.status(world.timeline.now)
    cluster.crash(world.timeline.now)
    cluster.restart(world.timeline.now)
    link.sending = BATCHES_AT_ONCE  # the gateway cannot send its next batch yet
    await run(world, 1)
    assert world.shards[shard.key].phase is Phase.DISPATCHING
    create = CreateAnswer(attempt=shard.attempt, outcome=CreateOutcome.EXISTS)
    answers, now = BatchAnswers(status=before, creates=(create,)), world.timeline.now
    link._put(BatchResult(began=now - 1, ended=now, batch=Batch(), answers=answers, failure=None))
    await world.tick()
    assert world.shards[shard.key].phase is Phase.DISPATCHING

    link.sending = 0
    await run(world, 2)
    assert world.shards[shard.key].phase is Phase.RUNNING


async def test_events_that_come_again_change_nothing(world: World, store: SqliteStore) -> None:
    """A stream that repeats itself must not move the cursor back: less would be acknowledged than is
    committed."""
    await world.submit(workflow(60.0, shards=6))
    await run(world, 3)
    journal, before = world.clusters["beijing"].journal, (await store.cursors())["beijing"]
    link = world.links["beijing"]
    event = journal.attempts[shards_in(world, "beijing")[0].attempt]
    world.clusters["beijing"].journal.report_task(
        event.spec.attempt, event, "t", TaskPhase.RUNNING, world.timeline.now
    )
    old = structs.replace(journal.events[-1], seq=1)
    await run(world, 1)
    link._put(StreamEvent(began=0.0, at=world.timeline.now, event=old))
    await run(world, 1)

    assert (await store.cursors())[
        "beijing"
    ].seq == before.seq + 1  # the world itself checks that it never went back


async def test_an_end_without_all_results_is_no_success(world: World) -> None:
    """A cluster that reports it has lost a result, or never had it: the attempt is lost, and what is missing
    runs again (T8)."""
    await world.submit(workflow(5.0, shards=6))
    await run(world, 2)
    shard, cluster = shards_in(world, "beijing")[0], world.clusters["beijing"]
    attempt = cluster.journal.attempts[shard.attempt]
    cluster._stop(attempt, world.timeline.now)
    attempt.ended = True
    cluster.journal.report_end(shard.attempt, AttemptEndKind.SUCCEEDED)
    await run(world, 0.5)
    assert (world.shards[shard.key].phase, world.shards[shard.key].reason) == (
        Phase.PENDING,
        "IncompleteResults",
    )
    assert (
        world.shards[shard.key].not_before > world.now.wall
    )  # after a back-off, or a broken cluster would be asked without end
    await run(world, 20)
    assert world.done()
    assert world.shards[shard.key].phase is Phase.SUCCEEDED


@pytest.mark.parametrize("side_effects", SideEffects)
async def test_what_is_not_committed_is_not_sent(
    world: World, store: SqliteStore, side_effects: SideEffects
) -> None:
    """The store fails between a decision and its commit. The world checks each batch that arrives: creates,
    tombstones, cursors."""
    await world.submit(workflow(20.0, shards=6, side_effects=side_effects))
    for _ in range(12):
        await world.submit(workflow(1.0, shards=3, side_effects=side_effects))
        await run(world, world.rng.uniform(0.1, 1.0))
        if world.rng.random() < 0.5:
            await store.cancel(world.rng.choice(sorted(world.runs)), at=world.now.wall, entry=NOTE)
        world.store_is_out, world.store_back_at = True, world.timeline.now + 3.0
        await run(world, 4)
    await run(world, 60)
    assert world.done()
