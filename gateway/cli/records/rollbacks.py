"""`waypost rollbacks`: lists automatic rollbacks, done or declined, and shows the evidence of one."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from gateway.cli.arguments import Continued, Format, Limit, Output, Token, Url
from gateway.cli.client import api_path, connect, read_answer, read_pages
from gateway.cli.output import command, console, format_time, print_more, print_names, print_value, table

app = App(name="rollbacks", help="What the gateway has taken back by itself, and why.")


@app.command(name="list")
@command
def listing(
    *,
    limit: Limit = 50,
    continued: Continued = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """List automatic rollbacks, done or declined, newest first.

    If there are more, standard error names the option that shows the next page.
    """
    query: dict[str, Any] = {} if continued is None else {"continue": continued}
    with connect(url, token) as client:
        page = read_pages(client, api_path("rollbacks"), query, limit)
    print_more(page)
    found = page["items"]
    if output is Format.NAME:
        print_names(str(one["id"]) for one in found)
    elif output is not Format.TABLE:
        print_value(found, output)
    else:
        rows = (
            [one["id"], format_time(one["changed_at"]), one["phase"], _release(one), one["alert"], one["why"]]
            for one in found
        )
        console().print(table(["ID", "TIME", "PHASE", "RELEASE", "ALERT", "WHY"], rows))


@app.command
@command
def describe(
    rollback: Annotated[int, Parameter(help="The rollback's number, as `list` shows it.")],
    /,
    *,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Show one automatic rollback: each of its phases, with the evidence."""
    with connect(url, token) as client:
        found = read_answer(client.get(api_path("rollbacks", str(rollback))), "id", "steps")
    if output is Format.NAME:
        print_names([str(found["id"])])
        return
    if output is not Format.TABLE:
        print_value(found, output)
        return
    returns_to = found["returns_to"] or "what the gateway was started with"
    head = f"rollback {found['id']} of {_release(found)}, revision {found['revision']}: {found['phase']}"
    console().print(f"{head}; alert {found['alert']}; returns to {returns_to}", markup=False)
    rows = ([format_time(step["at"]), step["phase"], step["detail"], _seen(step)] for step in found["steps"])
    console().print(table(["TIME", "PHASE", "WHY", "SEEN"], rows))


def _release(rollback: dict[str, Any]) -> str:
    return f"{rollback['kind']} {rollback['release']}"


def _seen(step: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in step["seen"].items())
