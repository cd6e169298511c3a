"""`waypost policy diff`: compares two policy bundles, by their texts and by their decisions."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from gateway.cli.arguments import Format, Output, Since, Token, Url
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, print_value, table
from gateway.cli.policy.candidates import bundle_folder, open_candidate
from gateway.cli.policy.impact import Impact, exit_code, measure, print_counts, print_flips
from gateway.cli.policy.replay import ByOpa, Widening, corpus_of
from gateway.cli.policy.text_changes import TextChange, text_changes
from gateway.policy.bundle import Bundle, read_bundle
from gateway.policy.flips import Recorded
from gateway.policy.replay import compare
from gateway.policy.source import BundleError

SHOWN: Final = 5
"""The maximum number of rules or values of one file that the table names."""


@command
def diff(
    old: Annotated[Path, Parameter(help="The rules to compare with: a folder, or a built archive.")],
    new: Annotated[Path, Parameter(help="The other rules.")],
    /,
    *,
    decisions: Annotated[
        Path | None,
        Parameter(
            help="What to ask: a `waypost decisions export`, or a folder of inputs, each a .json file."
        ),
    ] = None,
    since: Since = None,
    opa: ByOpa = False,
    allow_widening: Widening = False,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Show which files, rules and data differ between bundles OLD and NEW, and which decisions would change.

    With --since the queries that the gateway has recorded are evaluated; without it and --decisions only the
    texts are compared. Exit code 1 where something is newly allowed, or gets no answer from NEW.
    """
    impact = None
    try:
        changes = text_changes(_read(old), _read(new))
        if decisions is not None or since is not None:
            with ExitStack() as exits:
                corpus = corpus_of(decisions, since, url, token, exits)
                impact = asyncio.run(_compare(old, new, corpus, by_opa=opa))
    except BundleError as error:
        raise CliError("the rules cannot be used", lines=tuple(str(error).splitlines())) from error
    _print(changes, impact, output)
    return Exit.DONE if impact is None else exit_code(impact, allow_widening=allow_widening)


def _read(path: Path) -> Bundle:
    with bundle_folder(path) as folder:
        return read_bundle(folder, None, data_required=False)


async def _compare(old: Path, new: Path, corpus: Iterator[Recorded], *, by_opa: bool) -> Impact:
    async with (
        open_candidate(old, None, by_opa=by_opa) as before,
        open_candidate(new, None, by_opa=by_opa) as after,
    ):
        at_once = min(before.at_once, after.at_once)
        return await measure(
            corpus, lambda asked: compare(asked, before.engine, after.engine, at_once=at_once)
        )


def _print(changes: Sequence[TextChange], impact: Impact | None, output: Format) -> None:
    flips = impact.flips if impact else ()
    if output is Format.NAME:
        print_flips(flips, output)
    elif output is not Format.TABLE:
        print_value(msgspec.to_builtins({"changes": changes, "flips": flips}), output)
    else:
        rows = ([change.kind, change.file, _shown(change.parts)] for change in changes)
        if changes:
            console().print(table(["TEXT", "FILE", "RULES OR VALUES"], rows))
        print_flips(flips, output)
    if impact is not None:
        print_counts(impact)
    elif not changes:
        console(stderr=True).print("no rule and no value differs", markup=False)


def _shown(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return ", ".join(parts[:SHOWN]) + more
