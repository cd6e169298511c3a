"""`waypost up`: the whole embedded stack on this machine, until Ctrl-C."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.output import command, console, table
from gateway.cli.stack import ROUND_TRIPS, Stack, forget


@command
def up(
    *,
    state: Annotated[Path, Parameter(help="Folder for everything: stores, certificates, logs.")] = Path(".waypost"),
    region: Annotated[tuple[str, ...], Parameter(negative="", help="Names of the regions.")] = tuple(ROUND_TRIPS),
    port: Annotated[int, Parameter(help="Of the API.")] = 8080,
    cpu: Annotated[float, Parameter(help="Processors that each region's tasks may ask for at once.")] = 8.0,
    fresh: Annotated[bool, Parameter(negative="", help="Forget what an earlier stack has stored.")] = False,
) -> int | None:
    """Start a gateway and its regions for development. Regions are not restarted when they die."""
    if fresh:
        forget(state, sys.stderr)
    return asyncio.run(_up(Stack(state, region, port=port, cpu=cpu)))


async def _up(stack: Stack) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    screen = console()
    screen.print("starting a gateway and its regions ...", markup=False)
    async with stack:
        rows: list[list[object]] = [["gateway", stack.url, stack.processes["gateway"].pid], ["metrics", stack.metrics_url, None]]
        rows += [[name, f"127.0.0.1:{stack.proxies[name].port}", stack.processes[name].pid] for name in stack.regions]
        screen.print(table(["", "ADDRESS", "PROCESS"], rows))
        screen.print("ready: try `waypost submit examples/hello.yaml --watch` in another terminal; Ctrl-C ends it", markup=False)
        watching = [asyncio.create_task(_tell_of_end(stack, name, stop)) for name in stack.processes]
        await stop.wait()
        for task in watching:
            task.cancel()
        screen.print("stopping ...", markup=False)
        return 1 if stack.processes["gateway"].returncode is not None else 0


async def _tell_of_end(stack: Stack, name: str, stop: asyncio.Event) -> None:
    """A region that dies is part of the game; without its gateway the stack is over."""
    code = await stack.processes[name].wait()
    console().print(f"{name} has ended with code {code}; its log: {stack.state / 'logs' / name}.log", markup=False)
    if name == "gateway":
        stop.set()
