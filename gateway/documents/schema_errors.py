"""Finds all errors that keep a value from fitting a msgspec type, each with a JSON pointer and a remedy.

msgspec decodes fast but stops at the first error. So a document that it refuses is checked again, against the
JSON Schema that msgspec generates from the same type.
"""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, Final, cast

import msgspec
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from msgspec import Struct

from gateway.documents.schema_validator import SchemaValidator
from waypost.json_pointer import MAXIMUM_ERRORS, FieldError, below, located
from waypost.suggestions import closest
from waypost.workflow.ijson_limits import EXACT

SHOWN: Final = 80
"""The maximum number of characters of a name or value that an error sentence repeats."""

JSON_TYPES: Final[dict[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
BOUNDS: Final = {
    "minimum": "must be at least",
    "maximum": "must be at most",
    "exclusiveMinimum": "must be more than",
    "exclusiveMaximum": "must be less than",
}
LENGTHS: Final = {
    "minLength": ("at least", "character"),
    "maxLength": ("at most", "character"),
    "minItems": ("at least", "item"),
    "maxItems": ("at most", "item"),
    "minProperties": ("at least", "field"),
    "maxProperties": ("at most", "field"),
}


def schema_errors(value: Any, type_: type[Struct], at: str = "") -> list[FieldError]:
    """Returns the errors that keep `value` from being a `type_`, up to `MAXIMUM_ERRORS`.

    `at` is the pointer to `value` in the document; every pointer begins with it.
    """
    found: dict[FieldError, None] = {}
    for error in _validator(type_).iter_errors(value):
        for explained in islice(_explain(error, at), MAXIMUM_ERRORS):
            found[explained] = None
        if len(found) >= MAXIMUM_ERRORS:
            break
    return list(found)[:MAXIMUM_ERRORS]


def field_error(error: msgspec.ValidationError, at: str = "") -> FieldError:
    """Converts a validation error of msgspec to a `FieldError`, with a JSON pointer.

    `at` is the pointer to the value that msgspec was given. The error is one that the JSON Schema cannot
    express.
    """
    pointer, sentence = located(error)
    return FieldError(at + pointer, sentence)


@cache
def _validator(type_: type[Struct]) -> Validator:
    return SchemaValidator(msgspec.json.schema(type_))


def _explain(error: ValidationError, at: str) -> Iterator[FieldError]:
    """Converts one jsonschema error, at or below the JSON pointer `at`, to errors with sentences for people.

    One jsonschema error may become several: one for each missing or unknown field.
    """
    pointer = below(at, *error.absolute_path)
    got: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    if error.context:
        # An `anyOf` (an optional field or a union) of which every branch failed. Their errors contradict each
        # other: either the types are joined into one sentence, or the closest branch is explained.
        if types := _permitted_types(error):
            yield FieldError(pointer, _type_error(got, types))
            return
        for branch in _closest_branch(error):
            yield from _explain(branch, at)
    elif error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        yield from (_unknown_field(pointer, name, known) for name in got if name not in known)
    elif error.validator == "required":
        yield from (FieldError(below(pointer, name), "is required") for name in wanted if name not in got)
    else:
        # For a bad name jsonschema points to the object; the name is added unless it is too long to repeat.
        is_name = "propertyNames" in error.relative_schema_path and len(got) <= SHOWN
        yield FieldError(below(pointer, got) if is_name else pointer, _sentence(error, got, wanted, schema))


def _sentence(error: ValidationError, got: Any, wanted: Any, schema: Any) -> str:
    keyword = str(error.validator)
    if keyword == "type":
        return _type_error(got, wanted)
    if keyword in ("enum", "const"):
        return _choice_error(got, wanted if isinstance(wanted, list) else [wanted])
    if keyword == "pattern":
        return f"{_shortened(got)} is not {schema.get('description') or f'of the form {wanted}'}"
    if keyword in BOUNDS:
        return f"{BOUNDS[keyword]} {wanted}"
    if keyword in LENGTHS:
        bound, unit = LENGTHS[keyword]
        return f"must have {bound} {wanted} {unit}{'' if wanted == 1 else 's'}; it has {len(got)}"
    return error.message[:200]


def _type_error(got: Any, wanted: Any) -> str:
    # Some encoders write the integer 5 as 5.0: "must be an integer, not a number" would not help.
    if (
        wanted in ("integer", ["integer"])
        and isinstance(got, float)
        and got.is_integer()
        and abs(got) < EXACT
    ):
        return f"must be an integer: write {got:.0f} for {got}"
    return (
        f"must be {_with_article(wanted)}, not {_with_article(JSON_TYPES.get(type(got), 'something else'))}"
    )


def _permitted_types(error: ValidationError) -> list[str]:
    """Returns the types that an `anyOf` permits, without null, if its branches differ in type alone.

    Returns none if a branch failed for another reason than the type.
    """
    branches = list(error.context or ())
    if any(branch.validator != "type" or branch.relative_path for branch in branches):
        return []
    # An optional field is left out rather than set to null: the sentence does not offer null.
    types = [str(branch.validator_value) for branch in branches if branch.validator_value != "null"]
    return [name for name in types if name != "integer" or "number" not in types]


def _closest_branch(error: ValidationError) -> list[ValidationError]:
    """Returns the errors of those `anyOf` branches that the document's author probably meant.

    These are the branches whose type fits the value: no list of words is meant by a number.
    """
    branches = list(error.context or ())
    others = {branch.relative_schema_path[0] for branch in branches if _is_of_another_type(branch)}
    fitting = [branch for branch in branches if branch.relative_schema_path[0] not in others]
    return fitting or [branch for branch in branches if branch.validator_value != "null"][:1] or branches[:1]


def _is_of_another_type(error: ValidationError) -> bool:
    if error.relative_path:
        return False
    if error.validator == "enum":
        types = {JSON_TYPES.get(type(value)) for value in cast("list[Any]", error.validator_value)}
        return JSON_TYPES.get(type(error.instance)) not in types
    return error.validator == "type"


def _unknown_field(pointer: str, name: str, known: list[str]) -> FieldError:
    if len(name) > SHOWN:
        # The pointer ends at the object: it would repeat the long name.
        return FieldError(pointer, f"{_shortened(name)} is not a field here; there are {', '.join(known)}")
    alike = closest(name, known) or next(
        (field for field in known if field.lower() == name.lower().replace("_", "")), None
    )
    hint = f"did you mean {alike}?" if alike else f"there are {', '.join(known)}"
    return FieldError(below(pointer, name), f"is not a field here; {hint}")


def _choice_error(got: Any, values: list[Any]) -> str:
    listed = ", ".join(map(str, values))
    alike = closest(got, values) if isinstance(got, str) else None
    hint = f"; did you mean {alike}?" if alike and len(values) > 1 else ""
    return f"must be {'one of ' if len(values) > 1 else ''}{listed}{hint}"


def _with_article(kind: Any) -> str:
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(
        word if word in ("null", "something else") else f"{'an' if word[0] in 'aio' else 'a'} {word}"
        for word in kinds
    )


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
