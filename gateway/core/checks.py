"""What types cannot say of a document: every error at once, each with a pointer."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from clusters.conditions import ConditionError, compile_condition
from clusters.graph import find_cycle
from clusters.spec import SideEffects, TaskSpec
from clusters.template import render
from gateway.core.errors import FieldError
from gateway.core.placeholders import Placeholders, first_shard
from gateway.core.shape import problems
from gateway.core.workflow import Engine, Workflow
from gateway.settings import Documents

CYCLES_SHOWN: Final = 10


class Executors(Struct, frozen=True, kw_only=True):
    """Task types that the clusters know, with the type of their `run`; those in `exclusive` end a task before its lease does."""

    runs: Mapping[str, type[Struct]]
    exclusive: frozenset[str]


def check(workflow: Workflow, canonical: bytes, limits: Documents, executors: Executors) -> list[FieldError]:
    """Everything wrong with `workflow`. `canonical` is its JSON: what it does not contain need not be looked for in each task.

    Too large a workflow is only told so: what else is wrong with it would take long to find.
    """
    if too_large := list(_sizes(workflow, limits)):
        return too_large
    found = [*_shards(workflow), *_not_built(workflow)]
    found += _names(workflow.spec.tasks)
    found += _cycles(workflow.spec.tasks)
    found += _types(workflow, executors)
    if workflow.shard_count:
        found += _runs(workflow, limits, executors, templated=b"${" in canonical)
    found += _conditions(workflow.spec.tasks)
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
        yield FieldError("/spec/tasks", f"the conditions have {conditions} characters; {limits.maximum_condition_characters} are allowed")
    if workflow.shard_count > limits.maximum_shards:
        yield FieldError("/spec/shards", f"there are {workflow.shard_count} shards; {limits.maximum_shards} are allowed")


def _shards(workflow: Workflow) -> Iterator[FieldError]:
    shards = workflow.spec.shards
    if shards.count is not None and shards.items is not None:
        yield FieldError("/spec/shards", "has count and items: one of them says how many shards there are")
    if shards.items is not None and not shards.items:
        yield FieldError("/spec/shards/items", "is empty: there would be no shard")


def _not_built(workflow: Workflow) -> Iterator[FieldError]:
    """Fields whose part is not there yet are refused, never ignored."""
    if workflow.spec.schedule is not None:
        yield FieldError("/spec/schedule", "schedules are not supported yet: submit the workflow when it is to run")
    if workflow.spec.engine not in (Engine.ANY, Engine.EMBEDDED):
        yield FieldError("/spec/engine", f"{workflow.spec.engine} is not supported yet: use any or embedded")


def _names(tasks: tuple[TaskSpec, ...]) -> Iterator[FieldError]:
    counts = Counter(task.name for task in tasks)
    for index, task in enumerate(tasks):
        if counts[task.name] > 1:
            yield FieldError(f"/spec/tasks/{index}/name", f"{task.name} is the name of {counts[task.name]} tasks")
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
    """Cycles that have no task in common, as far as `CYCLES_SHOWN`; that a task needs itself was told already."""
    places = {task.name: index for index, task in enumerate(tasks)}
    if len(places) < len(tasks):
        return
    left = tuple(_without_itself(task) if task.name in task.needs else task for task in tasks)
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
            yield FieldError(f"/spec/tasks/{index}/type", f"{task.type[:80]} is not a known executor; there are {known}")
        elif exclusive and task.type not in executors.exclusive:
            asked = "which sideEffects: exclusive asks for"
            yield FieldError(f"/spec/tasks/{index}/type", f"{task.type} cannot end a task before its lease does, {asked}")


def _runs(workflow: Workflow, limits: Documents, executors: Executors, *, templated: bool) -> Iterator[FieldError]:
    """What each executor says of its `run`, as the first shard would fill it in."""
    broken: set[int] = set()
    values: Mapping[str, Any] | None = None
    if templated:
        placeholders = Placeholders(workflow)
        for index, task in enumerate(workflow.spec.tasks):
            for fault in placeholders.faults(task, f"/spec/tasks/{index}"):
                broken.add(index)
                yield fault
        if placeholders.added > limits.maximum_bytes:
            grown = f"placeholders add {placeholders.added} characters; {limits.maximum_bytes} are allowed"
            yield FieldError("/spec/tasks", grown)
            return
        values = first_shard(workflow)
    for index, task in enumerate(workflow.spec.tasks):
        run_type = executors.runs.get(task.type)
        if run_type is not None and index not in broken:
            run = task.run if values is None else render(task.run, values, last=True)
            yield from _run(run, run_type, f"/spec/tasks/{index}/run")


def _run(run: Any, run_type: type[Struct], at: str) -> Iterable[FieldError]:
    try:
        msgspec.convert(run, run_type)
    except msgspec.ValidationError as error:
        return problems(run, run_type, at) or [FieldError(at, str(error))]
    return ()


def _conditions(tasks: tuple[TaskSpec, ...]) -> Iterator[FieldError]:
    known: dict[str, str | None] = {}
    for index, task in enumerate(tasks):
        if task.when is None:
            continue
        if task.when not in known:
            known[task.when] = _condition(task.when)
        at = f"/spec/tasks/{index}/when"
        if (fault := known[task.when]) is not None:
            yield FieldError(at, fault)
            continue
        for name in compile_condition(task.when).tasks_read:
            if name not in task.needs:
                yield FieldError(at, f"reads what {name[:128]} left: put it among the needs")


def _condition(text: str) -> str | None:
    try:
        compile_condition(text)
    except ConditionError as error:
        return str(error)
    return None
