"""`waypost watch`: follows a run to its end, with a live view at a terminal, else a line for each change."""

import math
import sys
import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Annotated, Any, Final

import httpx
import httpx_sse
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from gateway.cli.arguments import Format, Output, RunId, RunIds, Token, Url
from gateway.cli.client import api_path, connect, decode_object, read_answer
from gateway.cli.connection.retries import attempts
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import colored, command, console, format_duration, print_value, table, visible
from gateway.cli.runs.instances import folded_tasks
from gateway.cli.runs.run_ids import resolve_run
from gateway.core.history import HistoryKind
from waypost.workflow.stages import STAGE_SHARDS, shard_name

TERMINAL: Final = ("Succeeded", "Failed", "Cancelled")
TABLE_KINDS: Final = frozenset(
    {
        HistoryKind.ACCEPTED,
        HistoryKind.INTENDED,
        HistoryKind.CONFIRMED,
        HistoryKind.TASK_FINISHED,
        HistoryKind.RUN_PHASE,
        HistoryKind.REAPED,
    }
)
"""The kinds of history entries that the live view leaves out: its table shows what they say.

All others, and whatever kind is added, are shown below the table.
"""
LIVE_SHARDS: Final = 20
LIVE_ENTRIES: Final = 5
LIVE_TASKS: Final = 4
"""The maximum number of running tasks of one shard that the live view shows.

Likewise `LIVE_SHARDS` of shards, and `LIVE_ENTRIES` of history entries.
"""
CALL_SECONDS: Final = 30.0
"""The time limit in seconds of calls other than the event stream."""
REFRESH_SECONDS = 0.25
"""The seconds within which history entries are shown together."""

Entry = dict[str, Any]
EventQueue = SimpleQueue[Entry | Exception | None]
"""A queue of history entries, ended by None at the end of the run, or by an exception."""


@command
def watch(
    run: RunId,
    /,
    *more: RunIds,
    timeout: Annotated[
        float | None,
        Parameter(
            validator=Number(gt=0), help="Follow for so many seconds at most; then the exit code is 1."
        ),
    ] = None,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Follow a run to its end, or several in turn. The exit code says how it ended: of several, the worst."""
    # with a limit, a gateway that hangs or is away is not waited for any longer
    call_seconds = CALL_SECONDS if timeout is None else min(CALL_SECONDS, timeout)
    with connect(url, token, timeout_seconds=call_seconds) as client:
        ends_at = math.inf if timeout is None else time.monotonic() + timeout
        code: int = Exit.DONE
        for index, identity in enumerate([resolve_run(client, name) for name in (run, *more)]):
            if index and output is Format.YAML:
                sys.stdout.write("---\n")
            ended = follow(client, identity, output, ends_at=ends_at)
            code = code or ended
        return code


def follow(
    client: httpx.Client,
    run_id: str,
    output: Format = Format.TABLE,
    *,
    ends_at: float = math.inf,
    is_named: bool = False,
) -> int:
    """Shows a run's changes until it ends, to programs only the ended run; returns the exit code.

    Raises `CliError` where the run has not ended at `ends_at`, on the monotonic clock. `is_named`: the run's
    id was printed before.
    """
    screen = console()
    try:
        run = _show_until_end(client, run_id, output, screen, ends_at)
    except KeyboardInterrupt:
        # Ctrl-C ends the watching, not the run: people expect either.
        hint = (
            f"{run_id} goes on: `waypost watch {run_id}` follows it again, `waypost cancel {run_id}` ends it"
        )
        console(stderr=True).print(hint, markup=False)
        raise
    if output is not Format.TABLE:
        if output is not Format.NAME or not is_named:
            print_value(run, output)
    else:
        screen.print(f"{escape(run_id)}  {colored(run['phase'])}", markup=True)
    return Exit.DONE if run["phase"] == "Succeeded" else Exit.FAILED


def _show_until_end(
    client: httpx.Client, run_id: str, output: Format, screen: Console, ends_at: float
) -> dict[str, Any]:
    """Shows each change of the run, live at a terminal, else by lines; returns the run once it has ended."""
    run: dict[str, Any] = {}
    if output is Format.TABLE and screen.is_terminal:
        with Live(console=console(width=None), refresh_per_second=8) as live:
            for run, history in _changes(client, run_id, ends_at):
                live.update(_live_view(run, history))
        return run
    printed = 0
    for run, history in _changes(client, run_id, ends_at):  # noqa: B007  # the last one is what is returned
        for entry in history[printed:] if output is Format.TABLE else ():
            screen.print(_format_entry(entry), markup=False)
        printed = len(history)
    return run


def _changes(
    client: httpx.Client, run_id: str, ends_at: float = math.inf
) -> Iterator[tuple[dict[str, Any], list[Entry]]]:
    """Yields the run with its history so far: at once, then after changes, at most every `REFRESH_SECONDS`.

    Raises `CliError` at `ends_at`, on the monotonic clock.
    """
    history: list[Entry] = []
    run = _get_run(client, run_id, ends_at)
    yield run, history
    while run["phase"] not in TERMINAL:
        events: EventQueue = SimpleQueue()
        last = history[-1]["seq"] if history else 0
        # A thread, since reading blocks until the next event, while what has come is to be shown in between.
        # A daemon, so that Ctrl-C does not wait for it.
        threading.Thread(target=_receive, args=(client, run_id, last, events), daemon=True).start()
        for entries in _batches(events, ends_at):
            if time.monotonic() >= ends_at:
                raise CliError(f"{run_id} has not ended in time: it is {run['phase']}, and goes on")
            history += entries
            run = _get_run(client, run_id, ends_at)
            yield run, history


def _get_run(client: httpx.Client, run_id: str, ends_at: float) -> dict[str, Any]:
    for attempt in attempts(until=ends_at):
        with attempt:
            run: dict[str, Any] = read_answer(client.get(api_path("runs", run_id)), "phase")
    return run


def _receive(client: httpx.Client, run_id: str, last: int, events: EventQueue) -> None:
    """Puts the run's history entries after the one numbered `last` into a queue until the run ends.

    Then puts None, or the exception at which reading failed.
    """
    try:
        for attempt in attempts():
            with attempt:
                for entry in _event_stream(client, run_id, last):
                    last = entry["seq"]
                    events.put(entry)
        events.put(None)
    except Exception as error:  # of any kind: the main thread waits for the queue, and raises it
        events.put(error)


def _batches(events: EventQueue, ends_at: float) -> Iterator[list[Entry]]:
    """Yields lists of history entries from a queue, each with all that come within `REFRESH_SECONDS`.

    Yields an empty list at `ends_at`. Raises the exception that ended the queue.
    """
    going_on = True
    while going_on:
        entries: list[Entry] = []
        try:
            entry = events.get(timeout=None if ends_at == math.inf else max(0.0, ends_at - time.monotonic()))
        except Empty:
            yield []
            continue
        until = time.monotonic() + REFRESH_SECONDS
        while entry is not None:
            if isinstance(entry, Exception):
                raise entry
            entries.append(entry)
            try:
                entry = events.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
        going_on = entry is not None
        yield entries


def _event_stream(client: httpx.Client, run_id: str, after: int) -> Iterator[Entry]:
    """Yields the run's history entries from one event stream, until the server ends the stream."""
    headers = {"last-event-id": str(after)} if after else {}
    with httpx_sse.connect_sse(
        client, "GET", api_path("runs", run_id, "events"), headers=headers, timeout=60
    ) as source:
        # the run is over, and nothing comes after `after`
        if source.response.status_code == httpx.codes.NO_CONTENT:
            return
        if not source.response.is_success:
            source.response.read()
            read_answer(source.response)
        for event in source.iter_sse():
            if event.data:  # a heartbeat has none
                yield decode_object(event.data, "seq", "kind")


def _live_view(run: dict[str, Any], history: list[Entry]) -> RenderableType:
    spec = run["workflow"]["spec"]
    later = sum(len(spec.get(stage, ())) for stage in STAGE_SHARDS.values())
    total = max(1, len(spec["tasks"]) * run["shard_count"] + later)
    done = sum(run["task_phases"].get(phase, 0) for phase in ("Succeeded", "Skipped", "Failed", "Omitted"))
    running: dict[int, list[str]] = {}
    for task in folded_tasks(run["tasks"]):
        if task["phase"] in ("Running", "Retrying"):
            again = f" ({_next_try(task)})" if task["phase"] == "Retrying" else ""
            again += f" ({task['reason']})" if task.get("instances") else ""
            running.setdefault(task["shard"], []).append(f"{task['task']}{again}")
    rows = [
        [
            shard_name(shard["index"]),
            colored(shard["phase"]),
            shard["region"],
            shard["epoch"],
            ", ".join(running.get(shard["index"], [])[:LIVE_TASKS]),
        ]
        for shard in run["shards"][:LIVE_SHARDS]
    ]
    entries = [entry for entry in history if entry["kind"] not in TABLE_KINDS][-LIVE_ENTRIES:]
    return Group(
        Text(visible(f"{run['name']}  {run['id']}  {run['phase']}  {done}/{total} tasks")),
        # padded: a progress bar alone (rich 15) does not end its line
        Padding(ProgressBar(total=total, completed=done, width=60), 0),
        table(["SHARD", "PHASE", "REGION", "EPOCH", "RUNNING"], rows),
        *(Text(visible(_format_entry(entry)), style="dim") for entry in entries),
    )


def _format_entry(entry: Entry) -> str:
    """Formats a history entry as `12:00:00 shard 0 Failed beijing`."""
    detail, words = entry["detail"], [time.strftime("%H:%M:%S", time.localtime(entry["at"]))]
    words += [] if entry["shard"] is None else [f"shard {shard_name(entry['shard'])}"]
    values = (detail.get(name) for name in ("task", "phase", "to", "region", "reason"))
    # a kind is often the phase it led to: `Failed Failed beijing` would say no more
    words += [entry["kind"], *(str(value) for value in values if value and value != entry["kind"])]
    words += [f"in {format_duration(detail['seconds'])}"] if detail.get("seconds") is not None else []
    words += [_next_try(detail)] if detail.get("next_try_at") else []
    return " ".join(words)


def _next_try(task: dict[str, Any]) -> str:
    """Formats when a task whose try has failed is tried again: `try 2 at 12:00:03`."""
    at = task.get("next_try_at")
    when = f" at {time.strftime('%H:%M:%S', time.localtime(at))}" if at else ""
    return f"try {task['tries'] + 1}{when}"
