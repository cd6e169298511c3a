"""The rules in a folder, with their data: read, examined, named by a revision. What cannot be decided by never gets further than here."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import regorus
from jsonschema import Draft202012Validator
from msgspec import Struct

from gateway.policy.embedded.evaluator import EvaluationError, Machine, Rules, plain
from gateway.policy.embedded.subset.constructs import gate
from gateway.policy.embedded.subset.syntax_tree import Node, Problem
from gateway.policy.embedded.subset.type_check import unfit
from gateway.policy.embedded.subset.types import tied
from gateway.policy.embedded.subset.unknown_fields import misspelt
from gateway.policy.question import ENTRY_POINTS
from waypost.strict_json import distinct

SHIPPED: Final = Path(__file__).parents[2] / "policies"
"""The rules that come with the gateway."""
TESTS: Final = "_test.rego"
REVISION_DIGITS: Final = 16


class BundleError(Exception):
    """The rules cannot be used. Prints every problem with file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Bundle(Struct, frozen=True, kw_only=True):
    """`revision` names rules and data, tests left out: the same text gives the same revision, wherever it lies."""

    rules: Rules
    tests: tuple[tuple[str, str], ...]
    revision: str


def read(policies: Path, data: Path | None) -> Bundle:
    """The `.rego` files below `policies` and `data` (None: its `data/waypost.json`), not examined yet.

    Data is held against `schemas/data.json`, and what the rules name of data and input against it and `schemas/input.json`: a limit with
    a mistyped name would limit nothing. By them it is also known what calls get. A folder without these is held against those that ship.
    Raises `BundleError`.
    """
    files = sorted(policies.rglob("*.rego"))
    if not files:
        raise BundleError(
            [Problem(file=str(policies), line=0, detail="there are no rules here: no .rego file")]
        )
    sources = [(path.relative_to(policies).as_posix(), _text(path)) for path in files]
    schemas = {name: _schema(policies, name) for name in ("input", "data")}
    text = _data(data or policies / "data" / "waypost.json", schemas["data"])
    modules = tuple(source for source in sources if not source[0].endswith(TESTS))
    trees, shapes = syntax_trees(modules), {name: tied(schema) for name, schema in schemas.items()}
    if problems := misspelt(trees, shapes) or unfit(trees, shapes):
        raise BundleError(problems)
    rules = Rules(modules=modules, data=text, entry_points=tuple(sorted(set(ENTRY_POINTS.values()))))
    return Bundle(
        rules=rules,
        tests=tuple(source for source in sources if source[0].endswith(TESTS)),
        revision=_revision(rules),
    )


def examine(rules: Rules) -> Machine:
    """The machine that decides by the rules, once they have passed the gate. Raises `BundleError`."""
    if problems := gate(syntax_trees(rules.modules)):
        raise BundleError(problems)
    try:
        return Machine(rules)
    except EvaluationError as error:
        raise BundleError([_problem(str(error))]) from error


def syntax_trees(modules: Sequence[tuple[str, str]]) -> list[Node]:
    """The parser's tree of each module. Raises `BundleError` for each that is not Rego."""
    engine, problems = regorus.Engine(), []
    for file, text in modules:
        try:
            engine.add_policy(file, text)
        except RuntimeError as error:
            problems.append(_problem(plain(error)))
    if problems:
        raise BundleError(problems)
    trees: list[Node] = msgspec.json.decode(engine.get_ast_as_json())
    return trees


def _problem(text: str) -> Problem:
    file, _, rest = text.partition(":")
    line, _, detail = rest.partition(":")
    if line.isdigit():
        return Problem(file=file, line=int(line), detail=detail.strip())
    return Problem(file="rules", line=0, detail=text)


def _schema(policies: Path, name: str) -> Any:
    own = policies / "schemas" / f"{name}.json"
    path = own if own.exists() else SHIPPED / "schemas" / own.name
    try:
        return msgspec.json.decode(_text(path))
    except msgspec.DecodeError as error:
        raise BundleError(
            [Problem(file=f"schemas/{path.name}", line=0, detail=f"not JSON: {error}")]
        ) from error


def _data(path: Path, schema: Any) -> str:
    text = _text(path)
    try:
        value: Any = json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            [Problem(file=path.name, line=getattr(error, "lineno", 0), detail=f"not JSON: {error}")]
        ) from error
    if not isinstance(value, dict):
        raise BundleError([Problem(file=path.name, line=0, detail="the data must be a JSON object")])
    errors = Draft202012Validator(schema).iter_errors(value)
    if problems := [
        Problem(file=path.name, line=0, detail=f"{error.json_path}: {error.message[:200]}")
        for error in errors
    ]:
        raise BundleError(sorted(problems))
    return text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(
            [Problem(file=str(path), line=0, detail=error.strerror or "cannot be read")]
        ) from error
    except UnicodeDecodeError as error:
        raise BundleError([Problem(file=path.name, line=0, detail="is not UTF-8")]) from error


def _revision(rules: Rules) -> str:
    return hashlib.sha256(msgspec.json.encode(rules)).hexdigest()[:REVISION_DIGITS]
