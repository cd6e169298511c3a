"""From bytes to a document that its types accept; and everything that they do not, at once, each with a JSON pointer."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from msgspec import Struct

from gateway.core.errors import FieldError, Invalid, Malformed, TooLarge, UnsupportedMediaType
from gateway.core.workflow import Workflow
from gateway.core.yaml import YamlError, read_yaml
from gateway.settings import Documents

SHOWN_ERRORS = 100
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})

_decode = msgspec.json.Decoder(Workflow).decode


def parse(body: bytes, media_type: str, limits: Documents) -> Workflow:
    """The document in `body`. Semantic errors are for `checks`.

    Raises `TooLarge` (413), `UnsupportedMediaType` (415), `Malformed` (400: not JSON or YAML, and where) or `Invalid` (422: every error).
    """
    if len(body) > limits.maximum_bytes:
        raise TooLarge(f"the document has {len(body)} bytes; {limits.maximum_bytes} are allowed")
    kind = media_type.partition(";")[0].strip().lower()
    if kind in YAML_TYPES:
        return convert(_from_yaml(body, limits))
    if kind not in ("application/json", ""):
        raise UnsupportedMediaType(f"{kind}: send application/json or application/yaml")
    try:
        return _decode(body)
    except msgspec.ValidationError:
        return convert(_from_json(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(_place(body, error)) from error
    except RecursionError as error:
        raise Malformed("the document is nested too deeply") from error


def convert(value: Any) -> Workflow:
    """A document given as plain values. Raises `Invalid` with every error."""
    try:
        return msgspec.convert(value, Workflow)
    except msgspec.ValidationError as error:
        raise invalid(problems(value, Workflow) or [FieldError("", str(error))]) from error


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Waypost Workflow",
        **msgspec.json.schema(Workflow),
    }


def invalid(errors: Iterable[FieldError]) -> Invalid:
    """The refusal for a document with `errors`, bounded."""
    found = list(errors)
    shown = found[:SHOWN_ERRORS]
    more = f", the first {SHOWN_ERRORS} are shown" if len(found) > SHOWN_ERRORS else ""
    return Invalid(f"the document has {len(found)} error{'s' if len(found) > 1 else ''}{more}", errors=shown)


def problems(value: Any, type_: type[Struct], at: str = "") -> list[FieldError]:
    """Everything that keeps `value` from being a `type_`, below the pointer `at`. msgspec would stop at the first."""
    validator = Draft202012Validator(msgspec.json.schema(type_))
    return [found for error in validator.iter_errors(value) for found in _explain(error, at)]


def _explain(error: ValidationError, at: str) -> list[FieldError]:
    pointer = at + "".join(f"/{_escape(str(part))}" for part in error.absolute_path)
    if error.context:
        return [inner for branch in _likeliest(error) for inner in _explain(branch, at)] or [FieldError(pointer, "has no permitted form")]
    got: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            known = sorted(schema.get("properties", {}))
            return [FieldError(f"{pointer}/{_escape(name)}", _unknown(name, known)) for name in got if name not in known]
        case "required":
            return [FieldError(f"{pointer}/{_escape(name)}", "is required") for name in wanted if f"{name!r} is" in error.message]
        case "type":
            return [FieldError(pointer, f"must be {_types(wanted)}, not {_kind(got)}{_yaml_hint(error, got)}")]
        case "enum" | "const":
            values = wanted if isinstance(wanted, list) else [wanted]
            return [FieldError(pointer, f"must be one of {', '.join(map(str, values))}")]
        case "pattern":
            return [FieldError(pointer, f"{got!r:.80} does not have the form {schema.get('description', wanted)}")]
        case _:
            return [FieldError(pointer, error.message[:200])]


def _likeliest(error: ValidationError) -> list[ValidationError]:
    """Of the branches of an `anyOf`, the errors of the one that fits best: not those that have another type altogether."""
    typed = [branch for branch in error.context or () if branch.validator != "type" or branch.relative_path]
    return typed or list(error.context or ())[:1]


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"is not a field here; did you mean {near[0]}?" if near else f"is not a field here; there are {', '.join(known)}"


def _types(wanted: Any) -> str:
    return " or ".join(wanted) if isinstance(wanted, list) else str(wanted)


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return kinds.get(type(value), type(value).__name__)


def _yaml_hint(error: ValidationError, got: Any) -> str:
    return (
        " (YAML reads yes, no, on and off as booleans: put quotes around it)"
        if error.validator_value == "string" and isinstance(got, bool)
        else ""
    )


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _from_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(_place(body, error)) from error
    except RecursionError as error:
        raise Malformed("the document is nested too deeply") from error


def _from_yaml(body: bytes, limits: Documents) -> Any:
    try:
        return read_yaml(body, maximum_nesting=limits.maximum_nesting, maximum_nodes=limits.maximum_bytes)
    except YamlError as error:
        if error.pointer is None:
            raise Malformed(str(error)) from error
        raise invalid([FieldError(error.pointer, str(error))]) from error


def _place(body: bytes, error: Exception) -> str:
    """What the decoder says, with a line and a column where it names a byte."""
    text = str(error)
    found = re.search(r"byte (\d+)", text)
    if not found:
        return f"not JSON: {text}"
    before = body[: int(found[1])]
    line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
    return f"not JSON: {text} at line {line}, column {column}"
