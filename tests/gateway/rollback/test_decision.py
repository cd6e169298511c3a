"""Tests the conditions (gates) of a rollback: a bad release meets all, and each missing one prevents it."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rollback import ACTED, ReleaseKind, Rollback, RollbackPhase
from gateway.rollback.decision import Outcome, Verdict, decide
from gateway.rollback.evidence import Evidence, NoEvidence, Shares
from gateway.rollback.verification import is_due, verify
from gateway.rollback_settings import LaterKindSettings, RollbackSettings
from tests.gateway.rollback.rollbacks import COUNTED, NOW, ON, a_release, a_rollback, an_alert, evidence

NAN = math.nan


def verdict(
    *,
    alert: Any = None,
    release: Any = None,
    past: Any = (),
    found: Any = None,
    settings: RollbackSettings = ON,
    region_lost: bool = False,
) -> Verdict:
    return decide(
        alert or an_alert(),
        release or a_release(),
        past,
        found or evidence(),
        settings,
        now=NOW,
        region_lost=region_lost,
    )


def test_a_release_that_is_plainly_bad_is_taken_back() -> None:
    assert verdict() == Verdict(outcome=Outcome.ROLL_BACK, why="40.0% are refused, 1.0% in the baseline")


def test_evidence_is_asked_for_only_where_nothing_else_speaks_against_it() -> None:
    without = decide(an_alert(), a_release(), (), None, ON, now=NOW, region_lost=False)
    young = decide(an_alert(), a_release(released_at=NOW), (), None, ON, now=NOW, region_lost=False)
    assert (without.outcome, young.outcome) == (Outcome.ASK, Outcome.WAIT)


GATES: dict[str, tuple[dict[str, Any], Outcome]] = {
    "off": ({"settings": RollbackSettings()}, Outcome.NOTHING),
    "dry run": ({"settings": RollbackSettings(mode="dry-run")}, Outcome.DRY_RUN),
    "resolved": ({"alert": an_alert(resolved=True)}, Outcome.NOTHING),
    "about nothing": ({"alert": an_alert(kind="")}, Outcome.NOTHING),
    "another kind": ({"alert": an_alert(kind="moon")}, Outcome.NOTHING),
    "too young": ({"release": a_release(released_at=NOW - 119)}, Outcome.WAIT),
    "too old": ({"release": a_release(released_at=NOW - 3_601)}, Outcome.NOTHING),
    "from the future": ({"release": a_release(released_at=NOW + 1)}, Outcome.FREEZE),
    "at no time": ({"release": a_release(released_at=NAN)}, Outcome.FREEZE),
    "last known good": ({"release": a_release(restored=True)}, Outcome.PERSON),
    "about the one before": (
        {"release": a_release(restored=True), "alert": an_alert(received_at=a_release().released_at - 1)},
        Outcome.NOTHING,
    ),
    "nothing before": ({"release": a_release(returns_to=None)}, Outcome.PERSON),
    "bad before": ({"past": [a_rollback(release="6", at=NOW - 9e5)]}, Outcome.PERSON),
    "taken back before": ({"past": [a_rollback(digest="d7", at=NOW - 9e5)]}, Outcome.NOTHING),
    "pause": ({"past": [a_rollback(at=NOW - 1_799)]}, Outcome.WAIT),
    "two a day": ({"past": [a_rollback(at=NOW - 80_000), a_rollback(at=NOW - 8_000)]}, Outcome.PERSON),
    "region lost": ({"region_lost": True}, Outcome.WAIT),
    "failovers": ({"found": evidence(failovers=1.0)}, Outcome.WAIT),
    "a region is back": ({"found": evidence(regions_back=1.0)}, Outcome.WAIT),
    "too few": ({"found": evidence(submissions=199.0)}, Outcome.WAIT),
    "small baseline": ({"found": evidence(baseline_submissions=199.0)}, Outcome.FREEZE),
    "small share": ({"found": evidence(share=0.05, baseline=0.0)}, Outcome.WAIT),
    "small ratio": ({"found": evidence(share=0.4, baseline=0.26)}, Outcome.WAIT),
    "small ratio of much": ({"found": evidence(share=0.7, baseline=0.55)}, Outcome.WAIT),
    "all bad before": ({"found": evidence(share=1.0, baseline=1.0)}, Outcome.WAIT),
    "better than all bad": ({"found": evidence(share=0.9, baseline=1.0)}, Outcome.WAIT),
    "no evidence": ({"found": NoEvidence(why="down")}, Outcome.FREEZE),
    "NaN": ({"found": evidence(submissions=NAN)}, Outcome.FREEZE),
    "infinite": ({"found": evidence(baseline_submissions=math.inf)}, Outcome.FREEZE),
    "more than all": ({"found": evidence(share=1.5)}, Outcome.FREEZE),
    "NaN failovers": ({"found": evidence(failovers=NAN)}, Outcome.FREEZE),
    "NaN regions": ({"found": evidence(regions_back=NAN)}, Outcome.FREEZE),
    "clock ahead": ({"found": evidence(clock=31.0)}, Outcome.FREEZE),
    "clock behind": ({"found": evidence(clock=-31.0)}, Outcome.FREEZE),
    "clock unknown": ({"found": evidence(clock=NAN)}, Outcome.FREEZE),
}


@pytest.mark.parametrize("name", GATES)
def test_each_gate_alone_keeps_a_release(name: str) -> None:
    """Of a release that is bad otherwise."""
    arguments, expected = GATES[name]
    assert expected == verdict(**arguments).outcome


def test_gates_are_open_at_their_numbers() -> None:
    past = [a_rollback(at=NOW - 1_800), a_rollback(at=NOW - 86_400)]
    for released_at in (NOW - 120, NOW - 3_600):
        found = evidence(submissions=200.0, baseline_submissions=200.0, share=0.06, baseline=0.03)
        opened = verdict(past=past, release=a_release(released_at=released_at), found=found)
        assert opened.outcome is Outcome.ROLL_BACK


@pytest.mark.parametrize(("share", "baseline"), [(0.9, 0.6), (1.0, 0.9), (0.4, 0.24), (0.06, 0.0)])
def test_a_release_is_proven_bad_by_its_odds(share: float, baseline: float) -> None:
    """Where more than half is bad before, no share is twice as much; the alerts compare odds, too."""
    found = evidence(share=share, baseline=baseline)
    assert verdict(found=found).outcome is Outcome.ROLL_BACK


def test_what_was_not_done_hinders_nothing() -> None:
    """Neither a dry run nor a frozen alert was a rollback."""
    past = [a_rollback(phase, digest="d7") for phase in RollbackPhase if phase not in ACTED]
    assert verdict(past=past).outcome is Outcome.ROLL_BACK


def test_pause_and_maximum_of_a_day_are_of_each_kind() -> None:
    """Rollbacks of workflows must not keep a bad policy bundle in force."""
    other = ReleaseKind.WORKFLOW
    past = [a_rollback(at=NOW - ago, kind=other, release="6", digest="d7") for ago in (1, 2, 3)]
    assert verdict(past=past).outcome is Outcome.ROLL_BACK


def of_tenants(*tenants: str, ago: float = 8_000.0) -> list[Rollback]:
    """Returns past rollbacks of one workflow for each of `tenants`."""
    kind = ReleaseKind.WORKFLOW
    return [a_rollback(at=NOW - ago, kind=kind, owner=one, release=f"{one}/w@1") for one in tenants]


@pytest.mark.parametrize(
    ("past", "outcome"),
    [
        (of_tenants("b", "b", "b"), Outcome.ROLL_BACK),
        (of_tenants("b", "c", ago=1.0), Outcome.ROLL_BACK),
        (of_tenants("a", ago=1.0), Outcome.WAIT),
        (of_tenants("a", "a", "b"), Outcome.PERSON),
        (of_tenants(*"bcdefghij"), Outcome.ROLL_BACK),
        (of_tenants(*"bcdefghijk"), Outcome.PERSON),
    ],
)
def test_tenants_do_not_take_rollbacks_from_each_other(past: Any, outcome: Outcome) -> None:
    """Two bad releases of one tenant must not keep those of all others in force; ten of all are too many."""
    release = a_release(kind=ReleaseKind.WORKFLOW, owner="a", name="a/w@7", returns_to="a/w@6")
    settings = RollbackSettings(workflow=LaterKindSettings(mode="on")).of("workflow")
    found = verdict(alert=an_alert(kind="workflow"), past=past, release=release, settings=settings)
    assert found.outcome is outcome


numbers = st.floats(allow_nan=True, allow_infinity=True)
shares = st.builds(Shares, total=numbers, bad=numbers)
evidences = st.one_of(
    st.builds(NoEvidence, why=st.just("down")),
    st.builds(
        Evidence,
        counted=st.just(COUNTED),
        release=shares,
        baseline=shares,
        failovers=numbers,
        regions_back=numbers,
        clock_offset_seconds=numbers,
    ),
)
ages = st.floats(-10.0, 200_000.0)


@given(evidences, ages, st.sampled_from(["off", "dry-run", "on"]), st.lists(ages, max_size=3))
def test_without_proof_nothing_is_ever_taken_back(
    found: Evidence | NoEvidence, age: float, mode: Any, before: list[float]
) -> None:
    """Whatever Prometheus says: what is taken back was proven bad by sound numbers."""
    past = [a_rollback(at=NOW - ago) for ago in before]
    release = a_release(released_at=NOW - age)
    settings = RollbackSettings(mode=mode)
    outcome = decide(an_alert(), release, past, found, settings, now=NOW, region_lost=False).outcome
    if outcome is not Outcome.ROLL_BACK:
        return
    assert isinstance(found, Evidence)
    assert mode == "on"
    assert 120 <= age <= 3_600
    assert (found.failovers, found.regions_back) == (0, 0)
    assert min(found.release.total, found.baseline.total) >= 200
    assert found.release.bad > 0.05 * found.release.total
    assert found.release.share >= 2 * found.baseline.share
    assert sum(ago < 86_400 for ago in before) < 2
    assert all(ago >= 1_800 for ago in before)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (evidence(baseline=0.01), RollbackPhase.HELPED),
        (evidence(baseline=0.4), RollbackPhase.UNHELPFUL),
        (evidence(baseline_submissions=0.0), RollbackPhase.UNVERIFIED),
        (evidence(baseline_submissions=NAN), RollbackPhase.UNVERIFIED),
        (evidence(clock=31.0), RollbackPhase.UNVERIFIED),
        (NoEvidence(why="down"), RollbackPhase.UNVERIFIED),
    ],
)
def test_a_rollback_has_helped_where_few_are_refused_afterwards(found: Any, expected: RollbackPhase) -> None:
    assert expected is verify(found, ON)[0]


def test_a_rollback_is_verified_once_and_after_a_while() -> None:
    done, over = a_rollback(at=NOW), a_rollback(RollbackPhase.HELPED, at=NOW)
    due = [is_due(rollback, ON, now=NOW + after) for rollback in (done, over) for after in (299, 300)]
    assert due == [False, True, False, False]


def test_a_share_is_never_more_than_all() -> None:
    """Prometheus extrapolates the two counts by themselves: "100.1 % are refused" reads as a mistake."""
    found = Shares(total=1_000.0, bad=1_001.0)
    assert (found.share, found.sound) == (1.0, True)


@pytest.mark.parametrize("broken", [NAN, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_not_stored(broken: float) -> None:
    """They came back as null: no rollback could be listed any more, nor the next one be made."""
    found = evidence(failovers=broken, clock=broken, submissions=broken, baseline_submissions=broken)
    assert all(map(math.isfinite, found.numbers().values()))
    assert set(evidence().numbers()) > {"failovers", "clock_offset_seconds"}
