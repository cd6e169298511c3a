"""Checks the placeholders that read outputs of tasks: that the task is needed, and the path is declared."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.documents.outputs.for_each import AWAITED, SampleItems
from gateway.documents.outputs.schemas import OutputPaths
from waypost.json_pointer import parts_of
from waypost.suggestions import closest
from waypost.workflow.artifacts import RECORD, is_artifact
from waypost.workflow.placeholders import PlaceholderError, lookup, output_reference, shown
from waypost.workflow.task import TaskSpec

SUGGESTED: Final = 20
"""The most unknown names for which a similar name is suggested."""


class OutputReferences:
    """Finds the faults of placeholders such as `${tasks.export.output.rows}` in one workflow's tasks."""

    def __init__(
        self, tasks: Sequence[TaskSpec], params: Mapping[str, Any], shard: Mapping[str, Any]
    ) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._items, self._shard = SampleItems(params), shard
        self._paths: dict[str, OutputPaths] = {}
        self._suggestions = SUGGESTED

    def fault(self, names: tuple[str, ...], task: TaskSpec) -> str | None:
        """Returns why `task` cannot read what the placeholder `names` names; None if it can."""
        if names[0] != "tasks":
            if task.for_each is None:
                return f"${{{shown(names)}}} names nothing: its task has no forEach"
            return self._fault_of_item(names, task)
        found = output_reference(names, task.needs)
        if found is None:
            return f"${{{shown(names)}}} names nothing: {self._why_not(names, task)}"
        needed, path = found
        missing = self._missing(needed, path)
        if missing is None:
            return None
        declared = shown(missing)
        return f"${{{shown(names)}}} names nothing: the outputs of {needed} declare no {declared}"

    def _fault_of_item(self, names: tuple[str, ...], task: TaskSpec) -> str | None:
        """Returns why a placeholder for `item` or `index` names nothing in some item of `task`."""
        for sample in self._items.of(task, self._shard):
            if not sample.values or (sample.awaits and names[0] == "item"):
                continue  # known only when the task starts
            try:
                lookup(names, sample.values)
            except PlaceholderError as error:
                return f"{error} in item {sample.values['index']}"
        return None

    def _why_not(self, names: tuple[str, ...], task: TaskSpec) -> str:
        """Says why the placeholder `names` leads to no task that `task` needs."""
        elsewhere = output_reference(names, self._tasks)
        if elsewhere is not None:
            own = elsewhere[0] == task.name
            return "a task has no output before it ends" if own else f"put {elsewhere[0]} among the needs"
        if "output" not in names[2:]:
            return "write tasks.NAME.output for the output of a task that it needs"
        name = ".".join(names[1 : names.index("output", 2)])
        self._suggestions -= 1
        alike = closest(name, task.needs) if self._suggestions >= 0 else None
        return f"there is no task {name[:128]}" + (f"; did you mean {alike}?" if alike else "")

    def _missing(self, name: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
        """Returns the part of `path` that the declared outputs of a task cannot have; None if all of it."""
        task = self._tasks.get(name)
        # Of a task with forEach the schema is that of each of its instances, and the output a list.
        items = 0 if task is None or task.for_each is None else 1
        if items and path and not path[0].isdecimal():
            return path[:1]
        if task is None or task.outputs is None or not path[items:]:
            return None
        if path[items] == RECORD and (is_artifact(task.source) or is_artifact(task.target)):
            return None  # the region adds it
        if name not in self._paths:
            self._paths[name] = OutputPaths(task.outputs)
        missing = self._paths[name].missing(path[items:])
        return None if missing is None else path[:items] + missing


def awaits_output(run: Any, pointer: str) -> bool:
    """Returns whether the value at `pointer` in a task's `run` is a text with a placeholder for an output.

    Its type shows only when the task starts.
    """
    found = run
    for part in parts_of(pointer):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return False
    return isinstance(found, str) and any(awaited in found for awaited in AWAITED)
