"""`waypost policy`: runs the tests of Rego rules, and checks that the embedded engine takes the rules."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from gateway.cli.errors import Exit
from gateway.cli.output import command, console, format_count
from gateway.policy.bundle import BundleError, Diagnostic
from gateway.policy.embedded.compilation import compile_source, load_bundle
from gateway.policy.embedded.rego_tests import run_rego_tests

app = App(name="policy", help="Rego: try the rules before they rule.")
Rules = Annotated[Path, Parameter(help="A folder of Rego files.")]


@app.command
@command
def test(directory: Rules) -> int:
    """Run every test in DIRECTORY, in both evaluators."""
    try:
        report = run_rego_tests(load_bundle(directory, None))
    except BundleError as error:
        return _print_diagnostics(directory, error.diagnostics)
    for failure in report.failures:
        console().print(_format_diagnostic(directory, failure), markup=False)
    print(report)
    return Exit.FAILED if report.failures else Exit.DONE


@app.command
@command
def check(directory: Rules) -> int:
    """Check that the embedded engine takes the rules in DIRECTORY, and print their revision."""
    try:
        bundle = load_bundle(directory, None)
        compile_source(bundle.source)
    except BundleError as error:
        return _print_diagnostics(directory, error.diagnostics)
    print(f"revision {bundle.revision}: {len(bundle.source.modules)} modules")
    return Exit.DONE


def _print_diagnostics(directory: Path, diagnostics: tuple[Diagnostic, ...]) -> int:
    for diagnostic in diagnostics:
        console().print(_format_diagnostic(directory, diagnostic), markup=False)
    print(f"refused: {format_count(len(diagnostics), 'problem')}")
    return Exit.FAILED


def _format_diagnostic(directory: Path, diagnostic: Diagnostic) -> str:
    """Formats a diagnostic with its file as a path from the working directory, which an editor can open."""
    path = directory / diagnostic.file
    return str(msgspec.structs.replace(diagnostic, file=str(path)) if path.exists() else diagnostic)
