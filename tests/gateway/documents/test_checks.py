"""What types cannot say: every semantic error at once, each where it is."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents.checks import check
from gateway.settings import DocumentLimits
from tests.gateway.documents.documents import EXECUTORS, LIMITS, by_pointer, document, errors_in, read, task

CONDITIONS = "the conditions have 66000 characters; 65536 are allowed"


def test_a_good_document_has_no_faults() -> None:
    """With everything in it that a document may use today."""
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


def test_every_semantic_error_is_told_at_once() -> None:
    """Graph, executors, placeholders, conditions and parts that are not built, in one answer."""
    bad = document(
        task("a", needs=["c", "gone", "a"]),
        task("b", needs=["a", "a"]),
        task("c", needs=["b"], when="1 +"),
        task("d", type="dockr"),
        task("e", run={"comand": ["x"], "env": {"A": []}}),
        task("f", run={"command": ["${params.nope}"]}, when='tasks["a"].output == 1'),
        schedule={"cron": "0 2 * * *"},
        engine="argo",
        shards={"count": 2, "items": [1, 2]},
    )

    assert errors_in(bad) == {
        "/spec/shards": "has count and items: one of them says how many shards there are",
        "/spec/schedule": "schedules are not supported yet: submit the workflow when it is to run",
        "/spec/engine": "argo is not supported yet: use any or embedded",
        "/spec/tasks/0/needs/1": "there is no task gone",
        "/spec/tasks/0/needs/2": "a needs itself",
        "/spec/tasks/1/needs/1": "a is named twice",
        "/spec/tasks/0/needs": "cycle: a -> c -> b -> a",
        "/spec/tasks/2/when": "not a CEL expression: mismatched input '<EOF>' at line 1, column 4",
        "/spec/tasks/3/type": "dockr is not a known executor; there are delay, process",
        "/spec/tasks/4/run/command": "is required",
        "/spec/tasks/4/run/comand": "is not a field here; did you mean command?",
        "/spec/tasks/4/run/env/A": "must be a string or a number or a boolean, not an array",
        "/spec/tasks/5/run/command/0": "${params.nope} names nothing: there is no params.nope",
        "/spec/tasks/5/when": "reads what a left: put it among the needs",
    }


@pytest.mark.parametrize("needs", [{"a": "b", "b": "c", "c": "a"}, {"c": "a", "a": "b", "b": "c"}])
def test_a_cycle_is_named(needs: dict[str, str]) -> None:
    """a -> b -> c -> a: "there is a cycle" would leave the reader to find it among ten thousand tasks."""
    (found,) = errors_in(document(*[task(name, needs=[need]) for name, need in needs.items()])).values()

    assert found in ("cycle: a -> b -> c -> a", "cycle: b -> c -> a -> b", "cycle: c -> a -> b -> c")


def test_cycles_that_share_no_task_are_all_named() -> None:
    """Each is a mistake of its own. A long one is shown by its ends."""
    pairs = [task(f"{name}{i}", needs=[f"{name}{1 - i}"]) for name in "xyz" for i in (0, 1)]
    long = [task(f"t{i}", needs=[f"t{(i + 1) % 500}"]) for i in range(500)]

    assert (
        len([detail for detail in errors_in(document(*pairs)).values() if detail.startswith("cycle: ")]) == 3
    )
    (detail,) = errors_in(document(*long)).values()
    assert len(detail) < 300
    assert "... 482 more ..." in detail


@given(st.permutations(range(6)), st.integers(0, 5), st.integers(0, 5))
def test_any_graph_is_accepted_exactly_when_it_can_be_ordered(
    order: list[int], late: int, early: int
) -> None:
    """A DAG in any order of writing passes; one edge back closes a cycle and is refused."""
    needs = {i: {order[at - 1]} if at else set() for at, i in enumerate(order)}
    later, earlier = max(order.index(late), order.index(early)), min(order.index(late), order.index(early))
    needs[order[earlier]] = needs[order[earlier]] | ({order[later]} if later != earlier else set())
    found = errors_in(document(*[task(f"t{i}", needs=[f"t{need}" for need in needs[i]]) for i in range(6)]))

    assert bool(found) == (later != earlier)


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
    """The numbers of the contract, as settings."""
    assert errors_in(document(**spec), limits) == {pointer: detail}


def test_names_differ() -> None:
    """A result belongs to a name."""
    assert errors_in(document(task("a"), task("b"), task("a"))) == {
        "/spec/tasks/0/name": "a is the name of 2 tasks",
        "/spec/tasks/2/name": "a is the name of 2 tasks",
    }


def test_what_cannot_be_guarded_is_refused_for_exclusive() -> None:
    """Never two at once holds only where a task is surely dead before its lease ends."""
    tasks = [task("a"), task("b", type="delay", run={"seconds": 1})]

    assert errors_in(document(*tasks)) == {}
    assert list(errors_in(document(*tasks, sideEffects="exclusive"))) == ["/spec/tasks/1/type"]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("${params.gone}", "${params.gone} names nothing: there is no params.gone"),
        ("${params.deep.x.y}", "${params.deep.x.y} names nothing: there is no params.deep.x"),
        (
            "${shard.number}",
            "${shard.number} names nothing: there are params.NAME, shard.index, shard.count and shard.item",
        ),
        (
            "${secrets.x}",
            "${secrets.x} names nothing: there are params.NAME, shard.index, shard.count and shard.item",
        ),
        ("${shard.item.b}", "${shard.item.b} names nothing: there is no shard.item.b in shard 1"),
        ("a ${params.deep", "'${params.deep' is not a placeholder: its } is missing"),
        ("${params}", "'${params}' is not a placeholder: write $${ for a literal ${"),
    ],
)
@pytest.mark.parametrize("field", ["run", "source", "target"])
def test_a_placeholder_that_cannot_be_filled_in_is_told_where_it_is(
    text: str, detail: str, field: str
) -> None:
    """Down to the string that holds it, and to the shard whose item lacks it: before anything runs."""
    value: Any = {"command": ["x", text]} if field == "run" else {"s3": [{"path/to": text}]}
    found = errors_in(
        document(task("a", **{field: value}), params={"deep": {}}, shards={"items": [{"b": 1}, {"a": 1}]})
    )

    assert found == {
        "/spec/tasks/0/run/command/1" if field == "run" else f"/spec/tasks/0/{field}/s3/0/path~1to": detail
    }


def test_a_placeholder_in_a_name_is_refused() -> None:
    """It would stay as it is, silently."""
    found = errors_in(document(task(run={"command": ["x"], "env": {"${params.a}": "1"}}), params={"a": "b"}))

    assert found == {
        "/spec/tasks/0/run/env/${params.a}": "placeholders are filled in in values, not in names"
    }


def test_what_is_filled_in_must_fit_the_executor() -> None:
    """A list where one text belongs is seen at submission, as the first shard would have it."""
    tasks = [
        task(run={"command": "${params.words}"}),
        task("b", type="delay", run={"seconds": "${shard.item}"}),
    ]

    assert errors_in(document(*tasks, params={"words": "x"}, shards={"items": ["soon"]})) == {
        "/spec/tasks/0/run/command": "must be an array, not a string",
        "/spec/tasks/1/run/seconds": "must be a number, not a string",
    }


def test_placeholders_cannot_make_a_document_endless() -> None:
    """Ten kilobytes of placeholders for a long text would fill gigabytes, in the gateway and in every cluster."""
    many = task(run={"command": ["${params.text}"] * 1000})
    items = task(run={"command": ["${shard.item.text}"] * 1000})

    assert errors_in(document(many, params={"text": "x" * 10_000})) == {
        "/spec/tasks": "placeholders add 10002000 characters; 1048576 are allowed"
    }
    assert list(errors_in(document(items, shards={"items": [{"text": ""}, {"text": "x" * 10_000}]}))) == [
        "/spec/tasks"
    ]


def test_a_condition_may_read_only_what_its_task_needs() -> None:
    """Anything else might not have run yet, or only in some region."""
    tasks = [
        task("a"),
        task("b-c"),
        task("d", needs=["a"], when='tasks["a"].output == 1 && tasks["b-c"].output == 2'),
    ]

    assert errors_in(document(*tasks)) == {
        "/spec/tasks/2/when": "reads what b-c left: put it among the needs"
    }


def test_the_largest_document_is_checked_in_reasonable_time() -> None:
    """10,000 tasks in the least favourable order. A second at most: the gateway's loop waits meanwhile."""
    tasks = [
        {"name": f"t{i}", "type": "delay", "run": {"seconds": 0}, "needs": [f"t{i + 1}"] if i < 9_999 else []}
        for i in range(10_000)
    ]
    workflow = read(document(*tasks))

    assert check(workflow, msgspec.json.encode(workflow), LIMITS, EXECUTORS) == []
    assert by_pointer([]) == {}


def test_a_number_may_be_a_word_of_a_command() -> None:
    """`${shard.index}` alone keeps its type, and nearly every fan-out passes it on so."""
    assert (
        errors_in(
            document(
                task(
                    run={
                        "command": ["split", "${shard.index}", "${shard.count}"],
                        "env": {"N": "${shard.index}"},
                    }
                )
            )
        )
        == {}
    )


def test_an_item_of_another_form_is_filled_in_too() -> None:
    """The first shard would run, and the second fail when its turn comes."""
    tasks = [
        task(run={"command": ["echo", "${shard.item}"]}),
        task("b", run={"command": ["echo", "of ${shard.item}", "${shard.index}"]}),
    ]

    assert errors_in(document(*tasks, shards={"items": ["a", "b", {"x": 1}, {"x": 2}]})) == {
        "/spec/tasks/0/run/command/1": "must be a string or a number or a boolean, not an object, in shard 2"
    }


def test_the_forms_of_a_thousand_items_are_checked_in_bounded_time() -> None:
    """Each of another form: only so many are tried, and the rest shows when it runs."""
    items = [{f"x{i}": i} for i in range(1_000)]
    tasks = [task(f"t{i}", run={"command": ["echo", "${shard.item}"]}) for i in range(500)]

    assert len(errors_in(document(*tasks, shards={"items": items}))) == 500


def test_a_doubled_name_hides_no_cycle() -> None:
    """It is one mistake among others."""
    assert errors_in(
        document(task("a", needs=["b"]), task("b", needs=["a"]), task("a"), task("a", needs=["b"]))
    ) == {
        "/spec/tasks/0/name": "a is the name of 3 tasks",
        "/spec/tasks/2/name": "a is the name of 3 tasks",
        "/spec/tasks/3/name": "a is the name of 3 tasks",
        "/spec/tasks/0/needs": "cycle: a -> b -> a",
    }


def test_all_bad_placeholders_of_a_text_are_told() -> None:
    """Each is a mistake of its own."""
    assert errors_in(document(task(run={"command": ["${params.a} ${params.b} ${ x }"]}))) == {
        "/spec/tasks/0/run/command/0": "${params.a} names nothing: there is no params.a; ${params.b} names nothing: there is no params.b; "
        "'${ x }' is not a placeholder: write $${ for a literal ${"
    }


@pytest.mark.parametrize("name", ["", "A=B"])
def test_a_variable_that_no_process_can_have_is_refused(name: str) -> None:
    """It would fail in every shard, at every try."""
    found = errors_in(document(task(run={"command": ["x"], "env": {name: "1"}})))

    assert found == {
        f"/spec/tasks/0/run/env/{name}": f"{name!r} is not the name of a variable: it has no = in it, and is not empty"
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
    """A misspelt `avoid` would avoid nothing, silently. Where no region is known any may be wished for."""
    wishful = read(document(placement={"regions": ["beijing", "bejing"], "avoid": ["mars"]}))
    canonical = msgspec.json.encode(wishful)

    assert by_pointer(check(wishful, canonical, LIMITS, EXECUTORS, frozenset({"beijing", "shanghai"}))) == {
        "/spec/placement/regions/1": "there is no region bejing; did you mean beijing?",
        "/spec/placement/avoid/0": "there is no region mars; there are beijing, shanghai",
    }
    assert check(wishful, canonical, LIMITS, EXECUTORS) == []
