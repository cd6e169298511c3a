"""Runs a real backup in three regions and kills one of them while it works; exits non-zero unless the backup
is complete.

Starts the whole stack, submits examples/backup-stdlib.yaml (and, where the recorded workflows are available,
one of them beside it), kills the region that holds most running shards, and checks the result from the files
alone. `--policy opa`: a real OPA decides.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml
from rich.console import Console

from backup import source_files
from gateway.cli.dev.opa_program import find_opa
from gateway.cli.dev.stack import Stack
from gateway.cli.output import table
from gateway.documents.wfformat import from_wfformat
from gateway.identity.development_issuer import mint_token

HERE = Path(__file__).parent
RECORDED = (
    Path(os.environ.get("WAYPOST_SHARED", HERE.parent.parent / "shared"))
    / "data/wfinstances/epigenomics-chameleon-hep-1seq-100k-001.json"
)
SCALE = 0.002
PACE_SECONDS = 2
LIMIT_SECONDS = 80.0
REGIONS = ("beijing", "shanghai", "shenzhen")
SCOPES = ("workflows:submit", "workflows:read", "workflows:cancel", "regions:read")

screen = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)


async def demo(root: Path, opa: Path | None) -> bool:
    source, target = Path(os.__file__).parent, root / "backup"
    async with Stack(root / "state", REGIONS, opa=opa, shared=(root, HERE)) as stack:
        policy = f"policy by {stack.opa.engine}" if stack.opa else "embedded policy"
        screen.print(f"gateway at {stack.url}, regions {', '.join(REGIONS)}, {policy}")
        token = mint_token(root / "state" / "development", subject="demo", tenant="demo", scopes=SCOPES)
        async with httpx.AsyncClient(
            base_url=stack.url, headers={"authorization": f"Bearer {token}"}, timeout=10
        ) as client:
            await all_healthy(client)
            runs = [await submit(client, backup(source, target))]
            if RECORDED.exists():
                converted = from_wfformat(msgspec.json.decode(RECORDED.read_bytes()), scale=SCALE)
                runs.append(await submit(client, msgspec.to_builtins(converted.workflow)))
            else:
                screen.print("no recorded workflows here: the backup runs alone")
            lost, killed_at = await kill_busiest(client, stack, runs[0])
            finished = [await finish(client, run) for run in runs]
            stories = [(await client.get(f"/v1/runs/{run}/explain")).json()["history"] for run in runs]
    good = report(finished, stories, lost, killed_at)
    return complete(source, target) and good


def backup(source: Path, target: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((HERE / "backup-stdlib.yaml").read_text())
    document["spec"]["params"] = {
        "python": sys.executable,
        "script": str(HERE / "backup.py"),
        "source": str(source),
        "target": str(target),
        "paceSeconds": PACE_SECONDS,
    }
    return document


async def all_healthy(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            regions = (await client.get("/v1/regions")).raise_for_status().json()["items"]
            if all(region["condition"] == "Healthy" for region in regions):
                return
            await asyncio.sleep(0.1)


async def submit(client: httpx.AsyncClient, document: dict[str, Any]) -> str:
    name = document["metadata"]["name"]
    answer = await client.post("/v1/runs", json=document, headers={"idempotency-key": name})
    if answer.is_error:
        raise SystemExit(f"{name} was refused: {answer.text}")
    run: str = answer.json()["id"]
    screen.print(f"accepted {name} as {run}")
    return run


async def kill_busiest(client: httpx.AsyncClient, stack: Stack, run: str) -> tuple[str, float]:
    """Kills the region that holds most running shards; returns its name and the time.

    It waits until a packed and unpublished part is on that region's disk.
    """
    async with asyncio.timeout(30):
        while True:
            found = (await client.get(f"/v1/runs/{run}")).json()
            running = Counter(shard["region"] for shard in found["shards"] if shard["phase"] == "Running")
            packed = {
                task["region"]
                for task in found["tasks"]
                if (task["task"], task["phase"]) == ("pack", "Succeeded")
            }
            region, count = (running.most_common(1) or [("", 0)])[0]
            if region in packed:
                break
            await asyncio.sleep(0.1)
    stack.kill(region)
    screen.print(f"[red]killed {region}[/], which held {count} running shards of {len(found['shards'])}")
    return region, time.time()


async def finish(client: httpx.AsyncClient, run: str) -> dict[str, Any]:
    """Follows the run to its end, prints a line for each change, and returns the run's last state."""
    shown = ""
    while True:
        found: dict[str, Any] = (await client.get(f"/v1/runs/{run}")).json()
        shards, tasks = (
            ", ".join(f"{n} {phase}" for phase, n in sorted(found[kind].items()))
            for kind in ("shard_phases", "task_phases")
        )
        line = f"{found['name']:>14}  {found['phase']:<10} shards: {shards}; tasks: {tasks}"
        if line != shown:
            screen.print(line, markup=False)
            shown = line
        if found["phase"] in ("Succeeded", "Failed", "Cancelled"):
            return found
        await asyncio.sleep(0.5)


def report(
    finished: list[dict[str, Any]], stories: list[list[dict[str, Any]]], lost: str, killed_at: float
) -> bool:
    rows = []
    for run, story in zip(finished, stories, strict=True):
        suspected = [
            entry["at"] for entry in story if entry["kind"] == "RegionLost" and entry["at"] > killed_at
        ]
        moved = [
            e["at"]
            for e in story
            if e["kind"] == "Placed" and e["detail"]["epoch"] > 1 and e["at"] > killed_at
        ]
        done = [e for e in story if e["kind"] == "TaskFinished" and e["detail"]["phase"] == "Succeeded"]
        executions = Counter((e["shard"], e["detail"]["task"]) for e in done)
        again = Counter(task for (_, task), count in executions.items() for _ in range(count - 1))
        rows.append(
            [
                run["name"],
                len(run["shards"]),
                sum(entry["kind"] == "Placed" for entry in story),
                sum(shard["failovers"] for shard in run["shards"]),
                f"{min(suspected) - killed_at:.1f} s" if suspected else None,
                f"{max(moved) - killed_at:.1f} s" if moved else None,
                ", ".join(f"{count} {task}" for task, count in sorted(again.items())) or "none",
                run["phase"],
            ]
        )
    screen.print(f"\nregion {lost} was lost; what that meant:")
    screen.print(
        table(["RUN", "SHARDS", "ATTEMPTS", "FAILOVERS", "DETECTED", "MOVED", "RE-RUN", "RESULT"], rows)
    )
    return all(run["phase"] == "Succeeded" for run in finished)


def complete(source: Path, target: Path) -> bool:
    """Whether every source file is in exactly one archive, with its present content, by the files alone."""
    wanted = {name: hashlib.sha256((source / name).read_bytes()).hexdigest() for name in source_files(source)}
    found: Counter[str] = Counter()
    wrong = []
    for archive in sorted(target.glob("shard-*.tar.gz")):
        manifest = json.loads(archive.with_name(archive.name.removesuffix(".tar.gz") + ".json").read_text())
        with tarfile.open(archive) as tar:
            for member in tar:
                content = tar.extractfile(member)
                checksum = hashlib.sha256(content.read()).hexdigest() if content else ""
                found[member.name] += 1
                if checksum != wanted.get(member.name) or manifest.get(member.name) != checksum:
                    wrong.append(member.name)
    missing, doubled = wanted.keys() - found.keys(), [name for name, count in found.items() if count > 1]
    verdict = not (missing or doubled or wrong or found.keys() - wanted.keys())
    counts = f"{len(found)} in the backup, {len(missing)} missing, {len(doubled)} doubled, {len(wrong)} wrong"
    screen.print(f"[{'green' if verdict else 'red'}]{len(wanted)} source files: {counts}[/]")
    return verdict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", choices=["embedded", "opa"], default="embedded")
    by_opa = parser.parse_args().policy == "opa"
    opa = find_opa() if by_opa else None
    if by_opa and opa is None:
        parser.error("there is no opa here: `make opa` finds or builds it")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="waypost-demo-") as folder:
        try:
            good = asyncio.run(asyncio.wait_for(demo(Path(folder), opa), LIMIT_SECONDS))
        except TimeoutError:
            screen.print(f"[red]not done after {LIMIT_SECONDS:.0f} s[/]")
            good = False
    screen.print(f"{'complete' if good else 'NOT complete'} after {time.monotonic() - began:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
