"""`waypost describe`: shows one run with its shards and tasks."""

import time
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import islice
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from gateway.cli.arguments import Format, Output, RunId, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import (
    Markup,
    colored,
    command,
    console,
    format_count,
    format_duration,
    print_value,
    table,
)
from gateway.cli.runs.instances import folded_tasks
from gateway.cli.runs.run_ids import resolve_run
from gateway.cli.runs.task_waits import waits_of
from waypost.workflow.instances import instance_of
from waypost.workflow.stages import STAGE_SHARDS, Stage, shard_index, shard_name, stage_of

ITEM_CHARACTERS: Final = 40
"""The maximum number of characters of a shard's item that are shown."""
WAITING_SHOWN: Final = 200
"""The maximum number of not yet started tasks that are shown."""
SPARSE: Final = frozenset({"ITEM", "FAILOVERS", "LOST", "ORPHANS", "REASON"})
"""The columns that say nothing of most runs, for which a terminal of 80 columns has no room then."""
YEAR_10000: Final = 253_402_300_800
"""The first second, since 1970, that is too late for a date of four-digit years."""
Waits: TypeAlias = Mapping[tuple[int, str], dict[str, Any]]
"""What tasks wait for, by shard and name, as `waits_of` returns it."""
ENDED: Final = frozenset({"Succeeded", "Failed", "Quarantined", "Cancelled", "Cancelling"})
HAVE_ENDED: Final = frozenset({"Succeeded", "Skipped", "Failed", "Omitted"})
"""The phases of tasks that hold up none that need them."""


@command
def describe(
    run: RunId,
    /,
    *,
    shard: Annotated[str | None, Parameter(help="Only this shard and its tasks.")] = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> None:
    """Show one run with its shards and tasks."""
    with connect(url, token) as client:
        query = {} if shard is None else {"shard": shard}
        found = read_answer(client.get(api_path("runs", resolve_run(client, run)), params=query), "tasks")
        runs = any(one["phase"] == "Running" for one in found["shards"])
        waits = waits_of(client, found["id"]) if runs and output is Format.TABLE else {}
    if shard is not None:
        found["shards"] = [one for one in found["shards"] if one["index"] == shard_index(shard)]
    if output is not Format.TABLE:
        print_value(found, output)
        return
    screen = console()
    submitter = escape(f"by {found['subject']} of {found['tenant']}")
    screen.print(f"{format_head(found)}  {submitter}")
    screen.print(_format_times(found), markup=False)
    screen.print(f"permitted: {', '.join(found['permitted']) or 'nowhere'}", markup=False)
    if tolerated := _tolerated_failures(found):
        screen.print(f"failed, and tolerated (continueOnFailure): {', '.join(tolerated)}", markup=False)
    screen.print()
    screen.print(_shard_table(found))
    screen.print()
    screen.print(_task_table(found, waits))
    if found["tasks_left_out"]:
        screen.print(f"... and {format_count(found['tasks_left_out'], 'more task')}")


def format_head(run: dict[str, Any]) -> Markup:
    """Formats a run's id, name, released version (if it has one) and phase, as one line."""
    words = [escape(word) for word in (run["id"], run["name"], run.get("released")) if word]
    return Markup("  ".join([*words, colored(run["phase"])]))


def _format_times(run: dict[str, Any]) -> str:
    created, finished = run["created_at"], run.get("finished_at")
    took = format_duration((finished or time.time()) - created)
    end = f"ended {_format_time(finished)} after {took}" if finished else f"under way for {took}"
    deadline = f", deadline {_format_time(run['deadline_at'])}" if run.get("deadline_at") else ""
    return f"submitted {_format_time(created)}, {end}{deadline}"


def _shard_table(run: dict[str, Any]) -> Table:
    # A shard that has ended is in no region: where its last task ran tells where it was.
    last = {task["shard"]: task["region"] for task in sorted(run["tasks"], key=lambda t: t["started_at"])}
    rows = [
        [
            shard_name(shard["index"]),
            _format_item(shard.get("item")),
            colored(shard["phase"]),
            shard["region"] or last.get(shard["index"]),
            shard["epoch"],
            shard["failovers"],
            shard["attempts_lost"],
            len(shard["orphans"]),
            shard["reason"],
        ]
        for shard in run["shards"]
    ]
    columns = ["SHARD", "ITEM", "PHASE", "REGION", "EPOCH", "FAILOVERS", "LOST", "ORPHANS", "REASON"]
    return _without_empty(columns, rows)


def _without_empty(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Builds a table without those of the `SPARSE` columns that say nothing in any row."""
    shown = [at for at, name in enumerate(columns) if name not in SPARSE or any(row[at] for row in rows)]
    return table([columns[at] for at in shown], ([row[at] for at in shown] for row in rows))


def _format_item(item: Any) -> str | None:
    """Formats the item of a shard, cut to `ITEM_CHARACTERS`; None for a shard without an item."""
    if item is None:
        return None
    text = item if isinstance(item, str) else msgspec.json.encode(item).decode()
    return text if len(text) <= ITEM_CHARACTERS else f"{text[: ITEM_CHARACTERS - 3]}..."


def _task_table(run: dict[str, Any], waits: Waits) -> Table:
    started = [
        [
            shard_name(task["shard"]),
            task["task"],
            colored(task["phase"]),
            task["region"],
            task["tries"],
            _format_time(task["started_at"]),
            format_duration((task["ended_at"] or time.time()) - task["started_at"]),
            _task_reason(task),
        ]
        for task in folded_tasks(_tasks_in_order(run))
    ]
    rows = [*started, *islice(_waiting_rows(run, waits), WAITING_SHOWN)]
    columns = ["SHARD", "TASK", "PHASE", "REGION", "TRIES", "STARTED", "TOOK", "REASON"]
    return _without_empty(columns, rows)


def _task_reason(task: dict[str, Any]) -> str:
    """Formats why a task is in its phase, when it is started again, and why its previous start failed."""
    failure, reason = task.get("last_failure"), str(task["reason"])
    if task["phase"] == "Retrying":
        return f"{reason}; next try at {_format_time(task['next_try_at'])}"
    # A task that has failed for good tells why by itself.
    if failure is None or task["phase"] == "Failed":
        return reason
    return "; ".join(filter(None, (reason, f"try {failure['tries']} failed: {failure['reason']}")))


def _tolerated_failures(run: dict[str, Any]) -> list[str]:
    """Returns the names of the tasks that have failed, without failing the run for it."""
    tolerated = {
        task["name"]
        for shard in run["shards"]
        for task in tasks_of(run, shard["index"])
        if task.get("continueOnFailure")
    }
    return sorted(tolerated & {task["task"] for task in run["tasks"] if task["phase"] == "Failed"})


def _waiting_rows(run: dict[str, Any], waits: Waits) -> Iterator[list[object]]:
    """Yields a table row for each task of an open shard that has not started, with what it waits for.

    Yields nothing if the response leaves some tasks out, since it does not show which have started.
    """
    if run["tasks_left_out"]:
        return  # which have started is not known
    phases = {(task["shard"], task["task"]): task["phase"] for task in run["tasks"]}
    for shard in run["shards"]:
        if shard["phase"] in ENDED:
            continue
        for task in tasks_of(run, shard["index"]):
            if (shard["index"], task["name"]) in phases:
                continue
            left = [n for n in task["needs"] if phases.get((shard["index"], n)) not in HAVE_ENDED]
            if left:
                reason = f"waits for {', '.join(left)}"
            elif (wait := waits.get((shard["index"], task["name"]))) is not None:
                reason = f"{wait['text']}, for {format_duration(wait['seconds'])} so far"
            elif shard["phase"] == "Running":
                reason = f"waits for a processor in {shard['region']}"
            elif shard["phase"] == "Waiting":
                reason = "waits for the shards before it"
            else:
                reason = "waits for its shard to run"
            yield [
                shard_name(shard["index"]),
                task["name"],
                colored("Pending"),
                None,
                None,
                None,
                None,
                reason,
            ]


def tasks_of(run: dict[str, Any], index: int) -> list[dict[str, Any]]:
    """Returns the tasks in the run's document of the shard `index`, with the tasks of that shard as needs."""
    stage = stage_of(index)
    tasks = run["workflow"]["spec"].get("tasks" if stage is Stage.MAIN else stage, ())
    own = {task["name"] for task in tasks}
    return [{**task, "needs": [need for need in task.get("needs", ()) if need in own]} for task in tasks]


def _format_time(at: float) -> str:
    """Formats a time as local time; without the date if it is today."""
    # A deadline may be farther away than any calendar reaches.
    if at >= YEAR_10000:
        return "after the year 9999"
    moment = time.localtime(at)
    is_today = moment[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", moment)


def _tasks_in_order(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the run's tasks shard by shard, in each shard a task after those that it needs.

    They are not sorted by their start: tasks that end in a moment start at the same time.
    """
    stages = (0, *STAGE_SHARDS)
    needs = {task["name"]: task["needs"] for index in stages for task in tasks_of(run, index)}
    places = {name: place for place, name in enumerate(TopologicalSorter(needs).static_order())}
    return sorted(run["tasks"], key=lambda task: (task["shard"], *_place(task["task"], places)))


def _place(name: str, places: dict[str, int]) -> tuple[int, int]:
    """Returns the place of a task, or of an instance of one, in the order of the tasks."""
    instance = instance_of(name)
    return (places[name], -1) if instance is None else (places[instance[0]], instance[1])
