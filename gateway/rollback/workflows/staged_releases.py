"""The control loop of staged releases: gives a workflow's canary its next share when it has done well.

Each step is allowed by policy, asked for the caller who began the release, and stands in the audit trail. If
policy refuses one, the stages end: the canary keeps its share.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from loguru import logger

from gateway.core.decision import Action, Decision, Question
from gateway.core.errors import Unavailable
from gateway.core.rollback import ReleaseKind
from gateway.core.workflow_release import ReleaseStep, StepRefused, WorkflowVersion, next_stage, step_context
from gateway.policy.interface import PolicyEngine
from gateway.rollback.evidence import Evidence, KnowsReleases, NoEvidence
from gateway.rollback.workflows.analysis import Analysis, Finding, analyze
from gateway.rollback.workflows.releases import Workflows
from gateway.rollback.workflows.version_in_force import version_in_force
from gateway.rollback_settings import RollbackSettings
from gateway.store.workflow_steps import take_step
from gateway.store.workflows import KeepsWorkflows, StagedWorkflow

ACTOR: Final = "gateway"
"""The actor of automatic steps in the audit trail."""
AT_ONCE: Final = 100


class StagedReleases:
    """Gives each workflow's canary the next of its planned shares of submissions, when it has done well.

    `region_lost` says whether a region is unreachable now.
    """

    def __init__(
        self,
        store: KeepsWorkflows,
        policy: PolicyEngine,
        prometheus: KnowsReleases,
        settings: RollbackSettings,
        *,
        clock: Callable[[], float],
        region_lost: Callable[[], bool],
    ) -> None:
        self._store, self._policy, self._prometheus = store, policy, prometheus
        self._settings = settings.of(ReleaseKind.WORKFLOW)
        self._clock, self._region_lost = clock, region_lost
        self._after = ("", "")
        """The workflow that the last pass ended with; the next one goes on behind it."""
        self._logged: dict[tuple[str, str], str] = {}
        """Why each canary waits, as it was logged last."""

    def __repr__(self) -> str:
        return f"<StagedReleases after {self._after}>"

    async def run(self) -> None:
        """Checks all canaries with further stages periodically (`pass_once`), until cancelled."""
        while True:
            try:
                await self.pass_once()
            except Unavailable as error:
                logger.warning("staged releases wait: {}", error.detail)
            await asyncio.sleep(self._settings.pass_seconds)

    async def pass_once(self) -> None:
        """Analyzes the canaries that have further stages, and gives the next share to those that do well.

        These are `AT_ONCE` canaries at most; the next pass goes on with those after them.
        """
        found = await self._store.staged_workflows(limit=AT_ONCE, after=self._after)
        for staged in found:
            await self._look_at(staged)
        last = found[-1].workflow if len(found) == AT_ONCE else None
        self._after = ("", "") if last is None else (last.tenant, last.name)

    async def _look_at(self, staged: StagedWorkflow) -> None:
        workflow, canary = staged.workflow, staged.workflow.canary
        if canary is None or not canary.steps:
            return
        analysis = self._analyze(canary, None)
        if analysis.finding is Finding.ASK:
            analysis = self._analyze(canary, await self._evidence(staged))
        key = (workflow.tenant, workflow.name)
        if analysis.finding is Finding.HELD:
            self._logged.pop(key, None)
            await self._advance(staged, canary, analysis)
        elif self._logged.get(key) != analysis.why:
            self._logged[key] = analysis.why
            logger.info("canary {}@{} of {} keeps its share: {}", key[1], canary.number, key[0], analysis.why)

    def _analyze(self, canary: WorkflowVersion, evidence: Evidence | NoEvidence | None) -> Analysis:
        return analyze(canary, evidence, self._settings, now=self._clock(), region_lost=self._region_lost())

    async def _evidence(self, staged: StagedWorkflow) -> Evidence | NoEvidence:
        canary = staged.workflow.canary
        release = None if canary is None else version_in_force(staged.workflow, canary.number)
        if release is None:
            return NoEvidence(why="it is not in force any more")
        releases, window = Workflows(self._store), self._settings.window_seconds
        queries = releases.queries(release, window_seconds=window, now=self._clock())
        return await self._prometheus.evidence(queries, releases.counted, window_seconds=window)

    async def _advance(self, staged: StagedWorkflow, canary: WorkflowVersion, analysis: Analysis) -> None:
        """Gives the canary its next share if policy allows that; if policy refuses, ends the stages.

        Waits for the next pass where policy cannot answer.
        """
        workflow, (step, percent, steps) = staged.workflow, next_stage(canary)
        decision = await self._decide(staged, canary, step, percent)
        if decision.fault:
            logger.warning("the next stage of {} waits: policy could not answer", workflow.name)
            return
        why = analysis.why
        if decision.allow is not True:
            step, percent, steps = ReleaseStep.CANARY, canary.percent, ()
            why = "policy refuses the next stage"
        try:
            after = await take_step(
                self._store,
                workflow,
                step,
                canary.number,
                by=ACTOR,
                at=self._clock(),
                decision_id=decision.id,
                percent=percent,
                steps=steps,
                reason=why,
            )
        except StepRefused as error:
            logger.warning("the next stage of {} is not possible: {}", workflow.name, error)
            return
        if after is not None:  # else a person was quicker: the next pass sees what they did
            logger.bind(decision_id=decision.id).info(
                "{} of {}@{} of {} at {:g} %: {}",
                step,
                workflow.name,
                canary.number,
                workflow.tenant,
                percent,
                why,
            )

    async def _decide(
        self, staged: StagedWorkflow, canary: WorkflowVersion, step: ReleaseStep, percent: float
    ) -> Decision:
        return await self._policy.decide(
            Question(
                action=Action.RELEASES_OPERATE,
                principal=staged.asked_by,
                at=self._clock(),
                context={"release": step_context(staged.workflow, step, canary.number, percent)},
            )
        )
