"""Parses a submitted JSON or YAML document into a `Workflow`; finds every schema error.

A parsed document means the same to every later reader: no doubled names, no number beyond a double or
2^53 - 1, no NUL, no lone surrogates and bounded nesting, whether it was written as JSON or as YAML.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from gateway.core.errors import Invalid, Malformed, TooLarge, UnsupportedMediaType
from gateway.documents.schema_errors import field_error, schema_errors
from gateway.documents.strict_json import read_json
from gateway.documents.strict_yaml import read_yaml
from gateway.documents.workflow import Workflow
from gateway.settings import DocumentLimits
from waypost.json_pointer import MAXIMUM_ERRORS, FieldError
from waypost.workflow.ijson_limits import EXACT

REPORTED_ERRORS: Final = 100
YAML_TYPES: Final = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
DOCUMENT_FIELDS: Final = frozenset({"apiVersion", "kind", "metadata", "spec"})
CHARSET: Final = re.compile(r'charset\s*=\s*"?([^\s;"]*)', re.IGNORECASE)
FREE_FORM_DEPTH: Final = 4
"""The minimum nesting depth at which a document has free-form values, as in `/spec/tasks/0/run`.

A shallower free-form value is only checked more strictly than necessary, and then by the strict reader.
"""

LONG_INTEGER: Final = b"0" * len(str(EXACT))
DIGITS_AS_ZEROS: Final = bytes(ord("0") if byte in b"0123456789" else ord(".") for byte in range(256))
"""A table for `bytes.translate` that makes zeros of all digits, and dots of all other bytes."""

_CONTAINERS: Final = frozenset({dict, list, tuple})

PartialChecks: TypeAlias = Callable[[Any, list[FieldError]], list[FieldError]]
"""A function that finds the other errors in a decoded document that has schema errors."""

T = TypeVar("T", bound=Struct)

_decode_json = msgspec.json.Decoder().decode


def parse(
    body: bytes, media_type: str, limits: DocumentLimits, partial_checks: PartialChecks | None = None
) -> Workflow:
    """Parses `body`, JSON or YAML, into a `Workflow`; raises an error that lists every schema error.

    Semantic errors are left to `checks`. `partial_checks` is called for a document with schema errors, so
    that its other errors are reported with them.

    Raises `TooLarge` (413), `UnsupportedMediaType` (415), `Malformed` (400: neither JSON nor YAML, with line
    and column) or `Invalid` (422: every error).
    """
    if len(body) > limits.maximum_bytes:
        raise TooLarge(f"the document has {len(body)} bytes; {limits.maximum_bytes} are allowed")
    if not body or body.isspace():
        raise Malformed("the document is empty")
    if media_type != "application/json" and _is_yaml(media_type, body):
        return _convert(
            *read_yaml(
                _decode_utf8(body),
                maximum_nesting=limits.maximum_nesting,
                maximum_expansion=limits.maximum_bytes,
                maximum_values=limits.maximum_yaml_values,
            ),
            partial_checks,
        )
    if (workflow := parse_quickly(body, limits)) is not None:
        return workflow
    return _convert(*read_json(_decode_utf8(body), maximum_nesting=limits.maximum_nesting), partial_checks)


def parse_quickly(body: bytes, limits: DocumentLimits) -> Workflow | None:
    """Parses the JSON `body` quickly into a `Workflow`; returns None if the strict reader must do it.

    The strict reader is written in Python and slower: each submission waits for it. msgspec suffices where
    what it does not report (doubled names, inexact numbers, NUL, deep nesting) is certainly absent.
    """
    try:
        value = _decode_json(body)
        workflow = msgspec.convert(value, Workflow)
        strict = _is_certainly_strict(workflow, value, body, limits.maximum_nesting - FREE_FORM_DEPTH)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # msgspec stops at the first error and names no line: the strict reader reports all
    return workflow if strict else None


def parse_json(body: bytes, type_: type[T]) -> T:
    """Parses the JSON body of a request other than a submission into the type `type_`.

    Raises `Malformed`, `TooLarge`, or `Invalid` with every error and a JSON pointer to each.
    """
    value, errors = read_json(_decode_utf8(body), maximum_nesting=DocumentLimits().maximum_nesting)
    if errors := errors or schema_errors(value, type_):
        raise invalid_document(errors)
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise invalid_document([field_error(error)]) from error


def document_schema() -> dict[str, Any]:
    """Returns the JSON Schema (2020-12) of workflow documents."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Waypost Workflow"}
    return dialect | msgspec.json.schema(Workflow)


def invalid_document(errors: Iterable[FieldError]) -> Invalid:
    """Builds the `Invalid` error of a document with the first `REPORTED_ERRORS` of `errors`."""
    found = list(errors)
    count = (
        f"{MAXIMUM_ERRORS} errors or more"
        if len(found) >= MAXIMUM_ERRORS
        else f"{len(found)} error{'s' if len(found) > 1 else ''}"
    )
    more = f", the first {REPORTED_ERRORS} are shown" if len(found) > REPORTED_ERRORS else ""
    return Invalid(f"the document has {count}{more}", errors=found[:REPORTED_ERRORS])


def media_kind(media_type: str) -> str:
    """Returns a media type without its parameters, such as `charset`, in lower case."""
    return media_type.partition(";")[0].strip().lower()


def _is_yaml(media_type: str, body: bytes) -> bool:
    """Returns whether `body` is YAML, else JSON, by its `media_type`.

    Without a media type, a body that begins with `{` is JSON, and any other is refused. Raises
    `UnsupportedMediaType` for a type that is neither JSON nor YAML, and for a character set other than UTF-8.
    """
    kind, charset = media_kind(media_type), CHARSET.search(media_type.partition(";")[2])
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f"the character set {charset[1][:40]}: send UTF-8")
    if kind in YAML_TYPES:
        return True
    if kind != "application/json" and (kind or not body.lstrip().startswith(b"{")):
        raise UnsupportedMediaType(
            f"{kind[:80] or 'no content type'}: send application/json or application/yaml"
        )
    return False


def _is_certainly_strict(workflow: Workflow, value: Any, body: bytes, depth: int) -> bool:
    """Returns whether the strict JSON reader would certainly find no error in `body`.

    Encoding the decoded value again gives a shorter text if a name was doubled, since the value keeps one of
    the two.
    """
    # A single byte is found ten times as fast as several.
    if b"\\" in body and b"\\u0000" in body:
        return False
    free_form = _free_form_values(workflow)
    if not (_is_certainly_bounded(free_form, depth) or _is_bounded(free_form, depth)):
        return False
    encoded = msgspec.json.encode(value)
    return encoded == body or encoded == msgspec.json.format(body, indent=-1)


def _free_form_values(workflow: Workflow) -> list[Any]:
    """Returns the values in the workflow that may be any JSON; the schema bounds all others."""
    spec = workflow.spec
    tasks = spec.all_tasks
    found: list[Any] = [task.run for task in tasks]
    found += [task.source for task in tasks if task.source is not None]
    found += [task.target for task in tasks if task.target is not None]
    found += [task.for_each for task in tasks if task.for_each is not None]
    found += [task.outputs for task in tasks if task.outputs is not None]
    return [*found, spec.params, spec.shards.items]


def _is_certainly_bounded(values: list[Any], depth: int) -> bool:
    """Returns True only if `_is_bounded` would; it sees that of nearly every document in half the time.

    No integer is too large where no 16 digits follow each other. And a value that were nested too deep would
    have more than `depth` opening brackets, beside those that the other objects and arrays have.
    """
    text = msgspec.json.encode(values)
    others = [type(value) in _CONTAINERS for value in values].count(True)
    brackets = text.count(b"{") + text.count(b"[") - 1
    return brackets - (others - 1) <= depth and LONG_INTEGER not in text.translate(DIGITS_AS_ZEROS)


def _is_bounded(values: list[Any], depth: int) -> bool:
    """Returns whether integers in `values` are exact in a double, and the nesting is at most `depth` deep.

    It goes level by level, for speed, and looks at single values only where their types require it.
    """
    while True:
        types = set(map(type, values))
        if int in types and any(type(value) is int and abs(value) > EXACT for value in values):
            return False
        if _CONTAINERS.isdisjoint(types):
            return True
        depth -= 1
        if depth < 0:
            return False
        inner: list[Any] = []
        for value in values:
            if type(value) is dict:
                inner += value.values()
            elif type(value) in _CONTAINERS:
                inner += value
        values = inner


def _decode_utf8(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8: byte {error.start} cannot be there") from error
    if text.startswith("\ufeff"):
        raise Malformed("begins with a byte order mark: leave it out")
    return text


def _convert(value: Any, errors: list[FieldError], partial_checks: PartialChecks | None) -> Workflow:
    if errors:
        raise invalid_document(errors)
    if isinstance(value, dict) and "workflow" in value and not DOCUMENT_FIELDS & set(value):
        pointed = [FieldError("/workflow", "names a released workflow, and is no field of a document")]
        raise Invalid(
            "a submission by name is JSON of at most 64 KiB, sent as application/json", errors=pointed
        )
    try:
        return msgspec.convert(value, Workflow)
    except msgspec.ValidationError as error:
        # msgspec refuses a few values that the JSON Schema generated from the same types permits.
        found = schema_errors(value, Workflow) or [field_error(error)]
        if partial_checks is not None and len(found) < MAXIMUM_ERRORS:
            found += partial_checks(value, found)
        raise invalid_document(found) from error
