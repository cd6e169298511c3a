"""Tests the pure rules that every store follows."""

from typing import Any

import pytest
from msgspec import structs

from clusters.protocol import Fence
from gateway.core.decision import Action, Decision, Obligations
from gateway.core.history import HistoryKind, RunPhaseDetail
from gateway.core.run import Run, RunPhase
from gateway.core.shard_states import Orphan, Phase, Shard
from gateway.store import rules
from gateway.store.interface import Cursor, ShardWrite
from gateway.store.stages.rules import after_cancellation
from tests.gateway.core.history_entries import history_entry

NOW = 1_800_000_000.0
HOUR = 3600.0


def decision(*regions: str, allow: bool = True) -> Decision:
    return Decision(
        id="d2",
        at=NOW,
        action=Action.RUNS_PLACE,
        allow=allow,
        revision="r",
        engine="test",
        obligations=Obligations(regions=regions),
    )


def run(**changes: Any) -> Run:
    one = Run(
        id="run-1",
        tenant="payments",
        name="nightly",
        subject="ada",
        issuer="https://issuer.test",
        priority=5,
        shard_count=1,
        workflow=b"{}",
        created_at=NOW,
        decision_id="d1",
        decided_at=NOW,
        permitted=("beijing",),
    )
    return structs.replace(one, **changes)


def write(phase: Phase, *times: float, run_id: str = "run-1", epoch: int = 1) -> ShardWrite:
    history = tuple(history_entry(HistoryKind.CONFIRMED, run=run_id, at=at) for at in times)
    return ShardWrite(shard=Shard(run=run_id, index=0, phase=phase, epoch=epoch, rev=2), history=history)


def test_the_phases_that_queries_select_by_leave_none_out() -> None:
    """A phase in no set would be a shard that nobody looks at again."""
    assert {phase for phase in Phase if not phase.terminal} == rules.UNFINISHED
    waiting = {Phase.WAITING}
    assert rules.ACTIVE | {Phase.PENDING} | waiting == rules.UNFINISHED
    assert rules.CANCELLABLE | {Phase.CANCELLING} | waiting == rules.UNFINISHED
    assert {phase for phase in RunPhase if phase.terminal} == rules.RETRYABLE | {RunPhase.SUCCEEDED}


@pytest.mark.parametrize(("age", "expired"), [(0.0, False), (72 * HOUR, False), (72 * HOUR + 1, True)])
def test_an_idempotency_key_expires_after_three_days(age: float, expired: bool) -> None:
    """A clock that went back makes no key expire early."""
    assert rules.key_expired(made_at=NOW, now=NOW + age) is expired
    assert not rules.key_expired(made_at=NOW, now=NOW - HOUR)


def test_a_refusal_permits_no_region() -> None:
    """Whatever its obligations name."""
    assert rules.permitted_regions(decision("beijing", "shanghai")) == ("beijing", "shanghai")
    assert rules.permitted_regions(decision("beijing", allow=False)) == ()


@pytest.mark.parametrize(
    ("phases", "cancelled", "expected"),
    [
        ({Phase.PENDING: 2}, False, RunPhase.PENDING),
        ({Phase.PENDING: 1, Phase.SUCCEEDED: 1}, False, RunPhase.RUNNING),
        ({Phase.SUSPECT: 1, Phase.FAILED: 1}, False, RunPhase.RUNNING),
        ({Phase.CANCELLING: 1}, True, RunPhase.CANCELLING),
        ({Phase.PENDING: 1}, True, RunPhase.CANCELLING),
        ({Phase.SUCCEEDED: 3, Phase.RUNNING: 0}, False, RunPhase.SUCCEEDED),
        ({Phase.SUCCEEDED: 1, Phase.CANCELLED: 1}, True, RunPhase.CANCELLED),
        ({Phase.CANCELLED: 1, Phase.FAILED: 1}, True, RunPhase.FAILED),
        ({Phase.SUCCEEDED: 1, Phase.QUARANTINED: 1}, False, RunPhase.FAILED),
    ],
)
def test_a_runs_phase_follows_from_those_of_its_shards(
    phases: dict[Phase, int], cancelled: bool, expected: RunPhase
) -> None:
    """It is over when all of them are; then the worst outcome counts."""
    assert rules.run_phase(phases, cancelled=cancelled) is expected


def test_a_change_of_a_runs_phase_is_written_with_its_history() -> None:
    """The end has the time of the write that brought it; a phase that stays is not written again."""
    ended = rules.run_phase_change("run-1", RunPhase.RUNNING, {Phase.SUCCEEDED: 1}, cancelled=False, at=NOW)
    began = rules.run_phase_change("run-1", RunPhase.PENDING, {Phase.RUNNING: 1}, cancelled=False, at=NOW)
    same = rules.run_phase_change("run-1", RunPhase.RUNNING, {Phase.RUNNING: 1}, cancelled=False, at=NOW)

    assert ended is not None
    assert (ended.phase, ended.finished_at, ended.entry.at) == (RunPhase.SUCCEEDED, NOW, NOW)
    assert ended.entry.detail == RunPhaseDetail(before=RunPhase.RUNNING, after=RunPhase.SUCCEEDED)
    assert began is not None
    assert (began.phase, began.finished_at) == (RunPhase.RUNNING, None)
    assert same is None


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"phase": RunPhase.RUNNING}, True),
        ({"cancel_requested_at": NOW}, False),
        ({"phase": RunPhase.SUCCEEDED}, False),
    ],
)
def test_a_run_is_cancelled_once_and_only_while_it_goes_on(changes: dict[str, Any], may: bool) -> None:
    """A second request changes neither time nor history."""
    assert (after_cancellation(run(**changes), NOW + 9) is not None) is may


def test_a_retried_run_is_open_under_the_new_decision() -> None:
    """Neither its end nor its cancellation is left."""
    ended = run(phase=RunPhase.CANCELLED, cancel_requested_at=NOW, finished_at=NOW)
    opened = rules.run_after_retry(ended, decision("shenzhen"))

    assert (opened.cancel_requested_at, opened.finished_at) == (None, None)
    assert (opened.decision_id, opened.permitted) == ("d2", ("shenzhen",))


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.QUARANTINED, Phase.CANCELLED])
def test_a_retried_shard_waits_again_with_counts_at_zero(phase: Phase) -> None:
    """Its epoch only grows, and its orphans stay listed until they are known to have ended."""
    orphans = (Orphan(region="beijing", epoch=3),)
    waiting = Shard(run="run-1", index=0, epoch=3, orphans=orphans, rev=7)
    ended = structs.replace(waiting, phase=phase, reason="Lost", attempts_lost=5, failovers=2, not_before=NOW)
    opened = rules.shard_after_retry(ended)

    assert opened == structs.replace(waiting, rev=8)


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, *sorted(rules.UNFINISHED)])
def test_a_retry_leaves_what_succeeded_or_goes_on(phase: Phase) -> None:
    """What is done is not done again."""
    assert rules.shard_after_retry(Shard(run="run-1", index=0, phase=phase, rev=7)) is None


@pytest.mark.parametrize(
    ("given", "stopped_at"),
    [
        (write(Phase.FAILED, NOW, NOW + 1), NOW + 1),
        (write(Phase.PENDING, NOW), NOW),
        (write(Phase.RUNNING, NOW), None),
        (write(Phase.SUSPECT, NOW), None),
        (write(Phase.CANCELLED, NOW, epoch=0), None),
        (write(Phase.FAILED), None),
    ],
    ids=["failed", "lost", "runs", "may run", "never placed", "time unknown"],
)
def test_tasks_stop_where_no_attempt_is_current(given: ShardWrite, stopped_at: float | None) -> None:
    """At the time of the write's last history entry."""
    assert rules.tasks_stopped_at(given) == stopped_at


def test_only_runs_whose_writes_took_change() -> None:
    """Each at the time of its last write that took."""
    writes = [
        write(Phase.RUNNING, NOW),
        write(Phase.FAILED, NOW + 1),
        write(Phase.FAILED, NOW + 2, run_id="run-2"),
        write(Phase.RUNNING, run_id="run-3"),
    ]

    assert rules.changed_runs(writes, [True, True, False, True]) == {"run-1": NOW + 1, "run-3": None}


def test_cursors_are_written_with_all_of_their_events_or_not_at_all() -> None:
    """An event whose write did not take has to come again."""
    cursors = {"beijing": Cursor(incarnation="j1", seq=7)}

    assert rules.cursors_to_write([True, True], cursors) == rules.cursors_to_write([], cursors) == cursors
    assert rules.cursors_to_write([True, False], cursors) == {}


def test_a_cursor_counts_within_one_journal() -> None:
    """Another journal is read from its beginning, the same one from where it was left."""
    left = Cursor(incarnation="j1", seq=7)

    assert rules.cursor_after_binding(left, "j1") == left
    assert rules.cursor_after_binding(left, "j2") == rules.cursor_after_binding(None, "j2")
    assert rules.cursor_after_binding(None, "j2") == Cursor(incarnation="j2", seq=0)


def test_a_retried_shard_has_nothing_of_its_last_attempt() -> None:
    """Neither region nor fence: a new attempt is placed afresh."""
    cancelled = Shard(run="run-1", index=0, phase=Phase.CANCELLED, fence=Fence(boot="b", not_after=1.0))
    opened = rules.shard_after_retry(cancelled)

    assert opened is not None
    assert (opened.region, opened.fence, opened.incarnation) == (None, None, "")


def test_an_era_is_higher_than_those_before() -> None:
    """The epochs that it gives must outrank theirs."""
    assert rules.next_era(rules.FIRST_ERA) > rules.FIRST_ERA
