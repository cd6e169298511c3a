"""Tests released workflows as a kind of release, by the conformance suite and with several workflows."""

import pytest

from gateway.core.history import HistoryKind
from gateway.core.workflow_release import ReleaseStep
from gateway.store.acts import ActQuery
from gateway.store.workflow_steps import workflow_entry
from tests.conformance.release_alerts import AFTER, BEFORE
from tests.conformance.release_kind import ReleaseKindConformance
from tests.conformance.release_world import State
from tests.gateway.rollback.workflows.workflow_world import WorkflowWorld


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
    assert (await world.store.open_alerts(limit=9)).alerts == ()


async def test_the_same_name_and_content_of_another_tenant_is_another_release(world: WorkflowWorld) -> None:
    """What was bad for one may be good for another. One tenant's rollback is no pause for the other."""
    await world.applied("a", "b", tenant="other")
    await world.step(ReleaseStep.PROMOTE, 2, "other")
    await world.alert(1)
    await world.passes(200)
    assert await world.states() == AFTER
    assert await world.states("other") == {1: State.BEFORE, 2: State.IN_FORCE}
    await world.alert(2, subject="other/nightly@2")
    await world.passes(5)
    assert await world.states("other") == {1: State.IN_FORCE, 2: State.TAKEN_BACK}
    assert [one.owner for one in await world.rollbacks()] == ["other", "demo"]


async def test_a_first_version_that_fails_wakes_nobody(world: WorkflowWorld) -> None:
    """There is none to return to; who runs the gateway could do nothing about it either."""
    await world.applied("a", tenant="other")
    await world.alert(subject="other/nightly@1")
    await world.passes(200)
    assert (await world.states("other"), world.phases) == ({1: State.IN_FORCE}, [])
    assert (await world.store.open_alerts(limit=9)).alerts == ()


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
    assert version.reason == "ItGoesBadly: 40.0% are failed, 1.0% in the baseline"


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
