"""Benchmark of tenants: how much one tenant's load slows down another's calls and runs, and /livez.

One kind of load (noise) after the other, for `--seconds` each, beside the quiet tenant, which was measured
alone just before: printed are ratios to that, and for /livez the worst stall above the worst one before.
Needs `wrk`. Usage: python -m bench.tenants [--seconds 60] [--noise NAME ...]
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.event_loop_stalls import processor_wait
from bench.noises import LOUD, NOISES, Noise, delay, workflow
from gateway.cli.dev.stack import Stack
from gateway.identity.development_issuer import mint_token
from gateway.policy.bundle import SHIPPED_POLICIES

REGIONS = ("beijing", "shanghai", "shenzhen")
SCOPES = ("workflows:submit", "workflows:read", "workflows:cancel", "workflows:operate")
PAUSE_SECONDS = 0.2
"""The seconds between two runs of the quiet tenant."""
DONE_SECONDS = 120.0
"""The most seconds that a quiet run is waited for; one that is not over counts as having taken these."""

LUA = """
local file = io.open("{bodies}", "r")
local bodies = {{}}
if file then for line in file:lines() do bodies[#bodies + 1] = line end end
local next_one = 0
wrk.method = "{method}"
wrk.headers["Content-Type"] = "application/json"
local tokens = {{}}
for token in ("{tokens}"):gmatch("%S+") do tokens[#tokens + 1] = "Bearer " .. token end
request = function()
  next_one = next_one + 1
  wrk.headers["Authorization"] = tokens[next_one % #tokens + 1]
  return wrk.format(nil, nil, nil, bodies[next_one % #bodies + 1])
end
local counts = {{}}
response = function(status) counts[status] = (counts[status] or 0) + 1 end
"""


@dataclass(kw_only=True)
class Samples:
    """The measured durations, in seconds, of the quiet tenant's calls and of /livez."""

    submit: list[float] = field(default_factory=list)
    get: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    livez: list[float] = field(default_factory=list)
    livez_own: list[float] = field(default_factory=list)
    """The durations of /livez without the waits of the gateway and of the caller for a processor."""
    refused: int = 0


async def quiet(client: httpx.AsyncClient, seconds: float, samples: Samples) -> None:
    """Submits a small run as the quiet tenant every `PAUSE_SECONDS`, reads it, and measures durations."""
    until, waiting = time.perf_counter() + seconds, set[asyncio.Task[None]]()
    while time.perf_counter() < until:
        began = time.perf_counter()
        answer = await client.post("/v1/runs", json=workflow(delay()))
        if answer.status_code != 202:
            samples.refused += 1
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        samples.submit.append(time.perf_counter() - began)
        run = answer.json()["id"]
        began = time.perf_counter()
        await client.get(f"/v1/runs/{run}")
        samples.get.append(time.perf_counter() - began)
        waiting.add(asyncio.create_task(wait_for_end(client, run, samples)))
        await asyncio.sleep(PAUSE_SECONDS)
    await asyncio.gather(*waiting)


async def wait_for_end(client: httpx.AsyncClient, run: str, samples: Samples) -> None:
    """Waits for a run's end; adds the time from acceptance to end, by the gateway's clock, to the samples."""
    until = time.perf_counter() + DONE_SECONDS
    while time.perf_counter() < until:
        await asyncio.sleep(0.25)
        found = (await client.get(f"/v1/runs/{run}")).json()
        if found.get("finished_at") is not None:
            samples.done.append(found["finished_at"] - found["created_at"])
            return
    samples.done.append(DONE_SECONDS)


async def probe(stack: Stack, samples: Samples) -> None:
    """Calls /livez every 20 ms and measures the duration of each call."""
    gateway = Path(f"/proc/{stack.processes['gateway'].pid}/schedstat")  # of its main thread
    async with httpx.AsyncClient(base_url=stack.metrics_url, timeout=120) as client:
        while True:
            waited, began = processor_wait(gateway) + processor_wait(), time.perf_counter()
            await client.get("/livez")
            seconds = time.perf_counter() - began
            samples.livez.append(seconds)
            waited = processor_wait(gateway) + processor_wait() - waited
            samples.livez_own.append(max(0.0, seconds - waited))
            await asyncio.sleep(0.02)


async def measure(client: httpx.AsyncClient, stack: Stack, seconds: float) -> Samples:
    """Measures the quiet tenant's calls and /livez for the given seconds; returns the samples."""
    probing = asyncio.create_task(probe(stack, samples := Samples()))
    await quiet(client, seconds, samples)
    probing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await probing
    return samples


@contextlib.asynccontextmanager
async def making(noise: Noise, stack: Stack, tokens: Sequence[str], folder: Path) -> AsyncIterator[None]:
    """Makes a kind of load inside the `with` block, with the tokens of as many tenants as it needs."""
    if not noise.connections:
        async with large_run(stack, tokens[0]):
            yield
        return
    bodies, script = folder / "bodies", folder / "noise.lua"
    bodies.write_text("\n".join(json.dumps(body) for body in noise.bodies))
    script.write_text(
        LUA.format(bodies=bodies, method=noise.method, tokens=" ".join(tokens[: noise.tenants]))
    )
    url = f"{stack.url}{noise.path}"
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{noise.connections}", "-d600s", "--timeout", "120s", "-s", str(script), url),
        stdout=asyncio.subprocess.DEVNULL,
    )
    await asyncio.sleep(1)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def large_run(stack: Stack, token: str) -> AsyncIterator[None]:
    """Submits a run of 9,500 tasks on 1,000 shards; cancels it at the end of the `with` block."""
    body = workflow(*(delay(f"t{n}") for n in range(9_500)), priority=7, shards={"count": 1_000})
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=120) as client:
        run = (await client.post("/v1/runs", json=body)).raise_for_status().json()["id"]
        await asyncio.sleep(2)
        try:
            yield
        finally:
            began = time.perf_counter()
            await client.post(f"/v1/runs/{run}/cancel")
            while (await client.get("/v1/runs", params={"limit": 1, "phase": "Cancelling"})).json()["items"]:
                await asyncio.sleep(0.2)
                if time.perf_counter() - began > DONE_SECONDS:
                    break
            print(f"  the large run was cancelled after {time.perf_counter() - began:.1f} s")


def row(name: str, alone: Samples, beside: Samples) -> str:
    """Formats a row of the result table: p50 and p99 in milliseconds, beside and without the noise."""
    cells = [name]
    for what in ("submit", "get", "done"):
        before, during = sorted(getattr(alone, what)), sorted(getattr(beside, what))
        if not before or not during:
            cells.append("none")
            continue
        middle, after = statistics.median(before), statistics.median(during)
        cells.append(
            f"x{after / middle:.1f} x{p99(during) / p99(before):.1f}:"
            f" {ms(middle)} {ms(p99(before))} -> {ms(after)} {ms(p99(during))}"
        )
    for before, during in ((alone.livez, beside.livez), (alone.livez_own, beside.livez_own)):
        above = (max(during) - max(before)) * 1000
        cells.append(f"{above:+,.0f}: {ms(max(before))} -> {ms(max(during))}")
    cells.append(str(beside.refused))
    return "| " + " | ".join(cells) + " |"


def p99(values: Sequence[float]) -> float:
    return values[min(len(values) - 1, int(len(values) * 0.99))]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f}" if seconds >= 0.01 else f"{seconds * 1000:.1f}"


def settings(folder: Path) -> dict[str, str]:
    """Returns the settings of a gateway whose policy knows all of the noisy tenants."""
    data = json.loads((SHIPPED_POLICIES / "data.json").read_text())
    data["tenants"] |= dict.fromkeys(LOUD, data["tenants"]["payments"])
    path = folder / "data.json"
    path.write_text(json.dumps(data))
    return {"WAYPOST_POLICY__DATA": str(path)}


async def main(seconds: float, names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="waypost-tenants-") as name:
        folder = Path(name)
        async with Stack(folder / "stack", REGIONS, settings=settings(folder)) as stack:
            issuer = stack.state / "development"
            loud = [mint_token(issuer, subject="loud", tenant=name, scopes=SCOPES) for name in LOUD]
            token = mint_token(issuer, subject="quiet", tenant="demo", scopes=SCOPES)
            print("Each cell: ratio of p50, ratio of p99: p50 and p99 alone -> beside the noise, in ms")
            print("| noise | submit | GET | accepted to done | /livez at worst, ms | own | refused |")
            print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
            headers = {"authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=120) as client:
                await measure(client, stack, 3)
                for one in names:
                    alone = await measure(client, stack, seconds)  # as long: the worst of as many calls
                    async with making(NOISES[one](), stack, loud, folder):
                        beside = await measure(client, stack, seconds)
                    print(row(one, alone, beside), flush=True)
                    await asyncio.sleep(min(20.0, seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--noise", nargs="+", choices=list(NOISES), default=list(NOISES))
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: needs wrk")
        sys.exit(0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(args.seconds, args.noise))
