"""Released workflows as a kind of release: implements `Releases` by the store that keeps workflows."""

from typing import Any, Final

from gateway.core.errors import Conflict, Unavailable
from gateway.core.rollback import Alert, Rollback
from gateway.core.workflow_release import ReleasedWorkflow, ReleaseStep, StepRefused, VersionState
from gateway.rollback.interface import ACTOR, Counted, LatestRelease, Queries, Standing
from gateway.rollback.workflows.queries import queries, queries_after
from gateway.rollback.workflows.version_in_force import Subject, subject_of, version_in_force
from gateway.store.workflow_steps import take_step
from gateway.store.workflows import KeepsWorkflows

IN_FORCE: Final = (VersionState.STABLE, VersionState.CANARY)


class Workflows:
    """Finds and rolls back versions of released workflows, which are named as `demo/nightly@3`.

    Implements `Releases`, the interface between the rollback controller and one kind of release.
    """

    counted: Final = Counted(total="shards", bad="failed")

    def __init__(self, store: KeepsWorkflows) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"<Workflows of {self._store}>"

    async def latest(self, alert: Alert) -> LatestRelease | None:
        subject = subject_of(alert.subject)
        workflow = None if subject is None else await self._workflow(subject)
        if subject is None or workflow is None:
            return None
        return version_in_force(workflow, subject.number)

    def queries(self, release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
        return queries(release, window_seconds=window_seconds, now=now)

    def queries_after(self, rollback: Rollback, *, window_seconds: int) -> Queries:
        return queries_after(rollback.revision, rollback.returns_to, window_seconds=window_seconds)

    async def standing(self, rollback: Rollback) -> Standing:
        subject = subject_of(rollback.release)
        workflow = None if subject is None else await self._workflow(subject)
        version = None
        if subject is not None and workflow is not None and subject.number is not None:
            version = workflow.version(subject.number)
        if version is not None and version.state is VersionState.ROLLED_BACK:
            return Standing.ROLLED_BACK
        in_force = version is not None and version.state in IN_FORCE
        return Standing.IN_FORCE if in_force else Standing.REPLACED

    async def take_back(self, rollback: Rollback, *, at: float) -> None:
        subject = subject_of(rollback.release)
        workflow = None if subject is None else await self._workflow(subject)
        if subject is None or workflow is None or subject.number is None:
            raise Conflict(f"there is no {rollback.release} any more")
        release = version_in_force(workflow, subject.number)
        if release is None or release.restored or release.returns_to != rollback.returns_to:
            raise Conflict("the workflow is not as it was when the rollback was decided")
        reason = f"{rollback.alert}: {rollback.steps[0].detail}"
        act: dict[str, Any] = {"by": ACTOR, "at": at, "decision_id": "", "reason": reason}
        try:
            after = await take_step(self._store, workflow, ReleaseStep.ROLL_BACK, subject.number, **act)
        except StepRefused as error:
            raise Conflict(str(error)) from error
        if after is None:
            raise Unavailable("the workflow was changed meanwhile")

    async def _workflow(self, subject: Subject) -> ReleasedWorkflow | None:
        return await self._store.released_workflow(subject.tenant, subject.workflow)
