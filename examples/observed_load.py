"""The load of `make observe`: documents of two tenants, a workflow by its name; and its printed time line."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from rich.console import Console

from gateway.cli.dev.stack import Stack
from gateway.identity.development_issuer import mint_token
from waypost.cancellation import cancel_and_wait

TENANTS = ("demo", "payments")
SCOPE = ("workflows:submit",)
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

POOR = "shanghai"
REGIONAL = WORK | {
    "metadata": {"name": "regional"},
    "spec": {
        "shards": {"count": 3},
        "tasks": [
            {
                "name": "do",
                "type": "process",
                "run": {"command": ["sh", "-c", f'test "$WAYPOST_REGION" != {POOR}']},
                "retry": {"limit": 0},
            }
        ],
    },
}
"""Work that needs what the region `POOR` does not have: its task fails there."""

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
    return httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=60)


def nightly(*command: str) -> dict[str, Any]:
    """The workflow `nightly`, with one task that is tried once."""
    task = {"name": "do", "type": "process", "run": {"command": list(command)}, "retry": {"limit": 0}}
    return WORK | {"metadata": {"name": "nightly"}, "spec": {"tasks": [task]}}


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


@asynccontextmanager
async def regional_load_on(stack: Stack, line: TimeLine) -> AsyncIterator[None]:
    """Submits work that one region cannot do, twice a second."""
    async with caller(stack, TENANTS[0], SCOPE) as client:
        task = asyncio.create_task(Load(line).submit_all_the_time(client, REGIONAL, 0.5))
        try:
            yield
        finally:
            await cancel_and_wait([task])
