"""Prints the logs of all tasks of a run, each line with the shard and the task that wrote it."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpx

from gateway.cli.client import api_path, read_answer
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import console
from gateway.cli.runs.log_choices import last_lines
from waypost.workflow.stages import shard_name

NEVER_STARTED: Final = frozenset({"Skipped", "Omitted"})
"""The phases of tasks that have no log."""
NOT_FOUND: Final = 404


def print_all_logs(
    client: httpx.Client, run: dict[str, Any], *, shard: str | None, attempt: int | None, tail: int | None
) -> None:
    """Prints the log of each task that has started, in the order of their starts.

    `shard` leaves out all others. `attempt` and `tail` are as for the log of one task. Raises `CliError` if
    no task has started, or if a region cannot be read.
    """
    started = [
        task
        for task in sorted(run["tasks"], key=lambda task: (task["started_at"], task["shard"], task["task"]))
        # Of a task with `forEach` the instances have written, which are listed too.
        if task["phase"] not in NEVER_STARTED
        and task.get("instances") is None
        and shard in (None, shard_name(task["shard"]))
    ]
    if not started:
        raise CliError("no task of it has started", code=Exit.NOT_FOUND)
    for task in started:
        name = shard_name(task["shard"])
        query = {"task": task["task"], "shard": name} | ({} if attempt is None else {"attempt": str(attempt)})
        with client.stream("GET", api_path("runs", run["id"], "logs"), params=query) as response:
            # It has failed before it could write, or its log is no longer kept.
            if response.status_code == NOT_FOUND:
                continue
            if not response.is_success:
                response.read()
                read_answer(response)
            texts: Iterable[str] = filter(None, response.iter_text())
            texts = texts if tail is None else last_lines(texts, tail)
            sys.stdout.writelines(prefixed(texts, f"[{name}/{task['task']}] "))
    if run.get("tasks_left_out"):
        note = f"{run['tasks_left_out']} more tasks are left out: ask for one shard with --shard"
        # on standard error, so that standard output is the logs alone
        console(stderr=True).print(note, markup=False)


def prefixed(texts: Iterable[str], prefix: str) -> Iterator[str]:
    """Yields the lines of a log that comes in pieces, each behind the prefix; the last gets its newline."""
    rest = ""
    for text in texts:
        # Only a newline ends a line: Python also takes other characters for line ends.
        *lines, rest = (rest + text).split("\n")
        yield from (f"{prefix}{line}\n" for line in lines)
    if rest:
        yield f"{prefix}{rest}\n"
