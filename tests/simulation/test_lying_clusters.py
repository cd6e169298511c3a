"""Tests that a cluster that lies only counts as failing, and stops neither controller nor other regions."""

import asyncio
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from loguru import logger
from msgspec import structs

from clusters.answer_checks import StreamChecks
from clusters.embedded.http.client import EVENT
from clusters.errors import ClusterError
from clusters.protocol import OUTPUT_BYTES, AttemptId, Hello, TaskChanged
from clusters.transport_failures import cluster_errors
from gateway.core.shard_states import Phase
from gateway.reconciler.inbox import UNKNOWN_MAXIMUM
from gateway.reconciler.links.reports import AttemptListing, BadAnswer, ProbeResult, StreamEnded, StreamEvent
from gateway.regions.region_condition import RegionCondition
from gateway.store.sqlite.store import SqliteStore
from tests.simulation.scenario import run, shards_in, workflow
from tests.simulation.world import World
from waypost.sqlite_group_commit import Database
from waypost.workflow.task_phase import TaskPhase


class UncheckedWorld(World):
    """A world without checks, whose clusters may lie: its records show what they reported."""

    def check_start(self, *_: object) -> None: ...

    def check_writes(self, *_: object) -> None: ...

    def check_cursors(self, *_: object) -> None: ...

    def check_batch(self, *_: object) -> None: ...

    def check_time(self, *_: object) -> None: ...

    def check_reality(self, *_: object) -> None: ...


NUMBERS = st.sampled_from([0, 1, 2, 5, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -1]) | st.integers()
TIMES = NUMBERS | st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.one_of(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**63 - 1), NUMBERS)
TEXTS = st.text(max_size=5) | st.sampled_from(["t", "x" * 200, "beijing", "shanghai"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS, lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
RUNS = st.sampled_from(["run-000", "run-001", "none"])
ATTEMPTS = st.fixed_dictionaries(
    {"run": RUNS, "shard": st.integers(0, 5), "epoch": st.integers(1, 2)}
) | st.fixed_dictionaries({"run": RUNS | TEXTS, "shard": NUMBERS, "epoch": NUMBERS})
STATUSES = st.fixed_dictionaries(
    {
        "region": st.just("beijing") | TEXTS,
        "incarnation": st.just("beijing-journal-1") | TEXTS,
        "boot": st.just("beijing-boot-1") | TEXTS,
        "uptime": st.just(9.0) | TIMES,
        "slots": NUMBERS,
        "held": NUMBERS,
        "seq": NUMBERS,
    },
    optional={"executors": st.lists(TEXTS, max_size=3), "cpu": TIMES, "queued": NUMBERS},
)
EVENTS = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("task"),
            "seq": COUNTS,
            "attempt": ATTEMPTS,
            "task": st.just("t") | TEXTS,
            "phase": st.sampled_from([*TaskPhase, "Gone"]),
            "tries": COUNTS,
            "started_at": st.just(1.8e9) | TIMES,
        },
        optional={"ended_at": TIMES, "output": ANYTHING, "reason": TEXTS},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("ended"),
            "seq": COUNTS,
            "attempt": ATTEMPTS,
            "end": st.sampled_from(["Succeeded", "Failed", "Lost"]),
        },
        optional={"reason": TEXTS},
    ),
    st.fixed_dictionaries({"type": st.just("lease"), "attempt": ATTEMPTS, "ask": COUNTS}),
    st.fixed_dictionaries({"type": st.just("beat"), "status": STATUSES}),
    st.fixed_dictionaries(
        {
            "type": st.just("hello"),
            "status": STATUSES,
            "attempts": st.lists(st.tuples(ATTEMPTS, st.booleans()), max_size=4),
        }
    ),
)


def say(world: World, region: str, checks: StreamChecks, said: dict[str, Any]) -> None:
    """Puts an event into the region's inbox after the adapter's checks, as its link would."""
    link, now = world.links[region], world.timeline.now
    try:
        with cluster_errors():
            event = checks.checked(EVENT.decode(msgspec.json.encode(said)))
    except ClusterError as error:
        link._put(BadAnswer(at=now, detail=error.detail))
        link._put(StreamEnded(at=now, reason=error.reason))
    else:
        link._put(StreamEvent(began=now, at=now, event=event))


async def _lie(lies: list[list[dict[str, Any]]]) -> None:
    async with SqliteStore(Database(":memory:", inline=True)) as store:
        world = UncheckedWorld(store, 1, trouble=1e-9)
        await world.start_gateway()
        await run(world, 3)
        for seconds in (1.0, 3.0):
            await world.submit(workflow(seconds, shards=6))
        await run(world, 1)
        elsewhere = {
            (run_id, shard.index)
            for run_id in world.runs
            for shard in await store.shards(run_id)
            if shard.region in ("shanghai", "shenzhen") or shard.phase is Phase.SUCCEEDED
        }
        for stream in lies:
            checks = StreamChecks("beijing", cursor=0, incarnation="beijing-journal-1")
            for said in stream:
                say(world, "beijing", checks, said)
                await world.tick()
        await run(world, 6)

        assert elsewhere
        phases = {
            (run_id, shard.index): shard.phase
            for run_id in world.runs
            for shard in await store.shards(run_id)
        }
        assert {phases[key] for key in elsewhere} == {Phase.SUCCEEDED}


HELLO = st.fixed_dictionaries(
    {
        "type": st.just("hello"),
        "status": st.just(
            {
                "region": "beijing",
                "incarnation": "beijing-journal-1",
                "boot": "beijing-boot-1",
                "uptime": 5.0,
                "slots": 100,
                "held": 0,
                "seq": 0,
            }
        ),
        "attempts": st.lists(st.tuples(ATTEMPTS, st.booleans()), max_size=4),
    }
)
STREAMS = st.tuples(HELLO, st.lists(EVENTS, max_size=6)).map(lambda stream: [stream[0], *stream[1]])


@example(
    [
        [
            {
                "type": "ended",
                "seq": 2**63,
                "attempt": {"run": "none", "shard": 0, "epoch": 1},
                "end": "Lost",
            },
        ]
    ]
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STREAMS, min_size=1, max_size=3))
def test_whatever_one_region_says_the_controller_goes_on(lies: list[list[dict[str, Any]]]) -> None:
    """Also where every field is within its bounds and the whole is a lie."""
    asyncio.run(_lie(lies))


async def test_a_region_whose_stream_lies_is_unreachable_and_says_why(world: World) -> None:
    """Though its probes are answered: its work does not get on. Once it has stopped, it is back."""
    await world.submit(workflow(30.0, shards=6))
    await run(world, 2)
    link = world.links["beijing"]
    for _ in range(20):
        link._put(BadAnswer(at=world.timeline.now, detail="Expected `int` <= 9223372036854775807"))
        await run(world, 1)

    assert world.controller is not None
    view = next(view for view in world.controller.views(world.now) if view.name == "beijing")
    assert view.condition is RegionCondition.UNREACHABLE
    assert "BadAnswer (Expected `int` <= 9223372036854775807)" in view.reason
    assert shards_in(world, "beijing") == []

    await run(world, 60)
    view = next(view for view in world.controller.views(world.now) if view.name == "beijing")
    assert view.condition is not RegionCondition.UNREACHABLE


async def test_an_uptime_that_leaps_within_one_boot_is_a_bad_answer(world: World) -> None:
    """Fences count on it. An honest one that comes after it counts again."""
    assert world.controller is not None
    link, region = world.links["beijing"], world.controller._ws.regions["beijing"]

    now = world.timeline.now
    status = structs.replace(world.clusters["beijing"].status(now), uptime=1e10)
    link._put(ProbeResult(began=now, ended=now, status=status))
    await world.tick()
    assert region.bad_answer.endswith("within one boot")
    await run(world, 8)
    assert region.health.condition is RegionCondition.UNREACHABLE
    assert "BadAnswer (its uptime went from" in region.health.reason
    await run(world, 60)
    assert region.health.condition is not RegionCondition.UNREACHABLE


async def test_attempts_that_a_cluster_invents_are_ended_a_bounded_number_at_once(world: World) -> None:
    """However often it lists others, and though it never confirms the end of any; one line each."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}", level="WARNING")
    link, cluster = world.links["beijing"], world.clusters["beijing"]
    for number in range(5):
        invented = tuple((AttemptId(run=f"{number}-{n}", shard=0, epoch=1), True) for n in range(3_000))
        hello = Hello(status=cluster.status(world.timeline.now), attempts=invented)
        for _ in range(4):
            link._put(AttemptListing(began=world.timeline.now, at=world.timeline.now, hello=hello))
        await world.tick()
        assert world.controller is not None
        assert len(world.controller._ws.regions["beijing"].unknown_attempts) == UNKNOWN_MAXIMUM
    logger.remove(sink)

    said = [line for line in lines if "no shard lists" in line]
    assert said[0] == "region beijing: ends 1000 attempts that no shard lists, the first is 0-0/0, epoch 1\n"
    assert len(said) == 10


async def test_outputs_beyond_a_shards_bound_are_not_stored(world: World, store: SqliteStore) -> None:
    """Each is small enough; together they could not travel with the next attempt."""
    await world.submit(workflow(30.0, shards=1))
    await run(world, 2)
    shard = next(iter(world.shards.values()))
    assert shard.region is not None
    cluster, link = world.clusters[shard.region], world.links[shard.region]
    for _ in range(300):
        cluster.journal.seq += 1
        event = TaskChanged(
            seq=cluster.journal.seq,
            attempt=shard.attempt,
            task="t",
            phase=TaskPhase.RUNNING,
            tries=1,
            started_at=world.now.wall,
            output="x" * (OUTPUT_BYTES - 2),
        )
        link._put(StreamEvent(began=world.timeline.now, at=world.timeline.now, event=event))
    await world.tick()

    after = await store.shard(*shard.key)
    assert after is not None
    assert (after.phase, after.attempts_lost, after.reason) == (Phase.PENDING, 1, "OutputsTooLarge")
