"""The control loop of automatic rollbacks: reads alerts, acts on them, and stores acts with evidence.

A rollback is durable before it is done, and each release can have one at most: neither a crash nor a second
alert rolls back twice. What was begun is ended first.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from loguru import logger
from msgspec import structs

from gateway.core.errors import GatewayError, Unavailable
from gateway.core.rollback import PAGES, Alert, Rollback, RollbackPhase, RollbackStep
from gateway.policy.rollout.acts import Act
from gateway.policy.rollout.bundle_states import BundleState, Step
from gateway.policy.rollout.rollout import BundleRollout
from gateway.rollback.decision import Outcome, Verdict, decide
from gateway.rollback.evidence import Evidence, NoEvidence
from gateway.rollback.latest_release import LatestRelease, latest_bundle
from gateway.rollback.verification import is_due, verify
from gateway.rollback_settings import RollbackSettings
from gateway.store.rollbacks import KeepsRollbacks

ACTOR: Final = "rollback"
"""The name of the rollback controller in the audit trail, as the actor of what it does."""
ALERTS_AT_ONCE: Final = 100
PAST_MAXIMUM: Final = 200

NOTED: Final = {
    Outcome.ROLL_BACK: RollbackPhase.INTENDED,
    Outcome.DRY_RUN: RollbackPhase.DRY_RUN,
    Outcome.FREEZE: RollbackPhase.FROZEN,
    Outcome.PERSON: RollbackPhase.WANTED,
}
"""The first phase of a rollback, by the decision's outcome; other outcomes make no rollback."""


class KnowsReleases(Protocol):
    """The interface of a source of evidence about releases, such as `Prometheus`."""

    async def evidence(self, release: LatestRelease, *, after: bool = False) -> Evidence | NoEvidence: ...


class RollbackController:
    """Rolls back bad policy bundles on alerts. `region_lost`: whether a region is unreachable now.

    `on_phase` is called with each phase that a rollback comes to.
    """

    def __init__(
        self,
        store: KeepsRollbacks,
        bundles: BundleRollout,
        prometheus: KnowsReleases,
        settings: RollbackSettings,
        *,
        clock: Callable[[], float],
        region_lost: Callable[[], bool],
        on_phase: Callable[[str], None],
    ) -> None:
        self._store, self._bundles, self._prometheus = store, bundles, prometheus
        self._settings, self._clock, self._region_lost = settings, clock, region_lost
        self._on_phase = on_phase

    def __repr__(self) -> str:
        return f"<RollbackController {self._settings.mode}>"

    async def run(self) -> None:
        """Calls `pass_once` periodically until it is cancelled."""
        while True:
            try:
                await self.pass_once()
            except Unavailable as error:
                logger.warning("rollbacks wait: {}", error.detail)
            await asyncio.sleep(self._settings.pass_seconds)

    async def pass_once(self) -> None:
        """Continues unfinished rollbacks, then checks open alerts; rolls at most one release back."""
        past = await self._store.acted_rollbacks(limit=PAST_MAXIMUM)
        for rollback in past:
            if rollback.phase is RollbackPhase.INTENDED:
                await self._take_back(rollback)
                return
            if is_due(rollback, self._settings, now=self._clock()):
                await self._verify(rollback)
        known = dict[LatestRelease, Evidence | NoEvidence]()
        for alert in await self._store.open_alerts(limit=ALERTS_AT_ONCE):
            if await self._look_at(alert, known):
                return

    async def _look_at(self, alert: Alert, known: dict[LatestRelease, Evidence | NoEvidence]) -> bool:
        """Decides on an alert and begins what follows; returns whether a release was rolled back.

        Evidence that is `known` in this pass is not asked for again: many alerts may be about one release.
        """
        rollout = self._bundles.current
        release = latest_bundle(rollout, may_return=self._bundles.may_return)
        verdict, evidence = await self._decide(alert, release, None), None
        if verdict.outcome is Outcome.ASK:
            assert release is not None
            evidence = known.get(release) or await self._prometheus.evidence(release)
            known[release] = evidence
            if self._bundles.current is not rollout:
                return False  # the evidence may be about what is no more: the next pass looks again
            verdict = await self._decide(alert, release, evidence)
        if verdict.outcome is Outcome.WAIT:
            return False
        phase = NOTED.get(verdict.outcome)
        if phase is None or release is None:
            logger.info("alert {}: nothing is rolled back: {}", alert.name, verdict.why)
            await self._store.settle_alert(alert)
            return False
        first = RollbackStep(phase=phase, at=self._clock(), detail=verdict.why, seen=_numbers(evidence))
        rollback = Rollback(
            alert=alert.name,
            kind=release.kind,
            release=release.name,
            digest=release.digest,
            returns_to=release.returns_to or "",
            revision=release.revision,
            steps=(first,),
        )
        written = await self._store.write_rollback(rollback, settles=alert)
        if written is None:
            await self._store.settle_alert(alert)  # another one was begun meanwhile
            return False
        self._show(written)
        if phase is RollbackPhase.INTENDED:
            await self._take_back(written)
        return phase is RollbackPhase.INTENDED

    async def _decide(
        self, alert: Alert, release: LatestRelease | None, evidence: Evidence | NoEvidence | None
    ) -> Verdict:
        return decide(
            alert,
            release,
            await self._store.acted_rollbacks(limit=PAST_MAXIMUM),
            evidence,
            self._settings,
            now=self._clock(),
            region_lost=self._region_lost(),
        )

    async def _take_back(self, rollback: Rollback) -> None:
        """Carries out an intended rollback, or finds it done. Raises `Unavailable` if it must be retried."""
        rollout, now = self._bundles.current, self._clock()
        release = rollout.release(int(rollback.release))
        if release is not None and release.state is BundleState.ROLLED_BACK:
            await self._follow(rollback, RollbackPhase.DONE, f"it is {release.state}")
            return
        if release is None or release not in (rollout.active, rollout.candidate):
            await self._follow(rollback, RollbackPhase.FAILED, "it is not what rules any more")
            return
        # What was right then need not be right now.
        if self._settings.mode != "on" or now - rollback.began_at > self._settings.window_seconds:
            await self._follow(rollback, RollbackPhase.FAILED, "it was decided too long ago, or is off now")
            return
        act = Act(by=ACTOR, at=now, decision_id="")
        try:
            await self._bundles.take(Step.ROLL_BACK, release.sequence, act, expected=rollout.generation)
        except Unavailable:
            raise
        except GatewayError as error:
            await self._follow(rollback, RollbackPhase.FAILED, error.detail)
            return
        decides = rollback.returns_to or "what the gateway was started with"
        await self._follow(rollback, RollbackPhase.DONE, f"{decides} decides again")

    async def _verify(self, rollback: Rollback) -> None:
        evidence = await self._prometheus.evidence(_as_released(rollback), after=True)
        phase, why = verify(evidence, self._settings)
        await self._follow(rollback, phase, why, _numbers(evidence))

    async def _follow(
        self, rollback: Rollback, phase: RollbackPhase, why: str, seen: dict[str, float] | None = None
    ) -> None:
        step = RollbackStep(phase=phase, at=self._clock(), detail=why, seen=seen or {})
        following = structs.replace(rollback, rev=rollback.rev + 1, steps=(*rollback.steps, step))
        if await self._store.write_rollback(following) is not None:
            self._show(following)

    def _show(self, rollback: Rollback) -> None:
        self._on_phase(rollback.phase)
        level = "ERROR" if rollback.phase in PAGES else "WARNING"
        step = rollback.steps[-1]
        logger.log(
            level,
            "rollback {} of {} {}: {}: {}; seen: {}",
            rollback.id,
            rollback.kind,
            rollback.release,
            rollback.phase,
            step.detail,
            step.seen,
        )


def _numbers(evidence: Evidence | NoEvidence | None) -> dict[str, float]:
    return evidence.numbers() if isinstance(evidence, Evidence) else {}


def _as_released(rollback: Rollback) -> LatestRelease:
    return LatestRelease(
        kind=rollback.kind,
        name=rollback.release,
        revision=rollback.revision,
        digest=rollback.digest,
        released_at=rollback.began_at,
        canary=False,
        restored=False,
        returns_to=rollback.returns_to,
    )
