"""Why a value does not have the shape of a type: every reason, each with a pointer and a sentence that says what to do."""

import difflib
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from msgspec import Struct

from gateway.core.errors import FieldError
from gateway.core.pointer import below

ENOUGH: Final = 1_000
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


def problems(value: Any, type_: type[Struct], at: str = "") -> list[FieldError]:
    """What keeps `value` from being a `type_`, below the pointer `at`: all of it up to `ENOUGH`. msgspec would stop at the first."""
    found: dict[FieldError, None] = {}
    for error in _validator(type_).iter_errors(value):
        for fault in islice(_explain(error, at), ENOUGH):
            found[fault] = None
        if len(found) >= ENOUGH:
            break
    return list(found)[:ENOUGH]


@cache
def _validator(type_: type[Struct]) -> Draft202012Validator:
    return Draft202012Validator(msgspec.json.schema(type_))


def _explain(error: ValidationError, at: str) -> Iterator[FieldError]:
    pointer = below(at, *error.absolute_path)
    got: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    keyword = str(error.validator)
    if error.context:
        for branch in _likeliest(error):
            yield from _explain(branch, at)
    elif keyword == "additionalProperties":
        known = list(schema.get("properties", {}))
        yield from (_unknown(pointer, name, known) for name in got if name not in known)
    elif keyword == "required":
        yield from (FieldError(below(pointer, name), "is required") for name in wanted if name not in got)
    elif keyword == "type":
        yield FieldError(pointer, f"must be {_a(wanted)}, not {_a(KINDS.get(type(got), 'something else'))}")
    elif keyword in ("enum", "const"):
        yield FieldError(pointer, _choice(got, wanted if isinstance(wanted, list) else [wanted]))
    elif keyword == "pattern":
        yield FieldError(pointer, f"{_shown(got)} is not {schema.get('description') or f'of the form {wanted}'}")
    elif keyword in WORDS:
        yield FieldError(pointer, f"{WORDS[keyword]} {wanted}")
    elif keyword in LENGTHS:
        bound, unit = LENGTHS[keyword]
        yield FieldError(pointer, f"must have {bound} {wanted} {unit}{'' if wanted == 1 else 's'}; it has {len(got)}")
    else:
        yield FieldError(pointer, error.message[:200])


def _likeliest(error: ValidationError) -> list[ValidationError]:
    """Of the branches of an `anyOf`, the errors of the one that fits best: not those that have another type altogether."""
    branches = list(error.context or ())
    typed = [branch for branch in branches if branch.validator != "type" or branch.relative_path]
    return typed or [branch for branch in branches if branch.validator_value != "null"][:1] or branches[:1]


def _unknown(pointer: str, name: str, known: list[str]) -> FieldError:
    if len(name) > SHOWN:
        return FieldError(pointer, f"{_shown(name)} is not a field here; there are {', '.join(known)}")
    near = difflib.get_close_matches(name, known, n=1) or [field for field in known if field.lower() == name.lower().replace("_", "")]
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return FieldError(below(pointer, name), f"is not a field here; {hint}")


def _choice(got: Any, values: list[Any]) -> str:
    listed = ", ".join(map(str, values))
    near = difflib.get_close_matches(got, values, n=1) if isinstance(got, str) and len(got) <= SHOWN else []
    hint = f"; did you mean {near[0]}?" if near and len(values) > 1 else ""
    return f"must be {'one of ' if len(values) > 1 else ''}{listed}{hint}"


def _a(kind: Any) -> str:
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(word if word in ("null", "something else") else f"{'an' if word[0] in 'aio' else 'a'} {word}" for word in kinds)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
