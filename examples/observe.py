"""Shows what an SRE sees when a region dies: the stack under load, watched by a real Prometheus and
Alertmanager with the rules that ship.

Kills a region, prints each page as it comes with its runbook, starts the region again, and prints when the
alert is over. The times are those that ship: it takes about three minutes.
"""

import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.cli.dev.monitoring import monitoring, monitoring_programs
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError
from gateway.identity.development_issuer import mint_token
from waypost.cancellation import cancel_and_wait
from waypost.serving import Server

REGIONS = ("beijing", "shanghai", "shenzhen")
LOST = "beijing"
SCOPES = ("workflows:submit", "workflows:read", "regions:read")
WARM_UP_SECONDS = 20.0
LIMIT_SECONDS = 600.0
WORK = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "load"},
    "spec": {"shards": {"count": 3}, "tasks": [{"name": "wait", "type": "delay", "run": {"seconds": 2}}]},
}

screen = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)


class Receiver:
    """Takes what Alertmanager posts, and prints each alert with the seconds since `began`."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.firing, self.over = asyncio.Event(), asyncio.Event()
        self.application = Starlette(routes=[Route("/{kind}", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        for alert in (await request.json())["alerts"]:
            self.show(request.path_params["kind"], alert)
        return Response()

    def show(self, kind: str, alert: dict[str, Any]) -> None:
        labels, notes, over = alert["labels"], alert["annotations"], alert["status"] == "resolved"
        self.say(f"{kind}{' is over' if over else ''}: {labels['alertname']} {labels.get('region', '')}")
        if not over:
            self.say(f"  {notes['summary']}. {notes['description']}")
            self.say(f"  {notes['runbook_url']}")
        if labels["alertname"] == "WaypostRegionDown":
            (self.over if over else self.firing).set()

    def say(self, text: str) -> None:
        screen.print(f"{time.monotonic() - self.began:6.1f} s  {text}", markup=False)


async def submit_all_the_time(client: httpx.AsyncClient) -> None:
    """Two runs a second, for as long as it runs."""
    while True:
        with suppress(httpx.TransportError):
            await client.post("/v1/runs", json=WORK)
        await asyncio.sleep(0.5)


async def observe(root: Path) -> None:
    monitoring_programs()
    receiver = Receiver()
    async with (
        Stack(root, REGIONS) as stack,
        Server(receiver.application, host="127.0.0.1", port=0) as server,
        monitoring(stack, receiver=f"http://127.0.0.1:{server.port}") as servers,
    ):
        screen.print(f"gateway {stack.url}, metrics {stack.metrics_url}/metrics")
        screen.print(f"Prometheus {servers.prometheus_url}, Alertmanager {servers.alerts_url}")
        token = mint_token(root / "development", subject="load", tenant="demo", scopes=SCOPES)
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=10) as client:
            load = asyncio.create_task(submit_all_the_time(client))
            try:
                async with asyncio.timeout(LIMIT_SECONDS):
                    await act(stack, receiver)
            finally:
                await cancel_and_wait((load,))


async def act(stack: Stack, receiver: Receiver) -> None:
    """Kills the region, waits for the page, starts the region again, and waits for the end of the alert."""
    await asyncio.sleep(WARM_UP_SECONDS)
    receiver.say(f"{LOST} is killed")
    stack.kill(LOST)
    await receiver.firing.wait()
    receiver.say(f"{LOST} is started again, as its runbook says")
    await stack.processes[LOST].wait()
    await stack.start_region(LOST, port=stack.ready[LOST]["port"])
    await receiver.over.wait()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="waypost-") as folder:
        try:
            asyncio.run(observe(Path(folder)))
        except CliError as error:
            screen.print(str(error), *error.lines)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
