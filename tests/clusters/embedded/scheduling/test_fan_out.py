"""Tests tasks with `forEach` in the scheduler: their instances, bounds, failures, and restarts in between."""

import random
from typing import Any

import pytest

from clusters.embedded.scheduling.launch import Outcome
from clusters.protocol import AttemptEnded, Renewal, TaskChanged, TaskResult
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, DONE, SteppedCluster, task
from waypost.workflow.task import Retry, SideEffects, TaskSpec
from waypost.workflow.task_phase import TaskPhase


def each(name: str, for_each: Any, *needs: str, **more: Any) -> TaskSpec:
    return task(name, *needs, for_each=for_each, **more)


def done(output: Any) -> Outcome:
    return Outcome(succeeded=True, output=output)


def last(cluster: SteppedCluster, name: str) -> TaskChanged:
    return [event for event in cluster.events if isinstance(event, TaskChanged) and event.task == name][-1]


def phases(cluster: SteppedCluster) -> dict[str, str]:
    changes = [event for event in cluster.events if isinstance(event, TaskChanged)]
    return {event.task: event.phase.value for event in changes}


def ends(cluster: SteppedCluster) -> list[str]:
    return [f"{e.end} {e.reason}".strip() for e in cluster.events if isinstance(e, AttemptEnded)]


def test_a_task_runs_once_for_each_item_of_an_output(cluster: SteppedCluster) -> None:
    """Only the task before it knows how many; what follows gets the list of their outputs."""
    listed = each("m", "${tasks.list.output.parts}", "list")
    listed = TaskSpec(
        name="m", type="process", needs=("list",), for_each=listed.for_each, run={"command": [1]}
    )
    reduce = TaskSpec(name="sum", type="process", needs=("m",), run={"command": ["${tasks.m.output}"]})
    cluster.create(task("list"), listed, reduce)
    cluster.end("list", done({"parts": [5, 6, 7]}))

    assert cluster.names == ["m[0]", "m[1]", "m[2]"]
    assert (last(cluster, "m").phase, last(cluster, "m").instances) == (TaskPhase.RUNNING, 3)
    for index in (1, 2, 0):
        step = cluster.end(f"m[{index}]", done(index * 10))

    assert step.launches[0].task.run == {"command": [[0, 10, 20]]}
    assert step.launches[0].input["outputs"] == {"m": [0, 10, 20]}
    assert (last(cluster, "m").phase, last(cluster, "m").instances) == (TaskPhase.SUCCEEDED, 3)
    assert last(cluster, "m").output is None


def test_an_instance_has_its_item_and_its_index(cluster: SteppedCluster) -> None:
    """In strings of its run and in its input; a filled-in text is not read as a placeholder."""
    run = {"command": ["${item.name}", "n${index}", "${item}"]}
    items = ({"name": "${index}"}, {"name": "b"})
    cluster.create(task("a"), TaskSpec(name="m", type="process", needs=("a",), for_each=items, run=run))
    first, second = cluster.end("a").launches

    assert first.task.run == {"command": ["${index}", "n0", {"name": "${index}"}]}
    assert second.task.run == {"command": ["b", "n1", {"name": "b"}]}
    assert (second.task.name, second.input["item"], second.input["index"]) == ("m[1]", {"name": "b"}, 1)


def test_an_empty_list_is_a_success(cluster: SteppedCluster) -> None:
    """There was nothing to do, and what comes after it gets an empty list."""
    cluster.create(each("m", ()), task("after", "m"))
    launched = cluster.names

    assert launched == ["after"]
    assert phases(cluster)["m"] == "Succeeded"
    assert cluster.scheduler._attempts.by_id[cluster.running[0][0]].outputs_for(task("x", "m")) == {"m": []}


def test_a_long_chain_of_empty_lists_is_a_success(cluster: SteppedCluster) -> None:
    """Each is decided about once the one before it has ended, which is at once."""
    chain = [each(f"m{n}", (), *([f"m{n - 1}"] if n else [])) for n in range(1_000)]
    cluster.create(*chain, task("after", "m999"))
    assert cluster.names == ["after"]


def test_a_long_chain_of_lists_that_are_none_fails(cluster: SteppedCluster) -> None:
    """Each fails at once, after the one before it."""
    chain = [
        each(f"m{n}", "${shard.index}", *([f"m{n - 1}"] if n else []), runs="always") for n in range(1_000)
    ]
    cluster.create(*chain, task("after", "m999", runs="always"))
    assert cluster.names == ["after"]
    cluster.end("after")
    assert ends(cluster) == ["Failed task m0: forEach: ${shard.index} is no list"]


def test_max_parallel_bounds_what_runs_at_once(cluster: SteppedCluster) -> None:
    """However many processors are free; one that waits for its next try keeps its place."""
    cluster.create(each("m", tuple(range(5)), max_parallel=2, retry=Retry(limit=1, backoff_seconds=1)))
    assert cluster.names == ["m[0]", "m[1]"]

    cluster.end("m[1]")
    assert cluster.names == ["m[0]", "m[2]"]
    cluster.end("m[0]", BROKEN)
    assert cluster.names == ["m[2]"]
    cluster.tick(1.0)
    assert cluster.names == ["m[2]", "m[0]"]
    for name in ("m[0]", "m[2]", "m[3]", "m[4]"):
        cluster.end(name)

    assert ends(cluster) == ["Succeeded"]


def test_each_instance_has_its_own_retries(cluster: SteppedCluster) -> None:
    """A failure of one costs the others nothing."""
    cluster.create(each("m", ("a", "b"), retry=Retry(limit=1, backoff_seconds=0)))
    for name in ("m[0]", "m[1]"):
        cluster.end(name, BROKEN)
        cluster.tick(0.0)
        cluster.end(name)

    assert ends(cluster) == ["Succeeded"]
    assert (last(cluster, "m[0]").tries, last(cluster, "m[1]").tries) == (2, 2)


def test_an_instance_that_fails_for_good_fails_its_task_and_ends_the_others(cluster: SteppedCluster) -> None:
    """As any failure does in a shard that fails fast. What cleans up begins when all of them have ended."""
    cluster.create(
        each("m", tuple(range(5)), max_parallel=2), task("after", "m"), task("clean", "m", runs="always")
    )
    step = cluster.end("m[1]", BROKEN)

    assert [name for _, name in step.kills] == ["m[0]"]
    assert cluster.names == ["m[0]"]
    cluster.end("m[0]", Outcome(succeeded=False, killed=True))
    assert last(cluster, "m[0]").reason == "m[1]: exit code 1"
    assert cluster.names == ["clean"]
    cluster.end("clean")
    assert ends(cluster) == ["Failed task m: m[1]: exit code 1"]
    assert phases(cluster) == {
        "m": "Failed",
        "m[0]": "Stopped",
        "m[1]": "Failed",
        "after": "Omitted",
        "clean": "Succeeded",
    }


def test_the_others_go_on_where_a_failure_is_borne(cluster: SteppedCluster) -> None:
    """With `continueOnFailure` all instances end before their task has failed."""
    cluster.create(each("m", (1, 2, 3), max_parallel=1, continue_on_failure=True), task("after", "m"))
    cluster.end("m[0]", BROKEN)
    cluster.end("m[1]")
    cluster.end("m[2]")
    step_names = cluster.names
    cluster.end("after")

    assert step_names == ["after"]
    assert ends(cluster) == ["Succeeded"]
    assert phases(cluster) == {
        "m": "Failed",
        "m[0]": "Failed",
        "m[1]": "Succeeded",
        "m[2]": "Succeeded",
        "after": "Succeeded",
    }


def test_a_failure_elsewhere_stops_the_instances_and_their_task(cluster: SteppedCluster) -> None:
    """Also those that were never queued: the attempt must not wait for them."""
    cluster.create(each("m", (1, 2, 3), max_parallel=1), task("bad"), task("clean", "bad", runs="onFailure"))
    cluster.end("bad", BROKEN)
    cluster.end("m[0]", Outcome(succeeded=False, killed=True))
    cluster.end("clean")

    assert ends(cluster) == ["Failed task bad: exit code 1"]
    assert phases(cluster)["m"] == "Stopped"
    assert "m[1]" not in phases(cluster)


def test_a_restart_runs_no_finished_instance_again(cluster: SteppedCluster) -> None:
    """Results of instances are journalled; the items are rendered again from what is."""
    spec = (task("list"), each("m", "${tasks.list.output}", "list", retry=Retry(limit=5, backoff_seconds=9)))
    cluster.create(*spec)
    cluster.end("list", done(["a", "b", "c", "d"]))
    cluster.end("m[1]", done("second"))
    cluster.end("m[2]", BROKEN)
    cluster.crash()
    assert cluster.names == []

    cluster.create(*spec)
    assert sorted(cluster.names) == ["m[0]", "m[3]"]
    cluster.tick(9.0)
    assert sorted(cluster.names) == ["m[0]", "m[2]", "m[3]"]
    for name in list(cluster.names):
        cluster.end(name, done(name))

    assert cluster.launched.count((cluster.launched[0][0], "m[1]")) == 1
    assert ends(cluster) == ["Succeeded"]


def test_an_attempt_goes_on_from_carried_instances(cluster: SteppedCluster) -> None:
    """A failover brings the results of instances that had ended in the other region."""
    carried = (
        TaskResult(task="list", output=["a", "b", "c"]),
        TaskResult(task="m[1]", output="there"),
    )
    cluster.create(
        task("list"), each("m", "${tasks.list.output}", "list"), task("z", "m"), epoch=2, results=carried
    )
    assert cluster.names == ["m[0]", "m[2]"]
    cluster.end("m[0]", done("here"))
    step = cluster.end("m[2]", done("here"))

    assert step.launches[0].input["outputs"] == {"m": ["here", "there", "here"]}


def test_a_wrong_list_fails_its_task(cluster: SteppedCluster) -> None:
    """What an output holds shows only then: no list, no such path, too many items."""
    for output, reason in [
        ({"t": "x"}, "Failed task m: forEach: ${tasks.list.output.t} is no list"),
        (
            {},
            "Failed task m: forEach: ${tasks.list.output.t} names nothing: there is no tasks.list.output.t",
        ),
        (
            {"t": list(range(1_001))},
            "Failed task m: forEach: it has 1001 items, with which this shard would have 1001"
            " instances of tasks; 1000 are allowed",
        ),
    ]:
        one = SteppedCluster()
        one.create(task("list"), each("m", "${tasks.list.output.t}", "list"))
        one.end("list", done(output))
        assert ends(one) == [reason]


@pytest.mark.parametrize("seed", range(40))
def test_every_fan_out_ends_with_each_instance_finished_once(seed: int) -> None:
    """Whatever fails, and wherever the cluster is killed: no finished instance runs again, and all end."""
    rng = random.Random(seed)
    bound, fail_fast = rng.choice([None, 1, 2, 3]), rng.random() < 0.5
    fan_out = each(
        "m",
        tuple(range(rng.randint(0, 6))),
        "a",
        max_parallel=bound,
        retry=Retry(limit=1, backoff_seconds=0),
        continue_on_failure=rng.random() < 0.5,
    )
    spec = (task("a"), fan_out, task("b"), task("z", "m", runs="always"))
    cluster = SteppedCluster()
    cluster.create(*spec, fail_fast=fail_fast)
    for _ in range(60):
        if ends(cluster):
            return
        if not cluster.running or rng.random() < 0.1:
            cluster.crash()
            cluster.create(*spec, fail_fast=fail_fast)
            cluster.tick(0.1)
            continue
        finished = {e.task for e in cluster.events if isinstance(e, TaskChanged) and e.phase == "Succeeded"}
        assert finished.isdisjoint(cluster.names)
        assert bound is None or len([name for name in cluster.names if name.startswith("m[")]) <= bound
        cluster.end(rng.choice(cluster.names), rng.choice([DONE, DONE, DONE, BROKEN]))
        cluster.tick(0.1)
    pytest.fail(f"no end: {cluster.scheduler._attempts.by_id}")


def test_instances_taken_off_the_queue_are_queued_again(cluster: SteppedCluster) -> None:
    """An exclusive attempt without a lease starts nothing; with the next one all that are left start."""
    spec = each("m", (1, 2, 3), max_parallel=2)
    cluster.create(spec, side_effects=SideEffects.EXCLUSIVE)
    assert cluster.names == []

    step = cluster.tick(0.0)
    cluster.apply(renewals=[Renewal(attempt=ask.attempt, ask=ask.ask) for ask in step.lease_requests])
    assert cluster.names == ["m[0]", "m[1]"]
    for name in ("m[0]", "m[1]"):
        cluster.end(name, Outcome(succeeded=False, killed=True))
    step = cluster.tick(0.0)
    cluster.apply(renewals=[Renewal(attempt=ask.attempt, ask=ask.ask) for ask in step.lease_requests])
    for name in ("m[0]", "m[1]", "m[2]"):
        cluster.end(name)

    assert ends(cluster) == ["Succeeded"]
