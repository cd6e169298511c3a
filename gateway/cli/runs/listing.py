"""`waypost runs`: lists runs, a page at a time."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from gateway.cli.arguments import Continued, Format, Output, Quiet, Token, Url
from gateway.cli.client import api_path, connect, read_pages
from gateway.cli.output import colored, command, console, format_duration, print_more, print_value, table
from gateway.core.run import RunPhase


@command
def runs(
    *,
    tenant: Annotated[str | None, Parameter(help="Only those of this tenant.")] = None,
    phase: Annotated[
        str | None, Parameter(help="Only those in this phase: Pending, Running, Succeeded, ...")
    ] = None,
    label: Annotated[
        tuple[str, ...],
        Parameter(
            name=["--label", "--selector", "-l"],
            negative="",
            help="name=value: only those with this label. May be repeated.",
        ),
    ] = (),
    limit: Annotated[int, Parameter(help="So many at most.")] = 50,
    continued: Continued = None,
    output: Output = Format.TABLE,
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the runs that you may see, newest first.

    If there are more, standard error names the option that shows the next page.
    """
    phase = phase and _phase_name(phase)
    filters = {"tenant": tenant, "phase": phase, "label": label, "continue": continued}
    query = {name: value for name, value in filters.items() if value is not None}
    with connect(url, token) as client:
        page = read_pages(client, api_path("runs"), query, limit)
    print_more(page)
    # As kubectl writes selectors; here they are a label's value, which no run has.
    if not page["items"] and any(pair.partition("=")[2].startswith("=") or "," in pair for pair in label):
        hint = "no run has such a label: write --label NAME=VALUE, once for each label"
        console(stderr=True).print(hint, markup=False)
    if quiet or output is not Format.TABLE:
        print_value(page["items"], Format.NAME if quiet else output)
        return
    _print_table(page["items"])


def _print_table(runs: Sequence[dict[str, Any]]) -> None:
    rows = (
        [
            run["id"],
            run["name"],
            run.get("released"),
            run["tenant"],
            colored(run["phase"]),
            run["shard_count"],
            format_duration(time.time() - run["created_at"]),
        ]
        for run in runs
    )
    console().print(table(["RUN", "NAME", "VERSION", "TENANT", "PHASE", "SHARDS", "AGE"], rows))


def _phase_name(word: str) -> str:
    """Returns the run phase that `word` names in whatever case; other words unchanged."""
    return next((phase.value for phase in RunPhase if phase.value.lower() == word.lower()), word)
