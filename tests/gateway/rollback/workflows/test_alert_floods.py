"""Tests that alerts about which nothing can be done yet hold up no other alert."""

from gateway.core.rollback import ReleaseKind
from gateway.core.workflow_release import ReleaseStep
from gateway.rollback.controller import ALERTS_AT_ONCE, RollbackController
from tests.conformance.release_alerts import AFTER
from tests.conformance.release_world import State
from tests.gateway.rollback.workflows.workflow_world import WorkflowWorld


async def test_a_flood_of_alerts_that_wait_holds_up_no_rollback(world: WorkflowWorld) -> None:
    """They stay open for an hour, and are older: each pass looks at others, and at all of them in turn."""
    await world.applied("a", "b", tenant="other")
    await world.step(ReleaseStep.PROMOTE, 2, "other")
    world.now += 1
    for number in range(2 * ALERTS_AT_ONCE):
        await world.alert(number, subject="other/nightly@2")  # too young to be judged
    await world.alert(2 * ALERTS_AT_ONCE)
    controller = RollbackController(
        world.store,
        {ReleaseKind.WORKFLOW: world.releases},
        world,
        world.settings,
        clock=lambda: world.now,
        region_lost=lambda: False,
        on_phase=world.phases.append,
    )
    for _ in range(3):
        await controller.pass_once()
    assert await world.states() == AFTER
    world.now += 200  # now the first ones can be judged: it is their turn again
    for _ in range(2):
        await controller.pass_once()
    assert await world.states("other") == {1: State.IN_FORCE, 2: State.TAKEN_BACK}
