"""`waypost runs`, `describe`, `cancel`, `retry`."""

import time
from graphlib import TopologicalSorter
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from gateway.cli.client import Token, Url, checked, connect, path
from gateway.cli.output import Format, Output, command, console, counted, painted, seconds, show, table

RunId = Annotated[str, Parameter(help="The run's id, as `submit` and `runs` print it.")]


@command
def runs(
    *,
    tenant: Annotated[str | None, Parameter(help="Only those of this tenant.")] = None,
    phase: Annotated[
        str | None, Parameter(help="Only those in this phase: Pending, Running, Succeeded, ...")
    ] = None,
    label: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="name=value: only those with this label. May be repeated."),
    ] = (),
    limit: Annotated[int, Parameter(help="So many at most.")] = 50,
    continued: Annotated[
        str | None, Parameter(name="--continue", help="Go on where the page before ended, which tells how.")
    ] = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """List the runs that you may see, newest first. Where there are more, standard error tells how to go on."""
    asked = {"tenant": tenant, "phase": phase, "label": label, "limit": limit, "continue": continued}
    with connect(url, token) as client:
        page = checked(
            client.get(
                path("runs"), params={name: value for name, value in asked.items() if value is not None}
            ),
            "items",
        )
    if more := page.get("continue"):
        console(stderr=True).print(f"there are more: go on with --continue {more}", markup=False)
    if output is not Format.TABLE:
        show(page["items"], output)
        return
    rows = (
        [
            run["id"],
            escape(run["name"]),
            run["tenant"],
            painted(run["phase"]),
            run["shard_count"],
            seconds(time.time() - run["created_at"]),
        ]
        for run in page["items"]
    )
    console().print(table(["RUN", "NAME", "TENANT", "PHASE", "SHARDS", "AGE"], rows))


@command
def describe(run: RunId, /, *, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """Show one run: its shards and tasks."""
    with connect(url, token) as client:
        found = checked(client.get(path("runs", run)), "tasks")
    if output is not Format.TABLE:
        show(found, output)
        return
    screen = console()
    screen.print(
        f"{found['id']}  {escape(found['name'])}  {painted(found['phase'])}  by {escape(found['subject'])} of {found['tenant']}"
    )
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
    screen.print(
        table(["SHARD", "PHASE", "REGION", "EPOCH", "FAILOVERS", "LOST", "ORPHANS", "REASON"], shards)
    )
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
        for t in _in_order(found)
    )
    screen.print(table(["SHARD", "TASK", "PHASE", "REGION", "TRIES", "TOOK", "REASON"], tasks))
    if found["tasks_left_out"]:
        screen.print(f"... and {counted(found['tasks_left_out'], 'more task')}")


def _in_order(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Its tasks, shard by shard, each after those that it needs."""
    needs = {task["name"]: task.get("needs", ()) for task in run["workflow"]["spec"]["tasks"]}
    places = {name: place for place, name in enumerate(TopologicalSorter(needs).static_order())}
    return sorted(run["tasks"], key=lambda task: (task["shard"], places[task["task"]]))


@command
def cancel(run: RunId, /, *, url: Url = None, token: Token = None) -> None:
    """Cancel a run: nothing more of it starts, and what runs is stopped."""
    with connect(url, token) as client:
        found = checked(client.post(path("runs", run, "cancel")), "id", "phase")
    console().print(f"{found['id']}  {painted(found['phase'])}")


@command
def retry(run: RunId, /, *, url: Url = None, token: Token = None) -> None:
    """Open a failed or cancelled run again: finished tasks are not run again."""
    with connect(url, token) as client:
        found = checked(client.post(path("runs", run, "retry")), "id", "phase")
    console().print(f"{found['id']}  {painted(found['phase'])}")
