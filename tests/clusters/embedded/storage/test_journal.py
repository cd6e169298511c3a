"""Tests the journal: journals of older versions, and reading of events."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from clusters.embedded.scheduling.scheduler_step import Step
from clusters.embedded.storage import journal
from clusters.embedded.storage.journal import open_journal, read_events, write_steps
from clusters.protocol import (
    AttemptEnded,
    AttemptEndKind,
    AttemptId,
    Fence,
    RunSpec,
    ShardSpec,
    TaskChanged,
)
from tests.clusters.embedded.working_node import SHARD
from waypost.workflow.task import TaskSpec
from waypost.workflow.task_phase import TaskPhase


def test_a_journal_of_the_first_days_is_read(tmp_path: Path) -> None:
    """Columns have been added since."""
    db = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    open_journal(db)
    db.execute("alter table task drop column due")
    db.execute("alter table attempt drop column failed")
    db.execute("drop table tenant")
    run = RunSpec(run="run", tasks=(TaskSpec(name="a", type="process", run={}),), fairness_key="a tenant's")
    db.execute("insert into run values ('run', ?)", (msgspec.json.encode(run),))
    assert open_journal(db).tenants == {"a tenant's"}
    open_journal(db)
    assert {"due"} <= {row[1] for row in db.execute("pragma table_info(task)")}
    db.close()


def test_large_events_are_read_a_few_at_a_time() -> None:
    """Five hundred of them would be 32 MB for each stream."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    open_journal(db)
    step = Step(now=0.0, wall=0.0)
    for seq in range(1, 201):
        output = "x" * 60_000
        step.events.append(
            TaskChanged(
                seq=seq,
                attempt=SHARD,
                task="a",
                phase=TaskPhase.SUCCEEDED,
                tries=1,
                started_at=0.0,
                output=output,
            )
        )
    step.events.append(AttemptEnded(seq=201, attempt=SHARD, end=AttemptEndKind.SUCCEEDED))
    write_steps(db, [step], 0.0)

    found = [event.seq for event in read_events(db, 0, 500)]

    assert found == list(range(1, len(found) + 1))
    assert len(found) < 100
    assert [event.seq for event in read_events(db, 199, 500)] == [200, 201]


def test_the_newest_description_of_a_run_counts_after_a_restart() -> None:
    """A retried run may have another priority; its `finally` is about another end."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    open_journal(db)
    for epoch, priority in ((1, 5), (2, 3)):
        run = RunSpec(run="run", tasks=(TaskSpec(name="a", type="delay", run={}),), priority=priority)
        attempt = AttemptId(run="run", shard=0, epoch=epoch)
        spec = ShardSpec(attempt=attempt, fence=Fence(boot="b", not_after=9.0))
        write_steps(db, [Step(now=0.0, wall=0.0, runs=[run], created=[spec])], 0.0)

    recovered = open_journal(db)

    assert {attempt.run.priority for attempt in recovered.attempts} == {3}


def test_runs_that_have_ended_cost_a_restart_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal keeps days of them, and each may have thousands of tasks."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    open_journal(db)
    for seq, name in enumerate(("acknowledged", "ended", "open"), 1):
        run = RunSpec(run=name, tasks=(TaskSpec(name="a", type="process", run={}),))
        attempt = AttemptId(run=name, shard=0, epoch=1)
        created = [ShardSpec(attempt=attempt, fence=Fence(boot="b", not_after=9.0))]
        write_steps(db, [Step(now=0.0, wall=0.0, runs=[run], created=created)], 0.0)
        if name != "open":
            end = AttemptEnded(seq=seq, attempt=attempt, end=AttemptEndKind.SUCCEEDED)
            write_steps(db, [Step(now=0.0, wall=0.0, events=[end])], 0.0)
    write_steps(db, [Step(now=0.0, wall=0.0, acknowledged=1)], 0.0)
    decoded: list[bytes] = []
    decode = journal._decode_run

    def noted(spec: bytes) -> RunSpec:
        decoded.append(spec)
        return decode(spec)

    monkeypatch.setattr(journal, "_decode_run", noted)
    selects: list[str] = []
    db.set_trace_callback(selects.append)

    recovered = open_journal(db)

    assert sorted(attempt.id.run for attempt in recovered.attempts) == ["ended", "open"]
    assert [attempt.run for attempt in recovered.ended] == ["acknowledged"]
    assert len(decoded) == 2
    assert not any("json_extract" in statement for statement in selects)
