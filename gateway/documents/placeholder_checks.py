"""The placeholders of a document: do they name something, where may they stand, and how large does the document grow with them?"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.documents.workflow import Workflow
from waypost.json_pointer import FieldError, below
from waypost.workflow.placeholders import PlaceholderError, lookup, malformed, references
from waypost.workflow.task import TaskSpec

SHARD_FIELDS: Final = ("count", "index", "item")


class PlaceholderChecks:
    """What placeholders of one workflow may name. Each is looked up once, however often it is used."""

    def __init__(self, workflow: Workflow) -> None:
        self._params = {"params": workflow.spec.params}
        self._shards = [{"shard": sample} for sample in _shards(workflow)]
        self._sizes: dict[tuple[str, ...], int] = {}
        self.added = 0
        """Characters that the placeholders looked at so far put into the tasks of one shard, at most."""

    def errors(self, task: TaskSpec, at: str) -> Iterator[FieldError]:
        """What is wrong with the placeholders of `task`, which is at the pointer `at`."""
        for field in ("run", "source", "target"):
            yield from self._value(getattr(task, field), below(at, field))

    def _value(self, value: Any, at: str) -> Iterator[FieldError]:
        if isinstance(value, str):
            if "${" in value:
                yield from self._text(value, at)
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                if "${" in name:
                    yield FieldError(below(at, name), "placeholders are filled in in values, not in names")
                yield from self._value(inner, below(at, name))
        elif isinstance(value, list | tuple):
            for index, inner in enumerate(value):
                yield from self._value(inner, below(at, index))

    def _text(self, text: str, at: str) -> Iterator[FieldError]:
        for names in references(text):
            try:
                self.added += self._size(names)
            except PlaceholderError as error:
                yield FieldError(at, str(error))
        yield from (FieldError(at, mistake) for mistake in malformed(text))

    def _size(self, names: tuple[str, ...]) -> int:
        """The most characters that `names` stands for in any shard. Raises `PlaceholderError` where it names nothing in one of them."""
        if names not in self._sizes:
            if names[0] != "params" and (names[0] != "shard" or names[1] not in SHARD_FIELDS):
                known = "there are params.NAME, shard.index, shard.count and shard.item"
                raise PlaceholderError(f"${{{'.'.join(names)}}} names nothing: {known}")
            scopes = [self._params] if names[0] == "params" else self._shards
            self._sizes[names] = max(_length(names, scope) for scope in scopes)
        return self._sizes[names]


def _length(names: tuple[str, ...], scope: Mapping[str, Any]) -> int:
    try:
        return len(msgspec.json.encode(lookup(names, scope)))
    except PlaceholderError as error:
        raise PlaceholderError(
            f"{error} in shard {scope['shard']['index']}" if "shard" in scope else str(error)
        ) from error


def _shards(workflow: Workflow) -> Iterator[dict[str, Any]]:
    """The shards that differ in what a placeholder may say: all that have an item, else the last, whose number is the longest."""
    count = workflow.shard_count
    items = workflow.spec.shards.items
    for index, item in [(count - 1, None)] if items is None else enumerate(items):
        yield {"index": index, "count": count, "item": item}


def distinct_shards(workflow: Workflow) -> list[dict[str, Any]]:
    """One shard for each form that the items have, the first of it: what fits there fits all others of that form."""
    found: dict[Any, dict[str, Any]] = {}
    count = workflow.shard_count
    for index, item in enumerate(workflow.spec.shards.items or (None,)):
        found.setdefault(_form(item), {"index": index, "count": count, "item": item})
    return list(found.values())


def _form(value: Any) -> Any:
    """Equal for values that have the same fields and types at every depth; lists count by the forms that are in them."""
    if isinstance(value, Mapping):
        return frozenset((name, _form(inner)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return (list, frozenset(map(_form, value)))
    return type(value)
