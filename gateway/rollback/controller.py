"""The control loop of automatic rollbacks: reads alerts, rolls bad releases back, stores the evidence.

A rollback is stored before it is carried out, and each release can have one at most: neither a crash nor a
second alert rolls back twice. Rollbacks that were begun are finished first.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from loguru import logger
from msgspec import structs

from gateway.core.errors import GatewayError, Unavailable
from gateway.core.rollback import PAGES, Alert, ReleaseKind, Rollback, RollbackPhase, RollbackStep
from gateway.rollback.decision import Outcome, Verdict, decide
from gateway.rollback.evidence import Evidence, KnowsReleases, NoEvidence
from gateway.rollback.interface import LatestRelease, Releases, Standing
from gateway.rollback.verification import is_due, verify
from gateway.rollback_settings import RollbackSettings
from gateway.store.rollbacks import KeepsRollbacks

ALERTS_AT_ONCE: Final = 100
"""The maximum number of open alerts that one pass looks at."""
PAST_MAXIMUM: Final = 200

NOTED: Final = {
    Outcome.ROLL_BACK: RollbackPhase.INTENDED,
    Outcome.DRY_RUN: RollbackPhase.DRY_RUN,
    Outcome.FREEZE: RollbackPhase.FROZEN,
    Outcome.PERSON: RollbackPhase.WANTED,
}
"""The first phase of a rollback, by the decision's outcome; other outcomes make no rollback."""


class RollbackController:
    """Rolls back bad releases when alerts fire, on evidence; the control loop of automatic rollbacks.

    `region_lost` says whether a region is unreachable now. `on_phase` is called with each phase that a
    rollback comes to.
    """

    def __init__(
        self,
        store: KeepsRollbacks,
        releases: Mapping[ReleaseKind, Releases],
        prometheus: KnowsReleases,
        settings: RollbackSettings,
        *,
        clock: Callable[[], float],
        region_lost: Callable[[], bool],
        on_phase: Callable[[str], None],
    ) -> None:
        self._store, self._prometheus = store, prometheus
        self._releases = {str(kind): known for kind, known in releases.items()}
        self._settings, self._clock, self._region_lost = settings, clock, region_lost
        self._on_phase = on_phase
        self._looked_at = 0
        """The position of the last open alert that was looked at; 0: the next pass begins with the oldest."""

    def __repr__(self) -> str:
        return f"<RollbackController {self._settings.mode}>"

    async def run(self) -> None:
        """Handles alerts and rollbacks periodically (`pass_once`), until cancelled."""
        while True:
            try:
                await self.pass_once()
            except Unavailable as error:
                logger.warning("rollbacks wait: {}", error.detail)
            await asyncio.sleep(self._settings.pass_seconds)

    async def pass_once(self) -> None:
        """Carries out a rollback that was begun; if there is none, verifies those done and decides on alerts.

        Rolls back one release at most. Of more open alerts than `ALERTS_AT_ONCE` each pass looks at the next
        ones, and begins again after the last.
        """
        past = await self._store.acted_rollbacks(limit=PAST_MAXIMUM)
        for rollback in past:
            if rollback.phase is RollbackPhase.INTENDED:
                await self._take_back(rollback)
                return
            if is_due(rollback, self._settings.of(rollback.kind), now=self._clock()):
                await self._verify(rollback)
        known = dict[LatestRelease, Evidence | NoEvidence]()
        # Alerts that wait stay open for an hour: those behind a hundred of them have their turn, too.
        page = await self._store.open_alerts(limit=ALERTS_AT_ONCE, after=self._looked_at)
        for alert in page.alerts:
            if await self._look_at(alert, known):
                return
        self._looked_at = page.next or 0

    async def _look_at(self, alert: Alert, known: dict[LatestRelease, Evidence | NoEvidence]) -> bool:
        """Decides on an alert and acts on the decision; returns whether a rollback was begun.

        Evidence that is `known` in this pass is not asked for again: many alerts may be about one release.
        """
        releases = self._releases.get(alert.kind)
        release = None if releases is None else await releases.latest(alert)
        verdict, evidence = await self._decide(alert, release, None), None
        if verdict.outcome is Outcome.ASK:
            assert releases is not None
            assert release is not None
            evidence = known.get(release) or await self._evidence(releases, release)
            known[release] = evidence
            if await releases.latest(alert) != release:
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
            owner=release.owner,
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
            self._settings if release is None else self._settings.of(release.kind),
            now=self._clock(),
            region_lost=self._region_lost(),
        )

    async def _evidence(self, releases: Releases, release: LatestRelease) -> Evidence | NoEvidence:
        window = self._settings.of(release.kind).window_seconds
        queries = releases.queries(release, window_seconds=window, now=self._clock())
        return await self._prometheus.evidence(queries, releases.counted, window_seconds=window)

    async def _take_back(self, rollback: Rollback) -> None:
        """Carries out a stored (intended) rollback, unless it is done already or not possible any more.

        Raises `Unavailable` if it must be tried again.
        """
        releases, settings, now = (
            self._releases[rollback.kind],
            self._settings.of(rollback.kind),
            self._clock(),
        )
        match await releases.standing(rollback):
            case Standing.ROLLED_BACK:
                await self._follow(rollback, RollbackPhase.DONE, "it is rolled back")
                return
            case Standing.REPLACED:
                await self._follow(rollback, RollbackPhase.FAILED, "it is not in force any more")
                return
            case Standing.IN_FORCE:
                pass
        # What was right then need not be right now.
        if settings.mode != "on" or now - rollback.began_at > settings.window_seconds:
            await self._follow(rollback, RollbackPhase.FAILED, "it was decided too long ago, or is off now")
            return
        try:
            await releases.take_back(rollback, at=now)
        except Unavailable:
            raise
        except GatewayError as error:
            await self._follow(rollback, RollbackPhase.FAILED, error.detail)
            return
        returned = rollback.returns_to or "what the gateway was started with"
        await self._follow(rollback, RollbackPhase.DONE, f"rolled back to {returned}")

    async def _verify(self, rollback: Rollback) -> None:
        releases, settings = self._releases[rollback.kind], self._settings.of(rollback.kind)
        queries = releases.queries_after(rollback, window_seconds=settings.window_seconds)
        evidence = await self._prometheus.evidence(
            queries, releases.counted, window_seconds=settings.window_seconds
        )
        phase, why = verify(evidence, settings)
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
