"""`waypost retention`: shows which ended runs are due to be archived and deleted, and has it done at once."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from gateway.cli.arguments import Format, Output, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import command, console, format_time, print_names, print_value

BEHIND_SHOWN: Final = 3_600.0
"""The seconds behind the clock from which it is said."""

app = App(
    name="retention", help="Which ended runs are archived and deleted: what is due, and a pass at once."
)


@app.command
@command
def show(*, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """Show how many ended runs the store holds, and how many are due to be archived and deleted."""
    with connect(url, token) as client:
        _print(read_answer(client.get(api_path("retention")), "due"), output)


@app.command
@command
def run(
    *,
    dry_run: Annotated[bool, Parameter(name="--dry-run", help="Only show what is due.")] = False,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Archive and delete now what is due, in place of waiting for the gateway's next pass.

    The gateway does it in the background: `waypost retention show` says when it is done.
    """
    query = {"dryRun": "true"} if dry_run else {}
    with connect(url, token) as client:
        _print(read_answer(client.post(api_path("retention"), params=query), "due"), output)


def _print(status: Mapping[str, Any], output: Format) -> None:
    if output is Format.NAME:
        print_names(["retention"])
        return
    if output is not Format.TABLE:
        print_value(status, output)
        return
    for line in _lines(status):
        console().print(line, markup=False)


def _lines(status: Mapping[str, Any]) -> list[str]:
    oldest = status["oldest_finished_at"]
    since = "" if oldest is None else f", the oldest of {format_time(oldest)}"
    kept = [
        f"{status['runs_days']:g} days" if status["runs_days"] is not None else "",
        f"{status['runs_maximum']} runs" if status["runs_maximum"] is not None else "",
    ]
    limits = " and ".join(filter(None, kept))
    before = "" if status["before"] is None else f", those that ended before {format_time(status['before'])}"
    trail_kept = [
        f"{status['audit_days']:g} days" if status["audit_days"] is not None else "",
        f"{status['audit_maximum']} entries" if status["audit_maximum"] is not None else "",
    ]
    trail_limits = " and ".join(filter(None, trail_kept))
    behind = status["behind_seconds"]
    late = [f"ages are counted {behind / 3600:.0f} h behind the clock: it was set forward, or no gateway ran"]
    return [
        *(late if behind > BEHIND_SHOWN else []),
        f"ended runs in the store: {status['ended']}{since}; archived: {status['archived']}",
        f"kept: {limits}" if limits else "kept: all, as no setting under [retention] says otherwise",
        f"due: {status['due']}{before}{', being archived now' if status['passing'] else ''}",
        f"audit trail: {status['sealed_entries']} sealed entries{_archived_trail(status['archived_trail'])};"
        f" kept: {trail_limits or 'all'}",
    ]


def _archived_trail(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return ""
    state = "" if part["cut"] else ", which goes once that is sealed"
    return f"; archived up to seal {part['last_seal']} in {part['file']}{state}"
