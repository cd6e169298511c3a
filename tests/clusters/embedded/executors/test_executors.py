"""The executors that ship with the embedded cluster keep what executors promise."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clusters.embedded.executors.delay import DelayExecutor
from clusters.embedded.executors.interface import Executor
from clusters.embedded.executors.process import termination
from clusters.embedded.executors.process.executor import ProcessExecutor
from tests.conformance.executor import ExecutorConformance


class TestDelay(ExecutorConformance):
    type = "delay"
    quick = {"seconds": 0}  # noqa: RUF012  # never changed
    endless = {"seconds": 300}  # noqa: RUF012

    @pytest.fixture
    async def executor(self) -> AsyncIterator[Executor]:
        async with DelayExecutor() as executor:
            yield executor


class TestProcess(ExecutorConformance):
    type = "process"
    quick = {"command": ["true"]}  # noqa: RUF012
    endless = {"command": ["sh", "-c", "sleep 300 & sleep 300"]}  # noqa: RUF012

    @pytest.fixture
    async def executor(self, tmp_path: Path) -> AsyncIterator[Executor]:
        async with ProcessExecutor("beijing", tmp_path) as executor:
            yield executor

    def alive(self, root: Path) -> int:
        """By where they were told to work; a process that has ended but is not yet waited for has no such link."""
        return sum(_works_in(entry, root) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


class TestStubbornProcess(TestProcess):
    """One that does not listen to SIGTERM."""

    endless = {"command": ["sh", "-c", 'trap "" TERM; sleep 300 & sleep 300']}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(termination, "GRACE_SECONDS", 0.05)


def _works_in(process: Path, root: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(root)
    except OSError:
        return False
