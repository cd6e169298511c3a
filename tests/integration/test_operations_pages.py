"""Runs the commands in the pages of `docs/operations` as they stand there, on a stack of real processes."""

import asyncio
import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from gateway.identity.development_issuer import mint_token
from tests.gateway.cli.test_operations_pages import OPERATIONS
from tests.gateway.cli.test_runbooks import shell_blocks
from tests.integration.conftest import REGIONS
from tests.integration.waiting import ended, submitted, taking_work, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SCOPES: Final = (
    *("workflows:submit", "workflows:read", "regions:read", "regions:operate", "audit:read"),
    "retention:operate",
)
WORK: Final[dict[str, Any]] = {
    "apiVersion": "waypost/v1",
    "kind": "Workflow",
    "metadata": {"name": "small"},
    "spec": {"tasks": [{"name": "a", "type": "delay", "run": {"seconds": 0}}]},
}


def blocks_of(page: str) -> list[list[str]]:
    """Returns the lines of each shell block of a page, without what they print."""
    blocks = shell_blocks((OPERATIONS / page).read_text())
    return [[line for line in block.splitlines() if not line.startswith("#>")] for block in blocks]


class Operator:
    """Types the lines of shell blocks in a folder with the stack's `gateway.toml`."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        token = mint_token(
            stack.state / "development",
            subject="ada",
            tenant="demo",
            scopes=SCOPES,
            groups=("/waypost/operators",),
        )
        self._environment = {**os.environ, "WAYPOST_URL": stack.url, "WAYPOST_TOKEN": token}
        folder.mkdir(exist_ok=True)
        if folder != stack.state:
            shutil.copy(stack.configuration, folder / "gateway.toml")

    async def type_all(self, lines: list[str], **placeholders: str) -> str:
        """Runs each line; returns all that was printed. A comment about the gateway stops or starts it."""
        said = ""
        for line in lines:
            match line:
                case "# stop the gateway":
                    await self.stop_gateway()
                case "# start the gateway":
                    await self._stack.start_gateway()
                case _:
                    for name, value in placeholders.items():
                        line = line.replace(name, value)
                    said += await self._run(line)
        return said

    async def stop_gateway(self) -> None:
        self._stack.kill("gateway")
        await self._stack.processes["gateway"].wait()

    async def _run(self, line: str) -> str:
        program = f"{sys.executable} -m gateway"
        process = await asyncio.create_subprocess_shell(
            line.replace("waypost ", f"{program} ", 1),
            cwd=self._folder,
            env={**self._environment, "PYTHONPATH": str(OPERATIONS.parents[1])},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, f"{line}: {said.decode()}"
        return said.decode()


async def test_the_commands_of_the_pages_work(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Backup, restore, lost disks, sizes and retention, one after the other, as they are written."""
    await taking_work(client, REGIONS)
    run = await submitted(client, WORK)
    assert (await ended(client, run))["phase"] == "Succeeded"
    operator = Operator(stack, tmp_path / "work")
    take, restore = blocks_of("backup.md")
    gateway_lost, region_lost = blocks_of("lost-disk.md")

    assert "verified" in await operator.type_all(take)
    said = await operator.type_all(restore)
    assert "begins a new era" in said and "BackupRestored" in said
    await operator.stop_gateway()
    for suffix in ("", "-wal", "-shm"):
        (stack.state / f"gateway.db{suffix}").unlink(missing_ok=True)
    await operator.type_all(gateway_lost)
    await taking_work(client, REGIONS)
    assert (await client.get(f"/v1/runs/{run}")).json()["phase"] == "Succeeded"

    await lose_disk(stack, client, "beijing")
    await operator.type_all(region_lost, REGION="beijing")
    await taking_work(client, REGIONS)

    (sizes,) = blocks_of("sizing.md")
    await operator.type_all(sizes)
    see, explain, *_ = blocks_of("retention.md")
    assert "kept: all" in await operator.type_all(see[:-1])
    assert "Succeeded" in await operator.type_all(explain, RUN=run)


async def test_the_key_of_the_audit_trail_is_exchanged(stack: Stack, client: httpx.AsyncClient) -> None:
    """In the folder of the stack, which has its key under the names of the page."""
    await taking_work(client, REGIONS)
    await ended(client, await submitted(client, WORK))
    operator = Operator(stack, stack.state)

    async def has_seal() -> bool:
        return '"seal"' in await operator.type_all(["waypost audit export"])

    await until(has_seal)
    *_, verify = blocks_of("retention.md")
    assert "are as they were sealed" in await operator.type_all(verify)
    (exchange,) = blocks_of("secrets.md")
    await operator.type_all(exchange[:-2])
    await ended(client, await submitted(client, WORK))

    async def sealed() -> bool:
        with contextlib.suppress(AssertionError):  # the newest entries may have no seal yet
            return "are as they were sealed" in await operator.type_all(exchange[-2:-1])
        return False

    await until(sealed)
    await operator.type_all(exchange[-1:])


async def lose_disk(stack: Stack, client: httpx.AsyncClient, region: str) -> None:
    """Starts a region's cluster again on an empty disk, and waits until the gateway has noticed that."""
    stack.kill(region)
    await stack.processes[region].wait()
    for path in (stack.state / "regions" / region).glob("journal.db*"):
        path.unlink()
    await stack.start_region(region, port=stack.ready[region]["port"])

    async def noticed() -> bool:
        items = (await client.get("/v1/regions")).json()["items"]
        return any("another journal" in item["reason"] for item in items if item["name"] == region)

    await until(noticed, seconds=60)
