"""Prints or follows the logs of all tasks of a run, each line with the shard and the task that wrote it."""

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx

from gateway.api.logs.line_forms import LinePrefixes
from gateway.cli.client import api_path, read_answer
from gateway.cli.connection.retries import attempts
from gateway.cli.errors import CliError, Exit
from gateway.cli.logs.log_request import LogOptions, log_lines, log_text
from gateway.cli.output import console
from waypost.workflow.stages import shard_name

NEVER_STARTED: Final = frozenset({"Skipped", "Omitted"})
"""The phases of tasks that have no log."""
ENDED: Final = frozenset({"Succeeded", "Failed", "Cancelled"})
"""The phases of a run that has ended."""
POLL_SECONDS = 1.0
"""The seconds between two readings of all logs that are followed."""
SHARE: Final = 2
"""Between two readings passes at least so many times what the last one took."""


def print_all_logs(
    client: httpx.Client, run: dict[str, Any], *, shard: str | None, options: LogOptions
) -> None:
    """Prints the log of each task that has started, in the order of their starts.

    `shard` leaves out all others. Raises `CliError` if no task has started, or if a region cannot be read.
    """
    started = _started(run, shard)
    if not started:
        raise CliError("no task of it has started", code=Exit.NOT_FOUND)
    for task in started:
        name, prefixes = shard_name(task["shard"]), LinePrefixes()
        query = {"task": task["task"], "shard": name} | options.query
        try:
            with log_text(client, run["id"], query) as texts:
                for text in texts:
                    sys.stdout.write(prefixes.add(text, f"[{name}/{task['task']}] "))
        except CliError as error:
            # It has failed before it could write, or its log is no longer kept.
            if error.code is not Exit.NOT_FOUND:
                raise
        if prefixes.within_line:
            sys.stdout.write("\n")
    _note_left_out(run)


def follow_all_logs(client: httpx.Client, run: str, *, shard: str | None, options: LogOptions) -> None:
    """Prints what all tasks of a run write, in whole lines, until the run has ended.

    All logs are read again and again, as far as they have grown: followed each by itself they would need as
    many connections as there are tasks. With `options.attempt` it ends when another attempt runs, too.
    """
    followed: dict[tuple[int, str], FollowedLog] = {}
    while True:
        began = time.monotonic()
        for attempt in attempts():
            with attempt:
                query = {} if shard is None else {"shard": shard}
                found = read_answer(client.get(api_path("runs", run), params=query), "tasks")
        started = _started(found, shard)
        for task in started:
            log = followed.setdefault((task["shard"], task["task"]), FollowedLog(task))
            log.read(client, run, task, options)
        sys.stdout.flush()
        if found["phase"] in ENDED or _is_superseded(started, options):
            break
        time.sleep(max(POLL_SECONDS, SHARE * (time.monotonic() - began)))
    for log in followed.values():
        log.end_line()
    _note_left_out(found)


def _is_superseded(started: Sequence[dict[str, Any]], options: LogOptions) -> bool:
    """Returns whether what runs belongs to attempts after the one whose logs are followed."""
    running = [task["epoch"] for task in started if task["phase"] == "Running"]
    return options.attempt is not None and bool(running) and min(running) > options.attempt


class FollowedLog:
    """One of the logs that are followed: how far it is read, and its last line while that is not whole."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._name = f"[{shard_name(task['shard'])}/{task['task']}] "
        self._epoch: int | None = None
        self._begin()

    def __repr__(self) -> str:
        return f"FollowedLog({self._name}, epoch={self._epoch}, offset={self._offset}, over={self._over})"

    def _begin(self) -> None:
        self._offset, self._over = 0, False
        self._prefixes, self._rest = LinePrefixes(), ""

    def read(self, client: httpx.Client, run: str, task: dict[str, Any], options: LogOptions) -> None:
        """Prints the whole lines that are new; `task` is as the gateway shows it."""
        if options.attempt is None and self._epoch not in (None, task["epoch"]):
            # Another attempt runs the task from its beginning, and its log is another file.
            self.end_line()
            self._begin()
        if self._over:
            return
        over = options.is_over(task)
        try:
            for attempt in attempts():
                with attempt:
                    self._print_new(client, run, task, options)
        except CliError as error:
            # It has not written yet, or has failed before it could.
            if error.code is not Exit.NOT_FOUND:
                raise
        # What it was when the run was shown: the log was read after that, to its end.
        self._over = over

    def _print_new(self, client: httpx.Client, run: str, task: dict[str, Any], options: LogOptions) -> None:
        asked = options.query if self._epoch is None else options.later_query
        query = {
            "task": task["task"],
            "shard": shard_name(task["shard"]),
            "offset": str(self._offset),
        } | asked
        for line in log_lines(client, run, query):
            self._epoch, self._offset = line["epoch"], line["offset"]
            text = self._rest + self._prefixes.add(line["text"], self._name + options.prefix_of(line))
            whole, newline, self._rest = text.rpartition("\n")
            sys.stdout.write(whole + newline)

    def end_line(self) -> None:
        """Prints the line that was not whole, which it will not become."""
        if self._rest:
            sys.stdout.write(f"{self._rest}\n")
            self._rest = ""


def _started(run: dict[str, Any], shard: str | None) -> list[dict[str, Any]]:
    """Returns the tasks of a run that may have a log, in the order of their starts."""
    return [
        task
        for task in sorted(run["tasks"], key=lambda task: (task["started_at"], task["shard"], task["task"]))
        # Of a task with `forEach` the instances have written, which are listed too.
        if task["phase"] not in NEVER_STARTED
        and task.get("instances") is None
        and shard in (None, shard_name(task["shard"]))
    ]


def _note_left_out(run: dict[str, Any]) -> None:
    if run.get("tasks_left_out"):
        note = f"{run['tasks_left_out']} more tasks are left out: ask for one shard with --shard"
        # on standard error, so that standard output is the logs alone
        console(stderr=True).print(note, markup=False)
