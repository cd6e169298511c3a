"""Shows what an SRE sees when a release is bad, and when a region dies.

A stack under load is watched by a real Prometheus and Alertmanager with the rules that ship. A policy bundle
that refuses what it should not is released to one tenant, then a version of a workflow whose tasks become
slow and fail, then a routing revision that sends most work to a region which cannot do some of it; the
gateway takes each back by itself. Then a region is killed, and started again. Prints each
page as it comes, with its runbook and panel. All times are those that ship, divided by `--speed`: four
minutes at 10, half an hour and more at 1.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from examples.observed_load import POOR, Load, TimeLine, caller, load_on, nightly, regional_load_on, screen
from gateway.cli.dev.monitoring import Monitoring, choose_addresses, monitoring, monitoring_programs
from gateway.cli.dev.shipped_monitoring import rollback_variables
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from gateway.policy.opa.bundle_archive import pack_bundle
from waypost.serving import Server

REGIONS = ("beijing", "shanghai", "shenzhen")
LOST = "beijing"
CANARY = "payments"
OPERATES = (
    "policy:operate",
    "policy:read",
    "workflows:read",
    "workflows:release",
    "regions:read",
    "routing:operate",
)
WARM_UP_SECONDS = 10.0
LIMIT_SECONDS = 3_600.0


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
            self.line.say(f"  {notes['runbook_url']}, in Grafana {notes['dashboard_url']}")
        if labels["alertname"] == "WaypostRegionDown":
            (self.over if over else self.firing).set()


async def observe(root: Path, speed: float) -> None:
    async with observed(root, speed):
        pass


@asynccontextmanager
async def observed(root: Path, speed: float) -> AsyncIterator[tuple[Monitoring, TimeLine]]:
    """Does all that is to be seen, then yields the servers that have watched, while the load goes on."""
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
        async with caller(stack, "demo", OPERATES) as client:
            (await client.post("/v1/workflows", json=nightly("true"))).raise_for_status()
        async with load_on(stack, line) as load:
            async with asyncio.timeout(LIMIT_SECONDS):
                await asyncio.sleep(WARM_UP_SECONDS)
                await release_a_bad_bundle(stack, line, load)
                await release_a_bad_workflow(stack, line, load)
                await apply_a_bad_routing(stack, line, load)
                await lose_a_region(stack, line, receiver)
            yield servers, line


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
        line.act("policy bundle 1 is active: the rules that ship")
        await asyncio.sleep(WARM_UP_SECONDS)
        await take(
            client, bundle(stack.state, 2, banned_executors=["delay"]), "canary", {"tenants": [CANARY]}
        )
        line.act(f"policy bundle 2 is in canary for {CANARY}: it bans the executor that all use")
        await see_it_taken_back(client, line, load, "policy")


async def release_a_bad_workflow(stack: Stack, line: TimeLine, load: Load) -> None:
    """Gives a bad version of a workflow half of the submissions, and waits until it is taken back."""
    async with caller(stack, "demo", OPERATES) as client:
        answer = await client.post("/v1/workflows", json=nightly("sh", "-c", "sleep 1; exit 1"))
        head = {"if-match": answer.raise_for_status().headers["etag"]}
        path = "/v1/workflows/nightly/versions/2/canary"
        (await client.post(path, headers=head, json={"percent": 50})).raise_for_status()
        line.act("nightly@2 is in canary for half of the submissions: its task takes a second and fails")
        await see_it_taken_back(client, line, load, "workflow")


async def apply_a_bad_routing(stack: Stack, line: TimeLine, load: Load) -> None:
    """Applies a good routing, then one that prefers a region where some work fails; waits for its end."""
    async with caller(stack, "demo", OPERATES) as client:
        await route(client, {POOR: {"avoid": True}})
        line.act(f"routing 1 avoids {POOR}, which has not what some of the work needs")
        async with regional_load_on(stack, line):
            await asyncio.sleep(2 * WARM_UP_SECONDS)
            await route(client, {POOR: {"weight": 5}})
            line.act(f"routing 2 gives {POOR} five times the share of others")
            await see_it_taken_back(client, line, load, "routing")
        await route(client, {POOR: {"weight": 1}})


async def route(client: httpx.AsyncClient, regions: dict[str, Any]) -> None:
    (await client.post("/v1/routing", json={"regions": regions})).raise_for_status()


async def see_it_taken_back(client: httpx.AsyncClient, line: TimeLine, load: Load, kind: str) -> None:
    """Prints each step of the rollback of the kind, until it is over."""
    shown = 0
    while True:
        answer = await client.get("/v1/rollbacks")
        # A gateway on a machine that is too busy may say that it is to be asked again.
        items = answer.json()["items"] if answer.is_success else []
        for found in [one for one in items if one["kind"] == kind]:
            for step in found["steps"][shown:]:
                line.say(f"rollback of {kind} {found['release']}: {step['phase']}: {step['detail']}")
            shown = len(found["steps"])
            if found["phase"] not in ("Intended", "Done"):
                # What a routing makes fail is not known at its submission.
                if bad := load.bad_at.get(kind):
                    seconds = f"{bad[-1] - bad[0]:.1f} s"
                    line.say(f"from the first bad submission to the last: {seconds}, {len(bad)} of them")
                return
        await asyncio.sleep(0.2)


async def take(client: httpx.AsyncClient, archive: bytes, step: str, body: dict[str, Any]) -> None:
    answer = (await client.post("/v1/policy/bundles", content=archive)).raise_for_status()
    path, tag = f"{answer.headers['location']}/{step}", answer.headers["etag"]
    (await client.post(path, headers={"if-match": tag}, json=body)).raise_for_status()


async def lose_a_region(stack: Stack, line: TimeLine, receiver: Receiver) -> None:
    """Kills a region, waits for the page, starts the region again, and waits for the end of the alert."""
    line.act(f"{LOST} is killed")
    stack.kill(LOST)
    await receiver.firing.wait()
    line.act(f"{LOST} is started again, as its runbook says")
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
