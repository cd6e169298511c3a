"""Benchmark of failover: how soon a lost region is noticed and its shards are dispatched again.

Regions are lost by killing their process or by stopping it (silent). Prints p50 and worst beside what the
contract promises. Usage: python bench/failover.py [ROUNDS]
"""

import asyncio
import contextlib
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from gateway.cli.dev.stack import Stack
from gateway.identity.development_issuer import mint_token
from tests.integration.conftest import QUICK_RETURN, REGIONS, SCOPES, history
from tests.integration.waiting import described, ended, submitted, taking_work, until

SHARDS = 8
TASK_SECONDS = 60.0
PROMISED = {"killed": (2.0, 5.0), "silent": (7.5, 10.0)}
"""The promised seconds until a loss is noticed, and until a shard is dispatched again, by fault.

The shard is idempotent, and its tasks are young.
"""


async def measure(stack: Stack, client: httpx.AsyncClient, fault: str, number: int) -> tuple[float, float]:
    """Loses a region by `fault` (killed or silent); returns the seconds until noticed and until all moved."""
    await taking_work(client, REGIONS)
    victim = REGIONS[number % len(REGIONS)]
    document = {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "long"},
        "spec": {
            "shards": {"count": SHARDS},
            "placement": {"avoid": [name for name in REGIONS if name != victim]},
            "tasks": [{"name": "long", "type": "delay", "run": {"seconds": TASK_SECONDS}}],
        },
    }
    run = await submitted(client, document)

    async def in_phase(count: int) -> bool:
        shards = (await described(client, run))["shards"]
        return len([s for s in shards if s["phase"] == "Running" and s["epoch"] == count]) == SHARDS

    await until(lambda: in_phase(1))
    at = time.time()
    stack.signal(victim, signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
    await until(lambda: in_phase(2), seconds=60)
    entries = history(stack, run)
    noticed = min(entry["at"] for entry in entries if entry["kind"] == "RegionLost") - at
    handed_on = (
        max(entry["at"] for entry in entries if entry["kind"] == "Intended" and entry["epoch"] == 2) - at
    )
    await client.post(f"/v1/runs/{run}/cancel")
    await ended(client, run)
    if fault == "killed":
        await stack.processes[victim].wait()
        await stack.start_region(victim, port=stack.ready[victim]["port"])
    else:
        stack.signal(victim, signal.SIGCONT)
    return noticed, handed_on


async def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="waypost-failover-") as folder:
        async with Stack(Path(folder), REGIONS, settings=QUICK_RETURN) as stack:
            token = mint_token(stack.state / "development", subject="bench", tenant="demo", scopes=SCOPES)
            async with httpx.AsyncClient(
                base_url=stack.url, headers={"authorization": f"Bearer {token}"}, timeout=10
            ) as client:
                for fault, promised in PROMISED.items():
                    found = [await measure(stack, client, fault, number) for number in range(rounds)]
                    for what, values, promise in zip(
                        ("noticed", "handed on"), zip(*found, strict=True), promised, strict=True
                    ):
                        p50, worst = statistics.median(values), max(values)
                        print(
                            f"{fault}: {what:9} p50 {p50:5.2f} s  worst {worst:5.2f} s  "
                            f"promised {promise:4.1f} s  ({rounds} rounds)",
                            flush=True,
                        )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
