"""`waypost logs`: what a task wrote, from whichever region it ran in."""

import sys
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.client import CliError, Exit, Token, Url, checked, connect
from gateway.cli.output import command
from gateway.cli.runs import RunId


@command
def logs(
    run: RunId,
    task: Annotated[str | None, Parameter(help="Which task. Default: the one that started last.")] = None,
    /,
    *,
    shard: int = 0,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="", help="Go on until the task ends.")] = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Print a task's output."""
    with connect(url, token) as client:
        if task is None:
            tasks = [t for t in checked(client.get(f"/v1/runs/{run}"))["tasks"] if t["shard"] == shard]
            if not tasks:
                raise CliError(f"no task of shard {shard} has started", code=Exit.NOT_FOUND)
            task = max(tasks, key=lambda t: t["started_at"])["task"]
        query = {"task": str(task), "shard": str(shard), "follow": str(follow).lower()}
        with client.stream("GET", f"/v1/runs/{run}/logs", params=query, timeout=None if follow else 30) as response:
            if not response.is_success:
                response.read()
                checked(response)
            for text in response.iter_text():
                sys.stdout.write(text)
                sys.stdout.flush()
