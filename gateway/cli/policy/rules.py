"""`waypost policy check|test|evaluate|builtins`: checks, tests and evaluates Rego rules before a release."""

import itertools
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.table import Table

from gateway.cli.arguments import Format, Output
from gateway.cli.errors import Exit
from gateway.cli.output import command, console, format_count, serialize
from gateway.cli.policy import exceptions
from gateway.cli.policy.bundles import build, sign_archive, verify_archive
from gateway.cli.policy.checks import BUDGET, check_bundle
from gateway.cli.policy.corpus import read_corpus
from gateway.cli.policy.diff import diff
from gateway.cli.policy.evaluation import decide, read_input
from gateway.cli.policy.replay import replay_decisions
from gateway.cli.rollout import listing, steps
from gateway.core.decision import Action, Level
from gateway.core.principal import Principal
from gateway.identity.development_issuer import SCOPES
from gateway.policy.bundle import read_bundle
from gateway.policy.embedded.builtins import BUILTINS
from gateway.policy.embedded.rego_tests import run_rego_tests
from gateway.policy.replay import question_of
from gateway.policy.source import BundleError, Diagnostic

SHOWN_FAILURES = 3
"""The maximum number of failing tests of one file that are printed: one mistake can fail all."""

app = App(name="policy", help="Rego: try the rules before they rule.")
app.command(build)
app.command(sign_archive, name="sign")
app.command(verify_archive, name="verify")
app.command(replay_decisions, name="replay")
app.command(exceptions.app)
app.command(diff)
app.command(listing.bundles)
app.command(steps.upload)
app.command(steps.shadow)
app.command(steps.canary)
app.command(steps.activate)
app.command(steps.promote)
app.command(steps.rollback)
app.command(steps.approve)
Rules = Annotated[Path, Parameter(help="A folder of Rego files.")]


@app.command
@command
def test(directory: Rules) -> int:
    """Run every Rego test in DIRECTORY in the embedded engine. `opa test DIRECTORY` runs them in OPA."""
    try:
        report = run_rego_tests(read_bundle(directory, None, data_required=False))
    except BundleError as error:
        return _refuse(directory, error.diagnostics)
    for _, failures in itertools.groupby(report.failures, key=lambda failure: failure.file):
        first, *more = failures
        for failure in (first, *more[: SHOWN_FAILURES - 1]):
            print(_format(directory, failure))
        if (left := len(more) - SHOWN_FAILURES + 1) > 0:
            print(f"{directory / first.file}: and {left} more of its tests")
    print(report)
    return Exit.FAILED if report.failures else Exit.DONE


@app.command
@command
def check(
    directory: Rules,
    *,
    budget: Annotated[
        float,
        Parameter(validator=Number(gt=0), help="How many times what the shipped rules cost they may cost."),
    ] = BUDGET,
    corpus: Annotated[
        Path | None,
        Parameter(help="What is asked for it: an export of decisions, or a folder of inputs."),
    ] = None,
) -> int:
    """Find every problem of the rules in DIRECTORY: Rego, types, tests, builtins, the embedded engine, cost.

    Also names the rules that no decision uses, and, where an `opa` is at hand, the rules that no test
    reaches. A decision must not cost much more than by the shipped rules, nor grow faster than the document.
    """
    asked = [] if corpus is None else [bytes(one.input) for one in read_corpus(corpus) if question_of(one)]
    report = check_bundle(directory, budget=budget, corpus=asked)
    for note in report.notes:
        print(f"note: {note}")
    if report.problems:
        return _refuse(directory, report.problems)
    print(report.summary)
    return Exit.DONE


@app.command(name="eval")
@command
def evaluate(
    directory: Rules,
    document: Annotated[
        str, Parameter(help="A workflow, or a whole input (see docs/policy.md); - reads standard input.")
    ],
    *,
    action: Annotated[Action, Parameter(help="What is asked about a workflow.")] = Action.RUNS_SUBMIT,
    tenant: Annotated[str, Parameter(help="The caller's tenant.")] = "demo",
    subject: Annotated[str, Parameter(help="The caller.")] = "someone",
    issuer: Annotated[str, Parameter(help="Who vouches for the caller.")] = "https://issuer.test",
    scope: Annotated[list[str] | None, Parameter(negative="", help="A scope of the caller.")] = None,
    group: Annotated[list[str] | None, Parameter(negative="", help="A group of the caller.")] = None,
    excepted: Annotated[
        tuple[str, ...], Parameter(negative="", help="As if an exception from this rule were approved.")
    ] = (),
    opa: Annotated[bool, Parameter(negative="", help="Let an `opa` decide, in strict mode.")] = False,
    output: Output = Format.TABLE,
) -> int:
    """Evaluate the rules in DIRECTORY for one DOCUMENT: print the policy decision and its reasons.

    The caller has every scope, unless --scope names some.
    """
    principal = Principal(
        subject=subject,
        issuer=issuer,
        tenant=tenant,
        scopes=SCOPES if scope is None else tuple(scope),
        groups=tuple(group or ()),
    )
    try:
        bundle = read_bundle(directory, None, data_required=False)
        asked = read_input(document, action=action, principal=principal)
        found = decide(bundle, asked, by_opa=opa, excepted=excepted)
    except BundleError as error:
        return _refuse(directory, error.diagnostics)
    if output is Format.TABLE:
        despite = "despite" if found.allow and found.reasons else "by"
        print("allowed" if found.allow else "refused", despite, ", ".join(found.rules) or "no rule")
        for reason in found.reasons:
            note = "" if reason.level is Level.HARD else f" ({reason.level})"
            print(f"  {reason.rule}: {reason.message}{note}")
        for name, value in msgspec.to_builtins(found.obligations).items():
            if value:
                print(f"  {name}: {', '.join(value) if isinstance(value, (list, tuple)) else value}")
    else:
        shown = {name: getattr(found, name) for name in ("allow", "rules", "reasons", "obligations")}
        print(serialize(msgspec.to_builtins(shown), output), end="")
    return Exit.DONE if found.allow else Exit.REFUSED


@app.command
@command
def builtins(*, output: Output = Format.TABLE) -> None:
    """List the builtin functions that the embedded engine has of OPA's, and where they differ."""
    rows = [
        {"name": name, "embedded": one.support, "note": one.note} for name, one in sorted(BUILTINS.items())
    ]
    if output is not Format.TABLE:
        print(serialize(rows, output), end="")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("BUILTIN", "EMBEDDED", "WHERE IT DIFFERS FROM OPA"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["name"], row["embedded"], row["note"])
    console().print(table, markup=False)


def _refuse(directory: Path, diagnostics: tuple[Diagnostic, ...]) -> int:
    for diagnostic in diagnostics:
        print(_format(directory, diagnostic))
    print(f"refused: {format_count(len(diagnostics), 'problem')}")
    return Exit.FAILED


def _format(directory: Path, diagnostic: Diagnostic) -> str:
    """Formats a diagnostic with its file as a path from the working directory, which an editor can open."""
    path = directory / diagnostic.file
    return str(msgspec.structs.replace(diagnostic, file=str(path)) if path.exists() else diagnostic)
