"""`waypost runs`, `describe`, `cancel`, `retry`."""

import time
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from gateway.cli.client import Token, Url, checked, connect
from gateway.cli.output import Format, Output, command, console, painted, seconds, show, table

RunId = Annotated[str, Parameter(help="The run's id, as `submit` and `runs` print it.")]


@command
def runs(
    *,
    tenant: str | None = None,
    phase: str | None = None,
    label: Annotated[str | None, Parameter(help="name=value")] = None,
    limit: int = 50,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the runs that you may see, newest first."""
    asked = {"tenant": tenant, "phase": phase, "label": label, "limit": limit}
    with connect(url, token) as client:
        page = checked(client.get("/v1/runs", params={name: value for name, value in asked.items() if value is not None}))
    if output is not Format.TABLE:
        show(page["items"], output)
        return
    rows = (
        [run["id"], escape(run["name"]), run["tenant"], painted(run["phase"]), run["shard_count"], seconds(time.time() - run["created_at"])]
        for run in page["items"]
    )
    console().print(table(["RUN", "NAME", "TENANT", "PHASE", "SHARDS", "AGE"], rows))


@command
def describe(run: RunId, /, *, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """Show one run: its shards and tasks."""
    with connect(url, token) as client:
        found = checked(client.get(f"/v1/runs/{run}"))
    if output is not Format.TABLE:
        show(found, output)
        return
    screen = console()
    screen.print(f"{found['id']}  {escape(found['name'])}  {painted(found['phase'])}  by {escape(found['subject'])} of {found['tenant']}")
    screen.print(f"permitted: {', '.join(found['permitted']) or 'nowhere'}\n", markup=False)
    shards = (
        [
            s["index"],
            painted(s["phase"]),
            s["region"],
            s["epoch"],
            s["failovers"],
            s["attempts_lost"],
            len(s["orphans"]),
            escape(s["reason"]),
        ]
        for s in found["shards"]
    )
    screen.print(table(["SHARD", "PHASE", "REGION", "EPOCH", "FAILOVERS", "LOST", "ORPHANS", "REASON"], shards))
    screen.print()
    tasks = (
        [
            t["shard"],
            t["task"],
            painted(t["phase"]),
            t["region"],
            t["tries"],
            seconds((t["ended_at"] or time.time()) - t["started_at"]),
            escape(t["reason"]),
        ]
        for t in sorted(found["tasks"], key=lambda t: (t["shard"], t["started_at"]))
    )
    screen.print(table(["SHARD", "TASK", "PHASE", "REGION", "TRIES", "TOOK", "REASON"], tasks))
    if found["tasks_left_out"]:
        screen.print(f"... and {found['tasks_left_out']} more tasks")


@command
def cancel(run: RunId, /, *, url: Url = None, token: Token = None) -> None:
    """Cancel a run: nothing more of it starts, and what runs is stopped."""
    with connect(url, token) as client:
        found = checked(client.post(f"/v1/runs/{run}/cancel"))
    console().print(f"{found['id']}  {painted(found['phase'])}")


@command
def retry(run: RunId, /, *, url: Url = None, token: Token = None) -> None:
    """Open a failed or cancelled run again: finished tasks are not run again."""
    with connect(url, token) as client:
        found = checked(client.post(f"/v1/runs/{run}/retry"))
    console().print(f"{found['id']}  {painted(found['phase'])}")
