"""Reads the settings of a plug-in (cluster kind or executor) from a table into the type it declares."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, inspect

from waypost.json_pointer import located, parts_of
from waypost.suggestions import closest

S = TypeVar("S", bound=Struct)


WRITTEN_AS_JSON: Final = (inspect.VarTupleType, inspect.DictType, inspect.StructType)
"""The types of settings whose text is JSON."""


class NoSettings(Struct, frozen=True, kw_only=True):
    """The settings type of a plug-in that has no settings."""


def plugin_settings(table: Mapping[str, Any], declared: type[S]) -> S:
    """Converts a table of settings to `declared`, the settings type of a plug-in.

    Text, as from a command line, is converted too; the text of a list or a group is JSON. Raises
    `ValueError`, whose text shows no value, for an unknown name and for a value that a setting cannot have.
    """
    names = declared.__struct_fields__
    for name in table:
        if name not in names:
            near = closest(name, names, cutoff=0.5)
            hint = f"did you mean {near}?" if near else f"there are: {', '.join(names) or 'none'}"
            raise ValueError(f"there is no setting {name}; {hint}")
    table = _decode_json(table, declared)
    try:
        settings = msgspec.convert(table, declared, strict=False)
    except msgspec.ValidationError as error:
        pointer, sentence = located(error)
        where = ".".join(parts_of(pointer))
        raise ValueError(f"{where}: {sentence}" if where else sentence) from error
    if (path := next(wrong_numbers(settings), None)) is not None:
        raise ValueError(f"{'.'.join(path)}: expected a finite number that is not negative")
    return settings


def _decode_json(table: Mapping[str, Any], declared: type[Struct]) -> dict[str, Any]:
    """Decodes the lists and groups that a table of settings gives as JSON text; returns the new table.

    Raises `ValueError` where such a text is not JSON.
    """
    known, decoded = inspect.type_info(declared), dict(table)
    assert isinstance(known, inspect.StructType)
    for field in known.fields:
        text = table.get(field.name)
        if isinstance(text, str) and isinstance(field.type, WRITTEN_AS_JSON):
            try:
                decoded[field.name] = msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise ValueError(f"{field.name}: is not JSON: {error}") from error
    return decoded


def wrong_numbers(value: object, at: Sequence[str] = ()) -> Iterator[Sequence[str]]:
    """Yields the path of each number in a settings value that is negative or not finite.

    The paths begin with `at`. No setting is negative; and a time that is compared with infinity or NaN would
    never or always be over.
    """
    match value:
        case int() | float() if not (math.isfinite(value) and value >= 0):
            yield at
        case Struct():
            for field in value.__struct_fields__:
                yield from wrong_numbers(getattr(value, field), (*at, field))
        case tuple():
            for index, inner in enumerate(value):
                yield from wrong_numbers(inner, (*at, str(index)))
