"""Tests which release an alert may be about, and that rollbacks do not chain."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rollback import Rollback, RollbackPhase
from gateway.policy.rollout.bundle_states import (
    BundleState,
    Release,
    Rollout,
    Share,
    Step,
    StepRefused,
    after_step,
    after_upload,
)
from gateway.rollback.decision import Outcome, decide
from gateway.rollback.policy_bundles.latest_bundle import latest_bundle
from tests.gateway.rollback.rollbacks import ON, a_rollback, an_alert, evidence


def uploaded(*sequences: int) -> Rollout:
    rollout = Rollout()
    for n in sequences:
        release = Release(
            sequence=n,
            revision=f"r{n}",
            digest=f"d{n}",
            uploaded_by="ann",
            uploaded_at=0.0,
            changed_by="ann",
            changed_at=0.0,
        )
        rollout = after_upload(rollout, release)
    return rollout


def step(rollout: Rollout, which: Step, sequence: int, at: float) -> Rollout:
    return after_step(rollout, which, sequence, by="ann", at=at, share=Share(percent=5))


def test_the_newest_change_is_what_an_alert_is_about() -> None:
    rollout = step(uploaded(1, 2, 3), Step.ACTIVATE, 1, 10.0)
    first = latest_bundle(rollout, may_return=True)
    canary = latest_bundle(step(rollout, Step.CANARY, 2, 20.0), may_return=True)
    second = latest_bundle(step(rollout, Step.ACTIVATE, 2, 20.0), may_return=True)
    assert first is not None
    assert canary is not None
    assert second is not None
    assert [(found.name, found.canary, found.returns_to) for found in (first, canary, second)] == [
        ("1", False, ""),
        ("2", True, "1"),
        ("2", False, "1"),
    ]


def test_a_bundle_in_shadow_rules_nothing() -> None:
    assert latest_bundle(step(uploaded(1), Step.SHADOW, 1, 10.0), may_return=True) is None


def test_a_first_bundle_with_none_to_return_to_wakes_nobody() -> None:
    """An OPA that hangs soon after the first release paged twice, and a person could roll back nothing."""
    rollout = step(uploaded(1, 2), Step.ACTIVATE, 1, 10.0)
    assert latest_bundle(rollout, may_return=False) is None
    second = latest_bundle(step(rollout, Step.ACTIVATE, 2, 20.0), may_return=False)
    assert second is not None
    assert second.returns_to == "1"


def test_a_first_bundle_that_rules_again_is_still_the_last_known_good_one() -> None:
    rollout = step(step(uploaded(1, 2), Step.ACTIVATE, 1, 10.0), Step.ACTIVATE, 2, 20.0)
    restored = latest_bundle(step(rollout, Step.ROLL_BACK, 2, 30.0), may_return=False)
    assert restored is not None
    assert (restored.restored, restored.returns_to) == (True, None)


def test_a_bundle_that_rules_again_is_the_last_known_good_one() -> None:
    rollout = step(step(uploaded(1, 2), Step.ACTIVATE, 1, 10.0), Step.ACTIVATE, 2, 20.0)
    restored = latest_bundle(step(rollout, Step.ROLL_BACK, 2, 30.0), may_return=True)
    kept = latest_bundle(
        step(
            step(step(uploaded(1, 2), Step.ACTIVATE, 1, 10.0), Step.CANARY, 2, 20.0), Step.ROLL_BACK, 2, 30.0
        ),
        may_return=True,
    )
    assert restored is not None
    assert kept is not None
    assert (restored.name, restored.restored, kept.name, kept.restored) == ("1", True, "1", False)


moves = st.lists(
    st.tuples(
        st.sampled_from([Step.ACTIVATE, Step.CANARY, Step.ROLL_BACK, None]),
        st.integers(0, 5),
        st.sampled_from([1.0, 60.0, 300.0, 2_000.0, 50_000.0]),
    ),
    max_size=30,
)


@given(moves)
def test_no_release_is_taken_back_twice_and_never_the_last_known_good(
    steps: list[tuple[Step | None, int, float]],
) -> None:
    """However people and alerts follow upon each other, where all evidence is always bad."""
    rollout, past, now = uploaded(*range(6)), list[Rollback](), 1_000.0
    restored: set[str] = set()
    for which, sequence, seconds in steps:
        now += seconds
        if which is not None:
            try:
                rollout = step(rollout, which, sequence, now)
            except StepRefused:
                continue
            continue
        release = latest_bundle(rollout, may_return=True)
        verdict = decide(an_alert(), release, past, evidence(), ON, now=now, region_lost=False)
        if release is None or verdict.outcome is not Outcome.ROLL_BACK:
            continue
        assert release.name not in restored
        gone = {one.sequence for one in rollout.releases if one.state is BundleState.ROLLED_BACK}
        rollout = after_step(rollout, Step.ROLL_BACK, int(release.name), by="gateway", at=now)
        if not release.canary:
            restored.add(release.returns_to or "")
        after = rollout.active
        assert release.returns_to == ("" if after is None else str(after.sequence))
        assert after is None or after.sequence not in gone
        past.append(a_rollback(RollbackPhase.DONE, at=now, release=release.name, digest=release.digest))
    names = [rollback.release for rollback in past]
    assert len(names) == len(set(names))
    assert all(later.began_at - earlier.began_at >= 1_800 for earlier, later in pairwise(past))
