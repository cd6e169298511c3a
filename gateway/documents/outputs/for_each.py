"""Checks `forEach` of a document's tasks: a list, or one placeholder for a list, of bounded length."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from gateway.documents.outputs.forms import first_of_each_form
from gateway.documents.workflow import Spec
from waypost.json_pointer import FieldError
from waypost.workflow.instances import INSTANCES_MAXIMUM, TASK_NAME_CHARACTERS
from waypost.workflow.placeholders import PlaceholderError, lone_placeholder, render
from waypost.workflow.task import TaskSpec

SAMPLES: Final = 10
"""The most forms of items with which a task is checked."""
AWAITED: Final = ("${tasks.", "${item", "${index}")
"""The beginnings of placeholders whose values are not known before the task starts."""
NOT_A_LIST: Final = "is a list, or one placeholder for a list such as ${params.tables}"


def for_each_errors(spec: Spec, shards: list[dict[str, Any]]) -> Iterator[FieldError]:
    """Yields the errors in `forEach` and `maxParallel` of tasks; `shards` are one shard of each form."""
    known: Counter[str] = Counter()
    for at, task in spec.located_tasks:
        if task.for_each is None:
            if task.max_parallel is not None:
                yield FieldError(f"{at}/maxParallel", "bounds the instances of a task with forEach")
            continue
        if len(task.name) > TASK_NAME_CHARACTERS:
            detail = f"has more than {TASK_NAME_CHARACTERS} characters: its instances have longer names"
            yield FieldError(f"{at}/name", detail)
        if isinstance(task.for_each, str) and lone_placeholder(task.for_each) is None:
            yield FieldError(f"{at}/forEach", NOT_A_LIST)
            continue
        fault, count = _fault_and_count(task, spec.params, shards)
        if fault is not None:
            yield FieldError(f"{at}/forEach", fault)
        known[at.rpartition("/")[0]] += count
    for stage, count in known.items():
        if count > INSTANCES_MAXIMUM:
            detail = f"forEach makes {count} instances of tasks; {INSTANCES_MAXIMUM} are allowed in a shard"
            yield FieldError(stage, detail)


def known_items(task: TaskSpec, params: Mapping[str, Any], shard: Mapping[str, Any]) -> Any:
    """Returns the items of a task's `forEach` in `shard`, as far as they are known before the run.

    Placeholders for outputs stay. None where a placeholder has an error of its own.
    """
    try:
        return render(task.for_each, {"params": params, "shard": shard}, last=True)
    except PlaceholderError:
        return None


class SampleItem(Struct, frozen=True, kw_only=True):
    """An item of a task's `forEach` with which the task is checked. `awaits`: parts are known only later."""

    values: dict[str, Any]
    """The values of `item` and `index`; empty where the task has none, or none is known before the run."""
    awaits: bool = False


NO_ITEM: Final = (SampleItem(values={}),)


class SampleItems:
    """Finds the items with which tasks are checked: one of each form, once for each list that is named."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        # Many tasks may name the same list, and a list may have a megabyte.
        self._known: dict[tuple[str, int], Sequence[SampleItem]] = {}

    def of(self, task: TaskSpec, shard: Mapping[str, Any]) -> Sequence[SampleItem]:
        """Returns the items with which `task` is checked in `shard`; at least one, which may be none."""
        if task.for_each is None:
            return NO_ITEM
        if not isinstance(task.for_each, str):
            return self._samples(task, shard)
        key = (task.for_each, shard["index"])
        if key not in self._known:
            self._known[key] = self._samples(task, shard)
        return self._known[key]

    def _samples(self, task: TaskSpec, shard: Mapping[str, Any]) -> Sequence[SampleItem]:
        items = known_items(task, self._params, shard)
        if not isinstance(items, list | tuple) or not items:
            return NO_ITEM
        samples = islice(first_of_each_form(items).items(), SAMPLES)
        return [
            SampleItem(values={"item": item, "index": index}, awaits=_awaits(str(item)))
            for index, item in samples
        ]


def _awaits(text: str) -> bool:
    return any(awaited in text for awaited in AWAITED)


def _fault_and_count(
    task: TaskSpec, params: Mapping[str, Any], shards: list[dict[str, Any]]
) -> tuple[str | None, int]:
    """Returns what is wrong with the items of a task, and the most items that it has in any of `shards`."""
    names = lone_placeholder(task.for_each) if isinstance(task.for_each, str) else ()
    if names and names[0] in ("tasks", "item", "index"):
        return None, 0  # known only when the task starts, or wrong already as a placeholder
    count = 0
    for shard in shards:
        items = known_items(task, params, shard)
        if items is None:
            continue
        if not isinstance(items, list | tuple):
            return NOT_A_LIST, 0
        count = max(count, len(items))
    if count > INSTANCES_MAXIMUM:
        return f"has {count} items; {INSTANCES_MAXIMUM} are allowed", 0
    return None, count
