"""Tests released workflows as a kind of release, by the conformance suite and with several workflows."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.history import HistoryKind
from gateway.core.rollback import ReleaseKind
from gateway.core.workflow_release import ReleasedWorkflow, ReleaseStep, VersionState, after_apply
from gateway.rollback.workflows.releases import Workflows
from gateway.store.acts import ActQuery
from gateway.store.workflow_steps import take_step, workflow_entry
from tests.conformance.release_alerts import AFTER, BEFORE
from tests.conformance.release_kind import IN_FORCE_SINCE, ReleaseKindConformance
from tests.conformance.release_world import ReleaseWorld, State
from tests.gateway.policy.rollout.releases import opened

STATES = {
    VersionState.APPLIED: State.WAITING,
    VersionState.CANARY: State.CANARY,
    VersionState.STABLE: State.IN_FORCE,
    VersionState.SUPERSEDED: State.BEFORE,
    VersionState.ROLLED_BACK: State.TAKEN_BACK,
}


class WorkflowWorld(ReleaseWorld):
    """Three versions of the workflow `nightly`, and whatever other ones a test releases."""

    kind = ReleaseKind.WORKFLOW
    counted = Workflows.counted

    @property
    def releases(self) -> Workflows:
        return Workflows(self.store)

    def name(self, number: int) -> str:
        return f"demo/nightly@{number}"

    async def states(self, tenant: str = "demo") -> dict[int, State]:
        return {one.number: STATES[one.state] for one in (await self.workflow(tenant)).versions}

    async def release(self, number: int) -> None:
        await self.step(ReleaseStep.PROMOTE, number)

    async def canary(self, number: int) -> None:
        await self.step(ReleaseStep.CANARY, number, percent=5.0)

    async def take_back(self, number: int) -> None:
        await self.step(ReleaseStep.ROLL_BACK, number)

    async def workflow(self, tenant: str = "demo") -> ReleasedWorkflow:
        found = await self.store.released_workflow(tenant, "nightly")
        return found or ReleasedWorkflow(tenant=tenant, name="nightly")

    async def step(self, step: ReleaseStep, number: int, tenant: str = "demo", percent: float = 0.0) -> None:
        act: dict[str, Any] = {"by": "ada", "at": self.now, "decision_id": "d"}
        assert await take_step(self.store, await self.workflow(tenant), step, number, **act, percent=percent)

    async def applied(self, *digests: str, tenant: str = "demo") -> None:
        for digest in digests:
            before = await self.workflow(tenant)
            after = after_apply(before, digest=digest, source="", by="ada", at=self.now)
            act: dict[str, Any] = {"by": "ada", "at": self.now, "decision_id": "d"}
            entry = workflow_entry(after, after.versions[-1], HistoryKind.WORKFLOW_APPLIED, **act)
            assert await self.store.write_workflow(after, entry=entry, document=b"{}")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[WorkflowWorld]:
    async with opened(tmp_path) as gateway:
        world = WorkflowWorld(gateway)
        await world.applied("a", "b", "c")
        world.now += 100_000
        await world.release(2)
        world.now += IN_FORCE_SINCE
        yield world


class TestWorkflows(ReleaseKindConformance):
    """Released workflows, of which many are in force at a time."""


async def test_an_alert_that_names_no_version_is_about_the_newest_change(world: WorkflowWorld) -> None:
    await world.canary(3)
    await world.alert(subject="demo/nightly")
    await world.passes(200)
    assert await world.states() == BEFORE | {3: State.TAKEN_BACK}


@pytest.mark.parametrize(
    "subject", ["", "nightly@2", "demo/nightly@1", "demo/nightly@3", "demo/other@2", "a/b@c"]
)
async def test_an_alert_about_what_does_not_run_is_over(world: WorkflowWorld, subject: str) -> None:
    await world.alert(subject=subject)
    await world.passes()
    assert (await world.states(), world.asked) == (BEFORE, [])
    assert await world.store.open_alerts(limit=9) == []


async def test_the_same_name_and_content_of_another_tenant_is_another_release(world: WorkflowWorld) -> None:
    """What was bad for one may be good for another: only what was proven is taken back, after the pause."""
    await world.applied("a", "b", tenant="other")
    await world.step(ReleaseStep.PROMOTE, 2, "other")
    await world.alert(1)
    await world.alert(2, subject="other/nightly@2")
    await world.passes(200)
    assert await world.states() == AFTER
    assert await world.states("other") == {1: State.BEFORE, 2: State.IN_FORCE}
    await world.passes(1_800)
    assert await world.states("other") == {1: State.IN_FORCE, 2: State.TAKEN_BACK}


async def test_the_first_version_has_none_to_return_to(world: WorkflowWorld) -> None:
    await world.applied("a", tenant="other")
    await world.alert(subject="other/nightly@1")
    await world.passes(200)
    assert (await world.states("other"), world.phases) == ({1: State.IN_FORCE}, ["Wanted"])


async def test_what_the_rollback_did_is_an_act_on_the_workflow(world: WorkflowWorld) -> None:
    await world.alert()
    await world.passes()
    (act, *_) = (await world.store.acts(ActQuery(tenants=None))).entries
    workflow = await world.workflow()
    version = workflow.version(2)
    assert version is not None
    expected = workflow_entry(
        workflow, version, HistoryKind.WORKFLOW_ROLLED_BACK, by="rollback", at=world.now, decision_id=""
    )
    assert (act.kind, act.actor, act.detail) == (expected.kind, expected.actor, expected.detail)
    assert version.changed_by == "rollback"


async def test_a_version_that_became_the_last_good_one_meanwhile_stays(
    world: WorkflowWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person has returned to it after the decision: then a person is wanted."""
    await TestWorkflows().crash_between(world, monkeypatch)
    await world.release(3)
    await world.take_back(3)
    await world.passes(5)
    assert world.phases == ["Intended", "Failed"]
    assert await world.states() == {1: State.BEFORE, 2: State.IN_FORCE, 3: State.TAKEN_BACK}
