"""Tests tasks that kill their cluster: they are quarantined, and all other work ends well."""

import pytest

from gateway.core.shard_states import Phase
from gateway.regions.region_condition import RegionCondition
from tests.simulation.scenario import cut, heal, run, workflow
from tests.simulation.world import REGIONS, World
from waypost.workflow.task import SideEffects

RESTART_SECONDS = 1.0


class Poison:
    """Kills the cluster of every task of `runs` after `after_seconds`; a supervisor restarts it."""

    def __init__(
        self, world: World, *runs: str, after_seconds: float, restart_seconds: float = RESTART_SECONDS
    ) -> None:
        self.world, self.runs = world, runs
        self.after_seconds, self.restart_seconds = after_seconds, restart_seconds
        self.deaths: dict[tuple[str, int], int] = {}
        self._back_at: dict[str, float] = {}

    def act(self) -> None:
        now = self.world.timeline.now
        for name, at in list(self._back_at.items()):
            if at <= now:
                del self._back_at[name]
                if not self.world.clusters[name].up:
                    self.world.clusters[name].restart(now)
        for start in self.world.starts:
            mine = start.attempt.run in self.runs and start.ended is None
            if mine and now - start.began >= self.after_seconds and self.world.clusters[start.region].up:
                key = (start.attempt.run, start.attempt.shard)
                self.deaths[key] = self.deaths.get(key, 0) + 1
                self.world.clusters[start.region].crash(now)
                self._back_at[start.region] = now + self.restart_seconds


async def run_to_the_end(world: World, poison: Poison, *, seconds: float = 900.0) -> None:
    until = world.timeline.now + seconds
    while not world.done():
        assert world.timeline.now < until, [s for s in world.shards.values() if not s.phase.terminal]
        await world.tick()
        poison.act()


def assert_only_the_poison_is_quarantined(world: World, poison: Poison) -> None:
    assert poison.deaths
    assert max(poison.deaths.values()) <= world.failover.region_losses_maximum
    for key, shard in world.shards.items():
        if key[0] in poison.runs:
            assert shard.phase is Phase.QUARANTINED, shard
            assert shard.reason == "5 regions in a row died or fell silent while a task of it ran there"
        else:
            assert shard.phase is Phase.SUCCEEDED, shard


@pytest.mark.parametrize("after_seconds", [0.0, 1.0, 6.0, 45.0])
@pytest.mark.parametrize("poisons", [1, 4])
@pytest.mark.parametrize("bystanders", [1.0, 60.0])
async def test_only_what_ends_regions_is_quarantined(
    world: World, after_seconds: float, poisons: int, bystanders: float
) -> None:
    """All start at once, so at first nobody can tell which it is: short and long ones beside one or many."""
    await world.submit(workflow(300.0, shards=poisons))
    await world.submit(workflow(bystanders, shards=20))
    poison = Poison(world, "run-000", after_seconds=after_seconds)
    await run_to_the_end(world, poison)

    assert_only_the_poison_is_quarantined(world, poison)


@pytest.mark.parametrize("side_effects", SideEffects)
async def test_a_region_that_falls_silent_for_long_counts_as_one_that_died(
    world: World, side_effects: SideEffects
) -> None:
    """It is left (T7) before it is back: the disk is full, or its supervisor takes its time."""
    await world.submit(workflow(300.0, shards=1, side_effects=side_effects))
    await world.submit(workflow(20.0, shards=9))
    poison = Poison(world, "run-000", after_seconds=1.0, restart_seconds=30.0)
    await run_to_the_end(world, poison)

    assert_only_the_poison_is_quarantined(world, poison)


@pytest.mark.parametrize("restart_seconds", [3.0, 6.0, 12.0])
@pytest.mark.parametrize("delay_seconds", [0.02, 0.15])
@pytest.mark.parametrize("side_effects", SideEffects)
async def test_regions_that_die_before_they_are_heard_of_count_though_most_are_not_back_yet(
    world: World, restart_seconds: float, delay_seconds: float, side_effects: SideEffects
) -> None:
    """The start of the task, or the answer to the create, dies with the cluster; of three regions two are
    still being started when the shard moves on, so that no loss is proven then."""
    for path in world.paths.values():
        path.answers_end, path.delay_seconds = True, delay_seconds
    await world.submit(workflow(300.0, shards=1, side_effects=side_effects))
    await world.submit(workflow(20.0, shards=9))
    poison = Poison(world, "run-000", after_seconds=0.0, restart_seconds=restart_seconds)
    await run_to_the_end(world, poison)

    assert_only_the_poison_is_quarantined(world, poison)


async def test_poison_that_comes_again_quarantines_nobody_else(world: World) -> None:
    """The second ends regions beside the same long tasks, which are suspected, too, since the first."""
    await world.submit(workflow(120.0, shards=6))
    runs = [f"run-{number:03d}" for number in range(1, 3)]
    poison = Poison(world, *runs, after_seconds=1.0)
    for _ in runs:
        await world.submit(workflow(300.0, shards=1))
        for _ in range(300):
            await world.tick()
            poison.act()
    await run_to_the_end(world, poison)

    assert_only_the_poison_is_quarantined(world, poison)


async def test_regions_that_are_restarted_once_each_accuse_nobody(world: World) -> None:
    """A rolling upgrade: every shard goes on where it is."""
    await world.submit(workflow(120.0, shards=12))
    await run(world, 5)
    for name in REGIONS:
        world.clusters[name].crash(world.timeline.now)
        world.clusters[name].restart(world.timeline.now)
        await run(world, 10)

    assert {(shard.phase, shard.epoch) for shard in world.shards.values()} == {(Phase.RUNNING, 1)}


@pytest.mark.parametrize("after_seconds", [0.0, 1.0])
async def test_waiting_for_a_processor_acquits_nobody(world: World, after_seconds: float) -> None:
    """Its region lives for as long as it waits in the queue, which says nothing of it. What waits beside it
    is neither accused nor kept waiting for good."""
    for cluster in world.clusters.values():
        cluster.processors = 1
    await world.submit(workflow(300.0, shards=1))
    await world.submit(workflow(20.0, shards=15))
    poison = Poison(world, "run-000", after_seconds=after_seconds)
    await run_to_the_end(world, poison)

    assert_only_the_poison_is_quarantined(world, poison)


class Silencer:
    """Silences the cluster of every task of `runs` for most of the time, without a restart.

    It is heard for `heard_seconds` of every `period_seconds`.
    """

    def __init__(
        self, world: World, *runs: str, heard_seconds: float = 6.0, period_seconds: float = 15.0
    ) -> None:
        self.world, self.runs = world, runs
        self.heard_seconds, self.period_seconds = heard_seconds, period_seconds
        self.silences = 0
        self._back_at: dict[str, float] = {}

    def act(self) -> None:
        now = self.world.timeline.now
        for name, at in list(self._back_at.items()):
            if at <= now:
                del self._back_at[name]
                heal(self.world, name)
        for start in self.world.starts:
            mine = start.attempt.run in self.runs and start.ended is None
            into = (now - start.began) % self.period_seconds
            if mine and start.region not in self._back_at and into >= self.heard_seconds:
                self.silences += 1
                cut(self.world, start.region)
                self._back_at[start.region] = now + self.period_seconds - self.heard_seconds


async def test_what_silences_region_after_region_is_quarantined(world: World) -> None:
    """The same boot is back each time, so nothing of it is lost; what runs beside it is tried apart, and ends
    well."""
    await world.submit(workflow(600.0, shards=1))
    await world.submit(workflow(60.0, shards=9))
    poison = Silencer(world, "run-000")
    until = world.timeline.now + 900.0
    while not world.done():
        assert world.timeline.now < until, [s for s in world.shards.values() if not s.phase.terminal]
        await world.tick()
        poison.act()

    phases = {key: shard.phase for key, shard in world.shards.items()}
    assert phases.pop(("run-000", 0)) is Phase.QUARANTINED
    assert set(phases.values()) == {Phase.SUCCEEDED}
    assert poison.silences <= world.failover.region_losses_maximum + 1


async def quarantined_after(world: World, *poisons: Poison | Silencer, seconds: float) -> dict[str, float]:
    """Runs the world to the end; returns after how long each run of `poisons` was Quarantined."""
    began, found = world.timeline.now, dict[str, float]()
    mine = {run for poison in poisons for run in poison.runs}
    while not world.done():
        assert world.timeline.now < began + seconds, [
            s for s in world.shards.values() if not s.phase.terminal
        ]
        await world.tick()
        for poison in poisons:
            poison.act()
        for (run_id, _), shard in world.shards.items():
            if shard.phase is Phase.QUARANTINED:
                found.setdefault(run_id, world.timeline.now - began)
    assert found.keys() == mine
    assert {s.phase for key, s in world.shards.items() if key[0] not in mine} == {Phase.SUCCEEDED}
    return found


async def test_several_poisons_of_two_kinds_at_once_are_found_soon(world: World) -> None:
    """One silences a region while others end theirs: that is no failure of the gateway's own network."""
    await world.submit(workflow(20.0, shards=12))
    for _ in range(3):
        await world.submit(workflow(600.0, shards=1))
    deadly = (
        Poison(world, "run-001", after_seconds=0.0),
        Poison(world, "run-002", after_seconds=1.0),
    )
    silencer = Silencer(world, "run-003", heard_seconds=2.0, period_seconds=14.0)
    found = await quarantined_after(world, *deadly, silencer, seconds=180)

    assert max(found.values()) < 90
    assert all(max(poison.deaths.values()) <= 5 for poison in deadly)


async def test_innocents_that_are_tried_do_not_keep_poison_waiting_for_minutes(world: World) -> None:
    """Thirty old ones, of which each runs for as long as a trial takes, beside four that came last."""
    await world.submit(workflow(60.0, shards=30))
    await run(world, 5)
    for _ in range(4):
        await world.submit(workflow(600.0, shards=1))
    poisons = [Poison(world, f"run-{number:03d}", after_seconds=1.0) for number in range(1, 5)]
    found = await quarantined_after(world, *poisons, seconds=600)

    assert max(found.values()) < 60
    assert all(max(poison.deaths.values()) <= 5 for poison in poisons)


@pytest.mark.parametrize("heard_seconds", [1.0, 8.0])
async def test_a_region_that_is_heard_only_briefly_is_rid_of_what_silences_it(
    world: World, heard_seconds: float
) -> None:
    """One that answers for a moment gets the tombstone then; one whose silence begins late in a trial, and
    is noticed when that is over, has not outlived it."""
    await world.submit(workflow(600.0, shards=1))
    await world.submit(workflow(60.0, shards=9))
    silencer = Silencer(world, "run-000", heard_seconds=heard_seconds, period_seconds=heard_seconds + 25.0)
    found = await quarantined_after(world, silencer, seconds=400)

    assert max(found.values()) < 200
    await run(world, 130)
    gateway = world.controller
    assert gateway is not None
    assert [view.condition for view in gateway.views(world.now)] == [RegionCondition.HEALTHY] * len(REGIONS)


async def test_a_region_that_is_cut_off_once_moves_nothing_that_waits_for_it(world: World) -> None:
    """One silence accuses nobody: what has run for long goes on where it is, under its epoch."""
    await world.submit(workflow(300.0, shards=9))
    await run(world, 30)
    cut(world, "beijing")
    await run(world, 6)
    heal(world, "beijing")
    await run(world, 20)

    assert {(shard.phase, shard.epoch) for shard in world.shards.values()} == {(Phase.RUNNING, 1)}


async def test_silences_of_most_regions_at_once_accuse_nobody(world: World) -> None:
    """It was the gateway's own network: however often, every shard goes on where it is."""
    await world.submit(workflow(300.0, shards=9))
    await run(world, 30)
    for _ in range(3):
        cut(world, *REGIONS)
        await run(world, 8)
        heal(world, *REGIONS)
        await run(world, 20)

    assert {(shard.phase, shard.epoch) for shard in world.shards.values()} == {(Phase.RUNNING, 1)}
