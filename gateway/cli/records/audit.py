"""`waypost audit`: lists the audited actions of users and operators, a page at a time."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import httpx
from cyclopts import App, Parameter

from gateway.cli.arguments import Continued, Format, Limit, Output, Since, Token, Url, parse_since
from gateway.cli.client import api_path, connect, read_pages
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console, format_time, print_more, print_names, print_value, table
from gateway.cli.records import audit_trail
from gateway.cli.runs.run_ids import resolve_run
from gateway.core.history import ACTS

app = App(name="audit", help="Who had what done to runs and regions.")
app.command(audit_trail.key)
app.command(audit_trail.export)
app.command(audit_trail.check, name="verify")
WHOLE_ID: Final = re.compile(r"[0-9a-f]{28}")


@app.command(name="list")
@command
def listing(
    *,
    kind: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help=f"Only these: {', '.join(ACTS)}. May be repeated.",
        ),
    ] = (),
    actor: Annotated[str | None, Parameter(help="Only what this subject had done.")] = None,
    region: Annotated[str | None, Parameter(help="Only what was done to this region.")] = None,
    run: Annotated[str | None, Parameter(help="Only what was done to this run, named as elsewhere.")] = None,
    since: Since = None,
    limit: Limit = 50,
    continued: Continued = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the audited actions of users and operators on runs, regions and policy, newest first.

    If there are more, standard error names the option that shows the next page.
    """
    filters: dict[str, Any] = {
        "kind": kind or None,
        "actor": actor,
        "region": region,
        "since": None if since is None else parse_since(since),
        "continue": continued,
    }
    query = {name: value for name, value in filters.items() if value is not None}
    with connect(url, token) as client:
        if run is not None:
            query["run"] = _known_run(client, run)
        page = read_pages(client, api_path("audit"), query, limit)
    print_more(page)
    if output is Format.TABLE:
        _print_table(page["items"])
    elif output is Format.NAME:
        print_names(_object_of(entry) for entry in page["items"])
    else:
        print_value(page["items"], output)


def _known_run(client: httpx.Client, name: str) -> str:
    """Returns the id of the run that `name` (an id, its beginning, or `@latest`) means.

    Raises `CliError` if no run, or more than one, has such an id.
    """
    found = resolve_run(client, name)
    if not WHOLE_ID.fullmatch(found):
        raise CliError(f"--run {name}: there is no run whose id is or begins so", code=Exit.NOT_FOUND)
    return found


def _print_table(entries: Sequence[dict[str, Any]]) -> None:
    rows = (
        [
            format_time(entry["at"]),
            entry["kind"],
            _object_of(entry),
            entry["actor"],
            _details(entry["detail"]),
            entry["detail"].get("decision_id"),
        ]
        for entry in entries
    )
    console().print(table(["TIME", "WHAT", "ABOUT", "WHO", "MORE", "DECISION"], rows))


def _object_of(entry: dict[str, Any]) -> str:
    """Formats what an audited action was done to: a run, region, bundle, exception, routing or workflow."""
    detail = entry["detail"]
    bundle = f"bundle {detail['sequence']}" if "sequence" in detail else ""
    bundle = f"archive {detail['archive'][:12]}" if "archive" in detail else bundle
    routing = f"routing {detail['routing']}" if "routing" in detail else ""
    release = ""
    if "version" in detail:
        release = f"{detail['tenant']}/{detail['workflow']}@{detail['version']}"
    return str(
        entry["run"] or detail.get("region") or detail.get("exception") or bundle or routing or release
    )


def _details(detail: Mapping[str, Any]) -> str | None:
    """Formats the details of an audited action: rule, tenants, shares, reason, ticket."""
    tenants = [*detail.get("tenants", ()), *([f"{detail['percent']:g} %"] if detail.get("percent") else ())]
    facts = [
        f"{detail['rule']} of {detail['tenant']}" if "rule" in detail else "",
        str(detail.get("step", "")),
        f"for {', '.join(tenants)}" if tenants else "",
        f"then {', '.join(f'{share:g}' for share in detail['steps'])} %" if "steps" in detail else "",
        str(detail.get("reason", "")) if detail.keys() & {"version", "routing", "archive"} else "",
        f"bundle {detail['decides']} decides" if "decides" in detail else "",
        f"asked by {detail['asked_by']}" if "asked_by" in detail else "",
        f"ticket {detail['ticket']}" if "ticket" in detail else "",
    ]
    return ", ".join(filter(None, facts)) or None
