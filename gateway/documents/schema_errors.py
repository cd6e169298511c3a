"""Why a value does not have the shape of a type: every reason, each with a pointer and a sentence that says what to do."""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from msgspec import Struct

from gateway.documents.workflow import UNSUPPORTED_ENGINES
from waypost.json_pointer import FieldError, below, located
from waypost.suggestions import closest
from waypost.workflow.ijson import EXACT

MAXIMUM_ERRORS: Final = 1_000
"""Nobody mends more at a time, and looking for all of them in a large document takes long."""

SHOWN: Final = 80
"""Characters of a name or value that a sentence repeats."""

KINDS: Final[dict[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
WORDS: Final = {
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


_WholeNumbers: Final[type[Validator]] = extend(  # type: ignore[no-untyped-call] # untyped in its stubs
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)
"""To JSON Schema 5.0 is an integer; to msgspec, which reads the documents, it is none."""


def schema_errors(value: Any, type_: type[Struct], at: str = "") -> list[FieldError]:
    """What keeps `value` from being a `type_`, below the pointer `at`: all of it up to `MAXIMUM_ERRORS`. msgspec would stop at the first."""
    found: dict[FieldError, None] = {}
    for error in _validator(type_).iter_errors(value):
        for found_error in islice(_explain(error, at), MAXIMUM_ERRORS):
            found[found_error] = None
        if len(found) >= MAXIMUM_ERRORS:
            break
    return list(found)[:MAXIMUM_ERRORS]


def field_error(error: msgspec.ValidationError, at: str = "") -> FieldError:
    """What msgspec says, where the schema found nothing; `at` leads to what was read."""
    pointer, sentence = located(error)
    return FieldError(at + pointer, sentence)


@cache
def _validator(type_: type[Struct]) -> Validator:
    return _WholeNumbers(msgspec.json.schema(type_))


def _explain(error: ValidationError, at: str) -> Iterator[FieldError]:
    pointer = below(at, *error.absolute_path)
    got: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    if error.context:
        if kinds := _kinds(error):
            yield FieldError(pointer, _type(got, kinds))
            return
        for branch in _likeliest(error):
            yield from _explain(branch, at)
    elif error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        yield from (_unknown(pointer, name, known) for name in got if name not in known)
    elif error.validator == "required":
        yield from (FieldError(below(pointer, name), "is required") for name in wanted if name not in got)
    else:
        of_a_name = "propertyNames" in error.relative_schema_path and len(got) <= SHOWN
        yield FieldError(below(pointer, got) if of_a_name else pointer, _sentence(error, got, wanted, schema))


def _sentence(error: ValidationError, got: Any, wanted: Any, schema: Any) -> str:
    keyword = str(error.validator)
    if keyword == "type":
        return _type(got, wanted)
    if keyword in ("enum", "const"):
        return _choice(got, wanted if isinstance(wanted, list) else [wanted])
    if keyword == "pattern":
        return f"{_shown(got)} is not {schema.get('description') or f'of the form {wanted}'}"
    if keyword in WORDS:
        return f"{WORDS[keyword]} {wanted}"
    if keyword in LENGTHS:
        bound, unit = LENGTHS[keyword]
        return f"must have {bound} {wanted} {unit}{'' if wanted == 1 else 's'}; it has {len(got)}"
    return error.message[:200]


def _type(got: Any, wanted: Any) -> str:
    if (
        wanted in ("integer", ["integer"])
        and isinstance(got, float)
        and got.is_integer()
        and abs(got) < EXACT
    ):
        return f"must be an integer: write {got:.0f} for {got}"
    return f"must be {_a(wanted)}, not {_a(KINDS.get(type(got), 'something else'))}"


def _kinds(error: ValidationError) -> list[str]:
    """The kinds of an `anyOf` where none of them fits and null is not all that is wanted; empty where something else is wrong."""
    branches = list(error.context or ())
    if any(branch.validator != "type" or branch.relative_path for branch in branches):
        return []
    kinds = [str(branch.validator_value) for branch in branches if branch.validator_value != "null"]
    return [kind for kind in kinds if kind != "integer" or "number" not in kinds]


def _likeliest(error: ValidationError) -> list[ValidationError]:
    """Of the branches of an `anyOf`, the errors of the one that fits best: not those that have another type altogether."""
    branches = list(error.context or ())
    typed = [branch for branch in branches if branch.validator != "type" or branch.relative_path]
    return typed or [branch for branch in branches if branch.validator_value != "null"][:1] or branches[:1]


def _unknown(pointer: str, name: str, known: list[str]) -> FieldError:
    if len(name) > SHOWN:
        return FieldError(pointer, f"{_shown(name)} is not a field here; there are {', '.join(known)}")
    alike = closest(name, known) or next(
        (field for field in known if field.lower() == name.lower().replace("_", "")), None
    )
    hint = f"did you mean {alike}?" if alike else f"there are {', '.join(known)}"
    return FieldError(below(pointer, name), f"is not a field here; {hint}")


def _choice(got: Any, values: list[Any]) -> str:
    values = [value for value in values if value not in UNSUPPORTED_ENGINES]
    listed = ", ".join(map(str, values))
    alike = closest(got, values) if isinstance(got, str) else None
    hint = f"; did you mean {alike}?" if alike and len(values) > 1 else ""
    return f"must be {'one of ' if len(values) > 1 else ''}{listed}{hint}"


def _a(kind: Any) -> str:
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(
        word if word in ("null", "something else") else f"{'an' if word[0] in 'aio' else 'a'} {word}"
        for word in kinds
    )


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
