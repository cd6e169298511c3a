"""Settings are read once: from a TOML file, then from the environment, which wins. A name that no setting has stops the start.

In the environment a setting is `WAYPOST_` and its path in capitals, groups joined by two underscores:
`WAYPOST_HEALTH__PROBE_INTERVAL_SECONDS`. Lists and whole groups are written as JSON there.
"""

import tomllib
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from gateway.settings import GatewaySettings, Secret
from waypost.json_pointer import located, parts_of
from waypost.suggestions import closest

PREFIX: Final = "WAYPOST_"
NOT_SETTINGS: Final = frozenset(
    {"WAYPOST_URL", "WAYPOST_TOKEN", "WAYPOST_CA", "WAYPOST_INPUT", "WAYPOST_OUTPUT", "WAYPOST_SHARED"}
)
"""What the command line (address, token, root certificate), a task (its input and output files) and the tests (their data) read."""


class SettingsError(Exception):
    """What is wrong with the settings, in words for whoever wrote them. Never shows a secret."""


def load(file: Path | None, environment: Mapping[str, str]) -> GatewaySettings:
    """The settings that hold. Raises `SettingsError` for what cannot be read, an unknown name, and a value of the wrong kind."""
    tree = {} if file is None else _read(file)
    known = inspect.type_info(GatewaySettings)
    _check_names(tree, known, path=(), source=str(file))
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            _put(tree, known, name, value)
    try:
        return msgspec.convert(tree, GatewaySettings, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        # A list is one variable, so the path to it ends before the index of an item.
        path = takewhile(lambda part: not part.isdecimal(), parts_of(located(error)[0]))
        variable = (PREFIX + "__".join(path)).upper()
        source = variable if variable in environment else str(file or "the settings")
        raise SettingsError(f"{source}: {str(error).replace('$.', '').replace('Object', 'it')}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error


def _secret(wanted: type, value: object) -> object:
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected {wanted.__name__}")


def _fields(known: inspect.Type) -> dict[str, inspect.Type] | None:
    """The names in a group, or None where `known` is a plain value. An optional group is one too."""
    if isinstance(known, inspect.UnionType):
        return next((fields for option in known.types if (fields := _fields(option)) is not None), None)
    return (
        {field.name: field.type for field in known.fields} if isinstance(known, inspect.StructType) else None
    )


def _check_names(value: object, known: inspect.Type, *, path: tuple[str, ...], source: str) -> None:
    if isinstance(value, list) and isinstance(known, inspect.VarTupleType):
        for item in value:
            _check_names(item, known.item_type, path=path, source=source)
    fields = _fields(known)
    if not isinstance(value, dict) or fields is None:
        return
    for name, inner in value.items():
        if name not in fields:
            raise _unknown(".".join((*path, name)), name, list(fields), source)
        _check_names(inner, fields[name], path=(*path, name), source=source)


def _put(tree: dict[str, Any], known: inspect.Type, name: str, value: str) -> None:
    """Sets what the variable `name` names. Text stays text until the type is known; only lists and groups are JSON."""
    path = name.removeprefix(PREFIX).lower().split("__")
    for depth, part in enumerate(path):
        fields = _fields(known)
        if fields is None or part not in fields:
            near = [PREFIX + "__".join((*path[:depth], other)).upper() for other in fields or ()]
            raise _unknown(name, name, near, "the environment")
        known = fields[part]
    *groups, last = path
    for group in groups:
        tree = tree.setdefault(group, {})
        if not isinstance(tree, dict):
            raise SettingsError(
                f"{name}: {group} is a group of settings, and is given as one value elsewhere"
            )
    tree[last] = _parsed(name, value, known)
    _check_names(tree[last], known, path=(name,), source="the environment")


def _parsed(name: str, value: str, known: inspect.Type) -> Any:
    if _fields(known) is None and not isinstance(known, inspect.VarTupleType | inspect.DictType):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{name} is not JSON: {error}") from error


def _unknown(shown: str, name: str, candidates: Sequence[str], source: str) -> SettingsError:
    near = closest(name, candidates, cutoff=0.5)
    return SettingsError(
        f"{source}: there is no setting {shown}" + (f"; did you mean {near}?" if near else "")
    )
