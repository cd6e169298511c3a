"""Shows what an SRE sees when a release is bad, and when a region dies.

A stack under load is watched by a real Prometheus and Alertmanager with the rules that ship. A policy bundle
that refuses what it should not is released to one tenant, then a version of a workflow whose tasks become
slow and fail; the gateway takes both back by itself. Then a region is killed, and started again. Prints each
page as it comes, with its runbook and panel. All times are those that ship, divided by `--speed`: two and a
half minutes at 10, a quarter of an hour and more at 1.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
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

from gateway.cli.dev.monitoring import Monitoring, choose_addresses, monitoring, monitoring_programs
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
OPERATES = ("policy:operate", "policy:read", "workflows:read", "workflows:release")
WARM_UP_SECONDS = 10.0
LIMIT_SECONDS = 1_800.0
WORK = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "load"},
    "spec": {"shards": {"count": 3}, "tasks": [{"name": "wait", "type": "delay", "run": {"seconds": 2}}]},
}

EXCLUSIVE = WORK | {
    "metadata": {"name": "exclusive"},
    "spec": {
        "sideEffects": "exclusive",
        "tasks": [
            {
                "name": "do",
                "type": "process",
                "run": {"command": ["sh", "-c", 'test "$WAYPOST_TRY" -gt 1']},
                "retry": {"limit": 1},
            }
        ],
    },
}
"""Work of which no two attempts run at once. Its task fails once."""

NIGHTLY = {"workflow": "nightly"}

screen = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)


class TimeLine:
    """Prints what happens, each line with the seconds since the start.

    `events` are the times (Unix) and the texts of what was done to the stack.
    """

    def __init__(self) -> None:
        self.began, self.began_at = time.monotonic(), time.time()
        self.events: list[tuple[float, str]] = []

    def say(self, text: str) -> None:
        screen.print(f"{time.monotonic() - self.began:6.1f} s  {text}", markup=False)

    def act(self, text: str) -> None:
        """Prints and notes an event."""
        self.events.append((time.time(), text))
        self.say(text)


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


class Load:
    """Submits work again and again; notes which were bad: refused, or of a bad version."""

    def __init__(self, line: TimeLine) -> None:
        self.line, self.submitted = line, 0
        self.bad_at = dict[str, list[float]](policy=[], workflow=[])

    async def submit_all_the_time(
        self, client: httpx.AsyncClient, work: Mapping[str, Any], pause: float
    ) -> None:
        while True:
            with suppress(httpx.TransportError):
                answer = await client.post("/v1/runs", json=work)
                self.submitted += 1
                if answer.status_code == httpx.codes.FORBIDDEN:
                    self.note("policy", f"refused: {answer.json()['detail']}")
                elif answer.json().get("released") == "nightly@2":
                    self.note("workflow", "a submission by name runs nightly@2")
            await asyncio.sleep(pause)

    def note(self, kind: str, text: str) -> None:
        if not self.bad_at[kind]:
            self.line.say(text)
        self.bad_at[kind].append(time.monotonic())


def caller(stack: Stack, tenant: str, scopes: Sequence[str], *groups: str) -> httpx.AsyncClient:
    token = mint_token(
        stack.state / "development", subject="load", tenant=tenant, scopes=scopes, groups=groups
    )
    headers = {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=10)


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
                await lose_a_region(stack, line, receiver)
            yield servers, line


@asynccontextmanager
async def load_on(stack: Stack, line: TimeLine) -> AsyncIterator[Load]:
    """Submits documents as two tenants, and a workflow by its name as the first of them."""
    load = Load(line)
    async with caller(stack, TENANTS[0], SCOPE) as one, caller(stack, TENANTS[1], SCOPE) as other:
        tasks = [
            asyncio.create_task(load.submit_all_the_time(client, work, pause))
            for client, work, pause in (
                *((one, WORK, 0.5), (other, WORK, 0.5)),
                # Two of them: the evidence about a version is of its own runs alone.
                *((one, NIGHTLY, 0.5), (one, NIGHTLY, 0.5)),
                (one, EXCLUSIVE, 2.0),
            )
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
        line.act("policy bundle 1 is active: the rules that ship")
        await asyncio.sleep(WARM_UP_SECONDS)
        await take(
            client, bundle(stack.state, 2, banned_executors=["delay"]), "canary", {"tenants": [CANARY]}
        )
        line.act(f"policy bundle 2 is in canary for {CANARY}: it bans the executor that all use")
        await see_it_taken_back(client, line, load, "policy")


def nightly(*command: str) -> dict[str, Any]:
    """The workflow `nightly`, with one task that is tried once."""
    task = {"name": "do", "type": "process", "run": {"command": list(command)}, "retry": {"limit": 0}}
    return WORK | {"metadata": {"name": "nightly"}, "spec": {"tasks": [task]}}


async def release_a_bad_workflow(stack: Stack, line: TimeLine, load: Load) -> None:
    """Gives a bad version of a workflow half of the submissions, and waits until it is taken back."""
    async with caller(stack, "demo", OPERATES) as client:
        answer = await client.post("/v1/workflows", json=nightly("sh", "-c", "sleep 1; exit 1"))
        head = {"if-match": answer.raise_for_status().headers["etag"]}
        path = "/v1/workflows/nightly/versions/2/canary"
        (await client.post(path, headers=head, json={"percent": 50})).raise_for_status()
        line.act("nightly@2 is in canary for half of the submissions: its task takes a second and fails")
        await see_it_taken_back(client, line, load, "workflow")


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
                bad = load.bad_at[kind]
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
