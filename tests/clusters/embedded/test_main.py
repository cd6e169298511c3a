"""Tests a cluster as a real process: how it starts, and how it stops."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusters.embedded.http.client import EmbeddedCluster
from clusters.protocol import Hello
from tests.conformance.cluster_calls import attempt, create, watching
from waypost import tls
from waypost.pki import authority
from waypost.workflow.task import TaskSpec

pytestmark = pytest.mark.integration
HOST = "127.0.0.1"


def store() -> str:
    """Returns IDENTITY.ERA of the store of the calling gateway."""
    return "5709e.0"


PROGRAM = (
    "import sys; from clusters.embedded.main import ClusterSettings, run_cluster;"
    "sys.exit(run_cluster(ClusterSettings("
    "region='beijing', state=sys.argv[1], pki=sys.argv[2], port=0, metrics_port=0)))"
)
Start = Callable[[], Coroutine[Any, Any, asyncio.subprocess.Process]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority.create_root(tmp_path / "pki")
    authority.issue_gateway(tmp_path / "pki")
    authority.issue_cluster(tmp_path / "pki", "beijing")
    return tmp_path


@pytest.fixture
async def start(folder: Path) -> AsyncIterator[Start]:
    started: list[asyncio.subprocess.Process] = []

    async def one() -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        arguments = ("-c", PROGRAM, str(folder / "state"), str(folder / "pki"))
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe)
        started.append(process)
        return process

    yield one
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        line: dict[str, Any] = json.loads(await process.stdout.readline())
    return line


def connected(folder: Path, port: int) -> EmbeddedCluster:
    context = tls.client_context(tls.gateway_credentials(folder / "pki"))
    return EmbeddedCluster(f"https://{HOST}:{port}", region="beijing", tls=context, store=store)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_streams_and_tasks_and_the_process_in_order(
    number: signal.Signals, folder: Path, start: Start
) -> None:
    """Exit code 0, quickly, though a gateway watches and a task runs; the journal still has the attempt."""
    process = await start()
    line = await ready(process)
    ports = {name: line[name] for name in ("port", "metrics_port")}
    assert line == {"ready": True, "region": "beijing", **ports}
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{ports['metrics_port']}") as internal:
        assert "waypost_cluster_slots 2000.0" in (await internal.get("/metrics")).text
    async with connected(folder, line["port"]) as cluster:
        await create(cluster, attempt(), TaskSpec(name="a", type="process", run={"command": ["sleep", "60"]}))
        async with watching(cluster) as stream:
            assert isinstance(await anext(stream), Hello)
            process.send_signal(number)
            async with asyncio.timeout(5):
                assert [event async for event in stream if isinstance(event, Hello)] == []
                assert await process.wait() == 0

    again = await start()
    async with connected(folder, (await ready(again))["port"]) as cluster:
        assert (await cluster.attempts()).attempts == ((attempt(), False),)


async def test_two_processes_cannot_share_a_state(start: Start) -> None:
    """The second says why, without a stack trace, and at once."""
    await ready(await start())
    second = await start()
    _, log = await asyncio.wait_for(second.communicate(), 20)

    assert second.returncode == 1
    assert b"in use by another process" in log
    assert b"Traceback" not in log


async def test_without_its_certificate_a_cluster_does_not_start(folder: Path, start: Start) -> None:
    """It says which file is missing."""
    (folder / "pki/clusters/beijing.pem").unlink()
    process = await start()
    _, log = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 1
    assert b"clusters/beijing.pem is missing" in log
    assert b"Traceback" not in log
