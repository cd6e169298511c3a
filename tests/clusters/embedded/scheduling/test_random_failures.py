"""Tests which tasks of random graphs run, against a slow and obvious reference."""

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.protocol import AttemptEndKind
from tests.clusters.embedded.scheduling.stepped_cluster import BROKEN, DONE, SteppedCluster, task
from waypost.workflow.task import Retry, TaskSpec
from waypost.workflow.task_phase import FINAL, TaskPhase

BAD = (TaskPhase.FAILED, TaskPhase.OMITTED, TaskPhase.STOPPED)


def expected_phase(
    one: TaskSpec, needed: Mapping[str, TaskPhase], fate: Mapping[str, bool], tolerated: Sequence[str]
) -> TaskPhase:
    """Says in the words of the documentation how a task ends whose needs have ended; no `failFast`."""
    failed = [n for n in one.needs if needed[n] in BAD]
    counted = [n for n in failed if not (needed[n] is TaskPhase.FAILED and n in tolerated)]
    if one.runs in (None, "onSuccess") and counted:
        return TaskPhase.OMITTED
    if one.runs == "onFailure" and not failed:
        return TaskPhase.SKIPPED
    if one.when_skipped == "skip" and TaskPhase.SKIPPED in [needed[n] for n in one.needs]:
        return TaskPhase.SKIPPED
    if one.when == "false":
        return TaskPhase.SKIPPED
    return TaskPhase.SUCCEEDED if fate[one.name] else TaskPhase.FAILED


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[TaskSpec], dict[str, bool]]:
    tasks: list[TaskSpec] = []
    for index in range(draw(st.integers(1, 8))):
        needs = tuple(f"t{other}" for other in range(index) if draw(st.booleans()))
        tasks.append(
            task(
                f"t{index}",
                *needs,
                runs=draw(st.sampled_from([None, "onSuccess", "onFailure", "always"])),
                when=draw(st.sampled_from([None, None, "true", "false"])),
                when_skipped=draw(st.sampled_from(["run", "run", "skip"])),
                continue_on_failure=draw(st.sampled_from([False, False, True])),
                retry=Retry(limit=draw(st.integers(0, 1)), backoff_seconds=0.0),
            )
        )
    return tasks, {one.name: draw(st.sampled_from([True, True, False])) for one in tasks}


def play(
    cluster: SteppedCluster,
    tasks: list[TaskSpec],
    fate: Mapping[str, bool],
    data: st.DataObject,
    *,
    fail_fast: bool,
) -> list[str]:
    """Runs an attempt to its end, in random order and with crashes; returns the tasks started, in order."""
    cluster.create(*tasks, fail_fast=fail_fast)
    ended: set[str] = set()
    for _ in range(300):
        for event in cluster.events:
            if getattr(event, "phase", None) in FINAL:
                ended.add(event.task)
        before = len(cluster.launched)
        if cluster.boots < 4 and data.draw(st.integers(0, 7)) == 7:
            cluster.crash()
            cluster.create(*tasks, fail_fast=fail_fast)
        elif cluster.asked and (not cluster.running or data.draw(st.booleans())):
            cluster.answer_conditions()
        elif cluster.running:
            name = data.draw(st.sampled_from(cluster.names))
            cluster.end(name, DONE if fate[name] else BROKEN)
        else:
            break
        cluster.tick(0.0)
        started = {name for _, name in cluster.launched[before:]}
        assert not started & ended, "a task that has ended never starts again"
    assert not cluster.running
    return [name for _, name in cluster.launched]


@given(graphs(), st.data())
@settings(max_examples=60, deadline=None)
def test_every_task_ends_as_the_reference_says(
    graph: tuple[list[TaskSpec], dict[str, bool]], data: st.DataObject
) -> None:
    """In any order of outcomes, whatever kills of the cluster come in between."""
    tasks, fate = graph
    cluster = SteppedCluster()
    ran = play(cluster, tasks, fate, data, fail_fast=False)

    expected: dict[str, TaskPhase] = {}
    tolerated = [one.name for one in tasks if one.continue_on_failure]
    for one in tasks:
        expected[one.name] = expected_phase(one, expected, fate, tolerated)
    assert cluster.phases == expected
    assert set(ran) == {name for name, phase in expected.items() if phase.value in ("Succeeded", "Failed")}
    fails = any(phase is TaskPhase.FAILED and name not in tolerated for name, phase in expected.items())
    assert cluster.end_of_attempt[0] is (AttemptEndKind.FAILED if fails else AttemptEndKind.SUCCEEDED)


@given(graphs(), st.data())
@settings(max_examples=60, deadline=None)
def test_with_fail_fast_only_what_runs_on_success_is_stopped(
    graph: tuple[list[TaskSpec], dict[str, bool]], data: st.DataObject
) -> None:
    """Which tasks had ended before the first failure is chance; all others end as the reference says."""
    tasks, fate = graph
    if all(one.runs in (None, "onSuccess") and one.when_skipped == "run" for one in tasks):
        tasks = [*tasks, task("last", runs="always")]
        fate = fate | {"last": True}
    cluster = SteppedCluster()
    play(cluster, tasks, fate, data, fail_fast=True)

    found = cluster.phases
    tolerated = [one.name for one in tasks if one.continue_on_failure]
    fails = any(phase is TaskPhase.FAILED and name not in tolerated for name, phase in found.items())
    for one in tasks:
        if found[one.name] is TaskPhase.STOPPED:
            assert fails
            assert one.runs in (None, "onSuccess")
        else:
            assert found[one.name] is expected_phase(one, found, fate, tolerated)
    assert cluster.end_of_attempt[0] is (AttemptEndKind.FAILED if fails else AttemptEndKind.SUCCEEDED)
