"""Shows what an SRE sees when a policy bundle is bad, and when a region dies.

A stack under load is watched by a real Prometheus and Alertmanager with the rules that ship. A bundle that
refuses what it should not is released to one tenant, and the gateway takes it back by itself; then a region
is killed, and started again. Prints each page as it comes, with its runbook. All times are those that ship,
divided by `--speed`: a minute and a half at 10, a quarter of an hour at 1.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.cli.dev.monitoring import choose_addresses, monitoring, monitoring_programs
from gateway.cli.dev.shipped_monitoring import rollback_variables
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError
from gateway.identity.development_issuer import mint_token
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.opa.bundle_archive import pack_bundle
from waypost.cancellation import cancel_and_wait
from waypost.serving import Server

REGIONS = ("beijing", "shanghai", "shenzhen")
LOST = "beijing"
TENANTS = ("demo", "payments")
CANARY = "payments"
SCOPE = ("workflows:submit",)
OPERATES = ("policy:operate", "policy:read", "workflows:read")
WARM_UP_SECONDS = 10.0
LIMIT_SECONDS = 1_800.0
WORK = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "load"},
    "spec": {"shards": {"count": 3}, "tasks": [{"name": "wait", "type": "delay", "run": {"seconds": 2}}]},
}

screen = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)


class TimeLine:
    """Prints what happens, each line with the seconds since the start."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        screen.print(f"{time.monotonic() - self.began:6.1f} s  {text}", markup=False)


class Receiver:
    """Takes what Alertmanager posts, and prints each alert."""

    def __init__(self, line: TimeLine) -> None:
        self.line = line
        self.firing, self.over = asyncio.Event(), asyncio.Event()
        self.application = Starlette(routes=[Route("/{kind}", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        for alert in (await request.json())["alerts"]:
            self.show(request.path_params["kind"], alert)
        return Response()

    def show(self, kind: str, alert: dict[str, Any]) -> None:
        labels, notes, over = alert["labels"], alert["annotations"], alert["status"] == "resolved"
        self.line.say(f"{kind}{' is over' if over else ''}: {labels['alertname']} {labels.get('region', '')}")
        if not over:
            self.line.say(f"  {notes['summary']}. {notes['description']}")
            self.line.say(f"  {notes['runbook_url']}")
        if labels["alertname"] == "WaypostRegionDown":
            (self.over if over else self.firing).set()


class Load:
    """Two submissions a second for each tenant; notes when policy refused one."""

    def __init__(self, line: TimeLine) -> None:
        self.line, self.submitted = line, 0
        self.refused_at: list[float] = []

    async def submit_all_the_time(self, client: httpx.AsyncClient, tenant: str) -> None:
        while True:
            with suppress(httpx.TransportError):
                answer = await client.post("/v1/runs", json=WORK)
                self.submitted += 1
                if answer.status_code == httpx.codes.FORBIDDEN:
                    if not self.refused_at:
                        self.line.say(f"{tenant} is refused: {answer.json()['detail']}")
                    self.refused_at.append(time.monotonic())
            await asyncio.sleep(0.5)


def caller(stack: Stack, tenant: str, scopes: Sequence[str], *groups: str) -> httpx.AsyncClient:
    token = mint_token(
        stack.state / "development", subject="load", tenant=tenant, scopes=scopes, groups=groups
    )
    headers = {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=10)


async def observe(root: Path, speed: float) -> None:
    monitoring_programs()
    line = TimeLine()
    receiver, servers, token = Receiver(line), choose_addresses(), secrets.token_hex()
    variables = rollback_variables(prometheus=servers.prometheus_url, token=token, speed=speed)
    async with (
        Stack(root, REGIONS, settings=variables) as stack,
        Server(receiver.application, host="127.0.0.1", port=0) as server,
        monitoring(
            stack, servers, receiver=f"http://127.0.0.1:{server.port}", alerts_token=token, speed=speed
        ),
    ):
        screen.print(f"gateway {stack.url}, metrics {stack.metrics_url}/metrics")
        screen.print(f"Prometheus {servers.prometheus_url}, Alertmanager {servers.alerts_url}")
        screen.print(f"all times of rules, routes and rollbacks are the shipped ones divided by {speed:g}")
        async with load_on(stack, line) as load, asyncio.timeout(LIMIT_SECONDS):
            await asyncio.sleep(WARM_UP_SECONDS)
            await release_a_bad_bundle(stack, line, load)
            await lose_a_region(stack, line, receiver)


@asynccontextmanager
async def load_on(stack: Stack, line: TimeLine) -> AsyncIterator[Load]:
    load = Load(line)
    async with caller(stack, TENANTS[0], SCOPE) as one, caller(stack, TENANTS[1], SCOPE) as other:
        tasks = [
            asyncio.create_task(load.submit_all_the_time(client, tenant))
            for client, tenant in zip((one, other), TENANTS, strict=True)
        ]
        try:
            yield load
        finally:
            await cancel_and_wait(tasks)


def bundle(folder: Path, sequence: int, **data: Any) -> bytes:
    """The shipped rules as a bundle, with `data` in place of some of their data."""
    shipped = msgspec.json.decode((SHIPPED_POLICIES / "data.json").read_bytes())
    file = folder / "data.json"
    file.write_bytes(msgspec.json.encode(shipped | data))
    return pack_bundle(read_bundle(SHIPPED_POLICIES, file), sequence=sequence)


async def release_a_bad_bundle(stack: Stack, line: TimeLine, load: Load) -> None:
    """Releases a good bundle, then a bad one in canary, and waits until the gateway has taken that back."""
    async with caller(stack, "demo", OPERATES, "/waypost/security") as client:
        await take(client, bundle(stack.state, 1), "activate", {})
        line.say("policy bundle 1 is active: the rules that ship")
        await asyncio.sleep(WARM_UP_SECONDS)
        await take(
            client, bundle(stack.state, 2, banned_executors=["delay"]), "canary", {"tenants": [CANARY]}
        )
        line.say(f"policy bundle 2 is in canary for {CANARY}: it bans the executor that all use")
        shown = 0
        while True:
            for found in (await client.get("/v1/rollbacks")).json()["items"]:
                for step in found["steps"][shown:]:
                    line.say(
                        f"rollback of {found['kind']} {found['release']}: {step['phase']}: {step['detail']}"
                    )
                shown = len(found["steps"])
                if found["phase"] not in ("Intended", "Done"):
                    seconds = load.refused_at[-1] - load.refused_at[0]
                    counts = f"{len(load.refused_at)} of {load.submitted} submissions were refused"
                    line.say(f"from the first refusal to the last: {seconds:.1f} s; {counts}")
                    return
            await asyncio.sleep(0.2)


async def take(client: httpx.AsyncClient, archive: bytes, step: str, body: dict[str, Any]) -> None:
    answer = (await client.post("/v1/policy/bundles", content=archive)).raise_for_status()
    path, tag = f"{answer.headers['location']}/{step}", answer.headers["etag"]
    (await client.post(path, headers={"if-match": tag}, json=body)).raise_for_status()


async def lose_a_region(stack: Stack, line: TimeLine, receiver: Receiver) -> None:
    """Kills a region, waits for the page, starts the region again, and waits for the end of the alert."""
    line.say(f"{LOST} is killed")
    stack.kill(LOST)
    await receiver.firing.wait()
    line.say(f"{LOST} is started again, as its runbook says")
    await stack.processes[LOST].wait()
    await stack.start_region(LOST, port=stack.ready[LOST]["port"])
    await receiver.over.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=10.0)
    speed = parser.parse_args().speed
    with tempfile.TemporaryDirectory(prefix="waypost-") as folder:
        try:
            asyncio.run(observe(Path(folder), speed))
        except CliError as error:
            screen.print(str(error), *error.lines)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
