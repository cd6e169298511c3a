"""Tests the life of a workflow's versions: which steps there are, and what never happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.workflow_release import (
    VERSIONS_KEPT,
    ReleasedWorkflow,
    ReleaseStep,
    StepRefused,
    VersionState,
    after_apply,
    after_step,
    next_stage,
    version_for,
)

EMPTY = ReleasedWorkflow(tenant="payments", name="nightly")


def apply(workflow: ReleasedWorkflow, digest: str, at: float = 0.0) -> ReleasedWorkflow:
    return after_apply(workflow, digest=digest, source="", by="ada", at=at)


def step(workflow: ReleasedWorkflow, which: ReleaseStep, number: int, at: float = 1.0) -> ReleasedWorkflow:
    return after_step(workflow, which, number, by="ada", at=at, percent=5.0)


def states(workflow: ReleasedWorkflow) -> list[str]:
    return [str(one.state) for one in workflow.versions]


def test_the_first_version_is_stable_and_later_ones_wait() -> None:
    two = apply(apply(EMPTY, "a"), "b")
    assert states(two) == ["Stable", "Applied"]
    assert apply(two, "b") is two


def test_a_canary_gets_its_share_alone() -> None:
    workflow = step(apply(apply(EMPTY, "a"), "b"), ReleaseStep.CANARY, 2)
    chosen = [version_for(workflow, chance) for chance in (0.0, 0.049, 0.05, 0.999)]
    assert [one and one.number for one in chosen] == [2, 2, 1, 1]


def test_a_rollback_returns_to_what_was_stable_last() -> None:
    """Not to the version with the next lower number, which may never have been stable."""
    workflow = EMPTY
    for digest in "abc":
        workflow = apply(workflow, digest)
    workflow = step(workflow, ReleaseStep.PROMOTE, 3)
    back = step(workflow, ReleaseStep.ROLL_BACK, 3)
    assert states(back) == ["Stable", "Applied", "RolledBack"]


def test_a_canary_that_is_rolled_back_leaves_the_stable_one() -> None:
    workflow = step(apply(apply(EMPTY, "a"), "b"), ReleaseStep.CANARY, 2)
    back = step(workflow, ReleaseStep.ROLL_BACK, 2)
    assert states(back) == ["Stable", "RolledBack"]
    assert [one.percent for one in back.versions] == [0.0, 0.0]


def test_what_was_rolled_back_is_not_taken_again() -> None:
    back = step(step(apply(apply(EMPTY, "a"), "b"), ReleaseStep.PROMOTE, 2), ReleaseStep.ROLL_BACK, 2)
    with pytest.raises(StepRefused, match="version 2"):
        apply(back, "b")
    with pytest.raises(StepRefused, match="RolledBack"):
        step(back, ReleaseStep.PROMOTE, 2)


def test_what_was_rolled_back_is_not_taken_again_when_it_is_long_gone() -> None:
    """Its version is not kept any more, its content is still known."""
    workflow = step(step(apply(apply(EMPTY, "a"), "b"), ReleaseStep.CANARY, 2), ReleaseStep.ROLL_BACK, 2)
    for number in range(VERSIONS_KEPT):
        workflow = apply(workflow, f"later-{number}")
    assert workflow.version(2) is None
    with pytest.raises(StepRefused, match="rolled back"):
        apply(workflow, "b")
    assert apply(workflow, "never rolled back") is not workflow


def test_a_canary_that_is_aborted_may_be_tried_again() -> None:
    tried = step(apply(apply(EMPTY, "a"), "b"), ReleaseStep.CANARY, 2)
    ended = step(tried, ReleaseStep.ABORT, 2)
    assert [(str(one.state), one.percent) for one in ended.versions] == [("Stable", 0.0), ("Applied", 0.0)]
    assert states(step(ended, ReleaseStep.PROMOTE, 2)) == ["Superseded", "Stable"]


def test_the_last_good_version_is_kept_however_many_are_applied_since() -> None:
    """A pipeline applies a version for each commit: a bad one can still be rolled back."""
    workflow = step(apply(apply(EMPTY, "good"), "bad"), ReleaseStep.PROMOTE, 2)
    for number in range(2 * VERSIONS_KEPT):
        workflow = apply(workflow, f"commit-{number}")
    back = step(workflow, ReleaseStep.ROLL_BACK, 2)
    assert back.stable is not None
    assert back.stable.digest == "good"


@pytest.mark.parametrize("which", [ReleaseStep.CANARY, ReleaseStep.PROMOTE])
def test_content_that_was_rolled_back_is_not_released_under_another_number(which: ReleaseStep) -> None:
    """Applied twice before: rolled back as version 2, it still waits as version 4."""
    workflow = EMPTY
    for digest in "abcb":
        workflow = apply(workflow, digest)
    workflow = step(step(workflow, ReleaseStep.CANARY, 2), ReleaseStep.ROLL_BACK, 2)
    with pytest.raises(StepRefused, match="version 2 has this content, and was rolled back"):
        step(workflow, which, 4)


def test_a_rollback_does_not_return_to_content_that_was_rolled_back() -> None:
    """Version 3 was the content of version 1 once more, and was bad: what is before 2 is no way out."""
    workflow = step(apply(apply(EMPTY, "a"), "b"), ReleaseStep.PROMOTE, 2)
    workflow = step(step(apply(workflow, "a"), ReleaseStep.CANARY, 3), ReleaseStep.ROLL_BACK, 3)
    assert workflow.returns_to is None
    with pytest.raises(StepRefused, match="none to return to"):
        step(workflow, ReleaseStep.ROLL_BACK, 2)


def test_a_clock_that_is_set_back_changes_no_order() -> None:
    """The last good version is the one that was stable last, not the one with the latest time."""
    workflow = apply(apply(apply(EMPTY, "a", at=9e3), "b", at=9e3), "c", at=9e3)
    workflow = step(workflow, ReleaseStep.PROMOTE, 2, at=9e3)
    workflow = step(workflow, ReleaseStep.PROMOTE, 3, at=100.0)
    back = step(workflow, ReleaseStep.ROLL_BACK, 3, at=200.0)
    assert states(back) == ["Superseded", "Stable", "RolledBack"]


def test_a_step_that_is_refused_says_what_to_do_instead() -> None:
    workflow = step(apply(apply(EMPTY, "a"), "b"), ReleaseStep.PROMOTE, 2)
    with pytest.raises(StepRefused, match="version 1 is Superseded: roll version 2 back"):
        step(workflow, ReleaseStep.PROMOTE, 1)
    with pytest.raises(StepRefused, match="version 2 is Stable; abort takes a version that is Canary"):
        step(workflow, ReleaseStep.ABORT, 2)


@given(st.lists(st.floats(1, 100), min_size=2, max_size=9, unique=True).map(sorted))
def test_stages_rise_and_end_with_a_canary_or_a_promotion(shares: list[float]) -> None:
    """The last share of 100 makes the version stable; others leave it in canary."""
    workflow = after_step(
        apply(apply(EMPTY, "a"), "b"),
        ReleaseStep.CANARY,
        2,
        by="ada",
        at=1.0,
        percent=shares[0],
        steps=tuple(shares[1:]),
    )
    seen = shares[:1]
    while workflow.canary is not None and workflow.canary.steps:
        which, percent, steps = next_stage(workflow.canary)
        workflow = after_step(workflow, which, 2, by="gateway", at=2.0, percent=percent, steps=steps)
        seen.append(percent)
    assert seen == shares
    assert (workflow.canary is None) == (shares[-1] == 100)
    assert all(one.steps == () for one in workflow.versions)


@pytest.mark.parametrize(
    ("which", "number"),
    [
        (ReleaseStep.ABORT, 1),
        (ReleaseStep.ABORT, 2),
        (ReleaseStep.ROLL_BACK, 1),
        (ReleaseStep.CANARY, 1),
        (ReleaseStep.PROMOTE, 1),
        (ReleaseStep.CANARY, 7),
    ],
)
def test_steps_that_lead_nowhere_are_refused(which: ReleaseStep, number: int) -> None:
    """Before the first version there is none to return to."""
    with pytest.raises(StepRefused):
        step(apply(apply(EMPTY, "a"), "b"), which, number)


def test_there_is_one_canary_at_a_time() -> None:
    workflow = step(apply(apply(apply(EMPTY, "a"), "b"), "c"), ReleaseStep.CANARY, 2)
    for which in (ReleaseStep.CANARY, ReleaseStep.PROMOTE):
        with pytest.raises(StepRefused, match="version 2 is in canary"):
            step(workflow, which, 3)


moves = st.lists(
    st.one_of(st.integers(0, 5), st.tuples(st.sampled_from(ReleaseStep), st.integers(1, 60))), max_size=120
)


@given(moves)
def test_there_is_always_one_stable_version_and_at_most_one_canary(
    steps: list[int | tuple[ReleaseStep, int]],
) -> None:
    """Whatever people do; and what was rolled back stays so."""
    workflow, gone = apply(EMPTY, "first"), set[int]()
    for at, move in enumerate(steps):
        before = workflow
        try:
            if isinstance(move, int):
                workflow = apply(workflow, str(move), float(at))
            else:
                workflow = step(workflow, *move, at=float(at))
        except StepRefused:
            assert workflow is before
            continue
        found = [one.state for one in workflow.versions]
        assert found.count(VersionState.STABLE) == 1
        assert found.count(VersionState.CANARY) <= 1
        assert workflow.rev == before.rev + (workflow is not before)
        gone |= {one.number for one in workflow.versions if one.state is VersionState.ROLLED_BACK}
        assert workflow.stable is not None
        assert workflow.stable.number not in gone
        assert len(workflow.versions) <= VERSIONS_KEPT + 3
