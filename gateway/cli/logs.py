"""`waypost logs`: what a task wrote, from whichever region it ran in."""

import sys
from typing import Annotated, Any

import httpx
from cyclopts import Parameter

from gateway.cli.client import CliError, Exit, Token, Url, checked, connect, path
from gateway.cli.output import command
from gateway.cli.runs import RunId


@command
def logs(
    run: RunId,
    task: Annotated[str | None, Parameter(help="Which task. Default: the one that started last.")] = None,
    /,
    *,
    shard: Annotated[int, Parameter(help="Of which shard.")] = 0,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="", help="Go on until the task ends.")] = False,
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
        query = {"task": task, "shard": str(shard), "follow": str(follow).lower()}
        with client.stream("GET", path("runs", run, "logs"), params=query, timeout=None if follow else 30) as response:
            if not response.is_success:
                response.read()
                checked(response)
            for text in response.iter_text():
                sys.stdout.write(text)
                sys.stdout.flush()


def _tasks(client: httpx.Client, run: str, shard: int) -> list[dict[str, Any]]:
    found = checked(client.get(path("runs", run), params={"shard": shard}), "tasks")
    return [task for task in found["tasks"] if task["shard"] == shard]
