"""`waypost logs`: prints a task's output, read from the region in which the task ran."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import httpx
from cyclopts import Parameter
from cyclopts.validators import Number

from gateway.cli.arguments import RunId, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.connection.retries import attempts
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console
from gateway.cli.runs.all_logs import print_all_logs
from gateway.cli.runs.log_choices import check_task, choose_shard, last_lines
from gateway.cli.runs.run_ids import resolve_run
from waypost.workflow.stages import shard_name

RECONNECT_SECONDS = 0.2
"""The seconds between the end of a stream whose task still runs and the next stream."""
NO_EPOCH: Final = -1
TRIED_TASKS: Final = 20
"""The maximum number of tasks among which one with output is searched."""
ShardName = Annotated[
    str | None,
    Parameter(
        help="Of which shard: its number, collect or finally. Default: 0 or the task's,"
        " or without a task the first that has failed.",
    ),
]
AttemptEpoch = Annotated[
    int | None,
    Parameter(
        validator=Number(gte=1),
        help="What an earlier attempt wrote: its epoch, as `explain` lists it. Default: the last.",
    ),
]
Tail = Annotated[int | None, Parameter(validator=Number(gte=0), help="Only so many lines, from the end.")]
Follow = Annotated[bool, Parameter(name=["--follow", "-f"], negative="", help="Go on until the task ends.")]
Every = Annotated[
    bool,
    Parameter(name="--all", negative="", help="Of all tasks, each line behind the shard and task it is of."),
]
UNDER_WAY: Final = ("Running", "Retrying")
"""The phases of a task that may still write output."""
SHOWN_TASKS: Final = 10
"""The maximum number of tasks that a note on standard error names."""


@command
def logs(
    run: RunId,
    task: Annotated[str | None, Parameter(help="Which task. Default: the last that has written.")] = None,
    /,
    *,
    shard: ShardName = None,
    attempt: AttemptEpoch = None,
    tail: Tail = None,
    follow: Follow = False,
    every: Every = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Print a task's output as it was written. A terminal obeys control characters in it, as with kubectl.

    Pipe the output through `cat -v` to see control characters.
    """
    _check_options(follow=follow, attempt=attempt, tail=tail)
    if every and (follow or task is not None):
        raise CliError("--all prints what all tasks wrote: leave out --follow and the task", code=Exit.USAGE)
    with connect(url, token) as client:
        run = resolve_run(client, run)
        found = read_answer(client.get(api_path("runs", run)), "tasks")
        if every:
            print_all_logs(client, found, shard=shard, attempt=attempt, tail=tail)
            return
        check_task(found, task)
        shard = choose_shard(found, shard, task, is_failed_wanted=not follow and attempt is None)
        tasks, query = _tasks(client, run, shard), {"shard": shard}
        query |= {} if attempt is None else {"attempt": str(attempt)}
        if task is None and not follow:
            _print_last_written(client, run, query, tasks, tail)
            return
        # An earlier attempt may have run what was skipped since.
        task = task if task is not None and attempt is not None else _choose_task(tasks, shard, task)
        try:
            if follow:
                _follow(client, run, shard, task)
            elif not _print_log(client, run, {"task": task} | query, tail):
                _note(f"{_named(task, query)} has written nothing")
        except CliError as error:
            rows = () if attempt is not None else _tasks(client, run, shard)
            raise _with_reasons(error, rows, task) from error


def _check_options(*, follow: bool, attempt: int | None, tail: int | None) -> None:
    if follow and attempt is not None:
        raise CliError("--follow goes with the last attempt: leave out --attempt", code=Exit.USAGE)
    if follow and tail is not None:
        raise CliError("--follow prints a log from its beginning: leave out --tail", code=Exit.USAGE)


def _with_reasons(error: CliError, rows: Sequence[dict[str, Any]], task: str) -> CliError:
    """Returns the error about a log, with a line on why `task` ended; `rows` are the shard's tasks.

    A task that failed before it could write has no log: the reason says more than a 404.
    """
    reasons = [f"{task} ended: {row['reason']}" for row in rows if row["task"] == task and row["reason"]]
    return CliError(error.message, lines=(*error.lines, *reasons), code=error.code)


def _choose_task(tasks: list[dict[str, Any]], shard: str, name: str | None) -> str:
    """Returns the name of the task to follow: `name` or, if that is None, the task that started last.

    Raises `CliError` if that task was skipped, or if none has started.
    """
    if name is None:
        names = _newest_first(tasks, shard)
        _note(_heading(names[0], {"shard": shard}, names))
        return names[0]
    for task in tasks:
        if task["task"] == name and _never_ran(task):
            why = task["reason"] or "its condition did not hold"
            raise CliError(f"{name} was {task['phase'].lower()}: {why}", code=Exit.NOT_FOUND)
        if task["task"] == name and task.get("instances") is not None:
            hint = f"its instances have logs of their own, such as '{name}[0]'"
            raise CliError(f"{name} has {task['instances']} instances: {hint}", code=Exit.NOT_FOUND)
    return name


def _never_ran(task: dict[str, Any]) -> bool:
    """Returns whether a task was decided against before it began, and so has no log."""
    return task["phase"] in ("Skipped", "Omitted") or (task["phase"] == "Stopped" and not task["tries"])


def _newest_first(tasks: list[dict[str, Any]], shard: str) -> list[str]:
    """Returns the names of the tasks that have started, the last started first. Raises `CliError` if none."""
    started = [task for task in tasks if not _never_ran(task) and task.get("instances") is None]
    if not started:
        raise CliError(f"no task of shard {shard} has started", code=Exit.NOT_FOUND)
    return [str(task["task"]) for task in sorted(started, key=lambda t: t["started_at"], reverse=True)]


def _print_last_written(
    client: httpx.Client, run: str, query: dict[str, str], tasks: list[dict[str, Any]], tail: int | None
) -> None:
    """Prints the log of the last started task that wrote any output; names that task on standard error.

    A task without a log is passed over. Raises `CliError` where an existing log cannot be read.
    """
    names = _newest_first(tasks, query["shard"])
    refusal: CliError | None = None
    for name in names[:TRIED_TASKS]:
        try:
            if _print_log(client, run, {"task": name} | query, tail, heading=_heading(name, query, names)):
                return
        except CliError as error:
            # it has failed before it could write; any other failure is for the caller to see
            if error.code is not Exit.NOT_FOUND:
                raise
            refusal = error
    if refusal is not None and "attempt" in query:
        # The attempt was never made, its region is gone, or none of its tasks has a log there.
        raise refusal
    _note(f"shard {query['shard']}: nothing was written by {_listed(names[:TRIED_TASKS])}")


def _heading(name: str, query: dict[str, str], names: list[str]) -> str:
    others = [other for other in names if other != name]
    more = f"; others have started: {_listed(others)}" if others else ""
    return f"task {_named(name, query)}{more}"


def _named(task: str, query: dict[str, str]) -> str:
    attempt = f", attempt {query['attempt']}" if "attempt" in query else ""
    return f"{task} of shard {query['shard']}{attempt}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_TASKS} more" if len(names) > SHOWN_TASKS else ""
    return ", ".join(names[:SHOWN_TASKS]) + more


def _note(text: str) -> None:
    # on standard error, so that standard output is the log alone
    console(stderr=True).print(text, markup=False)


def _print_log(
    client: httpx.Client,
    run: str,
    query: dict[str, str],
    tail: int | None = None,
    *,
    heading: str | None = None,
) -> bool:
    """Prints one task's log, after `heading` on standard error; returns whether the log had any text.

    `tail`: prints only so many of the log's last lines.
    """
    written = False
    with client.stream("GET", api_path("runs", run, "logs"), params=query) as response:
        _raise_for_refusal(response)
        texts = filter(None, response.iter_text())
        for text in texts if tail is None else last_lines(texts, tail):
            if heading is not None and not written:
                _note(heading)
            written = True
            sys.stdout.write(text)
    return written


def _follow(client: httpx.Client, run: str, shard: str, task: str) -> None:
    """Prints a task's log as it grows, until the task has ended, across gateway restarts and failovers.

    Each stream goes on at the byte where the previous one ended; another attempt's log is printed from its
    beginning.
    """
    query = {"task": task, "shard": shard, "follow": "true"}
    epoch, offset = NO_EPOCH, 0
    over = False
    while not over:
        if epoch != NO_EPOCH:
            time.sleep(RECONNECT_SECONDS)
        for attempt in attempts():
            with attempt:
                now = next((t for t in _tasks(client, run, shard) if t["task"] == task), None)
                # Asked before the stream is read: one that begins after the task's end surely has it all.
                over = now is not None and now["phase"] not in UNDER_WAY
                if now is not None and now["epoch"] != epoch:
                    offset = 0
                for line in _log_lines(client, run, query | {"offset": str(offset)}):
                    epoch, offset = line["epoch"], line["offset"]
                    sys.stdout.write(line["text"])
                    sys.stdout.flush()


def _log_lines(client: httpx.Client, run: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    headers = {"accept": "application/x-ndjson"}
    # no read timeout: a task may write nothing for hours
    timeout = httpx.Timeout(30, read=None)
    with client.stream(
        "GET", api_path("runs", run, "logs"), params=query, headers=headers, timeout=timeout
    ) as response:
        _raise_for_refusal(response)
        rest = b""
        # Not `iter_lines`: httpx 0.28 also breaks lines at U+2028 and the like, inside of JSON text.
        for piece in response.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            yield from (json.loads(line) for line in lines if line)


def _raise_for_refusal(response: httpx.Response) -> None:
    if not response.is_success:
        response.read()
        read_answer(response)


def _tasks(client: httpx.Client, run: str, shard: str) -> list[dict[str, Any]]:
    found = read_answer(client.get(api_path("runs", run), params={"shard": shard}), "tasks")
    return [task for task in found["tasks"] if shard_name(task["shard"]) == shard]
