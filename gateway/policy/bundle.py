"""Reads a policy bundle from a folder: Rego modules, their tests, data and schemas; computes its revision.

Checks what does not depend on the engine: files that cannot be read, JSON that is not valid or has doubled
names, and data that does not fit its schema. Whether an engine can run the rules is for that engine to say.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from msgspec import Struct

from gateway.policy.question import ENTRY_POINTS
from gateway.policy.source import PolicySource
from waypost.distinct_names import distinct

SHIPPED_POLICIES: Final = Path(__file__).parents[2] / "policies"
"""The folder of the policies that ship with the gateway."""

TEST_SUFFIX: Final = "_test.rego"
REVISION_DIGITS: Final = 16


class Diagnostic(Struct, frozen=True, kw_only=True, gc=False, order=True):
    """One reason why a bundle cannot be used.

    `file` is relative to the folder of the bundle; `line` counts from 1, and 0 stands for the whole file.
    """

    file: str
    line: int
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.detail}" if self.line else f"{self.file}: {self.detail}"


class BundleError(Exception):
    """The bundle cannot be used. Its text is every diagnostic, one a line, with file and line."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))


class Bundle(Struct, frozen=True, kw_only=True):
    """A policy bundle as read from its folder: rules and data, tests, schemas.

    `tests` are (file name, text) of the Rego tests; `schemas` are the JSON Schemas of `input` and `data`.
    `revision` is a hash of `source`, so tests do not change it: the same text gives the same revision in
    every folder.
    """

    source: PolicySource
    tests: tuple[tuple[str, str], ...]
    schemas: dict[str, Any]
    revision: str


def read_bundle(policies: Path, data: Path | None) -> Bundle:
    """Reads the `.rego` files below `policies`, and the JSON file `data` (None: their `data/waypost.json`).

    The data must fit `schemas/data.json`: a limit with a mistyped name would limit nothing. A folder without
    schemas uses those that ship. Raises `BundleError`.
    """
    files = sorted(policies.rglob("*.rego"))
    if not files:
        raise BundleError(
            [Diagnostic(file=str(policies), line=0, detail="there are no rules here: no .rego file")]
        )
    texts = [(path.relative_to(policies).as_posix(), _text(path)) for path in files]
    schemas = {name: _schema(policies, name) for name in ("input", "data")}
    source = PolicySource(
        modules=tuple(text for text in texts if not text[0].endswith(TEST_SUFFIX)),
        data=_data(data or policies / "data" / "waypost.json", schemas["data"]),
        entry_points=tuple(sorted(set(ENTRY_POINTS.values()))),
    )
    return Bundle(
        source=source,
        tests=tuple(text for text in texts if text[0].endswith(TEST_SUFFIX)),
        schemas=schemas,
        revision=_revision(source),
    )


def _schema(policies: Path, name: str) -> Any:
    own = policies / "schemas" / f"{name}.json"
    path = own if own.exists() else SHIPPED_POLICIES / "schemas" / own.name
    try:
        return msgspec.json.decode(_text(path))
    except msgspec.DecodeError as error:
        raise BundleError(
            [Diagnostic(file=f"schemas/{path.name}", line=0, detail=f"not JSON: {error}")]
        ) from error


def _data(path: Path, schema: Any) -> str:
    text = _text(path)
    try:
        value: Any = json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            [Diagnostic(file=path.name, line=getattr(error, "lineno", 0), detail=f"not JSON: {error}")]
        ) from error
    if not isinstance(value, dict):
        raise BundleError([Diagnostic(file=path.name, line=0, detail="the data must be a JSON object")])
    errors = Draft202012Validator(schema).iter_errors(value)
    if diagnostics := [
        Diagnostic(file=path.name, line=0, detail=f"{error.json_path}: {error.message[:200]}")
        for error in errors
    ]:
        raise BundleError(sorted(diagnostics))
    return text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(
            [Diagnostic(file=str(path), line=0, detail=error.strerror or "cannot be read")]
        ) from error
    except UnicodeDecodeError as error:
        raise BundleError([Diagnostic(file=path.name, line=0, detail="is not UTF-8")]) from error


def _revision(source: PolicySource) -> str:
    return hashlib.sha256(msgspec.json.encode(source)).hexdigest()[:REVISION_DIGITS]
