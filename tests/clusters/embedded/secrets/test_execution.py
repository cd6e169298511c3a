"""Tests that the search for secrets in what comes of a task does not hold up the cluster."""

import threading
from pathlib import Path
from typing import Any, Self

import pytest

from clusters.embedded.executors.docker.container_log import copy_log
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.secrets.execution import execute_with_secrets
from clusters.embedded.secrets.mask import Mask, MaskedStream
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
