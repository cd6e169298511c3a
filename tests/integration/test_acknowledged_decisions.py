"""Tests that no acted-upon decision is lost when a gateway is killed again and again under load.

Submissions that were accepted and cancellations that were acknowledged lose nothing. Refusals are written a
fifth of a second later, many in one commit: of those the last before a kill may be missing.
"""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct, field

from gateway.cli.dev.stack import Stack
from gateway.cli.errors import Exit
from gateway.cli.records.audit_trail import check
from gateway.identity.development_issuer import mint_token
from tests.integration.conftest import rows
from tests.integration.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SCOPES = ("workflows:submit", "workflows:read", "workflows:cancel", "audit:read")
CALLERS = 8


def document(priority: int) -> dict[str, Any]:
    """Returns a workflow that the tenant may submit up to priority 7."""
    tasks = [{"name": "a", "type": "delay", "run": {"seconds": 0}}]
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "nightly"},
        "spec": {"priority": priority, "tasks": tasks},
    }


class Acknowledged(Struct):
    """The answers that callers got."""

    runs: dict[str, str] = field(default_factory=dict)
    """The decision id of each accepted run."""
    cancelled: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    """The decision ids of refusals."""

    @property
    def count(self) -> int:
        return len(self.runs) + len(self.cancelled) + len(self.refused)


async def call(client: httpx.AsyncClient, known: Acknowledged, dice: random.Random) -> None:
    """Makes one submission that is accepted and sometimes cancelled, or one that is refused."""
    try:
        if dice.random() < 0.4:
            answer = await client.post("/v1/runs", json=document(9))
            if answer.status_code == 403:
                known.refused.add(answer.json()["decision_id"])
            return
        answer = await client.post("/v1/runs", json=document(3))
        if answer.status_code != 202:
            return
        run = answer.json()["id"]
        known.runs[run] = answer.json()["decision_id"]
        if dice.random() < 0.5 and (await client.post(f"/v1/runs/{run}/cancel")).is_success:
            known.cancelled.add(run)
    except httpx.TransportError:
        # Not acknowledged: what became of it is not promised. Nobody answers until the next process does.
        await asyncio.sleep(0.01)


async def load(client: httpx.AsyncClient, known: Acknowledged, seed: int, stop: asyncio.Event) -> None:
    dice = random.Random(seed)
    while not stop.is_set():
        await call(client, known, dice)


def recorded(stack: Stack, *, refused: bool) -> set[str]:
    """Returns the ids of the decisions in the store's file."""
    found = rows(stack.state / "gateway.db", "select id from decision where refused = ?", refused)
    return {str(name) for (name,) in found}


def acts(stack: Stack, kind: str) -> dict[str, str]:
    """Returns the runs with such an entry in their history, each with its decision id."""
    found = rows(stack.state / "gateway.db", "select run, detail from audit where kind = ?", kind)
    return {run: json.loads(detail)["decision_id"] for run, detail in found}


def check_records(stack: Stack, known: Acknowledged) -> None:
    """Asserts that each accepted or cancelled run has its decision; prints how many refusals lack it."""
    permitted = recorded(stack, refused=False)
    accepted, cancels = acts(stack, "Accepted"), acts(stack, "CancelRequested")
    assert known.runs.items() <= accepted.items()
    assert set(known.runs.values()) <= permitted
    assert known.cancelled <= cancels.keys()
    assert {cancels[run] for run in known.cancelled} <= permitted
    lost = len(known.refused - recorded(stack, refused=True))
    print(f"{known.count} acknowledged; of {len(known.refused)} refusals {lost} are not recorded")


async def test_what_was_acknowledged_has_its_decision_after_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rounds: int
) -> None:
    """kill -9 after a random number of acknowledged calls, of eight callers at once."""
    known, stop, dice = Acknowledged(), asyncio.Event(), random.Random(5)
    seen: set[str] = set()
    async with Stack(tmp_path, ()) as stack:
        token = mint_token(stack.state / "development", subject="t", tenant="demo", scopes=SCOPES)
        async with httpx.AsyncClient(
            base_url=stack.url, headers={"authorization": f"Bearer {token}"}, timeout=10
        ) as client:
            callers = [asyncio.create_task(load(client, known, seed, stop)) for seed in range(CALLERS)]
            for _ in range(rounds + 1):
                target = known.count + dice.randint(50, 200)

                async def reached(target: int = target) -> bool:
                    return known.count >= target

                await until(reached)
                # What is in the store now was recorded: a kill must not take it away.
                seen |= recorded(stack, refused=True)
                stack.kill("gateway")
                await stack.processes["gateway"].wait()
                await stack.start_gateway()
            stop.set()
            await asyncio.gather(*callers)
        stack.kill("gateway")
        await stack.processes["gateway"].wait()

        check_records(stack, known)
        assert seen <= recorded(stack, refused=True)
        await stack.start_gateway()
        assert await until(lambda: sealed(stack))
        auditor = mint_token(
            stack.state / "development",
            subject="auditor",
            tenant="demo",
            scopes=("audit:read",),
            groups=("/waypost/operators",),
        )
        verify = asyncio.to_thread(check, key=(stack.state / "audit.pub.pem",), url=stack.url, token=auditor)
        assert await verify == Exit.DONE, capsys.readouterr().out


async def sealed(stack: Stack) -> bool:
    """Returns whether every entry of the audit trail is under a seal."""
    database = stack.state / "gateway.db"
    (entries,) = rows(database, "select count(*) from audit where kind in ('Accepted', 'CancelRequested')")
    seals = rows(database, "select state from seal")
    return bool(entries[0] == sum(len(json.loads(state)["entries"]) for (state,) in seals))
