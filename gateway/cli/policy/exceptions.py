"""`waypost policy exceptions`: lists, requests, approves and revokes overrides of soft policy rules."""

import re
import time
from typing import Annotated, Any

from cyclopts import App, Parameter

from gateway.cli.arguments import UNITS, Continued, Format, Limit, Output, Quiet, Token, Url
from gateway.cli.client import api_path, connect, read_answer, read_pages
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import colored, command, console, print_more, print_value, table
from gateway.core.policy_exception import APPROVERS, ExceptionState

app = App(name="exceptions", help="Exceptions from soft rules: ask for them, approve and revoke them.")
ExceptionId = Annotated[str, Parameter(help="Its id, as the list shows it.")]


@app.command(name="list")
@command
def listing(
    *,
    tenant: Annotated[str | None, Parameter(help="Only those of this tenant.")] = None,
    ended: Annotated[bool, Parameter(negative="", help="Expired and revoked ones too.")] = False,
    limit: Limit = 50,
    continued: Continued = None,
    output: Output = Format.TABLE,
    quiet: Quiet = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List policy exceptions, newest first: those pending or active; with --ended all."""
    filters: dict[str, Any] = {"tenant": tenant, "continue": continued}
    query = {name: value for name, value in filters.items() if value is not None}
    if ended:
        query["ended"] = "true"
    with connect(url, token) as client:
        page = read_pages(client, api_path("policy", "exceptions"), query, limit)
    print_more(page)
    if output is Format.TABLE and not quiet:
        rows = ([colored(one["state"]), *_cells(one)] for one in page["items"])
        columns = ["STATE", "RULE", "TENANT", "FOR", "UNTIL", "ASKED BY", "APPROVED BY", "TICKET", "ID"]
        console().print(table(columns, rows))
    else:
        print_value(page["items"], Format.NAME if quiet else output)


@app.command
@command
def ask(
    rule: Annotated[str, Parameter(help="The id of the rule, as refusals name it.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why it is needed.")],
    ticket: Annotated[str, Parameter(help="Where that is written down.")],
    expires: Annotated[str, Parameter(help="For how long: 30m, 12h, 7d.")],
    workflow: Annotated[str, Parameter(help="Only for workflows of this name.")] = "",
    document: Annotated[str, Parameter(help="Only for the document with this SHA-256.")] = "",
    tenant: Annotated[str | None, Parameter(help="For this tenant. Default: your own.")] = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Request a policy exception from a soft rule. It takes effect once two other people approved it."""
    body = {
        "rule": rule,
        "tenant": tenant,
        "workflow": workflow,
        "document": document,
        "reason": reason,
        "ticket": ticket,
        "expires_at": time.time() + _seconds(expires),
    }
    with connect(url, token) as client:
        one = read_answer(client.post(api_path("policy", "exceptions"), json=body), "id")
    _print(one, output)


@app.command
@command
def approve(
    exception: ExceptionId, /, *, output: Output = Format.TABLE, url: Url = None, token: Token = None
) -> None:
    """Approve a policy exception that somebody else has requested."""
    _print(_post(exception, "approve", url, token), output)


@app.command
@command
def revoke(
    exception: ExceptionId, /, *, output: Output = Format.TABLE, url: Url = None, token: Token = None
) -> None:
    """Revoke a policy exception: from now on it overrides no rule."""
    _print(_post(exception, "revoke", url, token), output)


def _post(exception: str, act: str, url: str | None, token: str | None) -> dict[str, Any]:
    with connect(url, token) as client:
        path = api_path("policy", "exceptions", exception, act)
        found: dict[str, Any] = read_answer(client.post(path), "id")
    return found


def _print(one: dict[str, Any], output: Format) -> None:
    if output is not Format.TABLE:
        print_value(one, output)
        return
    approved = ", ".join(approval["subject"] for approval in one["approvals"]) or "nobody yet"
    head = f"{one['id']}  {one['state']}: {one['rule']} for {_format_scope(one)} of tenant {one['tenant']}"
    left = APPROVERS - len(one["approvals"]) if one["state"] == ExceptionState.PENDING else 0
    more = f"; {left} more must approve, each person once" if left else ""
    console().print(f"{head}, until {_time(one['expires_at'])}; approved by {approved}{more}", markup=False)


def _cells(one: dict[str, Any]) -> list[object]:
    approved = ", ".join(approval["subject"] for approval in one["approvals"])
    return [
        one["rule"],
        one["tenant"],
        _format_scope(one),
        _time(one["expires_at"]),
        one["asked_by"],
        approved or None,
        one["ticket"],
        one["id"],
    ]


def _format_scope(one: dict[str, Any]) -> str:
    """Formats which work of a tenant a policy exception covers: a workflow, a document, or all."""
    document = f"document {one['document'][:12]}" if one["document"] else ""
    return " ".join(filter(None, (one["workflow"], document))) or "all workflows"


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise CliError(f"--expires is a time like 30m, 12h or 7d, not {text!r}", code=Exit.USAGE)
    return int(found[1]) * UNITS[found[2]]
