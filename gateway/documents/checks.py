"""What types cannot say of a document: every error at once, each with a pointer."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from gateway.documents.condition_checks import ConditionChecks
from gateway.documents.placeholder_checks import PlaceholderChecks, distinct_shards
from gateway.documents.schema_errors import field_error, schema_errors
from gateway.documents.workflow import UNSUPPORTED_ENGINES, Workflow
from gateway.settings import Documents
from waypost.json_pointer import FieldError, below
from waypost.suggestions import closest
from waypost.workflow.graph import find_cycle
from waypost.workflow.placeholders import render
from waypost.workflow.task import SideEffects, TaskSpec

CYCLES_SHOWN: Final = 10

FILLED_IN: Final = 2_000
"""Tasks that are filled in for shards beyond the first, whose items have another form: some 10 ms for all of them."""

LABELS: Final = 64
LABEL: Final = re.compile(r"[A-Za-z0-9._/-]{1,63}")
"""Lists of runs show them."""


class Executors(Struct, frozen=True, kw_only=True):
    """Task types that the clusters know, with the type of their `run`; those in `exclusive` end a task before its lease does."""

    runs: Mapping[str, type[Struct]]
    exclusive: frozenset[str]


def check(
    workflow: Workflow,
    canonical: bytes,
    limits: Documents,
    executors: Executors,
    regions: frozenset[str] = frozenset(),
) -> list[FieldError]:
    """Everything wrong with `workflow`. `canonical` is its JSON: what it does not contain need not be looked for in each task.

    `regions` are those that there are; where none are known, wishes may name any. Too large a workflow is only told so: what else is
    wrong with it would take long to find.
    """
    if too_large := list(_sizes(workflow, limits)):
        return too_large
    found = [*_labels(workflow), *_shards(workflow), *_wishes(workflow, regions), *_not_built(workflow)]
    if not _orderly(workflow.spec.tasks):
        found += _names(workflow.spec.tasks)
        found += _cycles(workflow.spec.tasks)
    found += _types(workflow, executors)
    if workflow.shard_count:
        found += _runs(workflow, limits, executors, templated=b"${" in canonical)
        if b'"when":' in canonical:
            found += _conditions(workflow)
    return found


def _sizes(workflow: Workflow, limits: Documents) -> Iterator[FieldError]:
    tasks = workflow.spec.tasks
    if len(tasks) > limits.maximum_tasks:
        yield FieldError("/spec/tasks", f"there are {len(tasks)} tasks; {limits.maximum_tasks} are allowed")
    edges = sum(len(task.needs) for task in tasks)
    if edges > limits.maximum_edges:
        yield FieldError("/spec/tasks", f"there are {edges} needs; {limits.maximum_edges} are allowed")
    conditions = sum(len(task.when) for task in tasks if task.when is not None)
    if conditions > limits.maximum_condition_characters:
        yield FieldError(
            "/spec/tasks",
            f"the conditions have {conditions} characters; {limits.maximum_condition_characters} are allowed",
        )
    if workflow.shard_count > limits.maximum_shards:
        yield FieldError(
            "/spec/shards", f"there are {workflow.shard_count} shards; {limits.maximum_shards} are allowed"
        )


def _shards(workflow: Workflow) -> Iterator[FieldError]:
    shards = workflow.spec.shards
    if shards.count is not None and shards.items is not None:
        yield FieldError("/spec/shards", "has count and items: one of them says how many shards there are")
    if shards.items is not None and not shards.items:
        yield FieldError("/spec/shards/items", "is empty: there would be no shard")


def _labels(workflow: Workflow) -> Iterator[FieldError]:
    labels = workflow.metadata.labels
    if len(labels) > LABELS:
        yield FieldError("/metadata/labels", f"there are {len(labels)} labels; {LABELS} are allowed")
        return
    for name in labels:
        if not LABEL.fullmatch(name):
            rule = "the name of a label has 1 to 63 letters, digits, dots, dashes, slashes and underscores"
            yield FieldError(below("/metadata/labels", name) if len(name) < 128 else "/metadata/labels", rule)


def _wishes(workflow: Workflow, regions: frozenset[str]) -> Iterator[FieldError]:
    """A misspelt wish would leave the run without a place, and a misspelt `avoid` would avoid nothing."""
    wishes = workflow.spec.placement
    for field, names in (("regions", wishes.regions), ("avoid", wishes.avoid)):
        for index, name in enumerate(names):
            if regions and name not in regions:
                hint = (
                    f"did you mean {alike}?"
                    if (alike := closest(name, sorted(regions)))
                    else f"there are {', '.join(sorted(regions))}"
                )
                yield FieldError(
                    f"/spec/placement/{field}/{index}", f"there is no region {name[:80]}; {hint}"
                )


def _not_built(workflow: Workflow) -> Iterator[FieldError]:
    """Fields whose part is not there yet are refused, never ignored."""
    if workflow.spec.schedule is not None:
        yield FieldError(
            "/spec/schedule", "schedules are not supported yet: submit the workflow when it is to run"
        )
    if workflow.spec.engine in UNSUPPORTED_ENGINES:
        yield FieldError("/spec/engine", f"{workflow.spec.engine} is not supported yet: use any or embedded")


def _orderly(tasks: tuple[TaskSpec, ...]) -> bool:
    """Each task has a name of its own and needs only tasks before it, each once: then nothing can be wrong with names, nor go in a circle.

    Nearly every document is so, and a submission waits for this.
    """
    before: set[str] = set()
    for task in tasks:
        if task.needs and not (before.issuperset(task.needs) and len(set(task.needs)) == len(task.needs)):
            return False
        before.add(task.name)
    return len(before) == len(tasks)


def _names(tasks: tuple[TaskSpec, ...]) -> Iterator[FieldError]:
    counts = Counter(task.name for task in tasks)
    for index, task in enumerate(tasks):
        if counts[task.name] > 1:
            yield FieldError(
                f"/spec/tasks/{index}/name", f"{task.name} is the name of {counts[task.name]} tasks"
            )
        seen: set[str] = set()
        for at, need in enumerate(task.needs):
            if need not in counts:
                yield FieldError(f"/spec/tasks/{index}/needs/{at}", f"there is no task {need}")
            elif need == task.name:
                yield FieldError(f"/spec/tasks/{index}/needs/{at}", f"{need} needs itself")
            elif need in seen:
                yield FieldError(f"/spec/tasks/{index}/needs/{at}", f"{need} is named twice")
            seen.add(need)


def _cycles(tasks: tuple[TaskSpec, ...]) -> Iterator[FieldError]:
    """Cycles that have no task in common, as far as `CYCLES_SHOWN`; that a task needs itself was told already.

    Of tasks with one name the first counts: which of them is meant is not known.
    """
    places: dict[str, int] = {}
    for index, task in enumerate(tasks):
        places.setdefault(task.name, index)
    firsts = tasks if len(places) == len(tasks) else tuple(tasks[index] for index in places.values())
    left = tuple(_without_itself(task) if task.name in task.needs else task for task in firsts)
    for _ in range(CYCLES_SHOWN):
        cycle = find_cycle(left)
        if cycle is None:
            return
        yield FieldError(f"/spec/tasks/{places[cycle[0]]}/needs", f"cycle: {_joined(cycle)}")
        members = set(cycle)
        left = tuple(task for task in left if task.name not in members)


def _without_itself(task: TaskSpec) -> TaskSpec:
    return structs.replace(task, needs=tuple(need for need in task.needs if need != task.name))


def _joined(cycle: tuple[str, ...]) -> str:
    shown = cycle if len(cycle) <= 20 else (*cycle[:10], f"... {len(cycle) - 19} more ...", *cycle[-9:])
    return " -> ".join(shown)


def _types(workflow: Workflow, executors: Executors) -> Iterator[FieldError]:
    exclusive = workflow.spec.side_effects is SideEffects.EXCLUSIVE
    for index, task in enumerate(workflow.spec.tasks):
        if task.type not in executors.runs:
            known = ", ".join(sorted(executors.runs))
            yield FieldError(
                f"/spec/tasks/{index}/type", f"{task.type[:80]} is not a known executor; there are {known}"
            )
        elif exclusive and task.type not in executors.exclusive:
            asked = "which sideEffects: exclusive asks for"
            yield FieldError(
                f"/spec/tasks/{index}/type", f"{task.type} cannot end a task before its lease does, {asked}"
            )


def _runs(
    workflow: Workflow, limits: Documents, executors: Executors, *, templated: bool
) -> Iterator[FieldError]:
    """What each executor says of its `run`, as the shards would fill it in."""
    if not templated:
        for index, task in enumerate(workflow.spec.tasks):
            if (run_type := executors.runs.get(task.type)) is not None and not _fits(task.run, run_type):
                yield from _run(task.run, run_type, f"/spec/tasks/{index}/run")
        return
    placeholders = PlaceholderChecks(workflow)
    faults = [
        list(placeholders.errors(task, f"/spec/tasks/{index}"))
        for index, task in enumerate(workflow.spec.tasks)
    ]
    for found in faults:
        yield from found
    if placeholders.added > limits.maximum_bytes:
        yield FieldError(
            "/spec/tasks",
            f"placeholders add {placeholders.added} characters; {limits.maximum_bytes} are allowed",
        )
        return
    yield from _filled_in(workflow, executors, broken={index for index, found in enumerate(faults) if found})


def _filled_in(workflow: Workflow, executors: Executors, *, broken: set[int]) -> Iterator[FieldError]:
    """The first shard of each form, as far as `FILLED_IN`; a task that does not use the item is the same in all of them."""
    shards, left = distinct_shards(workflow), FILLED_IN
    for index, task in enumerate(workflow.spec.tasks):
        run_type = executors.runs.get(task.type)
        if run_type is None or index in broken:
            continue
        varied = len(shards) > 1 and b"${shard.item" in msgspec.json.encode(task.run)
        told: set[str] = set()
        for shard in shards[: max(left, 1)] if varied else shards[:1]:
            run = render(task.run, {"params": workflow.spec.params, "shard": shard}, last=True)
            for fault in _run(run, run_type, f"/spec/tasks/{index}/run"):
                if fault.pointer not in told:
                    told.add(fault.pointer)
                    yield (
                        FieldError(fault.pointer, f"{fault.detail}, in shard {shard['index']}")
                        if varied
                        else fault
                    )
        left -= len(shards) * varied


def _fits(run: Any, run_type: type[Struct]) -> bool:
    try:
        msgspec.convert(run, run_type)
    except msgspec.ValidationError:
        return False
    return True


def _run(run: Any, run_type: type[Struct], at: str) -> Iterable[FieldError]:
    try:
        msgspec.convert(run, run_type)
    except msgspec.ValidationError as error:
        return schema_errors(run, run_type, at) or [field_error(error, at)]
    return ()


def _conditions(workflow: Workflow) -> Iterator[FieldError]:
    checks = ConditionChecks(workflow)
    for index, task in enumerate(workflow.spec.tasks):
        yield from checks.errors(task, f"/spec/tasks/{index}")
