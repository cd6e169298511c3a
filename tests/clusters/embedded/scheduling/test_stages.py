"""Tests what a cluster gives the tasks of a run's later stages, which are runs of their own to it."""

from msgspec import structs

from clusters.protocol import TaskResult
from tests.clusters.embedded.scheduling.stepped_cluster import DONE, SteppedCluster, task
from waypost.workflow.stages import Ending, FailedTask
from waypost.workflow.task_phase import TaskPhase

FAILED = (
    FailedTask(shard=0, task="main", reason="exit code 1"),
    FailedTask(shard=1, task=None, reason="Lost"),
)
ENDING = Ending(status="Failed", reason="task main: exit code 1", failed=FAILED)


def test_tasks_of_finally_are_given_the_end_of_all_else(cluster: SteppedCluster) -> None:
    """Also after a crash of the cluster, from its journal."""
    tasks = (task("notify"), task("later", "notify"))
    cluster.create(*tasks, run="run.finally", ending=ENDING)
    cluster.end("notify", DONE)
    cluster.crash()
    cluster.create(*tasks, run="run.finally", ending=ENDING)

    for name in ("notify", "later"):
        given = cluster.inputs[name]
        assert (given["status"], given["reason"], given["failed"]) == ("Failed", ENDING.reason, FAILED)


def test_other_tasks_are_given_nothing_of_it(cluster: SteppedCluster) -> None:
    """Nothing has ended yet."""
    cluster.create(task("main"))

    assert set(cluster.inputs["main"]) == {"params", "shard", "source", "target", "outputs"}


def test_conditions_of_finally_see_the_end(cluster: SteppedCluster) -> None:
    """The status, and each failure with its shard, task and reason; null where no task failed."""
    conditions = {
        "a": 'status == "Failed" && failed.exists(f, f.task == "main" && f.shard == 0)',
        "b": 'failed.exists(f, f.task == null && f.reason == "Lost")',
        "c": 'status == "Succeeded"',
        "d": "failed.size() > 2",
    }
    cluster.create(*(task(name, when=when) for name, when in conditions.items()), ending=ENDING)
    cluster.answer_conditions()

    skipped = {name for name, phase in cluster.phases.items() if phase is TaskPhase.SKIPPED}
    assert (skipped, sorted(cluster.names)) == ({"c", "d"}, ["a", "b"])


def test_outputs_of_all_shards_come_as_those_of_finished_tasks(cluster: SteppedCluster) -> None:
    """They are not run again, whatever their type would do."""
    counted = TaskResult(task="count", output=[1, None, 3])
    cluster.create(task("count"), task("sum", "count"), run="run.collect", results=(counted,))

    assert cluster.names == ["sum"]
    assert cluster.inputs["sum"]["outputs"] == {"count": [1, None, 3]}


def test_a_main_task_that_failed_in_some_shards_keeps_its_outputs(cluster: SteppedCluster) -> None:
    """What needs it runs, as in a shard that tolerates the failure, and learns of it."""
    counted = TaskResult(
        task="count", failure=TaskPhase.FAILED, output=[1, None], reason="failed in 1 of 2 shards"
    )
    stand_in = structs.replace(task("count"), continue_on_failure=True)
    cluster.create(
        stand_in, task("sum", "count"), task("page", "count", runs="onFailure"), results=(counted,)
    )

    assert cluster.names == ["sum", "page"]
    given = cluster.inputs["sum"]
    assert (given["outputs"], given["phases"]) == ({"count": [1, None]}, {"count": TaskPhase.FAILED})
