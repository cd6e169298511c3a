"""From bytes to a document that its types accept; and everything that they do not, at once, each with a JSON pointer.

What comes out holds nothing that some reader further on would take otherwise: no name twice, no number beyond a double or 2^53 - 1,
no NUL, no half characters, and bounded nesting, however it was written.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import msgspec

from gateway.core.errors import Invalid, Malformed, TooLarge, UnsupportedMediaType
from gateway.documents.schema_errors import MAXIMUM_ERRORS, field_error, schema_errors
from gateway.documents.strict_json import read_json
from gateway.documents.strict_yaml import read_yaml
from gateway.documents.workflow import Workflow
from gateway.settings import Documents
from waypost.json_pointer import FieldError
from waypost.workflow.ijson import EXACT

REPORTED_ERRORS: Final = 100
YAML_TYPES: Final = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
CHARSET: Final = re.compile(r'charset\s*=\s*"?([^\s;"]*)', re.IGNORECASE)
FREE_AT: Final = 4
"""How deep the free values of a document are at least: `/spec/tasks/0/run`. A shallower one is looked at more closely than it need be."""

PartialChecks: TypeAlias = Callable[[Any, list[FieldError]], list[FieldError]]
"""Given a document and what its types refuse in it: what else is wrong."""

_plain_json = msgspec.json.Decoder().decode


def parse(
    body: bytes, media_type: str, limits: Documents, partial_checks: PartialChecks | None = None
) -> Workflow:
    """The document in `body`. Semantic errors are for `checks`; where its types refuse it, `partial_checks` looks for those too.

    Raises `TooLarge` (413), `UnsupportedMediaType` (415), `Malformed` (400: not JSON or YAML, and where) or `Invalid` (422: every error).
    """
    if len(body) > limits.maximum_bytes:
        raise TooLarge(f"the document has {len(body)} bytes; {limits.maximum_bytes} are allowed")
    if not body or body.isspace():
        raise Malformed("the document is empty")
    if media_type != "application/json" and _is_yaml(media_type, body):
        return _typed(
            *read_yaml(
                _text(body), maximum_nesting=limits.maximum_nesting, maximum_expansion=limits.maximum_bytes
            ),
            partial_checks,
        )
    try:
        value = _plain_json(body)
        workflow = msgspec.convert(value, Workflow)
        if _unquestionable(workflow, value, body, limits.maximum_nesting - FREE_AT):
            return workflow
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # the strict reader says what is wrong, and where
    return _typed(*read_json(_text(body), maximum_nesting=limits.maximum_nesting), partial_checks)


def document_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Waypost Workflow"}
    return dialect | msgspec.json.schema(Workflow)


def invalid_document(errors: Iterable[FieldError]) -> Invalid:
    """The refusal for a document with `errors`, bounded."""
    found = list(errors)
    count = (
        f"{MAXIMUM_ERRORS} errors or more"
        if len(found) >= MAXIMUM_ERRORS
        else f"{len(found)} error{'s' if len(found) > 1 else ''}"
    )
    more = f", the first {REPORTED_ERRORS} are shown" if len(found) > REPORTED_ERRORS else ""
    return Invalid(f"the document has {count}{more}", errors=found[:REPORTED_ERRORS])


def _is_yaml(media_type: str, body: bytes) -> bool:
    """Raises `UnsupportedMediaType` for what is neither YAML nor JSON. Without a type, what begins like an object is JSON."""
    kind, _, parameters = media_type.partition(";")
    kind = kind.strip().lower()
    charset = CHARSET.search(parameters)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f"the character set {charset[1][:40]}: send UTF-8")
    if kind in YAML_TYPES:
        return True
    if kind != "application/json" and (kind or not body.lstrip().startswith(b"{")):
        raise UnsupportedMediaType(
            f"{kind[:80] or 'no content type'}: send application/json or application/yaml"
        )
    return False


def _unquestionable(workflow: Workflow, value: Any, body: bytes, depth: int) -> bool:
    """A quick look that is sure when it says yes, as it does for nearly every document; the strict reader decides the partial_checks.

    Written out again, a document in which a name is there twice is shorter than it was without its spaces.
    """
    if b"\\u0000" in body or not _plain(_free(workflow), depth):
        return False
    again = msgspec.json.encode(value)
    return again == body or again == msgspec.json.format(body, indent=-1)


def _free(workflow: Workflow) -> list[Any]:
    """The values that may hold anything; what the types bound needs no look."""
    spec = workflow.spec
    found = [task.run for task in spec.tasks]
    found += [data for task in spec.tasks for data in (task.source, task.target) if data is not None]
    return [*found, spec.params, spec.shards.items]


def _plain(values: list[Any], depth: int) -> bool:
    """No large number in them, and containers within `depth` containers at most. Level by level, since each submission waits for this."""
    while values:
        inner: list[Any] = []
        nested = False
        for value in values:
            kind = type(value)
            if kind is dict:
                nested = True
                inner += value.values()
            elif kind is list or kind is tuple:
                nested = True
                inner += value
            elif kind is int and not -EXACT <= value <= EXACT:
                return False
        depth -= nested
        if depth < 0:
            return False
        values = inner
    return True


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8: byte {error.start} cannot be there") from error
    if text.startswith("\ufeff"):
        raise Malformed("begins with a byte order mark: leave it out")
    return text


def _typed(value: Any, faults: list[FieldError], partial_checks: PartialChecks | None) -> Workflow:
    if faults:
        raise invalid_document(faults)
    try:
        return msgspec.convert(value, Workflow)
    except msgspec.ValidationError as error:
        found = schema_errors(value, Workflow) or [field_error(error)]
        if partial_checks is not None and len(found) < MAXIMUM_ERRORS:
            found += partial_checks(value, found)
        raise invalid_document(found) from error
