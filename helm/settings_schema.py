"""The JSON schemas of the settings that values of the chart may hold, from the types of these settings."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct, inspect

from clusters.embedded.artifacts.settings import StorageSettings
from clusters.embedded.executors.registry import registered_executors
from clusters.transport import Timeouts
from gateway.settings import AuditSettings, GatewaySettings, PolicySettings

Schema: TypeAlias = dict[str, Any]
SET_BY_THE_CHART: Final[Mapping[type[Struct], frozenset[str]]] = {
    GatewaySettings: frozenset(
        {"listen", "metrics", "tls", "store", "store_restored", "development", "pki", "regions"}
    ),
    PolicySettings: frozenset({"engine", "data", "folder", "bundle", "bundle_key", "bundle_key_id"}),
    AuditSettings: frozenset({"key"}),
}
"""The settings that the chart makes of other values, so that nobody sets them twice."""
BOUNDS: Final[Mapping[str, str]] = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
"""The words of JSON Schema for the bounds of a type."""


def settings_schemas() -> dict[str, Schema]:
    """Returns the schemas by name: settings of gateways, clusters and secrets, and parts of them.

    Secrets are left out of the first four: what is set there ends in a ConfigMap. They are the names of
    `secretSettings`, whose values name a key of a Secret.
    """
    parts: dict[str, Schema] = {}
    executors = {
        name: _struct_schema(entry.settings, parts) for name, entry in registered_executors().items()
    }
    reference = {"$ref": "#/$defs/secretKey"}
    return {
        "gatewaySettings": _struct_schema(GatewaySettings, parts),
        "timeouts": _struct_schema(Timeouts, parts),
        "executors": _closed(executors),
        "storages": {"type": "object", "additionalProperties": _struct_schema(StorageSettings, parts)},
        "secretSettings": _closed(dict.fromkeys(secret_settings(), reference)),
        **parts,
    }


def secret_settings(group: type[Struct] = GatewaySettings, path: str = "") -> list[str]:
    """Returns the paths of the settings in `group` that are secrets, such as `rollback.alerts_token`.

    Those that the chart sets are not among them: the store's URL is one, and holds no secret with SQLite.
    """
    found: list[str] = []
    for field in _fields(group):
        match _without_none(field.type):
            case inspect.CustomType():
                found.append(path + field.name)
            case inspect.StructType(cls=inner):
                found += secret_settings(inner, f"{path}{field.name}.")
    return found


def _fields(group: type[Struct]) -> list[inspect.Field]:
    """Returns the fields of a group of settings, without those that the chart sets."""
    known = inspect.type_info(group)
    assert isinstance(known, inspect.StructType)
    return [field for field in known.fields if field.name not in SET_BY_THE_CHART.get(group, ())]


def _without_none(known: inspect.Type) -> inspect.Type:
    """Returns the type of a setting that may also be None: a value of the chart is left out instead."""
    if isinstance(known, inspect.Metadata):  # a type with a description
        return _without_none(known.type)
    if not isinstance(known, inspect.UnionType):
        return known
    (option,) = (one for one in known.types if not isinstance(one, inspect.NoneType))
    return option


def _struct_schema(group: type[Struct], parts: dict[str, Schema]) -> Schema:
    """Returns the schema of a group of settings without its secrets; adds those of inner ones to `parts`."""
    fields = [
        field for field in _fields(group) if not isinstance(_without_none(field.type), inspect.CustomType)
    ]
    required = [field.name for field in fields if field.required]
    properties = {field.name: _type_schema(field.type, parts) for field in fields}
    return _closed(properties) | ({"required": required} if required else {})


def _type_schema(known: inspect.Type, parts: dict[str, Schema]) -> Schema:
    """Returns the schema of the type of one setting; raises `TypeError` for a type that none has yet."""
    match _without_none(known):
        case inspect.StructType(cls=group):
            if group.__name__ not in parts:
                parts[group.__name__] = _struct_schema(group, parts)
            return {"$ref": f"#/$defs/{group.__name__}"}
        case inspect.VarTupleType(item_type=item):
            return {"type": "array", "items": _type_schema(item, parts)}
        case inspect.DictType(value_type=value):
            return {"type": "object", "additionalProperties": _type_schema(value, parts)}
        case inspect.LiteralType(values=values):
            return {"enum": list(values)}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.StrType() as text:
            return {"type": "string"} | _bounds(text)
        case inspect.IntType() as number:
            return {"type": "integer", "minimum": 0} | _bounds(number)
        case inspect.FloatType() as number:
            return {"type": "number", "minimum": 0} | _bounds(number)
        case other:
            raise TypeError(f"there is no JSON schema here for a setting of the type {other}")


def _bounds(known: inspect.Type) -> Schema:
    found = ((word, getattr(known, name, None)) for name, word in BOUNDS.items())
    return {word: value for word, value in found if value is not None}


def _closed(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}
