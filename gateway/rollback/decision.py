"""Decides whether a release is rolled back, by a chain of checks, each of which can only refuse.

Performs no I/O. Without evidence no release is ever rolled back. What is not proven yet is checked again, for
as long as the alert fires and the release is young enough to be the cause.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.core.rollback import ACTED, Alert, Rollback
from gateway.rollback.evidence import Evidence, NoEvidence
from gateway.rollback.interface import LatestRelease
from gateway.rollback_settings import RollbackSettings

DAY_SECONDS: Final = 86_400.0


class Outcome(StrEnum):
    """The possible decisions about an alert, such as to roll back, to wait, or to page a person."""

    ROLL_BACK = "RollBack"
    DRY_RUN = "DryRun"
    """A rollback would be made if rollback.mode were on."""
    ASK = "Ask"
    """Evidence must be queried first; nothing else speaks against a rollback."""
    WAIT = "Wait"
    """Nothing is done yet: the alert is checked again while it fires."""
    NOTHING = "Nothing"
    """Nothing is done, and the alert is not checked again."""
    FREEZE = "Freeze"
    """Nothing is done for lack of evidence, and a person is paged."""
    PERSON = "Person"
    """The gateway may not roll back by itself, and a person is paged."""


class Verdict(Struct, frozen=True, kw_only=True):
    """The decision about an alert: its outcome (a rollback, or what else), with the reason."""

    outcome: Outcome
    why: str


def decide(
    alert: Alert,
    release: LatestRelease | None,
    past: Sequence[Rollback],
    evidence: Evidence | NoEvidence | None,
    settings: RollbackSettings,
    *,
    now: float,
    region_lost: bool,
) -> Verdict:
    """Decides whether `alert` leads to a rollback of `release`, the latest one of its kind.

    `past` has all rollbacks that are kept. `evidence` None: it was not asked for yet. `region_lost`: a region
    is not reachable now, or the gateway takes itself to be cut off.
    """
    if settings.mode == "off":
        return Verdict(outcome=Outcome.NOTHING, why="rollback.mode is off")
    if alert.resolved:
        return Verdict(outcome=Outcome.NOTHING, why="the alert is resolved")
    if release is None or alert.kind != release.kind:
        about = f"{alert.kind!r:.50} {alert.subject!r:.210}" if alert.subject else f"{alert.kind!r:.50}"
        return Verdict(outcome=Outcome.NOTHING, why=f"there is no release of the kind {about}")
    if release.unknown:
        return Verdict(outcome=Outcome.FREEZE, why=release.unknown)
    verdict = _by_past(alert, release, past, settings, now=now)
    if verdict is not None:
        return verdict
    if region_lost:
        return Verdict(outcome=Outcome.WAIT, why="a region is lost, which may be the cause")
    if evidence is None:
        return Verdict(outcome=Outcome.ASK, why="only the evidence is missing")
    refused = _by_evidence(evidence, settings)
    if refused is not None:
        return refused
    outcome = Outcome.ROLL_BACK if settings.mode == "on" else Outcome.DRY_RUN
    assert isinstance(evidence, Evidence)
    bad = evidence.counted.bad
    why = f"{evidence.release.share:.1%} are {bad}, {evidence.baseline.share:.1%} in the baseline"
    return Verdict(outcome=outcome, why=why)


def _by_past(
    alert: Alert, release: LatestRelease, past: Sequence[Rollback], settings: RollbackSettings, *, now: float
) -> Verdict | None:
    """Returns the verdict against a rollback by the release's age and earlier rollbacks, or None."""
    done = [one for one in past if one.phase in ACTED and one.kind is release.kind]
    if any(rollback.digest == release.digest for rollback in done):
        return Verdict(outcome=Outcome.NOTHING, why=f"{release.name} was taken back before")
    age = now - release.released_at
    if not 0 <= age < math.inf:
        return Verdict(outcome=Outcome.FREEZE, why=f"by the clock {release.name} is not released yet")
    if age > settings.released_seconds_maximum:
        return Verdict(outcome=Outcome.NOTHING, why=f"{release.name} is too old to be the cause")
    if release.restored:
        return _about_restored(alert, release)
    if release.returns_to is None:
        return Verdict(outcome=Outcome.PERSON, why=f"before {release.name} there is none to return to")
    if release.returns_to in {rollback.release for rollback in done}:
        return Verdict(outcome=Outcome.PERSON, why=f"{release.returns_to} was taken back before")
    if age < settings.released_seconds:
        return Verdict(outcome=Outcome.WAIT, why=f"{release.name} is too young to be judged")
    return _by_frequency(release, done, settings, now=now)


def _by_frequency(
    release: LatestRelease, done: Sequence[Rollback], settings: RollbackSettings, *, now: float
) -> Verdict | None:
    """Returns the verdict against one more rollback by the number and times of those `done`, or None.

    Owners do not take rollbacks from each other, up to the maximum of all.
    """
    today = [one for one in done if now - one.began_at < DAY_SECONDS]
    if sum(one.owner == release.owner for one in today) >= settings.day_maximum:
        of = f" of {release.owner}" if release.owner else ""
        why = f"{settings.day_maximum}{of} were taken back within a day already"
        return Verdict(outcome=Outcome.PERSON, why=why)
    if release.owner and len(today) >= settings.day_maximum_overall:
        why = f"{settings.day_maximum_overall} of all were taken back within a day already"
        return Verdict(outcome=Outcome.PERSON, why=why)
    if any(one.owner == release.owner and now - one.began_at < settings.pause_seconds for one in done):
        return Verdict(outcome=Outcome.WAIT, why="the last rollback is not long enough ago")
    return None


def _about_restored(alert: Alert, release: LatestRelease) -> Verdict:
    """Returns the verdict on an alert about a release that an earlier rollback has restored: no rollback.

    An alert from before the restoration is dropped; a later one is for a person, since it has another cause.
    """
    if alert.received_at < release.released_at:
        # Else a second alert about what was rolled back would wake a person.
        return Verdict(outcome=Outcome.NOTHING, why=f"it fired before {release.name} was in force again")
    why = f"{release.name} is the last known good one: the cause is another"
    return Verdict(outcome=Outcome.PERSON, why=why)


def _by_evidence(evidence: Evidence | NoEvidence, settings: RollbackSettings) -> Verdict | None:
    """Returns the verdict against a rollback by the evidence; None if it proves that the release is bad."""
    if isinstance(evidence, NoEvidence):
        return Verdict(outcome=Outcome.FREEZE, why=evidence.why)
    fault = unusable(evidence, settings)
    if fault:
        return Verdict(outcome=Outcome.FREEZE, why=fault)
    release, baseline, counted = evidence.release, evidence.baseline, evidence.counted
    if evidence.other_cause:
        return Verdict(outcome=Outcome.WAIT, why=f"{evidence.other_cause}, which may be the cause")
    if release.total < settings.requests:
        return Verdict(outcome=Outcome.WAIT, why=f"{release.total:.0f} {counted.total} prove nothing yet")
    if baseline.total < settings.requests:
        return Verdict(
            outcome=Outcome.FREEZE, why=f"the baseline has {baseline.total:.0f} {counted.total} only"
        )
    if release.share <= settings.bad_share:
        return Verdict(outcome=Outcome.WAIT, why=f"no more than {release.share:.1%} are {counted.bad}")
    if evidence.ratio < settings.ratio:
        return Verdict(
            outcome=Outcome.WAIT,
            why=f"{release.share:.1%} are {counted.bad}, and {baseline.share:.1%} in the baseline",
        )
    return None


def unusable(evidence: Evidence, settings: RollbackSettings) -> str:
    """Returns why the evidence cannot be used; an empty text if it can.

    The reasons are impossible numbers, and a clock of Prometheus that differs too much from the gateway's.
    """
    causes = (evidence.failovers, evidence.regions_back)
    sound = evidence.release.sound and evidence.baseline.sound
    if not (sound and all(0 <= number < math.inf for number in causes)):
        return "Prometheus has numbers that cannot be"
    # So that NaN does not pass either.
    if not abs(evidence.clock_offset_seconds) <= settings.clock_offset_seconds:
        return "Prometheus's clock is another than the gateway's"
    return ""
