"""Tests that the search for secrets in what comes of a task does not hold up the cluster."""

import asyncio
import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest

from clusters.embedded.executors.docker.container_log import copy_log
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.secrets.execution import execute_with_secrets
from clusters.embedded.secrets.mask import Mask, MaskedStream
from clusters.embedded.secrets.masked_log import REST, MaskedLog
from clusters.embedded.secrets.providers import SecretProvider, SecretSettings
from clusters.embedded.storage.state_folder import StateFolder
from clusters.protocol import AttemptId
from waypost.workflow.secrets import SecretSpec
from waypost.workflow.task import TaskSpec

LAUNCH = Launch(
    attempt=AttemptId(run="run-1", shard=0, epoch=1),
    task=TaskSpec(name="a", type="stub", run={}),
    tries=1,
    input={},
    exclusive=False,
    secret_specs=(SecretSpec(name="DB", source="db"),),
)


class Threads:
    """Notes in which threads a function is called."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.found = set[int]()
        function = getattr(owner, name)

        def noted(*values: Any) -> Any:
            self.found.add(threading.get_ident())
            return function(*values)

        patch.setattr(owner, name, noted)


class Stub:
    """An executor whose tasks leave many short texts."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def execute(self, *_: object) -> Outcome:
        return Outcome(succeeded=True, output=["a"] * 1_000)


async def test_an_output_is_searched_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "db").write_text("x" * 64)
    threads = Threads(monkeypatch, Mask, "is_in")
    folders = StateFolder(tmp_path).task_folders(LAUNCH.attempt, "a")
    provider = SecretProvider(SecretSettings(files=str(tmp_path)))
    outcome = await execute_with_secrets(Stub(), LAUNCH, folders, None, provider)

    assert outcome.succeeded
    assert threads.found
    assert threading.get_ident() not in threads.found


async def test_the_output_of_a_container_is_masked_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def frames() -> Any:
        yield b"\1\0\0\0\0\0\0\x09my finch!"

    threads = Threads(monkeypatch, MaskedStream, "feed")
    await copy_log(frames(), tmp_path / "a.log", Mask([b"my finch"]))
    assert (tmp_path / "a.log").read_bytes() == b"***!"
    assert threads.found
    assert threading.get_ident() not in threads.found


async def test_a_large_secret_in_a_long_log_leaves_the_cluster_most_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two pieces of a task that prints without end passes a multiple of what the first has cost."""
    times: list[tuple[float, float]] = []

    def feed(_: MaskedStream, piece: bytes) -> bytes:
        began, cost = time.monotonic(), time.thread_time() + 0.005
        while time.thread_time() < cost:
            pass
        times.append((began, time.monotonic()))
        return piece

    monkeypatch.setattr(MaskedStream, "feed", feed)
    log = MaskedLog(tmp_path / "a.log", Mask([b"my finch"]))
    writer = log.take_writer()
    for _ in range(3):
        os.write(writer, b"piece")
        seen = len(times)
        async with asyncio.timeout(20):
            while len(times) == seen:
                await asyncio.sleep(0.001)
    os.close(writer)
    await log.close()

    assert (tmp_path / "a.log").read_bytes() == b"piece" * 3
    assert all(begun - ended >= 0.005 * REST for (_, ended), (begun, _) in pairwise(times))
