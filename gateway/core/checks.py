"""What types cannot say of a document: every error at once, each with a pointer."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from clusters.conditions import ConditionError, compile_condition
from clusters.graph import find_cycle
from clusters.spec import SideEffects, TaskSpec
from clusters.template import TemplateError, lookup, references, render
from gateway.core.document import problems
from gateway.core.errors import FieldError
from gateway.core.workflow import Engine, Workflow
from gateway.settings import Documents

EXACT = 2**53
"""Larger integers are not the same number in every JSON reader, policy engines among them: they travel as strings."""
FREE_AT = 4
"""How deep in the document the values are that have no type of their own: `/spec/tasks/0/run`."""
READS_TASK = re.compile(r"""tasks\[\s*["']([^"']+)["']\s*\]""")


class Executors(Struct, frozen=True, kw_only=True):
    """Task types that the clusters know, with the type of their `run`; those in `exclusive` end a task before its lease does."""

    runs: Mapping[str, type[Struct]]
    exclusive: frozenset[str]


def check(workflow: Workflow, canonical: bytes, limits: Documents, executors: Executors) -> list[FieldError]:
    """Everything wrong with `workflow`. `canonical` is its JSON: what it does not contain need not be looked for in each task."""
    found = [*_sizes(workflow, limits), *_not_built(workflow)]
    if found:
        return found
    templated = b"${" in canonical
    found += _names(workflow.spec.tasks)
    found += _tasks(workflow, executors, templated)
    if not found:
        found += _cycles(workflow.spec.tasks)
    if not _plain(_free(workflow), limits.maximum_nesting - FREE_AT + 1):
        found += _values(msgspec.to_builtins(workflow.spec, str_keys=True), "/spec", limits.maximum_nesting - 1)
    return found


def _sizes(workflow: Workflow, limits: Documents) -> Iterator[FieldError]:
    spec = workflow.spec
    if len(spec.tasks) > limits.maximum_tasks:
        yield FieldError("/spec/tasks", f"{len(spec.tasks)} tasks; {limits.maximum_tasks} are allowed")
    edges = sum(len(task.needs) for task in spec.tasks)
    if edges > limits.maximum_edges:
        yield FieldError("/spec/tasks", f"{edges} needs; {limits.maximum_edges} are allowed")
    if spec.shards.count is not None and spec.shards.items is not None:
        yield FieldError("/spec/shards", "has count and items: one of them says how many shards there are")
    elif spec.shards.items is not None and not spec.shards.items:
        yield FieldError("/spec/shards/items", "is empty: there would be no shard")
    if workflow.shard_count > limits.maximum_shards:
        yield FieldError("/spec/shards", f"{workflow.shard_count} shards; {limits.maximum_shards} are allowed")


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
    cycle = find_cycle(tasks)
    if cycle is not None:
        index = next(i for i, task in enumerate(tasks) if task.name == cycle[0])
        yield FieldError(f"/spec/tasks/{index}/needs", f"cycle: {' -> '.join(cycle)}")


def _tasks(workflow: Workflow, executors: Executors, templated: bool) -> Iterator[FieldError]:
    exclusive = workflow.spec.side_effects is SideEffects.EXCLUSIVE
    sample = {"index": 0, "count": workflow.shard_count, "item": workflow.items[0]}
    values = {"params": workflow.spec.params, "shard": sample}
    for index, task in enumerate(workflow.spec.tasks):
        at = f"/spec/tasks/{index}"
        run_type = executors.runs.get(task.type)
        if run_type is None:
            yield FieldError(f"{at}/type", f"{task.type} is not a known executor; there are {', '.join(sorted(executors.runs))}")
        elif exclusive and task.type not in executors.exclusive:
            yield FieldError(f"{at}/type", f"{task.type} cannot end a task before its lease does, which sideEffects: exclusive asks for")
        broken = list(_placeholders(task, at, values)) if templated else []
        yield from broken
        if run_type is not None and not broken:
            yield from _run(task, run_type, at, values if templated else None)
        if task.when is not None:
            yield from _condition(task, at)


def _run(task: TaskSpec, run_type: type[Struct], at: str, values: Mapping[str, Any] | None) -> Iterable[FieldError]:
    run = task.run if values is None else render(task.run, values, last=True)
    try:
        msgspec.convert(run, run_type)
    except msgspec.ValidationError as error:
        return problems(run, run_type, f"{at}/run") or [FieldError(f"{at}/run", str(error))]
    return ()


def _placeholders(task: TaskSpec, at: str, values: Mapping[str, Any]) -> Iterator[FieldError]:
    for field in ("run", "source", "target"):
        try:
            for names in references(getattr(task, field)):
                if names[0] not in values:
                    raise TemplateError(f"${{{'.'.join(names)}}}: placeholders begin with params or shard")
                if names[:2] != ("shard", "item") or len(names) == 2:
                    lookup(names, values)
        except TemplateError as error:
            yield FieldError(f"{at}/{field}", str(error))


def _condition(task: TaskSpec, at: str) -> Iterator[FieldError]:
    try:
        compile_condition(task.when or "")
    except ConditionError as error:
        yield FieldError(f"{at}/when", str(error))
    for name in READS_TASK.findall(task.when or ""):
        if name not in task.needs:
            yield FieldError(f"{at}/when", f"reads the output of {name}, which the task does not need")


def _free(workflow: Workflow) -> list[Any]:
    """The values that may hold anything; what the types bound needs no look."""
    spec = workflow.spec
    return [spec.params, spec.shards.items, *[value for task in spec.tasks for value in (task.run, task.source, task.target)]]


def _plain(value: Any, depth: int) -> bool:
    """No large number and no deep nesting in it: the quick look, since nearly every document is so."""
    kind = type(value)
    if kind is dict:
        value, kind = value.values(), list
    if kind is list or kind is tuple:
        for inner in value:
            if type(inner) is not str and not _plain(inner, depth - 1):
                return False
        return depth > 0
    return kind is not int or -EXACT <= value <= EXACT


def _values(value: Any, at: str, depth: int) -> Iterator[FieldError]:
    """Numbers that not everybody reads the same, and nesting without end."""
    if depth < 0:
        yield FieldError(at, "is nested too deeply")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _values(inner, f"{at}/{str(name).replace('~', '~0').replace('/', '~1')}", depth - 1)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _values(inner, f"{at}/{index}", depth - 1)
    elif isinstance(value, int) and not -EXACT <= value <= EXACT:
        yield FieldError(at, "an integer beyond 2^53 is not the same number everywhere: write it as a string")
