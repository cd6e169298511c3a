"""Runs the executor conformance suite on every registered executor."""

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from clusters.embedded.executors.interface import Executor, ExecutorContext
from clusters.embedded.executors.registry import EXECUTORS, executor_settings
from tests.clusters.embedded.executors.docker.test_docker import TestDocker as DockerSuite
from tests.clusters.embedded.executors.python.test_python import TestPython as PythonSuite
from tests.conformance.executor import ExecutorConformance

pytestmark = pytest.mark.integration


def registered(type_: str, workspaces: Path, **settings: Any) -> Executor:
    known = executor_settings({type_: settings})
    return EXECUTORS[type_].build(ExecutorContext(region="beijing", workspaces=workspaces), known[type_])


class TestDelay(ExecutorConformance):
    type = "delay"
    quick = {"seconds": 0}  # noqa: RUF012  # never changed
    endless = {"seconds": 300}  # noqa: RUF012
    starts = 0

    @pytest.fixture
    async def executor(self, tmp_path: Path) -> AsyncIterator[Executor]:
        async with registered("delay", tmp_path) as executor:
            yield executor

    def alive(self, root: Path) -> int:
        """Returns 0: a delay starts nothing."""
        return 0


class TestHttp(ExecutorConformance):
    type = "http"
    settings = {"egress": ["localhost:*", "127.0.0.0/8:*", "[::1]:*"]}  # noqa: RUF012
    starts = 0

    @pytest.fixture
    async def executor(self, tmp_path: Path, httpserver: HTTPServer) -> AsyncIterator[Executor]:
        async with registered("http", tmp_path, **self.settings) as executor:
            yield executor

    @pytest.fixture(autouse=True)
    def servers(self, httpserver: HTTPServer) -> Iterator[None]:
        """Starts a server that answers at once, and one that never does."""
        httpserver.expect_request("/").respond_with_data("")
        self.quick = {"url": httpserver.url_for("/")}
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.endless = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/"}
            yield

    def alive(self, root: Path) -> int:
        """Returns 0: a request starts nothing."""
        return 0


class TestProcess(ExecutorConformance):
    type = "process"
    quick = {"command": ["true"]}  # noqa: RUF012
    endless = {"command": ["sh", "-c", "sleep 300 & sleep 300"]}  # noqa: RUF012
    starts = 3

    @pytest.fixture
    async def executor(self, tmp_path: Path) -> AsyncIterator[Executor]:
        async with registered("process", tmp_path) as executor:
            yield executor

    def alive(self, root: Path) -> int:
        """Counts the processes whose working directory is below `root`, without zombies."""
        return sum(_works_in(entry, root) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


class TestStubbornProcess(TestProcess):
    """The conformance suite with a command that ignores SIGTERM."""

    endless = {"command": ["sh", "-c", 'trap "" TERM; sleep 300 & sleep 300']}  # noqa: RUF012

    @pytest.fixture
    async def executor(self, tmp_path: Path) -> AsyncIterator[Executor]:
        async with registered("process", tmp_path, grace_seconds=0.05) as executor:
            yield executor


def test_every_registered_executor_has_a_suite() -> None:
    """One that is added must be added here too."""
    assert {suite.type for suite in (TestDelay, TestHttp, TestProcess, DockerSuite, PythonSuite)} == set(
        EXECUTORS
    )


def _works_in(process: Path, root: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(root)
    except OSError:
        return False
