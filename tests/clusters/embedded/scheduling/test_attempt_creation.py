"""Tests creates of attempts: which are accepted, which are refused, and which are mere repetitions."""

import pytest

from clusters.protocol import (
    AttemptEndKind,
    AttemptId,
    Batch,
    CreateOutcome,
    Fence,
    RunSpec,
    ShardSpec,
    TaskResult,
)
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, SteppedCluster, attempt, task
from waypost.tracing.context import TraceContext
from waypost.workflow.task import Resources, Retry, TaskSpec
from waypost.workflow.task_phase import TaskPhase


def test_a_create_that_must_not_run_is_refused(cluster: SteppedCluster) -> None:
    """Late, of another boot, tombstoned, superseded, of an older era, beyond the slots, or not to be run."""
    assert cluster.create(task("a"), after=-1.0) == "Late"
    assert cluster.create(task("a"), fence=Fence(boot="other", not_after=9.0)) == "OtherBoot"
    cluster.apply(tombstones=(attempt(3),))
    assert cluster.create(task("a"), epoch=3) == "Tombstoned"
    assert cluster.create(task("a"), epoch=2) == "OldEpoch"
    assert cluster.create(task("a", "b")) == "OldEpoch"
    assert cluster.create(task("a", "b"), epoch=4) == "Invalid"
    assert cluster.create(TaskSpec(name="a", type="rocket", run={}), epoch=4) == "Unsupported"
    assert cluster.refusal == "task a wants the executor rocket, which this cluster has not"
    assert cluster.create(task("a", resources=Resources(cpu=64)), epoch=4) == "Unsupported"
    assert cluster.refusal == "task a asks for 64 processors; this cluster has 4"
    assert cluster.create(task("a", resources=Resources(memory_mib=4_097)), epoch=4) == "Unsupported"
    assert cluster.refusal == "task a asks for 4097 MiB of memory; this cluster has 4096"
    assert cluster.create(task("a"), epoch=4, run="../up") == "Invalid"
    for number in range(3):
        assert cluster.create(task("a"), run=f"run-{number}") == CreateOutcome.CREATED
    assert cluster.create(task("a"), run="run-3") == "Full"
    cluster.apply(tombstones=(AttemptId(run="run-0", shard=0, epoch=1 << 32),))
    assert cluster.create(task("a"), run="run-9") == "OldEra"


def test_a_resent_create_is_the_same_attempt(cluster: SteppedCluster) -> None:
    """The answer to the first was lost; nothing starts twice."""
    assert cluster.create(task("a")) == CreateOutcome.CREATED
    assert cluster.create(task("a")) == CreateOutcome.EXISTS
    assert cluster.names == ["a"]


def test_a_create_that_is_sent_again_late_finds_its_attempt(cluster: SteppedCluster) -> None:
    """The first answer was lost: the attempt runs, whatever the fence says by now."""
    fence = Fence(boot="boot-1", not_after=1.0)
    cluster.create(task("a"), fence=fence)
    cluster.now = 2.0
    assert cluster.create(task("a"), fence=fence) == CreateOutcome.EXISTS
    cluster.end("a")
    cluster.apply(acknowledged=cluster.scheduler.seq)
    assert cluster.create(task("a"), fence=fence) == CreateOutcome.EXISTS
    assert len(cluster.launched) == 1


def test_a_create_that_waits_for_the_journal_past_its_fence_is_withdrawn(cluster: SteppedCluster) -> None:
    """By then the gateway has given it up, and may have its shard run elsewhere."""
    fence = Fence(boot="boot-1", not_after=5.0)
    creates = tuple(
        ShardSpec(attempt=AttemptId(run=run, shard=0, epoch=1), fence=fence) for run in ("run", "other")
    )
    runs = tuple(
        RunSpec(run=run, tasks=(task("a", resources=Resources(cpu=4.0)),)) for run in ("run", "other")
    )
    late, soon = (
        cluster.scheduler.apply(Batch(runs=runs, creates=(create,)), 0.0, 0.0) for create in creates
    )
    assert [launch.attempt.run for launch in late[1].launches] == ["run"]
    soon[1].created = [ShardSpec(attempt=creates[1].attempt, fence=Fence(boot="boot-1", not_after=60.0))]

    cluster.scheduler.withdraw_late_creates([late[1], soon[1]], 5.1)
    for _, step in (late, soon):
        cluster.act(step)

    assert [
        (answer.outcome, answer.reason) for answer in cluster.scheduler.after_commit(late[0]).creates
    ] == [(CreateOutcome.REFUSED, "Late")]
    assert cluster.scheduler.after_commit(soon[0]) == soon[0]
    assert cluster.running == [(creates[1].attempt, "a")], "and the processors that it held are free"
    assert cluster.scheduler.status(5.1).held == 1


def test_results_and_tries_of_earlier_epochs_count(cluster: SteppedCluster) -> None:
    """A failover runs nothing finished again, and grants no new retries."""
    cluster.create(
        task("a"),
        task("b", "a", retry=Retry(limit=1)),
        results=(TaskResult(task="a", output=1),),
        tries={"b": 1},
    )
    assert cluster.names == ["b"]
    cluster.end("b", BROKEN)
    assert (cluster.events[-1].end, cluster.events[-2].phase) == (AttemptEndKind.FAILED, TaskPhase.FAILED)


def test_shards_of_one_run_share_its_tasks(cluster: SteppedCluster) -> None:
    """A thousand shards of ten thousand tasks would not fit."""
    fence, run = Fence(boot="boot-1", not_after=5.0), RunSpec(run="run", tasks=(task("a"), task("b", "a")))
    for shard in (0, 1):
        again = RunSpec(run=run.run, tasks=run.tasks)
        cluster.apply(
            runs=(again,),
            creates=(ShardSpec(attempt=AttemptId(run="run", shard=shard, epoch=1), fence=fence),),
        )

    plans = {id(attempt.graph) for attempt in cluster.scheduler._attempts.by_id.values()}
    assert len(plans) == 1


def test_a_run_is_checked_once_a_batch(cluster: SteppedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many shards of it come: all other attempts wait meanwhile."""
    seen: list[RunSpec | None] = []

    def mismatch(run: RunSpec | None) -> None:
        seen.append(run)

    monkeypatch.setattr(cluster.scheduler._capabilities, "mismatch", mismatch)
    fence = Fence(boot="boot-1", not_after=5.0)
    creates = tuple(
        ShardSpec(attempt=AttemptId(run="run", shard=shard, epoch=1), fence=fence) for shard in range(3)
    )
    cluster.apply(runs=(RunSpec(run="run", tasks=(task("a"),)),), creates=creates)

    assert len(seen) == 1


@pytest.mark.parametrize("tries", [10_001, 2**63 - 1])
def test_a_create_that_the_journal_cannot_hold_is_refused(cluster: SteppedCluster, tries: int) -> None:
    """One try more would end the cluster, and after it the next that gets the shard; others go on."""
    assert cluster.create(task("a"), tries={"a": tries}) == "Invalid"
    assert cluster.refusal == "a task of it was started more than 10000 times"
    assert cluster.create(task("a"), run="other", tries={"a": 10_000}) == CreateOutcome.CREATED
    assert cluster.events[-1].tries == 10_001


def test_each_try_runs_in_a_span_of_its_own_in_the_trace_of_its_run(cluster: SteppedCluster) -> None:
    """Over a retry, a crash of the cluster and a new attempt; a run without a trace has none."""
    of_run = TraceContext(trace_id="a" * 32, span_id="b" * 16, flags=1, state="vendor=1")
    again = task("a", retry=Retry(limit=1))
    cluster.create(again, span=of_run)
    cluster.end("a", BROKEN)
    cluster.tick(100.0)
    cluster.crash()
    cluster.create(again, epoch=1, span=of_run)
    cluster.create(again, epoch=2, span=of_run, tries={"a": 2})
    cluster.end("a", BROKEN)
    cluster.create(again, run="older")

    first, second = of_run.of_attempt("run", 0, 1), of_run.of_attempt("run", 0, 2)
    assert cluster.spans == [
        first.of_try("a", 1),
        first.of_try("a", 2),
        first.of_try("a", 3),
        second.of_try("a", 3),
        None,
    ]
