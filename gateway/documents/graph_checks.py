"""Checks that the tasks of a workflow form a DAG (distinct names, existing needs, no cycle), and semaphores.

Performs no I/O.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from msgspec import structs

from gateway.documents.workflow import Spec, Workflow
from waypost.json_pointer import FieldError
from waypost.suggestions import closest
from waypost.workflow.graph import find_cycle
from waypost.workflow.stages import Stage
from waypost.workflow.task import TaskSpec

COLLECTED_TASKS: Final = 1_000
"""The maximum number of main tasks whose outputs the tasks of `collect` get."""
SUGGESTED_TARGETS: Final = 20
"""The maximum number of unknown targets for which a similar task is suggested."""

REPORTED_CYCLES: Final = 10
"""The maximum number of cycles that are reported."""


def is_in_topological_order(tasks: tuple[TaskSpec, ...]) -> bool:
    """Returns whether task names are distinct and each task needs only tasks listed before it, each once.

    If so, `name_errors` and `cycle_errors` would find nothing.
    """
    before: set[str] = set()
    for task in tasks:
        needs = task.needs
        if needs and not (before.issuperset(needs) and (len(needs) == 1 or len(set(needs)) == len(needs))):
            return False
        before.add(task.name)
    return len(before) == len(tasks)


def graph_errors(spec: Spec) -> Iterator[FieldError]:
    """Yields errors of names, needs and cycles in all stages of a workflow."""
    stages = Stage if spec.has_stages else (Stage.MAIN,)
    for stage in stages:
        yield from name_errors(spec, stage)
    for stage in stages:
        tasks = spec.tasks_of(stage)
        if stage is Stage.COLLECT:
            own = {task.name for task in tasks}
            tasks = tuple(
                structs.replace(task, needs=tuple(need for need in task.needs if need in own))
                for task in tasks
            )
        yield from cycle_errors(tasks, "tasks" if stage is Stage.MAIN else stage)
    if Stage.COLLECT in stages:
        yield from _collected_errors(spec)


def name_errors(spec: Spec, stage: Stage = Stage.MAIN) -> Iterator[FieldError]:
    """Yields errors for repeated task names, and for needs that are unknown, repeated or the task itself.

    The tasks of `collect` may need main tasks, and those of no other stage tasks of another one.
    """
    counts = Counter(task.name for task in spec.all_tasks)
    known = {task.name for task in spec.tasks_of(stage)}
    if stage is Stage.COLLECT:
        known |= {task.name for task in spec.tasks}
    for at, task in spec.located_tasks_of(stage):
        if counts[task.name] > 1:
            yield FieldError(f"{at}/name", f"{task.name} is the name of {counts[task.name]} tasks")
        seen: set[str] = set()
        for index, need in enumerate(task.needs):
            if need not in known:
                other = f"there is no task {need[:128]}" if need not in counts else _other_stage(need, stage)
                yield FieldError(f"{at}/needs/{index}", other)
            elif need == task.name:
                yield FieldError(f"{at}/needs/{index}", f"{need} needs itself")
            elif need in seen:
                yield FieldError(f"{at}/needs/{index}", f"{need} is named twice")
            seen.add(need)


def semaphore_errors(spec: Spec) -> Iterator[FieldError]:
    """Yields an error for each task whose semaphore the workflow lacks."""
    semaphores = spec.semaphores
    # Hardly any document has one, and each submission waits for this.
    if all(task.semaphore is None for task in spec.all_tasks):
        return
    for at, task in spec.located_tasks:
        name = task.semaphore
        if name is None or name in semaphores:
            continue
        alike = closest(name, semaphores)
        hint = f"did you mean {alike}?" if alike else f"write spec.semaphores: {{{name}: 1}}"
        yield FieldError(f"{at}/semaphore", f"spec.semaphores has no {name}; {hint}")


def _other_stage(need: str, stage: Stage) -> str:
    """Returns the error of a task that needs `need`, a task of a stage that its own may not need."""
    if stage is Stage.FINALLY:
        return f"{need} is not in finally, which begins when all else has ended: leave it out"
    return f"{need} is in a later stage, collect or finally"


def _collected_errors(spec: Spec) -> Iterator[FieldError]:
    """Yields an error if `collect` needs the outputs of too many tasks."""
    main = {task.name for task in spec.tasks}
    needed = {need for task in spec.tasks_of(Stage.COLLECT) for need in task.needs} & main
    if len(needed) > COLLECTED_TASKS:
        yield FieldError(
            "/spec/collect",
            f"its tasks need {len(needed)} tasks of spec.tasks; {COLLECTED_TASKS} are allowed",
        )


def trigger_errors(spec: Spec) -> Iterator[FieldError]:
    """Yields an error for each task whose `runs` or `whenSkipped` is about needs that it does not have."""
    for stage in Stage if spec.has_stages else (Stage.MAIN,):
        for at, task in spec.located_tasks_of(stage):
            if task.needs or (task.runs is None and task.when_skipped == "run"):
                continue
            # In finally it is about the rest of the run.
            if task.runs == "onFailure" and stage is not Stage.FINALLY:
                detail = "it needs no task whose failure it could run after: name some in needs"
                yield FieldError(f"{at}/runs", detail)
            if task.when_skipped == "skip":
                detail = "it needs no task that could be skipped: name some in needs"
                yield FieldError(f"{at}/whenSkipped", detail)


def cycle_errors(tasks: tuple[TaskSpec, ...], field: str = "tasks") -> Iterator[FieldError]:
    """Yields an error for each cycle among the tasks, at most `REPORTED_CYCLES`; the cycles share no task.

    A task that needs itself is left to `name_errors`.
    """
    # Of tasks with the same name the first is taken: which one is meant is unknown, and reported elsewhere.
    places: dict[str, int] = {}
    for index, task in enumerate(tasks):
        places.setdefault(task.name, index)
    firsts = tasks if len(places) == len(tasks) else tuple(tasks[index] for index in places.values())
    left = tuple(_without_itself(task) if task.name in task.needs else task for task in firsts)
    for _ in range(REPORTED_CYCLES):
        cycle = find_cycle(left)
        if cycle is None:
            return
        yield FieldError(f"/spec/{field}/{places[cycle[0]]}/needs", f"cycle: {_cycle_text(cycle)}")
        # Only cycles without a common task are reported: the number of all cycles may be exponential.
        members = set(cycle)
        left = tuple(task for task in left if task.name not in members)


def _without_itself(task: TaskSpec) -> TaskSpec:
    return structs.replace(task, needs=tuple(need for need in task.needs if need != task.name))


def _cycle_text(cycle: tuple[str, ...]) -> str:
    shown = cycle if len(cycle) <= 20 else (*cycle[:10], f"... {len(cycle) - 19} more ...", *cycle[-9:])
    return " -> ".join(shown)


def target_errors(spec: Spec) -> Iterator[FieldError]:
    """Yields an error for each target that is no main task, and each need of `collect` that is left out.

    The graph of the tasks may have errors too.
    """
    if not spec.targets:
        return
    names, seen = {task.name for task in spec.tasks}, set[str]()
    for index, target in enumerate(spec.targets):
        if target not in names:
            alike = closest(target, sorted(names)) if index < SUGGESTED_TARGETS else None
            hint = f"; did you mean {alike}?" if alike else ""
            yield FieldError(f"/spec/targets/{index}", f"there is no task {target[:128]}{hint}")
        elif target in seen:
            yield FieldError(f"/spec/targets/{index}", f"{target} is named twice")
        seen.add(target)
    if not spec.has_stages:
        return
    left_out = names - _needed(spec)
    for at, task in spec.located_tasks_of(Stage.COLLECT):
        for index, need in enumerate(task.needs):
            if need in left_out:
                yield FieldError(f"{at}/needs/{index}", f"{need} does not run: no target needs it")


def only_targets(workflow: Workflow) -> Workflow:
    """Returns the workflow as it runs: if it has targets, with these main tasks and what they need alone."""
    if not workflow.spec.targets:
        return workflow
    needed = _needed(workflow.spec)
    tasks = tuple(task for task in workflow.spec.tasks if task.name in needed)
    return structs.replace(workflow, spec=structs.replace(workflow.spec, tasks=tasks))


def _needed(spec: Spec) -> set[str]:
    """Returns the names of the targets, and of all that they need directly or by others."""
    needs = {task.name: task.needs for task in spec.tasks}
    found, left = set[str](), list(spec.targets)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(needs.get(name, ()))
    return found
