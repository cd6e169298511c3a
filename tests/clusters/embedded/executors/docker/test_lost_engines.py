"""Tests `docker` tasks whose engine is killed, hangs, or is not there."""

import asyncio
from pathlib import Path

import pytest

from clusters.embedded.executors.docker import executor as docker_executor
from clusters.embedded.executors.docker import reaper
from clusters.embedded.executors.docker.container import DockerSettings
from clusters.embedded.executors.docker.executor import DockerExecutor
from clusters.embedded.executors.interface import ExecutorContext
from clusters.embedded.scheduling.launch import Outcome
from tests.clusters.embedded.executors.docker.engines import RealEngine
from tests.clusters.embedded.executors.docker.test_docker import docker, left, shell, tried
from tests.conformance.executor import folders

pytestmark = pytest.mark.integration


async def swept(executor: DockerExecutor, engine: RealEngine, root: Path) -> None:
    """Sweeps, as the executor does every few seconds, until nothing is left."""
    async with asyncio.timeout(30):
        while not await executor.reaper.sweep() or left(engine, root):
            await asyncio.sleep(0.1)


async def begun(executor: DockerExecutor, engine: RealEngine, root: Path) -> "asyncio.Task[Outcome]":
    """Starts a try of an endless task; returns when its command runs."""
    trying = asyncio.create_task(tried(executor, root, shell(engine, "touch begun; sleep 300")))
    async with asyncio.timeout(30):
        while not (folders(root).workspace / "begun").exists():
            await asyncio.sleep(0.05)
    return trying


async def test_an_engine_that_is_killed_loses_its_tries_and_keeps_nothing(
    engine: RealEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another region takes them; what is left is removed when the engine is back."""
    monkeypatch.setattr(reaper, "GONE_SECONDS", 1.0)
    monkeypatch.setattr(docker_executor, "CHECK_SECONDS", 0.2)
    async with docker(engine, tmp_path, grace_seconds=0) as executor:
        trying = await begun(executor, engine, tmp_path)
        engine.kill()
        try:
            async with asyncio.timeout(30):
                outcome = await trying
        finally:
            engine.start()
        assert outcome.lost
        assert f"the container engine at {engine.socket} does not answer" in outcome.reason
        await swept(executor, engine, tmp_path)
        assert (await tried(executor, tmp_path, shell(engine, "true"))).succeeded


async def test_an_engine_that_hangs_loses_its_tries_and_keeps_nothing(
    engine: RealEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps the connections open: only asking shows it."""
    monkeypatch.setattr(reaper, "GONE_SECONDS", 1.0)
    monkeypatch.setattr(docker_executor, "CHECK_SECONDS", 0.2)
    async with docker(engine, tmp_path, grace_seconds=0) as executor:
        executor.engine.call_seconds = 1.0
        trying = await begun(executor, engine, tmp_path)
        engine.pause()
        try:
            async with asyncio.timeout(30):
                outcome = await trying
        finally:
            engine.resume()
        assert outcome.lost
        assert "does not answer in time" in outcome.reason
        executor.engine.call_seconds = 30.0
        await swept(executor, engine, tmp_path)


async def test_a_cluster_without_an_engine_runs_no_such_tasks(tmp_path: Path) -> None:
    context = ExecutorContext(region="beijing", workspaces=tmp_path)
    why = docker_executor.unavailable(context, DockerSettings(socket=str(tmp_path / "no.sock")))
    assert why.startswith(f"no container engine answers at {tmp_path}/no.sock")
