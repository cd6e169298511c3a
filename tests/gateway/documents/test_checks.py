"""Tests the semantic checks of documents: every error at once, with its JSON pointer."""

from typing import Any

import msgspec
import pytest

from gateway.documents.checks import check
from gateway.settings import DocumentLimits
from tests.gateway.documents.documents import (
    EXECUTORS,
    KNOWN,
    LIMITS,
    by_pointer,
    document,
    errors_in,
    read,
    task,
)

CONDITIONS = "the conditions have 66000 characters; 65536 are allowed"


def test_a_good_document_has_no_errors() -> None:
    """The document uses every feature that is supported today."""
    good = document(
        task(
            "scan",
            run={
                "command": ["scan", "${params.folder}", "${shard.item.name}", "$${HOME}"],
                "env": {"N": "${shard.index}"},
            },
        ),
        task(
            "pack",
            needs=["scan"],
            when='tasks["scan"].output.files > 0',
            source={"s3": {"path": "b/${params.folder}"}},
        ),
        task("rest", type="delay", run={"seconds": "${params.pause}"}, needs=["scan", "pack"]),
        params={"folder": "x", "pause": 1.5},
        shards={"items": [{"name": "a"}, {"name": "b"}]},
        engine="embedded",
    )

    assert errors_in(good) == {}


def test_every_semantic_error_is_reported_at_once() -> None:
    """Graph, executors, placeholders, conditions and unsupported fields, in one answer."""
    bad = document(
        task("a", needs=["c", "gone", "a"]),
        task("b", needs=["a", "a"]),
        task("c", needs=["b"], when="1 +"),
        task("d", type="unheard-of", needs=["../x"]),
        task("e", run={"comand": ["x"], "env": {"A": []}}),
        task("f", run={"command": ["${params.nope}"]}, when='tasks["a"].output == 1'),
        schedule={"cron": "0 2 * * *"},
        shards={"count": 2, "items": [1, 2]},
    )

    assert errors_in(bad) == {
        "/spec/shards": "has count and items: one of them says how many shards there are",
        "/spec/schedule": "schedules are not supported yet: submit the workflow when it is to run",
        "/spec/tasks/0/needs/1": "there is no task gone",
        "/spec/tasks/0/needs/2": "a needs itself",
        "/spec/tasks/1/needs/1": "a is named twice",
        "/spec/tasks/0/needs": "cycle: a -> c -> b -> a",
        "/spec/tasks/3/needs/0": "there is no task ../x",
        "/spec/tasks/2/when": "not a CEL expression: mismatched input '<EOF>' at line 1, column 4",
        "/spec/tasks/3/type": f"unheard-of is not a known executor; there are {KNOWN}",
        "/spec/tasks/4/run/command": "is required",
        "/spec/tasks/4/run/comand": "is not a field here; did you mean command?",
        "/spec/tasks/4/run/env/A": "must be a string or a number or a boolean, not an array",
        "/spec/tasks/5/run/command/0": "${params.nope} names nothing: there is no params.nope",
        "/spec/tasks/5/when": "reads what a left: put it among the needs",
    }


@pytest.mark.parametrize(
    ("limits", "spec", "pointer", "detail"),
    [
        (
            DocumentLimits(maximum_tasks=1),
            {"tasks": [task("a"), task("b")]},
            "/spec/tasks",
            "there are 2 tasks; 1 are allowed",
        ),
        (
            DocumentLimits(maximum_edges=0),
            {"tasks": [task("a"), task("b", needs=["a"])]},
            "/spec/tasks",
            "there are 1 needs; 0 are allowed",
        ),
        (
            LIMITS,
            {"tasks": [task(f"t{i}", when="1 < 2 // " + "x" * 1_991) for i in range(33)]},
            "/spec/tasks",
            CONDITIONS,
        ),
        (LIMITS, {"shards": {"count": 1001}}, "/spec/shards", "there are 1001 shards; 1000 are allowed"),
        (
            LIMITS,
            {"shards": {"items": [0] * 1001}},
            "/spec/shards",
            "there are 1001 shards; 1000 are allowed",
        ),
        (LIMITS, {"shards": {"items": []}}, "/spec/shards/items", "is empty: there would be no shard"),
    ],
)
def test_limits_are_held(limits: DocumentLimits, spec: dict[str, Any], pointer: str, detail: str) -> None:
    """Each limit of the settings has its own error."""
    assert errors_in(document(**spec), limits) == {pointer: detail}


def test_what_cannot_be_guarded_is_refused_for_exclusive() -> None:
    """ "Never two at once" needs a task that is certainly dead before its lease expires."""
    tasks = [task("a"), task("b", type="delay", run={"seconds": 1})]

    assert errors_in(document(*tasks)) == {}
    assert list(errors_in(document(*tasks, sideEffects="exclusive"))) == ["/spec/tasks/1/type"]


def test_a_condition_may_read_only_what_its_task_needs() -> None:
    """Another task might not have run yet, or only in some region."""
    tasks = [
        task("a"),
        task("b-c"),
        task("d", needs=["a"], when='tasks["a"].output == 1 && tasks["b-c"].output == 2'),
    ]

    assert errors_in(document(*tasks)) == {
        "/spec/tasks/2/when": "reads what b-c left: put it among the needs"
    }


def test_the_largest_document_is_checked_in_reasonable_time() -> None:
    """10,000 tasks in the least favorable order take a second at most: the event loop waits."""
    tasks = [
        {"name": f"t{i}", "type": "delay", "run": {"seconds": 0}, "needs": [f"t{i + 1}"] if i < 9_999 else []}
        for i in range(10_000)
    ]
    workflow = read(document(*tasks))

    assert check(workflow, msgspec.json.encode(workflow), LIMITS, EXECUTORS) == []
    assert by_pointer([]) == {}


@pytest.mark.parametrize("name", ["", "A=B"])
def test_a_variable_that_no_process_can_have_is_refused(name: str) -> None:
    """The task would fail in every shard, at every try."""
    found = errors_in(document(task(run={"command": ["x"], "env": {name: "1"}})))

    assert found == {
        f"/spec/tasks/0/run/env/{name}": f"{name!r} is not the name of a variable: "
        "it has no = in it, and is not empty"
    }


@pytest.mark.parametrize(
    ("folder", "good"),
    [("a/b", True), ("a..b/..c", True), ("..", False), ("a/../../b", False), ("/etc", False)],
)
def test_a_working_directory_is_in_the_workspace(folder: str, good: bool) -> None:
    """One that leads out of it is refused before anything runs."""
    found = errors_in(document(task(run={"command": ["true"], "workingDirectory": folder})))
    assert list(found) == ([] if good else ["/spec/tasks/0/run/workingDirectory"])


def test_labels_are_few_and_short() -> None:
    """Every list of runs shows them."""
    rule = "the name of a label has 1 to 63 letters, digits, dots, dashes, slashes and underscores"
    value = document()
    value["metadata"]["labels"] = {f"team/{i}": "x" for i in range(64)}
    assert errors_in(value) == {}
    value["metadata"]["labels"]["one-more"] = "x"
    assert errors_in(value) == {"/metadata/labels": "there are 65 labels; 64 are allowed"}
    value["metadata"]["labels"] = {"": "x", "a b": "x", "n" * 64: "x"}
    assert errors_in(value) == {
        "/metadata/labels/": rule,
        "/metadata/labels/a b": rule,
        f"/metadata/labels/{'n' * 64}": rule,
    }


def test_a_wish_for_a_region_that_there_is_not_is_refused() -> None:
    """A misspelt `avoid` would avoid nothing. Where no region is known, any may be named."""
    wishful = read(document(placement={"regions": ["beijing", "bejing"], "avoid": ["mars"]}))
    canonical = msgspec.json.encode(wishful)

    assert by_pointer(
        check(wishful, canonical, LIMITS, EXECUTORS, dict.fromkeys(("beijing", "shanghai"), "embedded"))
    ) == {
        "/spec/placement/regions/1": "there is no region bejing; did you mean beijing?",
        "/spec/placement/avoid/0": "there is no region mars; there are beijing, shanghai",
    }
    assert check(wishful, canonical, LIMITS, EXECUTORS) == []


@pytest.mark.parametrize(
    ("engine", "regions", "expected"),
    [
        ("any", ["beijing"], {}),
        ("embedded", ["beijing", "tokyo"], {}),
        ("temporal", [], {}),
        ("argo", [], {"/spec/engine": "no region has the engine argo; there are any, embedded, temporal"}),
        ("temporl", [], {"/spec/engine": "no region has the engine temporl; did you mean temporal?"}),
        (
            "temporal",
            ["beijing"],
            {"/spec/placement/regions": "none of them has the engine temporal of spec.engine"},
        ),
    ],
)
def test_a_workflow_for_an_engine_of_no_region_is_refused(
    engine: str, regions: list[str], expected: dict[str, str]
) -> None:
    """It would wait for ever. Which engines there are follows from the regions alone."""
    wishful = read(document(engine=engine, placement={"regions": regions}))
    engines = {"beijing": "embedded", "tokyo": "temporal"}

    assert by_pointer(check(wishful, msgspec.json.encode(wishful), LIMITS, EXECUTORS, engines)) == expected


def test_a_semaphore_must_be_declared() -> None:
    """Else a misspelt one would bound nothing, without a word."""
    good = document(task("a", semaphore="db"), semaphores={"db": 4})
    bad = document(task("a", semaphore="bd"), task("b", semaphore="other"), semaphores={"db": 4})

    assert errors_in(good) == {}
    assert errors_in(bad) == {
        "/spec/tasks/0/semaphore": "spec.semaphores has no bd; write spec.semaphores: {bd: 1}",
        "/spec/tasks/1/semaphore": "spec.semaphores has no other; write spec.semaphores: {other: 1}",
    }
