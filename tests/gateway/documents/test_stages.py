"""Tests the checks of the stages `collect` and `finally`, and the tasks that clusters get for them."""

from typing import Any

import pytest

from clusters.features import AFTER_FAILURE
from gateway.documents.run_spec import run_spec
from gateway.regions.placement_demand import features_of
from gateway.settings import DocumentLimits
from tests.gateway.documents.documents import document, errors_in, read, schema_errors_in, task
from waypost.workflow.stages import Ending, Stage, name_in_gateway, shard_index, shard_name


def staged(
    collect: list[dict[str, Any]] | None = None, final: list[dict[str, Any]] | None = None, **spec: Any
) -> dict[str, Any]:
    stages = {"collect": collect, "finally": final}
    return document(task("a"), task("b", needs=["a"]), **{k: v for k, v in stages.items() if v}, **spec)


def test_a_document_with_stages_is_right() -> None:
    """Collect needs main tasks and its own; finally its own, and reads how all else has ended."""
    found = errors_in(
        staged(
            [task("c", needs=["a", "b"], when='tasks["a"].output.size() > 1'), task("d", needs=["c", "a"])],
            [
                task("e", run={"command": ["echo", "${status}", "${params.x}", "${shard.count}"]}),
                task("f", needs=["e"], when='status != "Succeeded" && failed.exists(f, f.task == "a")'),
            ],
            params={"x": 1},
            finallySeconds=30,
        )
    )

    assert found == {}


@pytest.mark.parametrize(
    ("collect", "final", "pointer", "detail"),
    [
        ([task("a")], [], "/spec/collect/0/name", "a is the name of 2 tasks"),
        ([task("c")], [task("c")], "/spec/finally/0/name", "c is the name of 2 tasks"),
        ([task("c", needs=["x"])], [], "/spec/collect/0/needs/0", "there is no task x"),
        ([task("c", needs=["c"])], [], "/spec/collect/0/needs/0", "c needs itself"),
        ([task("c", needs=["a", "a"])], [], "/spec/collect/0/needs/1", "a is named twice"),
        ([task("c", needs=["d"]), task("d", needs=["c"])], [], "/spec/collect/0/needs", "cycle: c -> d -> c"),
        ([task("c", needs=["f"])], [task("f")], "/spec/collect/0/needs/0", "f is in a later stage"),
        ([], [task("f", needs=["a"])], "/spec/finally/0/needs/0", "a is not in finally, which begins when"),
        ([], [task("f"), task("g", needs=["f", "x"])], "/spec/finally/1/needs/1", "there is no task x"),
        ([], [task("f", type="nope")], "/spec/finally/0/type", "nope is not a known executor"),
        ([], [task("f", run={"command": 1})], "/spec/finally/0/run/command", "must be an array"),
        ([], [task("f", run={"command": ["${params.no}"]})], "/spec/finally/0/run/command/0", "${params.no}"),
        (
            [],
            [task("f", run={"command": ["${shard.item}"]})],
            "/spec/finally/0/run/command/0",
            "${shard.item} names nothing: finally is for all shards",
        ),
        (
            [task("c", run={"command": ["${status}"]})],
            [],
            "/spec/collect/0/run/command/0",
            "${status} names nothing: there are params.NAME, tasks.NAME.output and shard.count",
        ),
        (
            [task("c", when='status == "Failed"')],
            [],
            "/spec/collect/0/when",
            "reads status, which only tasks",
        ),
        ([task("c", when="shard.index == 0")], [], "/spec/collect/0/when", "reads a shard, and collect is"),
        ([], [task("f", when="failed == 1")], "/spec/finally/0/when", "not a CEL expression"),
        ([], [task("f", when='tasks["a"].output == 1')], "/spec/finally/0/when", "reads what a left"),
        ([], [task("f", when="${status} == 1")], "/spec/finally/0/when", "placeholders are not filled in"),
        ([], [task("f", semaphore="db")], "/spec/finally/0/semaphore", "spec.semaphores has no db"),
        ([task("c", outputs={"type": 1})], [], "/spec/collect/0/outputs/type", "1 is not valid"),
    ],
)
def test_what_is_wrong_in_a_stage_is_named(
    collect: list[dict[str, Any]], final: list[dict[str, Any]], pointer: str, detail: str
) -> None:
    """At its own place in the document, as in `tasks`."""
    found = errors_in(staged(collect, final))

    assert found[pointer].startswith(detail)


def test_main_tasks_neither_need_later_ones_nor_read_the_end() -> None:
    """There is none yet when they run."""
    spec = {"finally": [task("f")], "collect": [task("c")]}
    main = [
        task("a", needs=["f", "c"]),
        task("b", run={"command": ["${status}"]}),
        task("d", when='true || status == "Failed"'),
    ]
    found = errors_in(document(*main, **spec))

    assert found["/spec/tasks/0/needs/0"] == "f is in a later stage, collect or finally"
    assert found["/spec/tasks/0/needs/1"] == "c is in a later stage, collect or finally"
    assert found["/spec/tasks/1/run/command/0"] == "${status} names nothing: only tasks of finally may use it"
    assert found["/spec/tasks/2/when"] == "reads status, which only tasks of finally can"


@pytest.mark.parametrize("seconds", [0, -1, 86_401, "1"])
def test_the_time_limit_of_finally_is_a_day_at_most(seconds: object) -> None:
    """A run that is over in all but name holds its tenant's place."""
    assert set(schema_errors_in(staged([], [task("f")], finallySeconds=seconds))) == {"/spec/finallySeconds"}


def test_errors_of_the_schema_are_found_in_stages_too() -> None:
    """Beside those of other parts."""
    found = schema_errors_in(staged([task("c", x=1)], [{"name": "f"}], priority=99))

    assert set(found) == {
        "/spec/collect/0/x",
        "/spec/finally/0/type",
        "/spec/finally/0/run",
        "/spec/priority",
    }


def test_the_limits_are_of_all_stages_together() -> None:
    """Tasks, needs and what placeholders add: a stage is no way around a limit."""
    limits = DocumentLimits(maximum_tasks=3, maximum_edges=2, maximum_bytes=3_000)
    tasks = errors_in(staged([task("c")], [task("f")]), limits)
    needs = errors_in(staged([task("c", needs=["a", "b"])]), limits)
    long = task("c", run={"command": ["${params.x}" * 40]})
    added = errors_in(document(task("a"), collect=[long], params={"x": "y" * 100}), limits)

    assert tasks["/spec/tasks"] == "there are 4 tasks; 3 are allowed"
    assert needs["/spec/tasks"] == "there are 3 needs; 2 are allowed"
    assert "characters; 3000 are allowed" in added["/spec/tasks"]


def test_collect_needs_a_thousand_tasks_at_most() -> None:
    """Each is a list of outputs in one message to a cluster."""
    main = [task(f"t{n}") for n in range(1_001)]
    found = errors_in(document(*main, collect=[task("c", needs=[one["name"] for one in main])]))

    assert found == {"/spec/collect": "its tasks need 1001 tasks of spec.tasks; 1000 are allowed"}


def test_the_tasks_that_collect_needs_are_finished_tasks_to_its_cluster() -> None:
    """They ask for nothing that tasks of `collect` do not ask for: no executor, no processors."""
    workflow = read(
        document(
            task("a", type="delay", run={"seconds": 1}, resources={"cpu": 64}, retry={"limit": 3}),
            task("z"),
            collect=[task("c", needs=["a"], when="true"), task("d", needs=["c"])],
            shards={"count": 7},
        )
    )
    spec = run_spec("run-1", workflow, Stage.COLLECT)

    assert (spec.run, spec.shard_count, spec.ending) == ("run-1.collect", 7, None)
    assert [(t.name, t.type, t.needs, t.resources.cpu) for t in spec.tasks] == [
        ("a", "process", (), 1.0),
        ("c", "process", ("a",), 1.0),
        ("d", "process", ("c",), 1.0),
    ]
    assert [t.name for t in run_spec("run-1", workflow).tasks] == ["a", "z"]


def test_the_end_is_filled_in_for_finally() -> None:
    """What was filled in is never read as a placeholder again."""
    workflow = read(
        staged([], [task("f", run={"command": ["${status}: ${params.x}"]})], params={"x": "${status}"})
    )
    spec = run_spec("run-1", workflow, Stage.FINALLY, ending=Ending(status="Failed", reason="r"))

    assert (spec.run, spec.ending) == ("run-1.finally", Ending(status="Failed", reason="r"))
    assert spec.tasks[0].run == {"command": ["Failed: ${$}{status}"]}


def test_names_of_shards_lead_back_to_their_indices() -> None:
    """People and clusters use names, the store numbers."""
    assert [shard_index(shard_name(index)) for index in (0, 7, 1_000_000, 1_000_001)] == [
        0,
        7,
        1_000_000,
        1_000_001,
    ]
    assert [shard_index(name) for name in ("main", "", "-1", "x", "Finally", "²")] == [None] * 6
    assert name_in_gateway("run-1.finally", 0) == ("run-1", 1_000_001)
    assert name_in_gateway("run-1", 3) == ("run-1", 3)


@pytest.mark.parametrize(
    ("status", "run"),
    [
        ("Succeeded", {"plain", "always", "celebrate"}),
        ("Failed", {"plain", "always", "cry"}),
        ("Quarantined", {"plain", "always", "cry"}),
        ("Cancelled", {"plain", "always", "cry"}),
    ],
)
def test_runs_of_a_task_of_finally_is_about_the_rest_of_the_run(status: str, run: set[str]) -> None:
    """Where it needs no task; and whatever fails beside it does not stop it."""
    workflow = read(
        staged(
            [],
            [
                task("plain", when="failed.size() == 0"),
                task("always", runs="always"),
                task("celebrate", runs="onSuccess"),
                task("cry", runs="onFailure"),
                task("later", needs=["plain"], runs="onFailure"),
            ],
        )
    )
    *roots, later = run_spec("run-1", workflow, Stage.FINALLY, ending=Ending(status=status)).tasks

    assert {one.name for one in roots if one.when != "false"} == run
    assert {one.runs for one in roots} == {"always"}
    assert roots[0].when == "failed.size() == 0"
    assert (later.runs, later.when) == ("onFailure", None)


def test_collect_needs_a_cluster_that_knows_failures_where_a_main_task_may_tolerate_its_own() -> None:
    """Another cluster would run the stand-in of a task that has failed."""
    for tolerates in (True, False):
        main = task("a", continueOnFailure=tolerates)
        workflow = read(document(main, collect=[task("c", needs=["a"])]))
        assert (AFTER_FAILURE in features_of(workflow, Stage.COLLECT)) is tolerates
