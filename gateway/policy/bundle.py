"""Reads a policy bundle from a folder: Rego modules, their tests, data and schemas; computes its revision.

Checks what does not depend on the engine: files that cannot be read, JSON that is not valid or has doubled
names, and data that does not fit its schema. Each engine checks by itself whether it can run the rules.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator
from msgspec import Struct

from gateway.core.decision import Level
from gateway.policy.answer import ALWAYS_HARD, level_of
from gateway.policy.question import ENTRY_POINTS
from gateway.policy.service_files import SERVICES_FOLDER, read_service_files
from gateway.policy.source import BundleError, Diagnostic, PolicySource
from waypost.distinct_names import distinct

SHIPPED_POLICIES: Final = Path(__file__).parents[2] / "policies"
"""The folder of the policies that ship with the gateway."""

SCHEMAS: Final = Path(__file__).parent / "schemas"
"""The folder of the JSON Schemas of `input` and `data`; in a bundle OPA would load them as data."""

DATA_FILE: Final = "data.json"
OPA_DATA_FILES: Final = (DATA_FILE, "data.yaml", "data.yml")
"""The names of the data files that OPA loads from each folder."""
MANIFEST_FILE: Final = ".manifest"
OPA_ENGINE: Final = "opa"
TEST_SUFFIX: Final = "_test.rego"
REVISION_DIGITS: Final = 16


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
    engine: str = ""
    """The only engine that can evaluate the bundle, from its `.manifest`: `opa`; empty for any."""


def level_in(bundle: Bundle, rule: str) -> Level | None:
    """Returns the enforcement level of a bundle's policy rule `rule` (an id); None if it has no such rule."""
    levels: Mapping[str, Level] = json.loads(bundle.source.data).get("levels", {})
    # A house rule may give its sentence alone; its id, `house`, stands in the rules that ship.
    if rule in levels or any(f'"{rule}"' in text for _, text in bundle.source.modules):
        return level_of(rule, levels)
    return None


def read_bundle(policies: Path, data: Path | None, *, data_required: bool = True) -> Bundle:
    """Reads a policy bundle: the `.rego` files below the folder `policies`, and the JSON file `data`.

    `data` None: the `data.json` in that folder; where there is none and it is not `data_required`, the data
    are an empty object. To them come the folder's service files, as `services`. The data must fit their
    schema: a limit with a mistyped name would limit nothing.
    Raises `BundleError` if the folder has no rules or a further data file, or if a file is missing,
    unreadable or invalid.
    """
    files = sorted(policies.rglob("*.rego"))
    if not files:
        raise BundleError(
            [Diagnostic(file=str(policies), line=0, detail="there are no rules here: no .rego file")]
        )
    if left_out := list(_data_elsewhere(policies)):
        raise BundleError(left_out)
    texts = [(path.relative_to(policies).as_posix(), _text(path)) for path in files]
    path = data or policies / DATA_FILE
    empty = data is None and not data_required and not path.exists()
    text = None if empty else _text(path)
    services = read_service_files(policies)
    if services:
        text = _with_services(path.name, "{}" if text is None else text, services)
    return bundle_of(texts, text, data_file=path.name, engine=_engine(policies / MANIFEST_FILE))


def _with_services(name: str, text: str, services: dict[str, Any]) -> str:
    """Returns the JSON text `text` of the data file `name` with `services` in it.

    A text that is no JSON object is returned as it is: what is wrong with it is found later.
    """
    try:
        value = json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict):
        return text
    if SERVICES_FOLDER in value:
        detail = f"$.{SERVICES_FOLDER}: stands in the files of the folder {SERVICES_FOLDER}"
        raise BundleError([Diagnostic(file=name, line=0, detail=detail)])
    return json.dumps(value | {SERVICES_FOLDER: services}, ensure_ascii=False)


def _data_elsewhere(policies: Path) -> Iterator[Diagnostic]:
    """Yields a diagnostic for each data file in a bundle's folder other than the `data.json` at its top.

    OPA would load such files and the gateway would not: rules that read their data, and pass the tests on
    OPA, would find the data undefined in the gateway and refuse nothing.
    """
    for name in OPA_DATA_FILES:
        for path in sorted(policies.rglob(name)):
            if path != policies / DATA_FILE:
                file = path.relative_to(policies).as_posix()
                detail = f"a bundle has one {DATA_FILE}, at the top: what your rules read goes below `house`"
                yield Diagnostic(file=file, line=0, detail=detail)


def bundle_of(
    modules: Iterable[tuple[str, str]], data: str | None, *, data_file: str = DATA_FILE, engine: str = ""
) -> Bundle:
    """Builds a bundle from Rego modules (file name and text, tests among them) and the JSON text of its data.

    `data_file` is the data's name in diagnostics; `data` None stands for an empty object. Raises
    `BundleError` if the data are not a JSON object that fits the schema, or soften an always hard rule.
    """
    texts = tuple(modules)
    schemas = {
        name: msgspec.json.decode((SCHEMAS / f"{name}.json").read_bytes()) for name in ("input", "data")
    }
    source = PolicySource(
        modules=tuple(text for text in texts if not text[0].endswith(TEST_SUFFIX)),
        data="{}" if data is None else _data(data_file, data, schemas["data"]),
        entry_points=tuple(sorted(set(ENTRY_POINTS.values()))),
    )
    return Bundle(
        source=source,
        tests=tuple(text for text in texts if text[0].endswith(TEST_SUFFIX)),
        schemas=schemas,
        revision=_revision(source),
        engine=engine,
    )


def _engine(path: Path) -> str:
    """Returns the engine that a bundle's manifest file `path` requires (`opa`); empty if it requires none.

    Raises `BundleError` if the file is no manifest, or names another engine.
    """
    if not path.exists():
        return ""
    try:
        manifest: Any = msgspec.json.decode(_text(path))
        engine = manifest.get("metadata", {}).get("engine", "")
    except (msgspec.DecodeError, AttributeError) as error:
        raise BundleError([Diagnostic(file=path.name, line=0, detail=f"not a manifest: {error}")]) from error
    if engine not in ("", OPA_ENGINE):
        raise BundleError(
            [Diagnostic(file=path.name, line=0, detail=f"metadata.engine is {engine!r}: opa, or none")]
        )
    return str(engine)


def _data(name: str, text: str, schema: Any) -> str:
    try:
        value: Any = json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            [Diagnostic(file=name, line=getattr(error, "lineno", 0), detail=f"not JSON: {error}")]
        ) from error
    if not isinstance(value, dict):
        raise BundleError([Diagnostic(file=name, line=0, detail="the data must be a JSON object")])
    errors = Draft202012Validator(schema).iter_errors(value)
    diagnostics = [
        Diagnostic(file=name, line=0, detail=f"{error.json_path}: {error.message[:200]}") for error in errors
    ]
    if diagnostics := diagnostics or _levels_without_effect(name, value.get("levels", {})):
        raise BundleError(sorted(diagnostics))
    return text


def _levels_without_effect(file: str, levels: Mapping[str, str]) -> list[Diagnostic]:
    return [
        Diagnostic(file=file, line=0, detail=f"$.levels: {rule} is about who calls, and always hard")
        for rule, level in levels.items()
        if level != Level.HARD and rule in ALWAYS_HARD
    ]


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
