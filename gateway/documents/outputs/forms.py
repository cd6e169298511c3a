"""Finds the different forms of JSON values, so that checks need look at one value of each form only."""

from collections.abc import Iterable, Mapping
from typing import Any


def first_of_each_form(values: Iterable[Any]) -> dict[int, Any]:
    """Returns the first value of each form, by its index among `values`.

    A form is the names and types at every depth, whatever the values.
    """
    found: dict[Any, tuple[int, Any]] = {}
    for index, value in enumerate(values):
        found.setdefault(_form(value), (index, value))
    return dict(found.values())


def _form(value: Any) -> Any:
    """Returns the form of an item as a hashable value: its fields and types at every depth.

    The form of an array is the set of forms of its elements.
    """
    if isinstance(value, Mapping):
        return frozenset((name, _form(inner)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return (list, frozenset(map(_form, value)))
    return type(value)
