"""Tests which finished tasks a new attempt need not run again."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from clusters.protocol_bounds import TRIES_CARRIED
from gateway.core.resume import Resumption, resume
from gateway.core.run import FailedTry, TaskRow
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase


def task(name: str, *needs: str, scope: str = "global") -> TaskSpec:
    return TaskSpec(
        name=name, type="delay", run={}, needs=needs, result_scope="region" if scope == "region" else "global"
    )


def resumed(tasks: Sequence[TaskSpec], rows: Sequence[TaskRow], *, incarnation: str) -> Resumption:
    return resume(tasks, rows, incarnation=incarnation, carries_failures=True)


def row(
    name: str,
    *,
    incarnation: str = "old",
    phase: TaskPhase = TaskPhase.SUCCEEDED,
    tries: int = 1,
    failed: int = 0,
) -> TaskRow:
    return TaskRow(
        run="r",
        shard=0,
        task=name,
        phase=phase,
        epoch=1,
        region="beijing",
        incarnation=incarnation,
        tries=tries,
        started_at=0.0,
        output=name,
        last_failure=FailedTry(tries=failed, ended_at=0.0, reason="exit code 1") if failed else None,
    )


CHAIN = (
    task("scan"),
    task("pack", "scan", scope="region"),
    task("verify", "pack", scope="region"),
    task("publish", "verify"),
)


def test_a_global_result_is_never_made_again() -> None:
    """A task whose result the store holds is not run again (I7)."""
    found = resumed(CHAIN, [row("scan")], incarnation="new")

    assert [result.task for result in found.results] == ["scan"]
    assert found.remade == ()


def test_a_regional_result_is_made_again_elsewhere_where_it_is_needed() -> None:
    """What lies on a lost region's disks cannot be read by the tasks that still have to run."""
    found = resumed(CHAIN, [row("scan"), row("pack"), row("verify")], incarnation="new")

    assert [result.task for result in found.results] == ["scan"]
    assert found.remade == ("pack", "verify")


def test_a_regional_result_counts_where_it_was_made() -> None:
    """The same journal still has the disk under it."""
    found = resumed(CHAIN, [row("scan"), row("pack")], incarnation="old")

    assert [result.task for result in found.results] == ["scan", "pack"]


def test_a_regional_result_that_nobody_needs_any_more_is_left_alone() -> None:
    """All that stood on it is finished: making it again would be work for nothing."""
    found = resumed(
        (*CHAIN, task("mail", "publish")),
        [row(name) for name in ("scan", "pack", "verify", "publish")],
        incarnation="new",
    )

    assert [result.task for result in found.results] == ["scan", "pack", "verify", "publish"]
    assert found.remade == ()


@pytest.mark.parametrize("phase", [TaskPhase.RUNNING, TaskPhase.RETRYING])
def test_failed_tries_of_unfinished_tasks_are_carried_over(phase: TaskPhase) -> None:
    """A failover grants no new retries."""
    found = resumed(CHAIN, [row("scan"), row("pack", phase=phase, tries=2, failed=2)], incarnation="new")

    assert found.tries == {"pack": 2}


@pytest.mark.parametrize(("tries", "failed", "carried"), [(0, 0, {}), (1, 0, {}), (2, 1, {"pack": 1})])
def test_a_try_that_ended_with_its_attempt_is_no_try_of_the_task(
    tries: int, failed: int, carried: dict[str, int]
) -> None:
    """Whatever ended the attempt: a lost region, a replaced journal, or the end of a lease, of which the
    cluster has taken the try back already."""
    unfinished = row("pack", phase=TaskPhase.RUNNING, tries=tries, failed=failed)

    assert resumed(CHAIN, [row("scan"), unfinished], incarnation="new").tries == carried


@given(st.data())
def test_results_and_work_never_overlap_and_cover_what_is_needed(data: st.DataObject) -> None:
    """Every finished task is sent along or made again, and none is made again for finished ones only."""
    names = [f"t{i}" for i in range(data.draw(st.integers(1, 8)))]
    tasks = tuple(
        task(
            name,
            *(need for need in names[:index] if data.draw(st.booleans())),
            scope=data.draw(st.sampled_from(["global", "region"])),
        )
        for index, name in enumerate(names)
    )
    rows = [
        row(name, incarnation=data.draw(st.sampled_from(["old", "new"])))
        for name in names
        if data.draw(st.booleans())
    ]
    finished = {r.task for r in rows}

    found = resumed(tasks, rows, incarnation="new")

    sent = {result.task for result in found.results}
    assert sent | set(found.remade) == finished
    assert not sent & set(found.remade)
    to_run = {t.name for t in tasks} - sent
    for t in tasks:
        if t.name in found.remade:
            assert t.result_scope == "region"
            assert any(t.name in other.needs for other in tasks if other.name in to_run)


def test_no_more_tries_are_carried_than_a_cluster_takes() -> None:
    """A store may hold what a cluster said that lied: the next cluster must not be asked to hold that."""
    rows = [row("scan", phase=TaskPhase.RETRYING, failed=2**63 - 1)]

    assert resumed(CHAIN, rows, incarnation="old").tries == {"scan": TRIES_CARRIED}


def test_failures_are_carried_in_the_order_in_which_they_happened() -> None:
    """The first is the reason for which the shard fails; what could be made again on another disk is not."""
    rows = [
        structs.replace(row("verify", phase=TaskPhase.FAILED), ended_at=9.0, reason="exit code 2"),
        structs.replace(row("pack", phase=TaskPhase.FAILED), ended_at=8.0, reason="exit code 1", output=None),
        row("publish", phase=TaskPhase.OMITTED),
        row("scan"),
    ]

    found = resumed((*CHAIN, task("x", "pack", scope="region")), rows, incarnation="new")

    assert [(result.task, result.phase, result.reason) for result in found.results] == [
        ("scan", TaskPhase.SUCCEEDED, ""),
        ("publish", TaskPhase.OMITTED, ""),
        ("pack", TaskPhase.FAILED, "exit code 1"),
        ("verify", TaskPhase.FAILED, "exit code 2"),
    ]
    assert found.remade == ()


def test_a_cluster_that_does_not_know_failed_results_gets_none() -> None:
    """It would take them for successes."""
    rows = [row("scan"), row("pack", phase=TaskPhase.FAILED), row("verify", phase=TaskPhase.OMITTED)]
    found = resume(CHAIN, rows, incarnation="old", carries_failures=False)
    assert [result.task for result in found.results] == ["scan"]
