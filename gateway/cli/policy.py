"""`waypost policy`: the rules' own tests, and whether the embedded engine would take the rules."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from gateway.cli.output import command
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
        return _refuse(directory, error.diagnostics)
    for problem in report.failures:
        print(_openable(directory, problem))
    print(report)
    return 1 if report.failures else 0


@app.command
@command
def check(directory: Rules) -> int:
    """Say whether the embedded engine takes the rules in DIRECTORY, and what revision they are."""
    try:
        bundle = load_bundle(directory, None)
        compile_source(bundle.source)
    except BundleError as error:
        return _refuse(directory, error.diagnostics)
    print(f"revision {bundle.revision}: {len(bundle.source.modules)} modules")
    return 0


def _refuse(directory: Path, problems: tuple[Diagnostic, ...]) -> int:
    for problem in problems:
        print(_openable(directory, problem))
    print(f"refused: {len(problems)} problem{'s' if len(problems) > 1 else ''}")
    return 1


def _openable(directory: Path, problem: Diagnostic) -> str:
    """With the path of its file as it can be opened from here."""
    path = directory / problem.file
    return str(msgspec.structs.replace(problem, file=str(path)) if path.exists() else problem)
