"""Checks a bundle for the embedded engine and compiles it.

Rules that the engine would not evaluate as OPA does are refused, with file and line.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import regorus

from gateway.policy.bundle import Bundle, BundleError, Diagnostic, read_bundle
from gateway.policy.embedded.evaluator import EvaluationError, VirtualMachine, one_line
from gateway.policy.embedded.subset.constructs import check_constructs
from gateway.policy.embedded.subset.syntax_tree import SyntaxNode
from gateway.policy.embedded.subset.type_check import check_types
from gateway.policy.embedded.subset.types import resolve_references
from gateway.policy.embedded.subset.unknown_fields import check_fields
from gateway.policy.source import PolicySource


def load_bundle(policies: Path, data: Path | None) -> Bundle:
    """Reads the policy bundle in the folder `policies`, and checks its rules against its JSON Schemas.

    Those are the schemas of `input` and `data`. `data` is a JSON file in place of the bundle's data, or None.
    Raises `BundleError`, also for rules that name fields which the schemas do not know, and for calls whose
    arguments may have a type that the called function does not take.
    """
    bundle = read_bundle(policies, data)
    trees = parse_modules(bundle.source.modules)
    schemas = {name: resolve_references(schema) for name, schema in bundle.schemas.items()}
    # An unknown field has an unknown type: its type errors would only repeat what was found first.
    if diagnostics := check_fields(trees, schemas) or check_types(trees, schemas):
        raise BundleError(diagnostics)
    return bundle


def compile_source(source: PolicySource) -> VirtualMachine:
    """Compiles rules for the virtual machine.

    Raises `BundleError` if they use constructs that it does not evaluate correctly, or do not compile.
    """
    if diagnostics := check_constructs(parse_modules(source.modules)):
        raise BundleError(diagnostics)
    try:
        return VirtualMachine(source)
    except EvaluationError as error:
        raise BundleError([_diagnostic(str(error))]) from error


def parse_modules(modules: Sequence[tuple[str, str]]) -> list[SyntaxNode]:
    """Parses each module into its syntax tree.

    Raises `BundleError`, with a diagnostic for each module that is not Rego.
    """
    engine, diagnostics = regorus.Engine(), []
    for file, text in modules:
        try:
            engine.add_policy(file, text)
        except RuntimeError as error:
            diagnostics.append(_diagnostic(one_line(error)))
    if diagnostics:
        raise BundleError(diagnostics)
    trees: list[SyntaxNode] = msgspec.json.decode(engine.get_ast_as_json())
    return trees


def _diagnostic(text: str) -> Diagnostic:
    """Makes a diagnostic of regorus' `file:line: detail`; other text becomes one about `rules` as a whole."""
    file, _, rest = text.partition(":")
    line, _, detail = rest.partition(":")
    if line.isdigit():
        return Diagnostic(file=file, line=int(line), detail=detail.strip())
    return Diagnostic(file="rules", line=0, detail=text)
