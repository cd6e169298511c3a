"""`waypost logs`: prints what a task wrote, from whichever region it ran in."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any, Final

import httpx
from cyclopts import Parameter

from gateway.cli.arguments import RunId, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.connection.retries import attempts
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command
from gateway.cli.runs.run_ids import resolve_run

RECONNECT_SECONDS = 0.2
"""Seconds between the end of a stream whose task still runs and the next stream."""
NO_EPOCH: Final = -1


@command
def logs(
    run: RunId,
    task: Annotated[str | None, Parameter(help="Which task. Default: the one that started last.")] = None,
    /,
    *,
    shard: Annotated[int, Parameter(help="Of which shard.")] = 0,
    follow: Annotated[
        bool, Parameter(name=["--follow", "-f"], negative="", help="Go on until the task ends.")
    ] = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Print a task's output."""
    with connect(url, token) as client:
        run = resolve_run(client, run)
        task = _choose_task(_tasks(client, run, shard), shard, task)
        try:
            if follow:
                _follow(client, run, shard, task)
            else:
                _print_log(client, run, {"task": task, "shard": str(shard)})
        except CliError as error:
            # A task that failed before it could write has no log: its reason says more than a 404.
            reasons = [t["reason"] for t in _tasks(client, run, shard) if t["task"] == task and t["reason"]]
            raise CliError(
                error.message,
                lines=(*error.lines, *(f"{task} ended: {reason}" for reason in reasons)),
                code=error.code,
            ) from error


def _choose_task(tasks: list[dict[str, Any]], shard: int, name: str | None) -> str:
    """The name of the task to show: `name`, or where that is None the task that started last.

    Raises `CliError` if that task was skipped, or if none has started.
    """
    if name is None:
        started = [task for task in tasks if task["phase"] != "Skipped"]
        if not started:
            raise CliError(f"no task of shard {shard} has started", code=Exit.NOT_FOUND)
        return str(max(started, key=lambda task: task["started_at"])["task"])
    if any(task["task"] == name and task["phase"] == "Skipped" for task in tasks):
        raise CliError(f"{name} was skipped: its condition did not hold", code=Exit.NOT_FOUND)
    return name


def _print_log(client: httpx.Client, run: str, query: dict[str, str]) -> None:
    with client.stream("GET", api_path("runs", run, "logs"), params=query) as response:
        _raise_for_refusal(response)
        for text in response.iter_text():
            sys.stdout.write(text)


def _follow(client: httpx.Client, run: str, shard: int, task: str) -> None:
    """Prints the log until the task is over, through restarts of the gateway and failovers of the shard.

    Each stream goes on at the byte where the one before ended; another attempt's log begins at its beginning.
    """
    query = {"task": task, "shard": str(shard), "follow": "true"}
    epoch, offset = NO_EPOCH, 0
    over = False
    while not over:
        if epoch != NO_EPOCH:
            time.sleep(RECONNECT_SECONDS)
        for attempt in attempts():
            with attempt:
                now = next((t for t in _tasks(client, run, shard) if t["task"] == task), None)
                # Asked before the stream is read: one that begins after the task's end surely has it all.
                over = now is not None and now["phase"] != "Running"
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


def _tasks(client: httpx.Client, run: str, shard: int) -> list[dict[str, Any]]:
    found = read_answer(client.get(api_path("runs", run), params={"shard": shard}), "tasks")
    return [task for task in found["tasks"] if task["shard"] == shard]
