"""Checks the schemas that tasks declare for their outputs, and which paths in an output they allow.

A schema is JSON Schema 2020-12. No reference may leave it: nothing is fetched. It is applied to an output in
the cluster, in a process that can be killed (`waypost.output_validation`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator
from referencing.jsonschema import DRAFT202012

from waypost.json_pointer import FieldError, below
from waypost.workflow.ijson_limits import NESTING
from waypost.workflow.task import TaskSpec

SCHEMA_BYTES: Final = 32_768
SCHEMA_OBJECTS: Final = 500
"""The most bytes, and JSON objects, of all different schemas of a document.

To check one object against the metaschema takes 0.4 ms.
"""
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REFERENCES: Final = ("$ref", "$dynamicRef")
NO_IDENTITY: Final = ("$id", "$anchor", "$dynamicAnchor", "$vocabulary")
"""The keywords that name a schema, or change what a reference in it means; no task needs them."""
METASCHEMA: Final[Validator] = Draft202012Validator(Draft202012Validator.META_SCHEMA)


def output_schema_errors(tasks: Iterable[tuple[str, TaskSpec]]) -> Iterator[FieldError]:
    """Yields the errors in the schemas of outputs (`tasks[].outputs`); each task comes with its pointer."""
    places: dict[bytes, tuple[str, Any]] = {}
    for pointer, task in tasks:
        if task.outputs is not None:
            places.setdefault(msgspec.json.encode(task.outputs), (f"{pointer}/outputs", task.outputs))
    # Counted before any is checked: that takes long.
    size, objects = sum(map(len, places)), sum(schema.count(b"{") for schema in places)
    if size > SCHEMA_BYTES or objects > SCHEMA_OBJECTS:
        yield FieldError(
            "/spec/tasks",
            f"the schemas of outputs have {size} bytes and {objects} objects;"
            f" {SCHEMA_BYTES} and {SCHEMA_OBJECTS} are allowed",
        )
        return
    for at, schema in places.values():
        faults = {below(at, *error.absolute_path): error for error in METASCHEMA.iter_errors(schema)}
        yield from (FieldError(pointer, error.message[:200]) for pointer, error in faults.items())
        if not faults:
            yield from _reference_errors(schema, schema, at)


def _reference_errors(schema: Any, root: Any, at: str) -> Iterator[FieldError]:
    """Yields an error for each part of a valid schema that cannot be applied: patterns and references."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        waiting += DRAFT202012.subresources_of(part)
        if not isinstance(part, Mapping):
            continue
        for name in REFERENCES:
            if name in part and _resolve(part[name], root) is None:
                yield FieldError(at, f"{name} {part[name][:80]} leads nowhere: write #/$defs/NAME")
        yield from (FieldError(at, f"{name} is not supported") for name in NO_IDENTITY if name in part)
        if part.get("$schema", DIALECT) != DIALECT:
            yield FieldError(at, f"$schema is {part['$schema'][:80]}; {DIALECT} is read")
        for pattern in (*part.get("patternProperties", ()), *filter(None, (part.get("pattern"),))):
            if (fault := _pattern_fault(pattern)) is not None:
                yield FieldError(at, f"pattern {pattern[:80]!r}: {fault}")


def _pattern_fault(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)[:100]
    return None


def _resolve(reference: str, root: Any) -> Any:
    """Returns the part of the schema `root` that a reference names; None if there is none."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    found = root
    for part in reference.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name[:9]) < len(found):
            found = found[int(name[:9])]
        else:
            return None
    return found if isinstance(found, Mapping | bool) else None


class Verdict(Enum):
    """What a schema says of a path in an output: impossible, undeclared, unrestricted or declared."""

    IMPOSSIBLE = 0
    UNDECLARED = 1
    """The schema names the fields that there are, and this one is not among them."""
    OPEN = 2
    DECLARED = 3


class OutputPaths:
    """Finds which paths an output can have by its schema, whose fields count as all that there are.

    That holds unless `additionalProperties` allows others: so a name with a typing error is found.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root = schema
        self._known: dict[tuple[int, tuple[str, ...]], Verdict] = {}
        """What was found, by the part of the schema and the path below it: parts may refer to each other."""

    def missing(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        """Returns the beginning of `path` that no output can have; None if an output may have the path."""
        if len(path) > NESTING:
            return path[: NESTING + 1]
        beginnings = (path[: end + 1] for end in range(len(path)))
        return next((one for one in beginnings if self._verdict(self._root, one).value < 2), None)

    def _verdict(self, schema: Any, path: tuple[str, ...]) -> Verdict:
        if isinstance(schema, bool) or not isinstance(schema, Mapping):
            return Verdict.IMPOSSIBLE if schema is False else Verdict.OPEN
        key = (id(schema), path)
        if key not in self._known:
            self._known[key] = Verdict.OPEN  # what refers to itself restricts nothing further
            self._known[key] = self._judge(schema, path)
        return self._known[key]

    def _judge(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> Verdict:
        verdicts = [self._field(schema, path)] if path else []
        if isinstance(reference := schema.get("$ref"), str):
            verdicts.append(self._verdict(_resolve(reference, self._root), path))
        verdicts += (self._verdict(part, path) for part in schema.get("allOf", ()))
        for keyword in ("anyOf", "oneOf"):
            if branches := [self._verdict(part, path) for part in schema.get(keyword, ())]:
                verdicts.append(max(branches, key=lambda verdict: verdict.value))
        # One part of a schema may declare what another does not speak of.
        if Verdict.IMPOSSIBLE in verdicts:
            return Verdict.IMPOSSIBLE
        for verdict in (Verdict.DECLARED, Verdict.UNDECLARED):
            if verdict in verdicts:
                return verdict
        return Verdict.OPEN

    def _field(self, schema: Mapping[str, Any], path: tuple[str, ...]) -> Verdict:
        """Returns what the keywords of `schema` itself say of `path`, which has a name at least."""
        name, rest = path[0], path[1:]
        kinds = schema.get("type", ("object", "array"))
        if name.isdecimal() and "array" in kinds and "properties" not in schema:
            items = [*schema.get("prefixItems", ())]
            place = int(name[:9])
            wanted = items[place] if place < len(items) else schema.get("items", True)
            return self._verdict(wanted, rest)
        if "object" not in kinds:
            return Verdict.IMPOSSIBLE
        properties = schema.get("properties", {})
        if name in properties:
            below_it = self._verdict(properties[name], rest)
            return below_it if below_it.value < 2 else Verdict.DECLARED
        # A pattern may be one that takes for ever: it is not tried here.
        if "patternProperties" in schema:
            return Verdict.OPEN
        if "additionalProperties" in schema:
            return self._verdict(schema["additionalProperties"], rest)
        return Verdict.UNDECLARED if properties else Verdict.OPEN
