"""Types of values, as JSON Schemas with one more type, `set`; {} is any value.

Keywords of a schema that are not read here are ignored.
"""

import copy
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

ValueType: TypeAlias = Any
"""A schema whose references have been resolved."""

ANY: Final[ValueType] = {}
NOTHING: Final[ValueType] = {"type": []}
UNKNOWN: Final = "anything"
NUMBERS: Final = frozenset({"integer", "number"})


def resolve_references(schema: Any) -> ValueType:
    """`schema` with each `$ref` replaced by what it refers to.

    The names in its objects are declared to be strings, as JSON has it.
    """
    root = copy.deepcopy(schema)
    _tie(root, root)
    return root


def _tie(root: Any, node: Any) -> None:
    if isinstance(node, dict) and node.get("type") == "object":
        node.setdefault("propertyNames", {"type": "string"})
    for key, child in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(child, dict) and "$ref" in child:
            node[key] = _within(root, child["$ref"])
        elif isinstance(child, (dict, list)):
            _tie(root, child)


def _within(root: Any, reference: str) -> Any:
    for name in reference.removeprefix("#/").split("/"):
        root = root.get(name, ANY) if isinstance(root, dict) else ANY
    return root


def either(types: Iterable[ValueType]) -> ValueType:
    """The type of a value that has one of the types `types`."""
    options = list(types)
    return options[0] if len(options) == 1 else {"anyOf": options}


def kinds(type_: ValueType) -> frozenset[str]:
    """The JSON types that a value of this type may have; with `UNKNOWN` among them, any."""
    if not isinstance(type_, dict):
        return frozenset({UNKNOWN})
    if "type" in type_:
        return frozenset([type_["type"]] if isinstance(type_["type"], str) else type_["type"])
    if (options := _options(type_)) is not None:
        return frozenset().union(*map(kinds, options))
    if isinstance(type_.get("enum"), list) and all(isinstance(value, str) for value in type_["enum"]):
        return frozenset({"string"})
    return frozenset({UNKNOWN})


def narrow(type_: ValueType, allowed: frozenset[str]) -> ValueType:
    """The type of a value that was found to have one of the JSON types `allowed`."""
    if UNKNOWN in allowed:
        return type_
    known, allowed = _whole(kinds(type_)), _whole(allowed)
    if UNKNOWN in known or not isinstance(type_, dict):
        return {
            **(type_ if isinstance(type_, dict) and _options(type_) is None else ANY),
            "type": sorted(allowed),
        }
    if "type" not in type_ and (options := _options(type_)) is not None:
        return either(narrow(option, allowed) for option in options)
    return {**type_, "type": sorted(known & allowed)}


def _whole(types: frozenset[str]) -> frozenset[str]:
    return types | NUMBERS if "number" in types else types


def step(type_: ValueType, name: str | None) -> ValueType:
    """The type of the field or element of a value of `type_` under `name`; None for a computed name."""
    if not isinstance(type_, dict):
        return ANY
    if (options := _options(type_)) is not None:
        return either(step(option, name) for option in options)
    held = kinds(type_) & {"array", "set", "object", UNKNOWN}
    if held <= {"array", "set"}:
        return ANY if "prefixItems" in type_ else type_.get("items", ANY) if held else NOTHING
    fields, more = type_.get("properties", {}), type_.get("additionalProperties", ANY)
    if name in fields:
        return fields[name]
    if held != {"object"} or "patternProperties" in type_:
        return ANY
    return either([*(fields.values() if name is None else ()), NOTHING if more is False else more])


def key(type_: ValueType) -> ValueType:
    """The type of the keys or indices of a value of `type_`."""
    known = kinds(type_)
    if known == {"set"}:
        return step(type_, None)
    if known == {"object"}:
        return type_.get("propertyNames", ANY)
    return {"type": "integer"} if known == {"array"} else ANY


def fits(type_: ValueType, wanted: ValueType) -> bool:
    """True if every value of `type_` certainly has the type `wanted`, of which `type` and `items` count."""
    if not wanted:
        return True
    known, allowed = kinds(type_), kinds(wanted)
    if not all(kind in allowed or (kind == "integer" and "number" in allowed) for kind in known):
        return False
    return (
        "items" not in wanted
        or known.isdisjoint({"array", "set"})
        or fits(step(type_, None), wanted["items"])
    )


def _options(type_: ValueType) -> list[ValueType] | None:
    options: list[ValueType] | None = type_.get("anyOf", type_.get("oneOf"))
    return options
