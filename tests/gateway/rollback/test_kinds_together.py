"""Tests rollbacks of releases of two kinds at once: each has its own pause, and its own maximum of a day."""

from msgspec import structs

from gateway.core.rollback import ReleaseKind
from gateway.rollback.controller import RollbackController
from gateway.rollback.evidence import Evidence
from gateway.rollback.interface import Counted, Queries
from gateway.rollback_settings import LaterKindSettings, RollbackSettings
from tests.conformance.release_alerts import AFTER
from tests.gateway.rollback.policy_bundles.test_releases import BundleWorld, world
from tests.gateway.rollback.rollbacks import evidence
from tests.gateway.rollback.workflows.workflow_world import WorkflowWorld

__all__ = ["world"]  # the fixture of three bundles


class AllBad:
    """A fake Prometheus by whose numbers every release is bad."""

    async def evidence(self, queries: Queries, counted: Counted, *, window_seconds: int) -> Evidence:
        return structs.replace(evidence(), counted=counted)


async def test_a_bad_workflow_does_not_keep_a_bad_bundle_in_force(world: BundleWorld) -> None:
    """Two alerts for two releases at once: one rollback each, with one a day, and none twice."""
    workflows = WorkflowWorld(world.gateway)
    workflows.now = world.now - 600
    await workflows.applied("a", "b", "c")
    await workflows.release(2)
    await world.alert(1)
    await workflows.alert(2)
    phases = list[str]()
    controller = RollbackController(
        world.store,
        {ReleaseKind.POLICY: world.releases, ReleaseKind.WORKFLOW: workflows.releases},
        AllBad(),
        RollbackSettings(mode="on", day_maximum=1, workflow=LaterKindSettings(mode="on")),
        clock=lambda: world.now,
        region_lost=lambda: False,
        on_phase=phases.append,
    )
    for _ in range(3):
        await controller.pass_once()
    assert (await world.states(), await workflows.states()) == (AFTER, AFTER)
    assert phases == ["Intended", "Done", "Intended", "Done"]
