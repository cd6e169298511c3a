"""Tests the rollback loop in virtual time, with real bundles in a real store."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.core.errors import Unavailable
from gateway.core.rollback import Alert, ReleaseKind, RollbackPhase
from gateway.policy.rollout.acts import Act
from gateway.policy.rollout.bundle_states import NOBODY, Share, Step
from gateway.rollback.controller import RollbackController
from gateway.rollback.evidence import Evidence, NoEvidence
from gateway.rollback.interface import Counted, Queries
from gateway.rollback.policy_bundles.releases import PolicyBundles
from gateway.rollback_settings import ReleaseKindSettings
from gateway.settings import RollbackSettings
from gateway.store.acts import ActQuery
from tests.gateway.policy.rollout.releases import Opened, archive, opened
from tests.gateway.rollback.rollbacks import COUNTED, ON, an_alert, evidence

START = 2_000_000_000.0


class World:
    """A simulated gateway with a stopped clock, and a Prometheus that says what a test wants."""

    def __init__(self, gateway: Opened) -> None:
        self.gateway, self.now = gateway, START
        self.settings = ON
        self.found: Evidence | NoEvidence = evidence()
        self.asked: list[tuple[str, bool]] = []
        self.region_lost = False
        self.phases: list[str] = []

    async def evidence(
        self, queries: Queries, counted: Counted, *, window_seconds: int
    ) -> Evidence | NoEvidence:
        (revision,) = re.findall(r'revision="([^"]*)"', queries.release)
        self.asked.append((self.sequences[revision], queries.release.endswith("vector(0)")))
        assert (counted, window_seconds) == (COUNTED, 300)
        return self.found

    async def passes(self, seconds: float = 0.0) -> None:
        """Runs one pass of a newly started controller, after `seconds`."""
        self.now += seconds
        controller = RollbackController(
            self.gateway.store,
            {ReleaseKind.POLICY: PolicyBundles(self.gateway.rollout)},
            self,
            self.settings,
            clock=lambda: self.now,
            region_lost=lambda: self.region_lost,
            on_phase=self.phases.append,
        )
        await controller.pass_once()

    async def step(self, which: Step, sequence: int, share: Share = NOBODY) -> None:
        act, rollout = Act(by="ada", at=self.now, decision_id="d"), self.gateway.rollout
        await rollout.take(which, sequence, act, expected=rollout.current.generation, share=share)

    async def alert(self, number: int = 1, **changes: Any) -> Alert:
        alert = an_alert(fingerprint=f"f{number}", **changes)
        await self.gateway.store.take_alerts([alert])
        return alert

    @property
    def sequences(self) -> dict[str, str]:
        return {one.revision: str(one.sequence) for one in self.gateway.rollout.current.releases}

    @property
    def states(self) -> dict[int, str]:
        return {one.sequence: str(one.state) for one in self.gateway.rollout.current.releases}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Yields a world in which bundle 1 was active for long, and bundle 2 has been for 10 minutes."""
    async with opened(tmp_path) as gateway:
        world = World(gateway)
        for sequence in (1, 2, 3):
            await gateway.rollout.upload(archive(sequence), Act(by="ada", at=START, decision_id="d"))
        await world.step(Step.ACTIVATE, 1)
        world.now += 100_000
        await world.step(Step.ACTIVATE, 2)
        world.now += 600
        yield world


BEFORE = {1: "Superseded", 2: "Active", 3: "Gated"}
AFTER = {1: "Active", 2: "RolledBack", 3: "Gated"}


async def test_a_bad_bundle_is_taken_back_and_what_came_of_it_is_looked_at(world: World) -> None:
    """Each step is kept with the numbers that it saw, and the act is in the audit."""
    await world.alert()
    await world.passes()
    assert world.states == AFTER
    await world.passes(299)
    world.found = evidence(baseline=0.01)
    await world.passes(1)
    await world.passes(1)
    (rollback,) = (await world.gateway.store.rollbacks(limit=9)).rollbacks
    assert [step.phase for step in rollback.steps] == ["Intended", "Done", "Helped"]
    assert (rollback.release, rollback.returns_to) == ("2", "1")
    assert rollback.steps[0].seen["release_refused"] == 400.0
    assert world.phases == ["Intended", "Done", "Helped"]
    assert world.asked == [("2", False), ("2", True)]
    (act, *_) = (await world.gateway.store.acts(ActQuery(tenants=None))).entries
    assert (act.kind, act.actor, act.at) == ("PolicyRolledBack", "rollback", rollback.began_at)


async def test_a_bundle_in_canary_is_taken_back_and_the_active_one_stays(world: World) -> None:
    await world.step(Step.CANARY, 3, Share(percent=5))
    await world.alert()
    await world.passes(200)
    assert world.states == {1: "Superseded", 2: "Active", 3: "RolledBack"}


async def test_many_alerts_and_flapping_are_one_rollback(world: World) -> None:
    """Row 38: each time it fires it is another alert, about the same release."""
    for number in range(50):
        alert = await world.alert(number)
        await world.passes(20)
        await world.gateway.store.take_alerts([structs.replace(alert, resolved=True)])
        await world.passes(20)
    assert world.states == AFTER
    assert world.phases.count("Intended") == 1
    assert await world.gateway.store.open_alerts(limit=99) == []


async def test_many_alerts_ask_prometheus_once_a_pass(world: World) -> None:
    world.found = evidence(submissions=10.0)
    for number in range(50):
        await world.alert(number)
    await world.passes()
    await world.passes(5)
    assert (world.asked, world.states) == ([("2", False)] * 2, BEFORE)


async def test_the_last_known_good_bundle_stays_whatever_comes(world: World) -> None:
    """That it still goes badly is not its fault: a person is wanted."""
    await world.alert(1)
    await world.passes()
    await world.alert(2)
    await world.passes(2_000)
    assert world.states == AFTER
    assert world.phases == ["Intended", "Done", "Helped", "Wanted"]


@pytest.mark.parametrize("why", ["down", "NaN", "clock"])
async def test_without_evidence_nothing_is_done_and_a_person_is_wanted(world: World, why: str) -> None:
    """Row 39."""
    broken: dict[str, Evidence | NoEvidence] = {
        "down": NoEvidence(why="down"),
        "NaN": evidence(share=float("nan")),
        "clock": evidence(clock=99),
    }
    world.found = broken[why]
    await world.alert()
    for _ in range(9):
        await world.passes(5)
    assert world.states == BEFORE
    assert world.phases == ["Frozen"]


async def test_while_a_region_is_lost_nothing_is_done(world: World) -> None:
    """Row 40: its loss may be the cause. Prometheus is not even asked."""
    world.region_lost = True
    await world.alert()
    await world.passes()
    assert (world.states, world.asked) == (BEFORE, [])
    world.region_lost = False
    await world.passes(5)
    assert world.states == AFTER


async def test_a_young_bundle_is_judged_once_it_is_old_enough(world: World) -> None:
    await world.step(Step.ACTIVATE, 3)
    await world.alert()
    await world.passes(119)
    assert world.states[3] == "Active"
    await world.passes(1)
    assert world.states == {1: "Superseded", 2: "Active", 3: "RolledBack"}


@pytest.mark.parametrize(
    ("settings", "phases"),
    [
        (RollbackSettings(), []),
        (RollbackSettings(mode="dry-run"), ["DryRun"]),
        (RollbackSettings(mode="on", policy=ReleaseKindSettings(mode="dry-run")), ["DryRun"]),
    ],
)
async def test_modes_that_take_nothing_back(
    world: World, settings: RollbackSettings, phases: list[str]
) -> None:
    world.settings = settings
    await world.alert()
    await world.passes()
    await world.passes(5)
    assert (world.states, world.phases) == (BEFORE, phases)


async def test_resolved_or_about_nothing_is_nothing(world: World) -> None:
    await world.alert(1, resolved=True)
    await world.alert(2, kind="")
    await world.passes()
    assert (world.states, world.asked) == (BEFORE, [])
    assert await world.gateway.store.open_alerts(limit=9) == []


async def test_what_changes_while_prometheus_answers_is_looked_at_again(world: World) -> None:
    """The evidence is about a bundle that rules no more."""
    ask = world.evidence

    async def meanwhile(queries: Queries, counted: Counted, **window: int) -> Evidence | NoEvidence:
        await world.step(Step.ACTIVATE, 3)
        return await ask(queries, counted, **window)

    await world.alert()
    world.evidence = meanwhile  # type: ignore[method-assign]
    await world.passes()
    assert world.states == {1: "Superseded", 2: "Superseded", 3: "Active"}
    assert world.phases == []


async def crash_between(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crashes the gateway after a rollback is stored and before it is carried out."""

    async def full(*_: object, **__: object) -> None:
        raise Unavailable("the disk is full")

    await world.alert()
    with monkeypatch.context() as patch:
        patch.setattr(world.gateway.rollout, "take", full)
        with pytest.raises(Unavailable):
            await world.passes()
    assert (world.states, world.phases) == (BEFORE, ["Intended"])


async def test_what_was_begun_is_ended_after_a_restart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await crash_between(world, monkeypatch)
    await world.passes(5)
    assert (world.states, world.phases) == (AFTER, ["Intended", "Done"])


async def test_what_was_done_before_a_crash_is_found_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crash_between(world, monkeypatch)
    await world.step(Step.ROLL_BACK, 2)
    await world.passes(5)
    assert (world.states, world.phases) == (AFTER, ["Intended", "Done"])


@pytest.mark.parametrize("how", ["late", "replaced", "off"])
async def test_what_was_begun_is_not_done_when_it_is_no_longer_right(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    await crash_between(world, monkeypatch)
    if how == "replaced":
        await world.step(Step.ACTIVATE, 3)
    if how == "off":
        world.settings = RollbackSettings(mode="dry-run")
    before = world.states
    await world.passes(301 if how == "late" else 5)
    assert (world.states, world.phases[-1]) == (before, RollbackPhase.FAILED)


async def test_a_rollback_that_did_not_help_wants_a_person(world: World) -> None:
    await world.alert()
    await world.passes()
    world.found = evidence(baseline=0.4)
    await world.passes(300)
    assert world.phases == ["Intended", "Done", "Unhelpful"]
