"""`waypost describe`: shows one run with its shards and tasks."""

import time
from graphlib import TopologicalSorter
from typing import Any

from rich.markup import escape
from rich.table import Table

from gateway.cli.arguments import Format, Output, RunId, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import colored, command, console, format_count, format_duration, print_value, table
from gateway.cli.runs.run_ids import resolve_run


@command
def describe(run: RunId, /, *, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """Show one run: its shards and tasks."""
    with connect(url, token) as client:
        found = read_answer(client.get(api_path("runs", resolve_run(client, run))), "tasks")
    if output is not Format.TABLE:
        print_value(found, output)
        return
    screen = console()
    submitter = f"by {escape(found['subject'])} of {found['tenant']}"
    screen.print(f"{found['id']}  {escape(found['name'])}  {colored(found['phase'])}  {submitter}")
    screen.print(f"permitted: {', '.join(found['permitted']) or 'nowhere'}\n", markup=False)
    screen.print(_shard_table(found))
    screen.print()
    screen.print(_task_table(found))
    if found["tasks_left_out"]:
        screen.print(f"... and {format_count(found['tasks_left_out'], 'more task')}")


def _shard_table(run: dict[str, Any]) -> Table:
    rows = (
        [
            shard["index"],
            colored(shard["phase"]),
            shard["region"],
            shard["epoch"],
            shard["failovers"],
            shard["attempts_lost"],
            len(shard["orphans"]),
            escape(shard["reason"]),
        ]
        for shard in run["shards"]
    )
    return table(["SHARD", "PHASE", "REGION", "EPOCH", "FAILOVERS", "LOST", "ORPHANS", "REASON"], rows)


def _task_table(run: dict[str, Any]) -> Table:
    rows = (
        [
            task["shard"],
            task["task"],
            colored(task["phase"]),
            task["region"],
            task["tries"],
            format_duration((task["ended_at"] or time.time()) - task["started_at"]),
            escape(task["reason"]),
        ]
        for task in _tasks_in_order(run)
    )
    return table(["SHARD", "TASK", "PHASE", "REGION", "TRIES", "TOOK", "REASON"], rows)


def _tasks_in_order(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The run's tasks, shard by shard, each after those that it needs.

    Not by their start: tasks that are over in a moment start at the same time.
    """
    needs = {task["name"]: task.get("needs", ()) for task in run["workflow"]["spec"]["tasks"]}
    places = {name: place for place, name in enumerate(TopologicalSorter(needs).static_order())}
    return sorted(run["tasks"], key=lambda task: (task["shard"], places[task["task"]]))
