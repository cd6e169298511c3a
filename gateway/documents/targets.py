"""The targets of a workflow (`spec.targets`): checks them, and leaves out the tasks that no target needs."""

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from gateway.documents.workflow import Spec, Workflow
from waypost.json_pointer import FieldError
from waypost.suggestions import closest
from waypost.workflow.stages import Stage

SUGGESTED: Final = 20
"""The maximum number of unknown targets for which a similar task is suggested."""


def target_errors(spec: Spec) -> Iterator[FieldError]:
    """Yields an error for each target that is no main task, and each need of `collect` that is left out.

    The graph of the tasks may have errors too.
    """
    names, seen = {task.name for task in spec.tasks}, set[str]()
    for index, target in enumerate(spec.targets):
        if target not in names:
            alike = closest(target, sorted(names)) if index < SUGGESTED else None
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
    """Returns the workflow as it runs: without the main tasks that are no target and that no target needs."""
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
