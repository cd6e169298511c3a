"""Example values for tests of rollbacks: a release that is plainly bad, and its parts."""

from typing import Any, Final

from gateway.core.rollback import Alert, ReleaseKind, Rollback, RollbackPhase, RollbackStep
from gateway.rollback.evidence import Evidence, Shares
from gateway.rollback.interface import Counted, LatestRelease
from gateway.settings import RollbackSettings

NOW: Final = 1_000_000.0
ON: Final = RollbackSettings(mode="on")
COUNTED: Final = Counted(total="submissions", bad="refused")


def an_alert(**changes: Any) -> Alert:
    values: dict[str, Any] = {
        "group": "{}:{}",
        "fingerprint": "f1",
        "starts_at": "2026-01-01T00:00:00Z",
        "name": "RefusalsJump",
        "kind": "policy",
        "received_at": NOW,
    }
    return Alert(**values | changes)


def a_release(**changes: Any) -> LatestRelease:
    values: dict[str, Any] = {
        "kind": ReleaseKind.POLICY,
        "name": "7",
        "revision": "r7",
        "digest": "d7",
        "released_at": NOW - 600,
        "canary": False,
        "restored": False,
        "returns_to": "6",
    }
    return LatestRelease(**values | changes)


def evidence(
    *,
    share: float = 0.4,
    baseline: float = 0.01,
    submissions: float = 1_000.0,
    baseline_submissions: float = 1_000.0,
    failovers: float = 0.0,
    regions_back: float = 0.0,
    clock: float = 0.0,
) -> Evidence:
    return Evidence(
        counted=COUNTED,
        release=Shares(total=submissions, bad=share * submissions),
        baseline=Shares(total=baseline_submissions, bad=baseline * baseline_submissions),
        failovers=failovers,
        regions_back=regions_back,
        clock_offset_seconds=clock,
    )


def a_rollback(phase: RollbackPhase = RollbackPhase.DONE, *, at: float = NOW, **changes: Any) -> Rollback:
    values: dict[str, Any] = {
        "alert": "RefusalsJump",
        "kind": ReleaseKind.POLICY,
        "release": "5",
        "digest": "d5",
        "returns_to": "4",
        "revision": "r5",
        "steps": (RollbackStep(phase=phase, at=at, detail="-"),),
    }
    return Rollback(**values | changes)
