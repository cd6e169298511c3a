"""Loads a policy bundle for the embedded engine, and checks that the engine can evaluate it.

Rules that the engine would not evaluate as OPA does are refused, with file and line.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.policy.bundle import MANIFEST_FILE, OPA_ENGINE, Bundle, read_bundle
from gateway.policy.embedded.gate import check_rules, nondeterministic_calls
from gateway.policy.embedded.interpreter import Interpreter, parse_modules
from gateway.policy.embedded.syntax_tree import Module, head_of
from gateway.policy.source import BundleError, Diagnostic


def load_bundle(policies: Path, data: Path | None) -> Bundle:
    """Reads the policy bundle in the folder `policies`; the JSON file `data`, if any, replaces its data.

    Raises `BundleError`, also for rules that the embedded engine would evaluate otherwise than OPA.
    """
    bundle = read_bundle(policies, data)
    if bundle.engine == OPA_ENGINE:
        detail = "this bundle wants engine opa: set policy.engine to one"
        raise BundleError([Diagnostic(file=MANIFEST_FILE, line=0, detail=detail)])
    if diagnostics := check_bundle(bundle):
        raise BundleError(diagnostics)
    return bundle


def check_bundle(bundle: Bundle) -> list[Diagnostic]:
    """Returns a diagnostic for each problem that keeps the embedded engine from using a policy bundle."""
    try:
        modules = parse_modules(bundle.source.modules)
    except BundleError as error:
        return list(error.diagnostics)
    found = {*nondeterministic_calls(modules), *check_rules(modules), *missing_rules(modules, bundle)}
    if not found:
        try:
            Interpreter(bundle.source)
        except BundleError as error:
            found.update(error.diagnostics)
    return sorted(found)


def missing_rules(modules: Sequence[Module], bundle: Bundle) -> Iterator[Diagnostic]:
    """Yields a diagnostic for each entry point that no Rego rule of the bundle defines."""
    defined = {".".join(module.resolve(head_of(rule)["refr"])) for module in modules for rule in module.rules}
    for name in bundle.source.entry_points:
        if name not in defined:
            yield Diagnostic(file="rules", line=0, detail=f"there is no rule {name}, which decides")
