"""`waypost logs`: what a task wrote, from whichever region it ran in."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
from cyclopts import Parameter

from gateway.cli.client import CliError, Exit, Token, Url, checked, connect, path
from gateway.cli.output import command
from gateway.cli.retries import attempts
from gateway.cli.runs.listing import RunId

AGAIN_SECONDS = 0.2
"""Before a reading that ended with the task still going on is taken up again."""


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
        if task is None:
            started = [t for t in _tasks(client, run, shard) if t["phase"] != "Skipped"]
            if not started:
                raise CliError(f"no task of shard {shard} has started", code=Exit.NOT_FOUND)
            task = max(started, key=lambda t: t["started_at"])["task"]
        elif any(t["task"] == task and t["phase"] == "Skipped" for t in _tasks(client, run, shard)):
            raise CliError(f"{task} was skipped: its condition did not hold", code=Exit.NOT_FOUND)
        try:
            _follow(client, run, shard, task) if follow else _print(
                client, run, {"task": task, "shard": str(shard)}
            )
        except CliError as error:
            reasons = [t["reason"] for t in _tasks(client, run, shard) if t["task"] == task and t["reason"]]
            raise CliError(
                error.message,
                lines=(*error.lines, *(f"{task} ended: {why}" for why in reasons)),
                code=error.code,
            ) from error


def _print(client: httpx.Client, run: str, query: dict[str, str]) -> None:
    with client.stream("GET", path("runs", run, "logs"), params=query) as response:
        _check(response)
        for text in response.iter_text():
            sys.stdout.write(text)


def _follow(client: httpx.Client, run: str, shard: int, task: str) -> None:
    """Until the task is over, whatever becomes of its region or of the gateway meanwhile: goes on at the byte where it was."""
    query = {"task": task, "shard": str(shard), "follow": "true"}
    epoch, offset = -1, 0
    over = False
    while not over:
        if epoch >= 0:
            time.sleep(AGAIN_SECONDS)
        for attempt in attempts():
            with attempt:
                now = next((t for t in _tasks(client, run, shard) if t["task"] == task), None)
                over = now is not None and now["phase"] != "Running"  # then this reading is the last
                if now is not None and now["epoch"] != epoch:
                    offset = 0
                for line in _lines(client, run, query | {"offset": str(offset)}):
                    epoch, offset = line["epoch"], line["offset"]
                    sys.stdout.write(line["text"])
                    sys.stdout.flush()


def _lines(client: httpx.Client, run: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    headers = {"accept": "application/x-ndjson"}
    with client.stream(
        "GET", path("runs", run, "logs"), params=query, headers=headers, timeout=httpx.Timeout(30, read=None)
    ) as response:
        _check(response)
        rest = b""
        for (
            piece
        ) in response.iter_bytes():  # not httpx's own lines: they also end at characters that text may hold
            *lines, rest = (rest + piece).split(b"\n")
            yield from (json.loads(line) for line in lines if line)


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        response.read()
        checked(response)


def _tasks(client: httpx.Client, run: str, shard: int) -> list[dict[str, Any]]:
    found = checked(client.get(path("runs", run), params={"shard": shard}), "tasks")
    return [task for task in found["tasks"] if task["shard"] == shard]
