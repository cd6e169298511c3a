"""Tests that a cluster that is killed again and again finishes all work, and repeats nothing finished.

`--kills 200` for many; the random moments follow from `--kill-seed`.
"""

import asyncio
import contextlib
import json
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.cli.dev.stack import Stack
from gateway.documents.wfformat import from_wfformat
from tests.clusters.embedded.executors.docker.engines import RealEngine, missing, started
from tests.integration.conftest import caller_of, history
from tests.integration.killed_effects import Effect, Kill, TaskKey, command, effects, faults_of, journalled
from tests.integration.test_recorded_workflows import INSTANCES
from tests.integration.waiting import described, ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(5_400)]
REGION = "beijing"
LONGEST_SECONDS = 0.4
"""The seconds to which the longest task of a recording is scaled."""
ALIVE_SECONDS = 1.5
"""The most seconds from the first start of a task after a restart to the next kill."""
AT_ONCE = 3
"""The runs that are under way at once."""
TASKS_MAXIMUM = 45
"""The most tasks of a recording that is used while the kills are few."""
FEW = 20
PATIENT = {
    # Used again at once, and never taken for a region that its work ends.
    "WAYPOST_HEALTH__EJECTION_SECONDS": "0.1",
    "WAYPOST_HEALTH__EJECTION_MAXIMUM_SECONDS": "0.2",
    "WAYPOST_HEALTH__SLOW_START_SECONDS": "1",
    "WAYPOST_FAILOVER__LOSSES_FORGOTTEN_SECONDS": "0.01",
    # There is no other region: the same attempt goes on, so the journal alone says what has finished.
    "WAYPOST_FAILOVER__WAIT_MINIMUM_SECONDS": "120",
    "WAYPOST_FAILOVER__WAIT_MAXIMUM_SECONDS": "120",
}


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[RealEngine | None]:
    """A Docker Engine, for many kills and where it is installed."""
    if request.config.getoption("--kills") < FEW or missing("docker"):
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="wp-"))
    try:
        running = started("docker", folder / "docker")
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def stack(tmp_path: Path, engine: RealEngine | None) -> AsyncIterator[Stack]:
    executors = {} if engine is None else {"docker": {"socket": engine.socket}}
    async with Stack(
        tmp_path / "stack", [REGION], settings=PATIENT, shared=[tmp_path], executors=executors
    ) as stack:
        yield stack


def document(recording: Any, log: Path, shards: int) -> dict[str, Any]:
    """Returns a recorded workflow whose tasks write down what they do, with `collect` and `finally`."""
    longest = max(task["runtimeInSeconds"] for task in recording["workflow"]["execution"]["tasks"])
    workflow = from_wfformat(recording, scale=LONGEST_SECONDS / max(longest, 1e-9)).workflow
    made: dict[str, Any] = msgspec.to_builtins(workflow)
    spec = made["spec"]
    for task in spec["tasks"]:
        task |= process(log, task["run"]["seconds"])
    last = spec["tasks"][-1]["name"]
    spec["collect"] = [
        {"name": "gather", "needs": [last]} | process(log, 0.1),
        {"name": "publish", "needs": ["gather"]} | process(log, 0.1),
    ]
    spec["finally"] = [
        {"name": "report"} | process(log, 0.2),
        {"name": "tidy", "needs": ["report"]} | process(log, 0.1),
    ]
    return made | {"spec": spec | {"shards": {"count": shards}}}


def process(log: Path, seconds: float) -> dict[str, Any]:
    # A try that a kill interrupts counts, and is followed by another.
    retry = {"limit": 100, "backoffSeconds": 0}
    return {"type": "process", "run": {"command": command(log, seconds)}, "retry": retry}


def contained(image: str) -> dict[str, Any]:
    """Returns a workflow of containers that leave nothing but themselves."""
    run = {"image": image, "command": ["sleep", "0.5"]}
    tasks = [
        {"name": f"c{number}", "type": "docker", "run": run, "retry": {"limit": 100, "backoffSeconds": 0}}
        for number in range(3)
    ]
    return {
        "apiVersion": "waypost/v1",
        "kind": "Workflow",
        "metadata": {"name": "contained"},
        "spec": {"tasks": tasks},
    }


def needs_of(run: str, made: dict[str, Any]) -> dict[TaskKey, list[TaskKey]]:
    """Returns every task that a run is to run, with the tasks that must have ended before it starts."""
    spec, found = made["spec"], dict[TaskKey, list[TaskKey]]()
    shards = [str(index) for index in range(spec["shards"]["count"])]
    main = [(run, shard, task["name"]) for shard in shards for task in spec["tasks"]]
    for shard in shards:
        for task in spec["tasks"]:
            found[run, shard, task["name"]] = [(run, shard, need) for need in task.get("needs", ())]
    found |= {(run, "collect", "gather"): main, (run, "collect", "publish"): [(run, "collect", "gather")]}
    found[run, "finally", "report"] = [(run, "collect", "publish")]
    found[run, "finally", "tidy"] = [(run, "finally", "report")]
    return found


def processes_of(folder: Path) -> list[str]:
    """Returns the command lines of living processes of tries whose workspace is below a folder."""
    mark, found = f"WAYPOST_WORKSPACE={folder}/".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def recorded_workflows(tasks_maximum: int) -> list[Any]:
    """Returns the recordings with at most so many tasks; skips the test where there are none."""
    found = [json.loads(file.read_text()) for file in sorted(INSTANCES.glob("*.json"))]
    if not found:
        pytest.skip("there are no recorded workflows (WAYPOST_SHARED names their folder)")
    return [one for one in found if len(one["workflow"]["execution"]["tasks"]) <= tasks_maximum]


class Torture:
    """Keeps recorded workflows running on a stack, and kills its cluster at random moments.

    Where there is an `engine`, every fourth run is one of containers.
    """

    def __init__(
        self,
        stack: Stack,
        client: httpx.AsyncClient,
        log: Path,
        rng: random.Random,
        engine: RealEngine | None,
    ) -> None:
        self.stack, self.client, self.log, self.rng, self.engine = stack, client, log, rng, engine
        self.needs: dict[TaskKey, list[TaskKey]] = {}
        self.runs: list[str] = []
        self.contained: list[str] = []
        self.open: list[str] = []
        self.kills: list[Kill] = []

    async def keep_busy(self, recordings: Sequence[Any]) -> None:
        """Submits recordings, one after the other, while fewer than `AT_ONCE` runs are under way."""
        phases = [(await described(self.client, run))["phase"] for run in self.open]
        self.open = [
            run for run, phase in zip(self.open, phases, strict=True) if phase in ("Pending", "Running")
        ]
        while len(self.open) < AT_ONCE:
            if self.engine is not None and len(self.runs) + len(self.contained) == 4 * len(self.contained):
                self.contained.append(await submitted(self.client, contained(self.engine.image)))
                self.open.append(self.contained[-1])
                continue
            recording = recordings[len(self.runs) % len(recordings)]
            shards = 2 if len(recording["workflow"]["execution"]["tasks"]) < TASKS_MAXIMUM // 2 else 1
            made = document(recording, self.log, shards)
            run = await submitted(self.client, made)
            self.needs |= needs_of(run, made)
            self.runs.append(run)
            self.open.append(run)

    async def kill(self) -> None:
        """Kills the cluster some time after tasks have started in it, and starts it again."""
        since = self.kills[-1].lines if self.kills else 0

        async def works() -> bool:
            return any(effect.line >= since for effect in effects(self.log))

        # Where only containers run, nothing is written.
        with contextlib.suppress(TimeoutError):
            await until(works, seconds=10)
        await asyncio.sleep(self.rng.uniform(0.0, ALIVE_SECONDS))  # the moment of the kill is what is random
        self.stack.kill(REGION)
        await self.stack.processes[REGION].wait()

        async def gone() -> bool:
            return processes_of(self.stack.state) == [] and self.containers() == 0

        # By the watchdogs alone: no cluster is there to look for them.
        await until(gone, seconds=60)
        finished = journalled(self.stack.state.resolve() / "regions" / REGION / "journal.db")
        self.kills.append(Kill(finished, len(effects(self.log))))
        await self.stack.start_region(REGION, port=self.stack.ready[REGION]["port"])

    def containers(self) -> int:
        return 0 if self.engine is None else len(self.engine.containers("waypost.workspaces"))


async def test_a_cluster_killed_at_random_finishes_everything_once(
    stack: Stack, engine: RealEngine | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Judged by what the tasks wrote and by the journal as each kill left it.

    All runs end well; what a journal held as finished never starts again; no two tries of a task run at
    once, and none runs without a kill before it; `finally` begins once; no process or container is left.
    """
    kills, seed = request.config.getoption("--kills"), request.config.getoption("--kill-seed")
    recordings = recorded_workflows(TASKS_MAXIMUM if kills < FEW else 1_000)
    async with caller_of(stack) as client:
        await taking_work(client, [REGION])
        torture = Torture(stack, client, tmp_path / "effects", random.Random(seed), engine)
        for _ in range(kills):
            await torture.keep_busy(recordings)
            await torture.kill()
        found = {run: await ended(client, run, seconds=600) for run in torture.runs + torture.contained}
        (region,) = (await client.get("/v1/regions")).json()["items"]
    written = effects(torture.log)
    print(summary(seed, region, torture, written))
    assert {one["phase"] for one in found.values()} == {"Succeeded"}
    assert faults_of(written, torture.kills, torture.needs) == []
    begun = {
        run: [entry["shard"] for entry in history(stack, run) if entry["kind"] == "Begun"]
        for run in torture.runs
    }
    assert {tuple(sorted(shards)) for shards in begun.values()} == {(1_000_000, 1_000_001)}
    assert (processes_of(stack.state), torture.containers()) == ([], 0)


def summary(seed: int, region: dict[str, Any], torture: Torture, written: Sequence[Effect]) -> str:
    starts = sum(effect.word == "start" for effect in written)
    finished = len(torture.kills[-1].finished) if torture.kills else 0
    return (
        f"seed {seed}, isolation {region.get('isolation')}: {len(torture.kills)} kills, "
        f"{len(torture.runs)} runs of {len(torture.needs)} tasks, {len(torture.contained)} of containers; "
        f"{starts} starts, "
        f"{starts - len(torture.needs)} of tries that a kill ended; {finished} finished at the last kill"
    )
