"""`waypost policy replay`: evaluates recorded policy queries by other rules, and shows changed decisions."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.arguments import Format, Output, Since, Token, Url
from gateway.cli.client import connect
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command
from gateway.cli.policy.candidates import open_candidate
from gateway.cli.policy.corpus import parse_decision, read_corpus
from gateway.cli.policy.impact import Impact, exit_code, measure, print_counts, print_flips
from gateway.cli.records.decisions import Filters, exported
from gateway.policy.flips import Recorded
from gateway.policy.replay import replay
from gateway.policy.source import BundleError

Bundle = Annotated[Path, Parameter(help="The rules that are to be tried: a folder, or a built archive.")]
Widening = Annotated[bool, Parameter(negative="", help="That something is newly allowed is no failure.")]
ByOpa = Annotated[bool, Parameter(negative="", help="Let an `opa` decide, in strict mode.")]


@command
def replay_decisions(
    bundle: Bundle,
    /,
    *,
    decisions: Annotated[Path | None, Parameter(help="An export of `waypost decisions export`.")] = None,
    since: Since = None,
    data: Annotated[Path | None, Parameter(help="The rules' data, where it is not theirs.")] = None,
    opa: ByOpa = False,
    allow_widening: Widening = False,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Evaluate recorded policy queries by the rules in BUNDLE, and show which decisions would change.

    By default the queries are those that the gateway has recorded. Exit code 1 where something is newly
    allowed, or gets no answer.
    """
    if decisions is not None and decisions.is_dir():
        raise CliError(
            "inputs without an answer can be replayed with nothing: `waypost policy diff` takes them",
            code=Exit.USAGE,
        )
    with ExitStack() as exits:
        corpus = corpus_of(decisions, since, url, token, exits)
        try:
            impact = asyncio.run(_replay(bundle, data, corpus, by_opa=opa))
        except BundleError as error:
            raise CliError("the rules cannot be used", lines=tuple(str(error).splitlines())) from error
    print_flips(impact.flips, output)
    print_counts(impact)
    return exit_code(impact, allow_widening=allow_widening)


def corpus_of(
    file: Path | None, since: str | None, url: str | None, token: str | None, exits: ExitStack
) -> Iterator[Recorded]:
    """Yields the recorded policy decisions in `file`, or else those of the gateway (after `since`, if given).

    Raises `CliError` if both `file` and `since` are given.
    """
    if file is not None and since is not None:
        raise CliError("--since is for what the gateway has recorded, not for a file", code=Exit.USAGE)
    if file is not None:
        return read_corpus(file)
    client = exits.enter_context(connect(url, token))
    return map(parse_decision, exported(Filters(since=since), client))


async def _replay(path: Path, data: Path | None, corpus: Iterator[Recorded], *, by_opa: bool) -> Impact:
    async with open_candidate(path, data, by_opa=by_opa) as candidate:
        return await measure(corpus, lambda asked: replay(asked, candidate.engine, at_once=candidate.at_once))
