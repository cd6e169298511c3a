"""Tests which version of a workflow an alert is about, and what its rollback would return to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.workflow_release import (
    ReleasedWorkflow,
    ReleaseStep,
    StepRefused,
    VersionState,
    after_apply,
    after_step,
)
from gateway.rollback.workflows.version_in_force import Subject, subject_of, version_in_force


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo/nightly@3", Subject(tenant="demo", workflow="nightly", number=3)),
        ("a.b_c/nightly", Subject(tenant="a.b_c", workflow="nightly", number=None)),
        ("nightly@3", None),
        ("/nightly@3", None),
        ("demo/@3", None),
        ("demo/", None),
        ("", None),
        ("demo/nightly@", None),
        ("demo/nightly@x", None),
        ("demo/nightly@-1", None),
        ("demo/nightly@٣", None),
        ("demo/nightly@1@2", None),
        (f"demo/nightly@{'9' * 5_000}", None),
    ],
)
def test_a_name_holds_tenant_workflow_and_version(name: str, expected: Subject | None) -> None:
    assert subject_of(name) == expected


@given(st.text(max_size=40))
def test_whatever_an_alert_names_is_a_subject_or_none(name: str) -> None:
    found = subject_of(name)
    assert found is None or (found.tenant and found.workflow)


changes = st.one_of(st.just("apply"), st.tuples(st.sampled_from(ReleaseStep), st.integers(1, 6)))


def changed(workflow: ReleasedWorkflow, change: Any, at: float) -> ReleasedWorkflow:
    act: dict[str, Any] = {"by": "ada", "at": at}
    try:
        if change == "apply":
            return after_apply(workflow, digest=f"d{at}", source="", **act)
        return after_step(workflow, *change, percent=5.0, **act)
    except StepRefused:
        return workflow


@given(st.lists(changes, max_size=30), st.one_of(st.none(), st.integers(1, 6)))
def test_a_rollback_never_goes_past_the_last_good_version(made: list[Any], number: int | None) -> None:
    """Whatever people did before: it returns to what was stable, which no rollback follows."""
    workflow = ReleasedWorkflow(tenant="t", name="w")
    for at, change in enumerate(["apply", *made]):
        workflow = changed(workflow, change, float(at))
    release = version_in_force(workflow, number)
    if release is None or release.returns_to is None:
        return
    subject, good = subject_of(release.name), subject_of(release.returns_to)
    assert subject is not None
    assert good is not None
    assert subject.number is not None
    assert good.number is not None
    version, before = workflow.version(subject.number), workflow.version(good.number)
    assert version is not None
    assert before is not None
    assert version.state in (VersionState.CANARY, VersionState.STABLE)
    assert before.state in (VersionState.STABLE, VersionState.SUPERSEDED)
    after = after_step(workflow, ReleaseStep.ROLL_BACK, subject.number, by="rollback", at=1e6)
    assert after.stable is not None
    assert after.stable.number == good.number
    # After a canary's rollback what is in force stays what it was, and is judged as before.
    if version.state is VersionState.STABLE:
        following = version_in_force(after, good.number)
        assert following is not None
        assert following.restored


def test_a_canary_that_gets_all_is_compared_with_what_was_before_it() -> None:
    """Beside it nothing runs: the evidence would be missing for ever."""
    workflow = ReleasedWorkflow(tenant="t", name="w")
    for digest in "ab":
        workflow = after_apply(workflow, digest=digest, source="", by="ada", at=1.0)
    for percent, beside in ((5.0, True), (100.0, False)):
        workflow = after_step(workflow, ReleaseStep.CANARY, 2, by="ada", at=2.0, percent=percent)
        release = version_in_force(workflow, 2)
        assert release is not None
        assert (release.canary, release.restored, release.returns_to) == (beside, False, "t/w@1")
