"""Tests the watchdog process: it ends the tries of a cluster that was killed."""

import asyncio
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from clusters.embedded.executors.process.watchdog_client import PROGRAM, WatchdogClient
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from tests.clusters.embedded.executors.process.escaping_commands import (
    pids_in,
)
from tests.clusters.embedded.working_node import process, running, start

pytestmark = pytest.mark.integration


async def test_a_watchdog_that_ends_is_replaced_by_one_with_the_whole_list(
    node: ClusterNode, tmp_path: Path
) -> None:
    """Without a watchdog the tasks of a killed cluster would run on."""
    await start(
        node,
        process("a", "sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 300"),
        process("b", "sleep", "0.01", needs=("a",)),
    )
    (pid,) = await pids_in(tmp_path / "pid")
    client = node._task_runner._executors["process"]._watchdog  # type: ignore[attr-defined]
    first = client._watchdog
    first.kill()
    async with asyncio.timeout(20):
        while client._watchdog is first:
            await asyncio.sleep(0.01)
    assert running(pid)
    client._detach().wait()

    async with asyncio.timeout(20):
        while running(pid):
            await asyncio.sleep(0.01)


async def test_a_watchdog_that_is_stopped_holds_up_no_cluster(tmp_path: Path) -> None:
    """A task may stop it (SIGSTOP). It reads nothing then, and a full pipe would stop the cluster, too."""
    beyond_all_pids = 2**22
    async with WatchdogClient(tmp_path) as client:
        first = client._watchdog
        assert first is not None
        first.send_signal(signal.SIGSTOP)
        for number in range(beyond_all_pids + 1, beyond_all_pids + 20_000):
            client.watch(number)
            if client._watchdog is not first:
                break
        assert client._watchdog is not first
        assert first.returncode == -signal.SIGKILL


async def test_a_watchdog_that_is_stopped_still_ends_with_its_cluster(tmp_path: Path) -> None:
    """And kills what is left first: else a cluster that is told to stop would never end."""
    client, left = WatchdogClient(tmp_path), subprocess.Popen(["sleep", "300"], start_new_session=True)
    await client.__aenter__()
    watchdog = client._watchdog
    assert watchdog is not None
    client.watch(left.pid)
    watchdog.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(20):
            await client.__aexit__()
    finally:
        watchdog.kill()

    assert left.wait(20) == -signal.SIGKILL


async def test_a_cluster_first_kills_what_the_last_one_left(tmp_path: Path) -> None:
    """The last cluster's watchdog may have been killed too."""
    workspace = tmp_path / "workspaces/run/0"
    left = subprocess.Popen(
        ["sleep", "300"], env={"WAYPOST_WORKSPACE": str(workspace)}, start_new_session=True
    )
    other = subprocess.Popen(
        ["sleep", "300"], env={"WAYPOST_WORKSPACE": f"{tmp_path}-2/workspaces/run/0"}, start_new_session=True
    )
    async with ClusterNode(ClusterNodeSettings(region="beijing", state=str(tmp_path))):
        assert left.wait(20) == -signal.SIGKILL
        assert other.poll() is None
    other.kill()
    other.wait()


async def test_the_watchdog_also_kills_what_is_on_no_list(tmp_path: Path) -> None:
    """A child that has left its group is in no listed group; its workspace identifies it."""
    left = subprocess.Popen(
        ["sleep", "300"], env={"WAYPOST_WORKSPACE": f"{tmp_path}/run/0"}, start_new_session=True
    )
    process = subprocess.Popen([*PROGRAM, "groups", str(tmp_path)], stdin=subprocess.PIPE)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=20)
    assert left.wait(20) == -signal.SIGKILL
