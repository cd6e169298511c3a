"""Tests what the acceptance of a run writes, without a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.core.history import SubmissionDetail
from gateway.core.principal import Principal
from gateway.core.run import RunPhase, new_run_id
from gateway.documents.workflow import Workflow
from gateway.submission.admit import Submission, admission, fingerprint, reopening
from tests.gateway.submission.submissions import DOCUMENT, WORKFLOW, decision
from waypost.tracing.context import TraceContext

ADA = Principal(subject="ada", issuer="https://issuer.test", tenant="payments")


def submission(workflow: Workflow = WORKFLOW) -> Submission:
    return Submission(
        workflow=workflow,
        task_count=len(workflow.spec.tasks),
        document=DOCUMENT,
        fingerprint=fingerprint(DOCUMENT),
        principal=ADA,
        key="k",
        at=10.0,
        span=TraceContext(trace_id="a" * 32, span_id="b" * 16),
    )


def test_all_of_an_acceptance_is_one_value() -> None:
    """Run, shards, decision and history go into one commit: what is not in it did not happen."""
    found = admission(submission(), decision(), "run-1")

    assert [(shard.index, shard.item, shard.epoch) for shard in found.shards] == [(0, "x", 0), (1, "y", 0)]
    assert (found.run.permitted, found.run.decision_id, found.run.idempotency_key) == (
        ("beijing",),
        "d1",
        "k",
    )
    (accepted,) = found.history
    assert isinstance(accepted.detail, SubmissionDetail)
    assert (accepted.kind, accepted.actor, accepted.detail.revision, accepted.detail.rules) == (
        "Accepted",
        "ada",
        "r1",
        ("ok",),
    )


@pytest.mark.parametrize(
    ("asked", "cap", "deadline"),
    [(None, None, None), (30.0, None, 40.0), (None, 60.0, 70.0), (30.0, 60.0, 40.0), (90.0, 60.0, 70.0)],
)
def test_the_nearer_deadline_holds(asked: float | None, cap: float | None, deadline: float | None) -> None:
    """From acceptance: the document's or policy's, whichever comes first."""
    workflow = structs.replace(WORKFLOW, spec=structs.replace(WORKFLOW.spec, deadline_seconds=asked))

    assert (
        admission(submission(workflow), decision(max_deadline_seconds=cap), "run-1").run.deadline_at
        == deadline
    )


def test_a_run_opened_again_has_its_whole_time_again() -> None:
    """The deadline counts from the retry, under the fresh decision; the cancellation no longer counts."""
    before = structs.replace(
        admission(submission(), decision(max_deadline_seconds=60.0), "run-1").run,
        phase=RunPhase.CANCELLED,
        cancel_requested_at=20.0,
        finished_at=30.0,
    )
    fresh = structs.replace(decision(regions=("shanghai",), max_deadline_seconds=60.0), id="d2", at=100.0)
    again, entry = reopening(before, structs.replace(submission(), at=100.0), fresh)

    assert (again.deadline_at, again.cancel_requested_at, again.finished_at) == (160.0, None, None)
    assert (again.decision_id, again.permitted, entry.kind, entry.decision_id) == (
        "d2",
        ("shanghai",),
        "Reopened",
        "d2",
    )


def test_a_run_opened_again_stays_in_the_trace_of_its_submission() -> None:
    """The first one; a run that is older than traces gets that of its retry."""
    retry = structs.replace(submission(), span=TraceContext(trace_id="c" * 32, span_id="d" * 16))
    run = admission(submission(), decision(), "run-1").run

    assert reopening(run, retry, decision())[0].span == submission().span
    assert reopening(structs.replace(run, span=None), retry, decision())[0].span == retry.span


def test_each_retry_has_the_same_time() -> None:
    """It is counted from the document and policy, not from a deadline that an earlier retry has moved."""
    workflow = structs.replace(WORKFLOW, spec=structs.replace(WORKFLOW.spec, deadline_seconds=60.0))
    run = admission(submission(workflow), decision(), "run-1").run

    first, _ = reopening(run, structs.replace(submission(workflow), at=1000.0), decision())
    second, _ = reopening(first, structs.replace(submission(workflow), at=5000.0), decision())
    capped, _ = reopening(
        second, structs.replace(submission(workflow), at=9000.0), decision(max_deadline_seconds=30.0)
    )

    assert (first.deadline_at, second.deadline_at, capped.deadline_at) == (1060.0, 5060.0, 9030.0)


@given(st.lists(st.tuples(st.integers(0, 2**48 - 1), st.binary(min_size=8, max_size=8)), min_size=2))
def test_run_ids_sort_by_time(moments: list[tuple[int, bytes]]) -> None:
    """Lists go by id: newest first without another index."""
    ids = [new_run_id(at, chance) for at, chance in moments]

    assert sorted(ids) == [new_run_id(at, chance) for at, chance in sorted(moments)]
    assert {len(name) for name in ids} == {28}


def test_a_run_keeps_whom_policy_let_it_in_for() -> None:
    """The submitter, until somebody else tries it again: the decision in force is about that one."""
    run = admission(submission(), decision(), "run-1").run
    assert run.principal == ADA
    bob = Principal(subject="bob", issuer="https://issuer.test", tenant="payments", groups=("/sre",))
    failed = structs.replace(run, phase=RunPhase.FAILED, finished_at=11.0)
    again, _ = reopening(failed, structs.replace(submission(), principal=bob), decision())
    assert (again.principal, again.subject) == (bob, "ada")
