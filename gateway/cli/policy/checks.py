"""Checks a policy bundle before its release: finds the problems of its rules, data, tests and cost."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from gateway.cli.dev.opa_program import find_opa
from gateway.cli.policy import opa_program
from gateway.cli.policy.cost import Cost, check_cost
from gateway.cli.policy.opa_cost import check_cost_in_opa
from gateway.mesh.reading import MeshError, read_services
from gateway.mesh.request import SERVICES_RULE
from gateway.policy.bundle import DATA_FILE, MANIFEST_FILE, OPA_ENGINE, SHIPPED_POLICIES, Bundle, read_bundle
from gateway.policy.embedded.gate import check_rules, nondeterministic_calls, unused_rules
from gateway.policy.embedded.interpreter import Interpreter, parse_modules
from gateway.policy.embedded.loading import missing_rules
from gateway.policy.embedded.rego_tests import run_rego_tests
from gateway.policy.service_files import service_files
from gateway.policy.source import BundleError, Diagnostic

BUDGET: Final = 10.0
"""The factor by which a policy decision may cost more than by the shipped rules."""


class CheckReport(Struct, frozen=True, kw_only=True):
    """The result of checking a policy bundle: its problems, notes for its author, and a summary line."""

    problems: tuple[Diagnostic, ...]
    notes: tuple[str, ...] = ()
    summary: str = ""


def check_bundle(directory: Path, *, budget: float = BUDGET, corpus: Sequence[bytes] = ()) -> CheckReport:
    """Checks the policy bundle in `directory`: rules, data, tests and cost; in OPA too if one is found.

    A policy decision may cost at most `budget` times what it costs by the shipped rules, but for one in a
    hundred of the queries in `corpus`.
    """
    opa = find_opa()
    try:
        bundle = read_bundle(directory, None, data_required=False)
    except BundleError as error:
        return CheckReport(problems=_problems_beside_data(directory, error.diagnostics, opa))
    problems, notes, deciding = _check_rules(bundle)
    problems += _service_problems(directory)
    if not deciding:
        notes.append("no rule here decides about an action: strict mode and the input's schema are left out")
    if opa is None:
        notes.append("no opa here: types were not checked, nor what the tests reach (`make opa` gets one)")
    else:
        problems += _checked_by_opa(opa, directory, notes, problems, deciding=deciding)
    if deciding and not problems:
        cost = _cost(opa, bundle, budget, corpus)
        problems += cost.problems
        notes += [cost.note] if cost.note else []
    notes += _unknown_levels(bundle)
    if not bundle.tests:
        notes.append("no tests: a rule test_... in a file ..._test.rego, beside the rules")
    if bundle.engine == OPA_ENGINE:
        notes.append("for OPA alone: the embedded engine does not take this bundle")
        if opa is None:
            problems.append(
                Diagnostic(file=MANIFEST_FILE, line=0, detail="engine opa can only be checked with an opa")
            )
    return CheckReport(
        problems=tuple(sorted(set(problems))),
        notes=tuple(notes),
        summary=f"revision {bundle.revision}: {len(bundle.source.modules)} modules",
    )


def _service_problems(directory: Path) -> list[Diagnostic]:
    """Returns the problems of the bundle's service files, as `waypost mesh` finds them."""
    files = {path.relative_to(directory).as_posix(): path.read_bytes() for path in service_files(directory)}
    try:
        read_services(files)
    except MeshError as error:
        return [
            Diagnostic(file=one.file, line=0, detail=f"{one.pointer} {one.detail}".strip())
            for one in error.problems
        ]
    return []


def _problems_beside_data(
    directory: Path, problems: tuple[Diagnostic, ...], opa: Path | None
) -> tuple[Diagnostic, ...]:
    """Returns `problems`, and the problems of the bundle's rules if all `problems` are about its data file.

    Unusable data would hide what is wrong with the rules, so these are checked with the shipped data.
    """
    if any(one.file != DATA_FILE for one in problems):
        return problems
    try:
        bundle = read_bundle(directory, SHIPPED_POLICIES / DATA_FILE)
        modules = parse_modules(bundle.source.modules)
    except BundleError as error:
        return tuple(sorted({*problems, *error.diagnostics}))
    found = [*problems, *nondeterministic_calls(modules)]
    if bundle.engine != OPA_ENGINE:
        found += check_rules(modules)
    if opa is not None:
        deciding = len(list(missing_rules(modules, bundle))) < len(bundle.source.entry_points)
        compiled = _checked_by_opa(opa, directory, [], found, deciding=deciding)
        # What OPA says of the data stands there already.
        found += [one for one in compiled if one.file != DATA_FILE]
    return tuple(sorted(set(found)))


def _unknown_levels(bundle: Bundle) -> Iterator[str]:
    """Yields a note for each rule id in the data's `levels` that no Rego module names: it may be misspelt."""
    levels: dict[str, str] = json.loads(bundle.source.data).get("levels", {})
    text = "\n".join(text for _, text in bundle.source.modules)
    for rule in levels:
        # A house rule may give its sentence alone; then its id is `house`.
        if f'"{rule}"' not in text:
            yield f"{DATA_FILE}: levels: no rule here has the id {rule}"


def _check_rules(bundle: Bundle) -> tuple[list[Diagnostic], list[str], bool]:
    """Returns the problems and notes of the bundle's rules, and whether any rule decides about an action."""
    try:
        modules = parse_modules(bundle.source.modules)
    except BundleError as error:
        # A bundle for OPA may use what the embedded engine's parser does not know.
        return ([] if bundle.engine == OPA_ENGINE else list(error.diagnostics)), [], True
    missing = list(missing_rules(modules, bundle))
    deciding = len(missing) < len(bundle.source.entry_points)
    problems = nondeterministic_calls(modules) + (missing if deciding else [])
    # What is asked about services of a mesh is no action of a gateway.
    asked = (*bundle.source.entry_points, SERVICES_RULE)
    notes = [str(unused) for unused in unused_rules(modules, asked)] if deciding else []
    if bundle.engine != OPA_ENGINE:
        problems += check_rules(modules)
        problems += () if problems else _embedded_problems(bundle)
    return problems, notes, deciding


def _cost(opa: Path | None, bundle: Bundle, budget: float, corpus: Sequence[bytes]) -> Cost:
    if bundle.engine != OPA_ENGINE:
        return check_cost(bundle, parse_modules(bundle.source.modules), budget=budget, corpus=corpus)
    if opa is None:
        return Cost(problems=(), note="")
    return check_cost_in_opa(opa, bundle, budget=budget, corpus=corpus)


def _embedded_problems(bundle: Bundle) -> Iterator[Diagnostic]:
    """Loads the bundle's rules in the embedded engine and runs their tests; yields the problems."""
    try:
        if bundle.tests:
            yield from run_rego_tests(bundle).failures
        else:
            Interpreter(bundle.source)
    except BundleError as error:
        yield from error.diagnostics


def _checked_by_opa(
    opa: Path, directory: Path, notes: list[str], found: list[Diagnostic], *, deciding: bool
) -> list[Diagnostic]:
    """Checks the bundle with the `opa` program; returns its problems, without those in lines of `found`.

    `found` are the problems that other checks found, `deciding` says whether any rule decides about an action
    (else OPA checks less strictly). If there are no problems at all, runs the bundle's tests in OPA too:
    returns their failures, and adds a sentence about their coverage to `notes`.
    """
    try:
        places = {(problem.file, problem.line) for problem in found}
        compiled = opa_program.check_rules(opa, directory, deciding=deciding)
        problems = [one for one in compiled if (one.file, one.line) not in places]
        if not problems and not found:
            problems, covered = opa_program.test_rules(opa, directory)
            notes += [covered] if covered else []
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return [Diagnostic(file=str(opa), line=0, detail=f"does not run: {error}")]
    return problems
