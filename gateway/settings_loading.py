"""Loads the gateway's settings from a TOML file and the environment; the environment takes precedence.

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

from clusters.plugin_settings import wrong_numbers
from gateway.settings import GatewaySettings, Secret
from waypost.json_pointer import located, parts_of
from waypost.suggestions import closest

PREFIX: Final = "WAYPOST_"
NOT_SETTINGS: Final = frozenset(
    {"WAYPOST_URL", "WAYPOST_TOKEN", "WAYPOST_CA", "WAYPOST_INPUT", "WAYPOST_OUTPUT", "WAYPOST_SHARED"}
)
"""The environment variables that begin like settings and are not settings of the gateway.

They are the command line's (address, token, root certificate), a task's (its input and output files) and the
tests' (their data).
"""


class SettingsError(Exception):
    """Raised for settings that cannot be used; the text names the setting, and shows no secret."""


def load_settings(file: Path | None, environment: Mapping[str, str]) -> GatewaySettings:
    """Loads the settings in `file` (None: defaults), overridden by `WAYPOST_*` variables in `environment`.

    Raises `SettingsError` for a file that cannot be read, an unknown name, and a value of the wrong type.
    """
    tree = {} if file is None else _read(file)
    known = inspect.type_info(GatewaySettings)
    _refuse_unknown_names(tree, known, path=(), source=str(file))
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            _set_variable(tree, known, name, value)
    try:
        settings = msgspec.convert(tree, GatewaySettings, strict=False, dec_hook=_convert_secret)
    except msgspec.ValidationError as error:
        parts: Sequence[str] = parts_of(located(error)[0])
        text = str(error).replace("$.", "").replace("Object", "it")
    else:
        parts = next(wrong_numbers(settings), ())
        if not parts:
            return settings
        text = f"Expected a finite number that is not negative - at `{'.'.join(parts)}`"
    # A list is one variable, so the path to it ends before the index of an item.
    path = takewhile(lambda part: not part.isdecimal(), parts)
    variable = (PREFIX + "__".join(path)).upper()
    source = variable if variable in environment else str(file or "the settings")
    raise SettingsError(f"{source}: {text}{_issuer_at(tree, parts)}")


def _issuer_at(tree: dict[str, Any], parts: Sequence[str]) -> str:
    """Returns the name, for error texts, of the token issuer whose setting is at the path `parts`."""
    match tree.get("issuers"), parts:
        case [*issuers], ["issuers", index, *_] if index.isdecimal() and isinstance(
            found := issuers[int(index)], dict
        ):
            return f" (issuer {found.get('url')})"
    return ""


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error


def _convert_secret(wanted: type, value: object) -> object:
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected {wanted.__name__}")


def _fields_of(known: inspect.Type) -> dict[str, inspect.Type] | None:
    """Returns the fields of the settings group `known` with their types; None if it is a plain value."""
    if isinstance(known, inspect.UnionType):
        return next((fields for option in known.types if (fields := _fields_of(option)) is not None), None)
    return (
        {field.name: field.type for field in known.fields} if isinstance(known, inspect.StructType) else None
    )


def _refuse_unknown_names(value: object, known: inspect.Type, *, path: tuple[str, ...], source: str) -> None:
    """Raises `SettingsError` for the first name in `value`, at any depth, that is not a setting's name.

    `known` is the type of `value`, `path` the names of the groups that contain `value`, `source` where the
    settings were read. msgspec would refuse unknown names too (`forbid_unknown_fields`), but would not say
    where they are, nor which name was probably meant.
    """
    if isinstance(value, list) and isinstance(known, inspect.VarTupleType):
        for item in value:
            _refuse_unknown_names(item, known.item_type, path=path, source=source)
    fields = _fields_of(known)
    if not isinstance(value, dict) or fields is None:
        return
    for name, inner in value.items():
        if name not in fields:
            raise _unknown_name(".".join((*path, name)), name, list(fields), source)
        _refuse_unknown_names(inner, fields[name], path=(*path, name), source=source)


def _set_variable(tree: dict[str, Any], known: inspect.Type, name: str, value: str) -> None:
    """Writes the `value` of the environment variable `name` to its setting's place in the tree of settings.

    `known` is the type of all settings.
    """
    path = name.removeprefix(PREFIX).lower().split("__")
    for depth, part in enumerate(path):
        fields = _fields_of(known)
        if fields is None or part not in fields:
            near = [PREFIX + "__".join((*path[:depth], other)).upper() for other in fields or ()]
            raise _unknown_name(name, name, near, "the environment")
        known = fields[part]
    *groups, last = path
    for group in groups:
        tree = tree.setdefault(group, {})
        # `WAYPOST_LISTEN=1` beside `WAYPOST_LISTEN__PORT=1`, or a file that says so.
        if not isinstance(tree, dict):
            raise SettingsError(
                f"{name}: {group} is a group of settings, and is given as one value elsewhere"
            )
    tree[last] = _parse_variable(name, value, known)
    _refuse_unknown_names(tree[last], known, path=(name,), source="the environment")


def _parse_variable(name: str, value: str, known: inspect.Type) -> Any:
    """Parses the `value` of the environment variable `name` for a setting of the type `known`, as in TOML.

    A plain value stays text, which msgspec converts; lists and groups are JSON. Raises `SettingsError` for
    other text.
    """
    if _fields_of(known) is None and not isinstance(known, inspect.VarTupleType | inspect.DictType):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{name} is not JSON: {error}") from error


def _unknown_name(shown: str, name: str, candidates: Sequence[str], source: str) -> SettingsError:
    near = closest(name, candidates, cutoff=0.5)
    return SettingsError(
        f"{source}: there is no setting {shown}" + (f"; did you mean {near}?" if near else "")
    )
