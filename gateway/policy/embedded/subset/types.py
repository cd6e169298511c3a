"""What is known of a value before it is there, in the words of JSON Schema: {} is anything, and `set` is one more type.

What a schema says in a way that is not read here counts as nothing said.
"""

import copy
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

ValueType: TypeAlias = Any
"""A schema whose references have been replaced by what they stand for."""

ANY: Final[ValueType] = {}
NOTHING: Final[ValueType] = {"type": []}
UNKNOWN: Final = "anything"
NUMBERS: Final = frozenset({"integer", "number"})


def resolve_references(schema: Any) -> ValueType:
    """`schema` with each `$ref` replaced by what it refers to; the names in its objects are strings, as JSON has it."""
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


def either(shapes: Iterable[ValueType]) -> ValueType:
    """That of a value which has one of `shapes`."""
    options = list(shapes)
    return options[0] if len(options) == 1 else {"anyOf": options}


def kinds(shape: ValueType) -> frozenset[str]:
    """The types that a value of this shape may have; with `UNKNOWN` among them it may have any."""
    if not isinstance(shape, dict):
        return frozenset({UNKNOWN})
    if "type" in shape:
        return frozenset([shape["type"]] if isinstance(shape["type"], str) else shape["type"])
    if (options := _options(shape)) is not None:
        return frozenset().union(*map(kinds, options))
    if isinstance(shape.get("enum"), list) and all(isinstance(value, str) for value in shape["enum"]):
        return frozenset({"string"})
    return frozenset({UNKNOWN})


def narrowed(shape: ValueType, allowed: frozenset[str]) -> ValueType:
    """`shape`, once the value was found to have one of the types `allowed`."""
    if UNKNOWN in allowed:
        return shape
    known, allowed = _whole(kinds(shape)), _whole(allowed)
    if UNKNOWN in known or not isinstance(shape, dict):
        return {
            **(shape if isinstance(shape, dict) and _options(shape) is None else ANY),
            "type": sorted(allowed),
        }
    if "type" not in shape and (options := _options(shape)) is not None:
        return either(narrowed(option, allowed) for option in options)
    return {**shape, "type": sorted(known & allowed)}


def _whole(types: frozenset[str]) -> frozenset[str]:
    return types | NUMBERS if "number" in types else types


def step(shape: ValueType, name: str | None) -> ValueType:
    """That of what is found in the value under `name`; None: under one that is computed."""
    if not isinstance(shape, dict):
        return ANY
    if (options := _options(shape)) is not None:
        return either(step(option, name) for option in options)
    held = kinds(shape) & {"array", "set", "object", UNKNOWN}
    if held <= {"array", "set"}:
        return ANY if "prefixItems" in shape else shape.get("items", ANY) if held else NOTHING
    fields, more = shape.get("properties", {}), shape.get("additionalProperties", ANY)
    if name in fields:
        return fields[name]
    if held != {"object"} or "patternProperties" in shape:
        return ANY
    return either([*(fields.values() if name is None else ()), NOTHING if more is False else more])


def key(shape: ValueType) -> ValueType:
    """That of what things are found under in the value."""
    known = kinds(shape)
    if known == {"set"}:
        return step(shape, None)
    if known == {"object"}:
        return shape.get("propertyNames", ANY)
    return {"type": "integer"} if known == {"array"} else ANY


def fits(shape: ValueType, wanted: ValueType) -> bool:
    """Has a value of `shape` surely also the shape `wanted`, of which type and items count?"""
    if not wanted:
        return True
    known, allowed = kinds(shape), kinds(wanted)
    if not all(kind in allowed or (kind == "integer" and "number" in allowed) for kind in known):
        return False
    return (
        "items" not in wanted
        or known.isdisjoint({"array", "set"})
        or fits(step(shape, None), wanted["items"])
    )


def _options(shape: ValueType) -> list[ValueType] | None:
    options: list[ValueType] | None = shape.get("anyOf", shape.get("oneOf"))
    return options
