"""`waypost logs`: prints a task's output, read from the region in which the task ran."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import httpx
from cyclopts import Parameter
from cyclopts.validators import Number

from gateway.cli.arguments import RunId, Since, Token, Url, parse_since
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.errors import CliError, Exit
from gateway.cli.logs.all_logs import follow_all_logs, print_all_logs
from gateway.cli.logs.following import follow_log
from gateway.cli.logs.log_choices import check_task, choose_shard
from gateway.cli.logs.log_request import LogOptions, log_text, tasks_of
from gateway.cli.output import command, console
from gateway.cli.runs.run_ids import resolve_run

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
Timestamps = Annotated[
    bool, Parameter(negative="", help="Each line behind the time at which it was written, by its cluster.")
]
Follow = Annotated[bool, Parameter(name=["--follow", "-f"], negative="", help="Go on until the task ends.")]
Every = Annotated[
    bool,
    Parameter(name="--all", negative="", help="Of all tasks, each line behind the shard and task it is of."),
]
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
    since: Since = None,
    timestamps: Timestamps = False,
    follow: Follow = False,
    every: Every = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Print a task's output as it was written. A terminal obeys control characters in it, as with kubectl.

    Pipe the output through `cat -v` to see control characters.
    """
    if every and task is not None:
        raise CliError("--all prints what all tasks wrote: leave out the task", code=Exit.USAGE)
    options = LogOptions(
        attempt=attempt,
        tail=tail,
        since=None if since is None else parse_since(since),
        timestamps=timestamps,
    )
    with connect(url, token) as client:
        run = resolve_run(client, run)
        found = read_answer(client.get(api_path("runs", run)), "tasks")
        if every and follow:
            follow_all_logs(client, run, shard=shard, options=options)
        elif every:
            print_all_logs(client, found, shard=shard, options=options)
        else:
            check_task(found, task)
            shard = choose_shard(found, shard, task, is_failed_wanted=not follow and attempt is None)
            _print_or_follow(client, run, shard, task, options, follow=follow)


def _print_or_follow(
    client: httpx.Client, run: str, shard: str, task: str | None, options: LogOptions, *, follow: bool
) -> None:
    tasks, query = tasks_of(client, run, shard), {"shard": shard} | options.query
    if task is None and not follow:
        _print_last_written(client, run, query, tasks)
        return
    # An earlier attempt may have run what was skipped since.
    is_earlier = task is not None and options.attempt is not None
    task = task if task is not None and is_earlier else _choose_task(tasks, shard, task)
    try:
        if follow:
            follow_log(client, run, shard, task, options)
        elif not _print_log(client, run, {"task": task} | query):
            _note(f"{_named(task, query)} has written nothing{_of_the_asked(options)}")
    except CliError as error:
        rows = () if options.attempt is not None else tasks_of(client, run, shard)
        raise _with_reasons(error, rows, task) from error


def _of_the_asked(options: LogOptions) -> str:
    return " since then" if options.since is not None else ""


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
    client: httpx.Client, run: str, query: dict[str, str], tasks: list[dict[str, Any]]
) -> None:
    """Prints the log of the last started task that wrote any output; names that task on standard error.

    A task without a log is passed over. Raises `CliError` where an existing log cannot be read.
    """
    names = _newest_first(tasks, query["shard"])
    refusal: CliError | None = None
    for name in names[:TRIED_TASKS]:
        try:
            if _print_log(client, run, {"task": name} | query, heading=_heading(name, query, names)):
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


def _print_log(client: httpx.Client, run: str, query: dict[str, str], *, heading: str | None = None) -> bool:
    """Prints one task's log, after `heading` on standard error; returns whether the log had any text."""
    written = False
    with log_text(client, run, query) as texts:
        for text in texts:
            if heading is not None and not written:
                _note(heading)
            written = True
            sys.stdout.write(text)
    return written
