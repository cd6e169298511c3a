"""Tests the loop of staged releases in virtual time: which shares a canary gets, by whose leave."""

import pytest

from gateway.core.decision import Action, Decision, Question, Reason
from gateway.core.errors import Unavailable
from gateway.core.history_details import WorkflowDetail
from gateway.core.workflow_release import ReleaseStep
from gateway.rollback.evidence import NoEvidence
from gateway.rollback.workflows.staged_releases import StagedReleases
from gateway.store.acts import ActQuery
from tests.conformance.release_alerts import full
from tests.conformance.release_world import State
from tests.gateway.api.conftest import Rules
from tests.gateway.rollback.workflows.workflow_world import ADA, WorkflowWorld

STEP = 600.0


class Stages:
    """The canary of version 3 with the shares 5, 25 and 100, and the loop that advances it."""

    def __init__(self, world: WorkflowWorld) -> None:
        self.world, self.policy = world, Rules()
        world.found = world.measured(share=0.01)

    async def passes(self, seconds: float = 0.0) -> None:
        """Runs one pass of a newly started loop, after `seconds`."""
        self.world.now += seconds
        loop = StagedReleases(
            self.world.store,
            self.policy,
            self.world,
            self.world.settings,
            clock=lambda: self.world.now,
            region_lost=lambda: self.world.region_lost,
        )
        await loop.pass_once()

    async def shares(self) -> tuple[float, tuple[float, ...]]:
        canary = (await self.world.workflow()).canary
        return (0.0, ()) if canary is None else (canary.percent, canary.steps)

    async def acts(self) -> list[WorkflowDetail]:
        """Returns what the gateway did by itself, oldest first."""
        entries = (await self.world.store.acts(ActQuery(tenants=None))).entries
        found = [one.detail for one in entries if one.actor == "gateway"]
        return [detail for detail in reversed(found) if isinstance(detail, WorkflowDetail)]


@pytest.fixture
async def stages(world: WorkflowWorld) -> Stages:
    await world.step(ReleaseStep.CANARY, 3, percent=5.0, steps=(25.0, 100.0))
    return Stages(world)


async def test_a_canary_that_does_well_becomes_stable_by_its_stages(stages: Stages) -> None:
    """Each step is asked of policy for who began the release, and is an act with its decision."""
    seen = []
    for seconds in (599, 1, 599, 1, STEP):
        await stages.passes(seconds)
        seen.append(await stages.shares())
    assert seen == [(5.0, (25.0, 100.0)), *[(25.0, (100.0,))] * 2, (0.0, ()), (0.0, ())]
    assert await stages.world.states() == {1: State.BEFORE, 2: State.BEFORE, 3: State.IN_FORCE}
    assert [(one.principal, one.action) for one in stages.policy.asked] == [
        (ADA, Action.RELEASES_OPERATE)
    ] * 2
    assert [one.context["release"] for one in stages.policy.asked] == [
        {"tenant": "demo", "workflow": "nightly", "operation": "canary", "version": 3, "percent": 25.0},
        {"tenant": "demo", "workflow": "nightly", "operation": "promote", "version": 3},
    ]
    assert [(one.percent, one.steps, one.decision_id) for one in await stages.acts()] == [
        (25.0, (100.0,), "d1"),
        (0.0, (), "d2"),
    ]
    assert await stages.world.store.staged_workflows(limit=9) == []


async def test_a_canary_that_does_badly_keeps_its_share(stages: Stages) -> None:
    stages.world.found = stages.world.measured(share=0.4)
    for _ in range(9):
        await stages.passes(STEP)
    assert (await stages.shares(), stages.policy.asked) == ((5.0, (25.0, 100.0)), [])


async def test_without_evidence_a_canary_keeps_its_share_and_goes_on_later(stages: Stages) -> None:
    world = stages.world
    world.found = NoEvidence(why="down")
    await stages.passes(STEP)
    world.found, world.region_lost = world.measured(share=0.01), True
    await stages.passes(STEP)
    assert await stages.shares() == (5.0, (25.0, 100.0))
    world.region_lost = False
    await stages.passes(5)
    assert await stages.shares() == (25.0, (100.0,))


async def test_what_policy_refuses_ends_the_stages(stages: Stages) -> None:
    """The canary keeps its share; policy is not asked again and again."""
    stages.policy.refused[Action.RELEASES_OPERATE] = Reason(rule="freeze", message="not on fridays")
    await stages.passes(STEP)
    stages.policy.refused.clear()
    await stages.passes(STEP)
    assert (await stages.shares(), len(stages.policy.asked)) == ((5.0, ()), 1)
    (act,) = await stages.acts()
    assert (act.percent, act.steps, act.decision_id) == (5.0, (), "d1")
    assert act.reason == "policy refuses the next stage"


async def test_while_policy_does_not_answer_nothing_is_done(stages: Stages) -> None:
    stages.policy.fault = "away"
    await stages.passes(STEP)
    assert (await stages.shares(), await stages.acts()) == ((5.0, (25.0, 100.0)), [])
    stages.policy.fault = ""
    await stages.passes(5)
    assert await stages.shares() == (25.0, (100.0,))


@pytest.mark.parametrize("step", [ReleaseStep.ABORT, ReleaseStep.ROLL_BACK, ReleaseStep.CANARY])
async def test_what_a_person_does_ends_the_stages(stages: Stages, step: ReleaseStep) -> None:
    """Abort and rollback end the canary, another share without stages holds it there."""
    await stages.world.step(step, 3, percent=10.0)
    before = await stages.world.states()
    for _ in range(3):
        await stages.passes(STEP)
    assert (await stages.world.states(), await stages.acts()) == (before, [])
    assert await stages.world.store.staged_workflows(limit=9) == []


async def test_a_person_who_is_quicker_wins(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is about the state that was analyzed."""
    decide = stages.policy.decide

    async def meanwhile(question: Question) -> Decision:
        await stages.world.step(ReleaseStep.ABORT, 3)
        return await decide(question)

    monkeypatch.setattr(stages.policy, "decide", meanwhile)
    await stages.passes(STEP)
    assert (await stages.world.states())[3] is State.WAITING
    assert await stages.acts() == []


async def test_a_store_that_takes_no_write_changes_nothing(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stages.world.store, "write_workflow", full)
        with pytest.raises(Unavailable):
            await stages.passes(STEP)
    assert await stages.shares() == (5.0, (25.0, 100.0))
    await stages.passes(5)
    assert await stages.shares() == (25.0, (100.0,))


async def test_a_canary_between_two_stages_is_taken_back(stages: Stages) -> None:
    """The loop of rollbacks and that of stages read the same evidence."""
    await stages.passes(STEP)
    stages.world.found = stages.world.measured()
    await stages.world.alert(version=3)
    await stages.world.passes(200)
    await stages.passes(STEP)
    assert (await stages.world.states())[3] is State.TAKEN_BACK
