"""Tests that a running stack is upgraded from an earlier version under load (docs/operations/upgrade.md)."""

import asyncio
import io
import signal
import subprocess
import tarfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from tests.integration.conftest import QUICK_RETURN, REGIONS, caller_of, effects, noting
from tests.integration.test_operations_pages import Operator, blocks_of
from tests.integration.waiting import ended, submitted, taking_work
from waypost.cancellation import cancel_and_wait

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ROOT: Final = Path(__file__).parents[2]
EARLIER: Final = "e5283189"
"""The commit whose code is the earlier version: the last one before results had phases."""
PATIENCE_SECONDS: Final = 60.0


class VersionedStack(Stack):
    """A stack of which each process runs the code of a folder of its own: `code`, by the process's name."""

    code: dict[str, Path]

    def _environment(self, name: str) -> dict[str, str]:
        return super()._environment(name) | {"PYTHONPATH": str(self.code[name])}

    def region_command(self, region: str, port: int) -> list[str]:
        command = super().region_command(region, port)
        if self.code[region] == ROOT:
            return command
        # The earlier version has no sandboxes.
        return [word for word in command if not word.startswith(("--executor.", "--trusted-tenants"))]

    async def restart(self, name: str, code: Path) -> None:
        """Stops a process in order, and starts it with the code of another version."""
        self.signal(name, signal.SIGTERM)
        await self.processes[name].wait()
        self.code[name] = code
        if name == "gateway":
            await self.start_gateway()
        else:
            await self.start_region(name, port=self.ready[name]["port"])


class Upgrader(Operator):
    """An operator whose stops and starts exchange the code of a process for that of the working tree."""

    async def upgrade(self, name: str, lines: list[str], code: Path = ROOT) -> None:
        """Types the lines of a page; the comment that stops the process also starts the one of `code`."""
        assert isinstance(self._stack, VersionedStack)
        for line in lines:
            if line.startswith("# stop"):
                await self._stack.restart(name, code)
            elif not line.startswith("# start"):
                await self._run(line.replace("REGION", name))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The earlier version's code, from the history of this repository."""
    found = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"the history here does not reach back to {EARLIER}")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@asynccontextmanager
async def versioned(tmp_path: Path, code: dict[str, Path]) -> AsyncIterator[VersionedStack]:
    stack = VersionedStack(tmp_path / "stack", REGIONS, settings=QUICK_RETURN, shared=[tmp_path])
    stack.code = code
    async with stack:
        yield stack


async def submit_patiently(client: httpx.AsyncClient, log: Path) -> str:
    """Submits a run as clients should: the same call again where no gateway answered, or a 503."""
    key, until = uuid.uuid4().hex, time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = await client.post(
                "/v1/runs", json=noting(log, 0.05, "a", "b", shards=2), headers={"idempotency-key": key}
            )
            if answer.is_success:
                return str(answer.json()["id"])
            assert answer.status_code == 503, answer.text
        except httpx.TransportError:
            assert time.monotonic() < until, "no gateway answers"
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("order", ["gateway first", "regions first"])
async def test_no_submission_fails_and_no_task_runs_twice(tmp_path: Path, earlier: Path, order: str) -> None:
    """One part at a time under load, in the page's order and the other way round; a region goes back, too."""
    parts = ["gateway", *REGIONS] if order == "gateway first" else [*REGIONS, "gateway"]
    gateway_lines, region_lines, *_ = blocks_of("upgrade.md")
    log, runs = tmp_path / "log", list[str]()
    log.touch()
    async with (
        versioned(tmp_path, dict.fromkeys(parts, earlier)) as stack,
        caller_of(stack) as client,
    ):
        await taking_work(client, REGIONS)
        long = await submitted(client, noting(log, 1.0, *"abcdefghijklmnopqrst", shards=1))

        async def load() -> None:
            while True:
                runs.append(await submit_patiently(client, log))
                await asyncio.sleep(0.2)

        loading = asyncio.create_task(load())
        operator = Upgrader(stack, tmp_path / "work")
        for part in parts:
            await operator.upgrade(part, gateway_lines if part == "gateway" else region_lines)
            await taking_work(client, REGIONS)
        await operator.upgrade(REGIONS[0], region_lines, earlier)
        await taking_work(client, REGIONS)
        assert not loading.done(), loading.exception()
        await cancel_and_wait([loading])

        phases = {(await ended(client, run))["phase"] for run in (long, *runs)}
        assert phases == {"Succeeded"}
    starts = [(shard, task) for word, shard, task, *_ in effects(log) if word == "start"]
    assert len(starts) == 20 + 4 * len(runs)
