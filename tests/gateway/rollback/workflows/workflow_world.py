"""A simulated gateway with released workflows, for the tests of their rollbacks and stages."""

from typing import Any

from gateway.core.history import HistoryKind
from gateway.core.principal import Principal
from gateway.core.rollback import ReleaseKind
from gateway.core.workflow_release import ReleasedWorkflow, ReleaseStep, VersionState, after_apply
from gateway.rollback.workflows.releases import Workflows
from gateway.store.workflow_steps import take_step, workflow_entry
from tests.conformance.release_world import ReleaseWorld, State

ADA = Principal(subject="ada", issuer="https://issuer.test", tenant="demo", scopes=("workflows:release",))
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

    async def step(
        self,
        step: ReleaseStep,
        number: int,
        tenant: str = "demo",
        percent: float = 0.0,
        steps: tuple[float, ...] = (),
    ) -> None:
        act: dict[str, Any] = {"by": "ada", "at": self.now, "decision_id": "d", "asked_by": ADA}
        act |= {"percent": percent, "steps": steps}
        assert await take_step(self.store, await self.workflow(tenant), step, number, **act)

    async def applied(self, *digests: str, tenant: str = "demo") -> None:
        for digest in digests:
            before = await self.workflow(tenant)
            after = after_apply(before, digest=digest, source="", by="ada", at=self.now)
            act: dict[str, Any] = {"by": "ada", "at": self.now, "decision_id": "d"}
            entry = workflow_entry(after, after.versions[-1], HistoryKind.WORKFLOW_APPLIED, **act)
            assert await self.store.write_workflow(after, entry=entry, document=b"{}")
