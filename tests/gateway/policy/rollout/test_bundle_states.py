"""Tests the states of bundles for any steps in any order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.rollout.bundle_states import (
    KEPT_MAXIMUM,
    TRANSITIONS,
    BundleEvent,
    BundleState,
    Release,
    Rollout,
    Share,
    Step,
    StepRefused,
    after_step,
    after_upload,
)


def release(sequence: int) -> Release:
    return Release(
        sequence=sequence,
        revision=f"r{sequence}",
        digest="d",
        uploaded_by="ada",
        uploaded_at=1.0,
        changed_by="ada",
        changed_at=1.0,
    )


def stepped(rollout: Rollout, step: Step, sequence: int, **more: Any) -> Rollout:
    return after_step(rollout, step, sequence, by="bob", at=2.0, **more)


def check(rollout: Rollout) -> None:
    """Asserts the invariants of every rollout."""
    states = [one.state for one in rollout.releases]
    sequences = [one.sequence for one in rollout.releases]
    assert sequences == sorted(set(sequences)) and len(sequences) <= KEPT_MAXIMUM
    assert states.count(BundleState.ACTIVE) <= 1
    assert sum(state in (BundleState.SHADOW, BundleState.CANARY) for state in states) <= 1
    if (active := rollout.active) is not None:
        superseded = [one for one in rollout.releases if one.state is BundleState.SUPERSEDED]
        assert all(one.sequence < active.sequence for one in superseded)
        assert rollout.candidate is None or rollout.candidate.sequence > active.sequence
    for one in rollout.releases:
        assert one.share == Share() or one.state is BundleState.CANARY


STEPS = st.lists(
    st.tuples(st.sampled_from(["upload", *Step]), st.integers(0, 30), st.booleans()), max_size=60
)


@given(STEPS)
def test_whatever_is_asked_for_the_rollout_makes_sense(steps: list[tuple[Any, int, bool]]) -> None:
    """A refusal changes nothing, everything else gives the next generation; what is rolled back stays so."""
    rollout, newest = Rollout(), -1
    for step, sequence, flag in steps:
        before = rollout
        try:
            if step == "upload":
                rollout = after_upload(rollout, release(newest + 1 + sequence % 3 if flag else sequence))
                newest = rollout.newest
            else:
                rollout = stepped(rollout, step, sequence, share=Share(percent=5), may_return=flag)
        except StepRefused:
            continue
        check(rollout)
        assert rollout.generation == before.generation + 1
        for one in before.releases:
            now = rollout.release(one.sequence)
            if one.state is BundleState.ROLLED_BACK and now is not None:
                assert now == one


ACTIVATIONS = st.lists(
    st.tuples(st.sampled_from([*Step, Step.ACTIVATE, Step.ROLL_BACK]), st.integers(0, 30), st.booleans()),
    min_size=20,
    max_size=60,
)


@given(ACTIVATIONS)
def test_a_rollback_returns_to_who_was_active_before(steps: list[tuple[Step, int, bool]]) -> None:
    """By a second account: the stack of those that were activated, without those that were rolled back."""
    rollout, stack = Rollout(), list[int]()
    for sequence in range(10):
        rollout = after_upload(rollout, release(sequence))
    for step, drawn, near in steps:
        # Mostly the active one is rolled back, and the next one activated: else hardly anything is possible.
        active = rollout.active.sequence if rollout.active else -1
        sequence = drawn % 10 if not near else active if step is Step.ROLL_BACK else active + 1
        try:
            rollout = stepped(rollout, step, sequence)
        except StepRefused:
            continue
        if step is Step.ACTIVATE:
            stack.append(sequence)
        elif step is Step.ROLL_BACK and sequence in stack:
            stack.remove(sequence)
        assert (rollout.active.sequence if rollout.active else None) == (stack[-1] if stack else None)


def test_without_anything_to_return_to_the_only_one_stays() -> None:
    """An OPA that is given no bundle would decide nothing."""
    rollout = stepped(after_upload(Rollout(), release(1)), Step.ACTIVATE, 1)
    with pytest.raises(StepRefused, match="the only one"):
        stepped(rollout, Step.ROLL_BACK, 1, may_return=False)
    assert stepped(rollout, Step.ROLL_BACK, 1).active is None


def test_only_one_is_tried_out_and_none_that_is_older() -> None:
    """Two would be compared with each other by accident; an older one was mended since."""
    rollout = Rollout()
    for sequence in (1, 2, 3):
        rollout = after_upload(rollout, release(sequence))
    tried = stepped(rollout, Step.SHADOW, 2)
    for step in (Step.SHADOW, Step.CANARY, Step.ACTIVATE):
        with pytest.raises(StepRefused, match="bundle 2 is in Shadow"):
            stepped(tried, step, 3)
    active = stepped(tried, Step.ACTIVATE, 2)
    for step in (Step.SHADOW, Step.CANARY, Step.ACTIVATE):
        with pytest.raises(StepRefused, match="older than 2"):
            stepped(active, step, 1)


def test_the_oldest_go_but_none_that_is_in_use() -> None:
    """A rollback must find what it returns to."""
    rollout = Rollout()
    for sequence in (1, 2):
        rollout = stepped(after_upload(rollout, release(sequence)), Step.ACTIVATE, sequence)
    rollout = stepped(after_upload(rollout, release(3)), Step.SHADOW, 3)
    for sequence in range(4, 50):
        rollout = after_upload(rollout, release(sequence))
    assert len(rollout.releases) == KEPT_MAXIMUM
    assert [one.sequence for one in rollout.releases[:4]] == [1, 2, 3, 50 - KEPT_MAXIMUM + 3]


def test_every_state_but_the_last_is_left_by_some_event() -> None:
    """And every event moves something."""
    assert {state for state, _ in TRANSITIONS} == set(BundleState) - {BundleState.ROLLED_BACK}
    assert {event for _, event in TRANSITIONS} == set(BundleEvent)
