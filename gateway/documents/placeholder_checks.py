"""Checks a workflow's placeholders (`${...}`): their form, that what they name exists, and added length."""

from collections.abc import Iterator, Mapping
from heapq import nsmallest
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import structs

from gateway.documents.outputs.forms import first_of_each_form
from gateway.documents.outputs.references import OutputReferences
from gateway.documents.workflow import Spec, Workflow
from waypost.json_pointer import FieldError, below
from waypost.workflow.placeholders import PlaceholderError, lookup, malformed, references, shown
from waypost.workflow.stages import Stage
from waypost.workflow.task import TaskSpec

TEXT_ERRORS: Final = 10
"""The maximum number of placeholder errors of each kind that are reported for one text."""
WITH_TEXT: Final = (str, Mapping, list, tuple)
OF_TASK: Final = frozenset({"tasks", "item", "index"})
"""The first names of placeholders that mean something else in each task."""
SHARD_FIELDS: Final = ("count", "index", "item")
STATUS: Final = ("status",)


class PlaceholderChecks:
    """Checks the placeholders of one stage of a workflow. Each name is looked up once, however often used."""

    def __init__(self, workflow: Workflow, stage: Stage = Stage.MAIN) -> None:
        self._stage = stage
        self._params = {"params": workflow.spec.params}
        self._shards = [{"shard": sample} for sample in _sample_shards(workflow)]
        self._has_items = workflow.spec.shards.items is not None
        self._sizes: dict[tuple[str, ...], int] = {}
        self._faults: dict[tuple[str, ...], str] = {}
        self._outputs = OutputReferences(
            _tasks_with_outputs(workflow.spec, stage), workflow.spec.params, self._shards[0]["shard"]
        )
        self.added = 0
        """The most characters that placeholders checked so far add to one shard."""

    def errors(self, task: TaskSpec, at: str) -> Iterator[FieldError]:
        """Yields the errors in the placeholders of `task`, which is at the JSON pointer `at`."""
        for field in ("run", "source", "target"):
            yield from self._errors_in_value(getattr(task, field), task, at, (field,))
        if task.for_each is not None:
            # It is filled in before there is an item.
            yield from self._errors_in_value(
                task.for_each, structs.replace(task, for_each=None), at, ("forEach",)
            )

    def _errors_in_value(
        self, value: Any, task: TaskSpec, at: str, path: tuple[str | int, ...]
    ) -> Iterator[FieldError]:
        """Yields the placeholder errors in a part of `task`, at `path` below the JSON pointer `at`."""
        if isinstance(value, str):
            if "${" in value:
                yield from self._errors_in_text(value, task, at, path)
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                if "${" in name:
                    detail = "placeholders are filled in in values, not in names"
                    yield FieldError(below(at, *path, name), detail)
                if isinstance(inner, WITH_TEXT):
                    yield from self._errors_in_value(inner, task, at, (*path, name))
        elif isinstance(value, list | tuple):
            for index, inner in enumerate(value):
                if isinstance(inner, WITH_TEXT):
                    yield from self._errors_in_value(inner, task, at, (*path, index))

    def _errors_in_text(
        self, text: str, task: TaskSpec, at: str, path: tuple[str | int, ...]
    ) -> Iterator[FieldError]:
        wrong = set[tuple[str, ...]]()
        of_outputs: list[str] = []
        for names, count in references(text).items():
            # Which outputs and items there are depends on the task; how long they will be is not known.
            if names[0] in OF_TASK:
                of_outputs += filter(None, (self._outputs.fault(names, task),))
                continue
            if names in self._faults:
                wrong.add(names)
                continue
            try:
                self.added += count * self._longest_value(names)
            except PlaceholderError as error:
                self._faults[names] = str(error)
                wrong.add(names)
        details = [self._faults[names] for names in nsmallest(TEXT_ERRORS, wrong)]
        details += nsmallest(TEXT_ERRORS, of_outputs)
        # Each looks at the rest of the text, which may be a megabyte of them.
        details += islice(malformed(text), TEXT_ERRORS)
        if details:
            pointer = below(at, *path)
            yield from (FieldError(pointer, detail) for detail in details)

    def _longest_value(self, names: tuple[str, ...]) -> int:
        """Returns the length, in bytes of JSON, of the longest value that a placeholder has in any shard.

        `names` are the words of the placeholder: `("params", "day")` for `${params.day}`. Raises
        `PlaceholderError` if there is no such value in some shard.
        """
        if names not in self._sizes:
            if names == STATUS and self._stage is Stage.FINALLY:
                self._sizes[names] = len("Quarantined")
                return self._sizes[names]
            # Refused here although `lookup` would say so too: this sentence lists the names that there are.
            if names[0] != "params" and (names[0] != "shard" or names[1] not in SHARD_FIELDS):
                known = (
                    "there are params.NAME, tasks.NAME.output, shard.index, shard.count, shard.item, "
                    "and with forEach item and index"
                )
                if self._stage is not Stage.MAIN:
                    known = "there are params.NAME, tasks.NAME.output and shard.count"
                    known += " and status" if self._stage is Stage.FINALLY else ""
                elif names == STATUS:
                    known = "only tasks of finally may use it"
                raise PlaceholderError(f"${{{shown(names)}}} names nothing: {known}")
            if names[0] == "shard" and names[1] != "count" and self._stage is not Stage.MAIN:
                raise PlaceholderError(f"${{{shown(names)}}} names nothing: {self._stage} is for all shards")
            if names[:2] == ("shard", "item") and not self._has_items:
                raise PlaceholderError(f"${{{shown(names)}}} names nothing: spec.shards has no items")
            scopes = [self._params] if names[0] == "params" else self._shards
            self._sizes[names] = max(_encoded_length(names, scope) for scope in scopes)
        return self._sizes[names]


def _tasks_with_outputs(spec: Spec, stage: Stage) -> tuple[TaskSpec, ...]:
    """Returns the tasks whose outputs those of a stage may read; `collect` reads lists of outputs."""
    own = spec.tasks_of(stage)
    if stage is not Stage.COLLECT:
        return own
    return (*own, *(structs.replace(task, outputs=None, for_each=None) for task in spec.tasks))


def _encoded_length(names: tuple[str, ...], scope: Mapping[str, Any]) -> int:
    try:
        return len(msgspec.json.encode(lookup(names, scope)))
    except PlaceholderError as error:
        raise PlaceholderError(
            f"{error} in shard {scope['shard']['index']}" if "shard" in scope else str(error)
        ) from error


def _sample_shards(workflow: Workflow) -> Iterator[dict[str, Any]]:
    """Yields the shards for which the length of placeholders' values is measured.

    These are all shards if there are items; otherwise the last one, whose index has the most digits.
    """
    count = workflow.shard_count
    items = workflow.spec.shards.items
    for index, item in [(count - 1, None)] if items is None else enumerate(items):
        yield {"index": index, "count": count, "item": item}


def distinct_shards(workflow: Workflow) -> list[dict[str, Any]]:
    """Returns one shard, the first, for each form that the shards' items have; checks need no others.

    Shards are dictionaries with index, count and item, as placeholders and conditions read them.
    """
    count = workflow.shard_count
    items = first_of_each_form(workflow.spec.shards.items or (None,))
    return [{"index": index, "count": count, "item": item} for index, item in items.items()]
