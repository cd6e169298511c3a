"""Tests `python` tasks: calls, failures, crashes, memory, and worker processes that serve one tenant."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from clusters.embedded.executors.interface import Executor, ExecutorContext
from clusters.embedded.executors.python import worker_pool
from clusters.embedded.executors.python.executor import PythonExecutor
from clusters.embedded.executors.python.settings import PythonSettings, unavailable
from clusters.embedded.scheduling.launch import Outcome
from clusters.embedded.storage.task_logs import LOG_BYTES
from tests.clusters.embedded.executors.python.functions import interpreter
from tests.clusters.embedded.working_node import running
from tests.conformance.executor import ExecutorConformance, folders, launch
from waypost.workflow.task import Resources

pytestmark = pytest.mark.integration


def python(root: Path, **settings: Any) -> PythonExecutor:
    context = ExecutorContext(region="beijing", workspaces=root)
    return PythonExecutor(context, PythonSettings(**{"packages": ("acme",)} | settings))


@pytest.fixture
def program(tmp_path: Path) -> str:
    return interpreter(tmp_path / "python")


@pytest.fixture
async def executor(program: str, tmp_path: Path) -> AsyncIterator[PythonExecutor]:
    async with python(tmp_path, interpreter=program, workers=4) as executor:
        yield executor


class TestPython(ExecutorConformance):
    type = "python"
    quick = {"function": "acme.tasks:nothing"}  # noqa: RUF012
    endless = {"function": "acme.tasks:endless"}  # noqa: RUF012
    starts = 2

    @pytest.fixture(autouse=True)
    def given(self, program: str) -> None:
        self.settings = {"packages": ["acme"], "interpreter": program}

    @pytest.fixture
    async def executor(self, executor: PythonExecutor) -> Executor:
        return executor

    def alive(self, root: Path) -> int:
        """Counts the processes whose working directory is a workspace; an idle worker's is none."""
        return sum(_works_in(entry, root) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _works_in(process: Path, root: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(root)
    except OSError:
        return False


async def called(
    executor: PythonExecutor,
    root: Path,
    function: str,
    *,
    tenant: str = "ada",
    memory: int | None = None,
    **arguments: Any,
) -> Outcome:
    made = launch("python", {"function": f"acme.tasks:{function}", "arguments": arguments})
    task = structs.replace(made.task, resources=Resources(memory_mib=memory))
    made = structs.replace(made, task=task, input={"params": {"day": 7}}, fairness_key=tenant)
    return await executor.execute(made, folders(root), None)


async def test_a_function_gets_arguments_and_its_result_is_the_output(
    executor: PythonExecutor, tmp_path: Path
) -> None:
    outcome = await called(executor, tmp_path, "add", first=1, second=2)
    assert outcome == Outcome(succeeded=True, output={"sum": 3})
    assert folders(tmp_path).log.read_text() == "adding 1 2\n"
    assert (await called(executor, tmp_path, "later")).output == "later"


async def test_a_function_finds_its_input_and_nothing_of_the_clusters_environment(
    executor: PythonExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWORDFISH", "secret")
    found = (await called(executor, tmp_path, "sees")).output
    assert found["input"] == {"params": {"day": 7}}
    assert found["directory"] == str(tmp_path / "workspace")
    assert {"WAYPOST_RUN", "WAYPOST_TASK", "WAYPOST_TRY"} <= set(found["environment"])
    assert "SWORDFISH" not in found["environment"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("fail", "KeyError: 'no such table'"),
        ("leave", "SystemExit: 7"),
        ("crash", "its worker process was killed by SIGSEGV"),
        ("vanish", "its worker process ended with exit code 9"),
        ("eat", "out of memory: its limit is 1024 MiB"),
        ("large", "the output has more than 64 KiB"),
        ("odd", "TypeError: Object of type set is not JSON serializable"),
        ("endless_number", "ValueError: Out of range float values are not JSON compliant"),
        ("nowhere", "acme.tasks:nowhere is no function"),
        ("borrowed", "acme.tasks:borrowed is no function"),
        ("system", "acme.tasks:system is no function"),
    ],
)
async def test_a_failure_says_what_failed_and_harms_no_later_call(
    executor: PythonExecutor, tmp_path: Path, function: str, reason: str
) -> None:
    """The try has failed; a worker process that has ended is replaced."""
    outcome = await called(executor, tmp_path, function)
    assert not outcome.succeeded
    assert reason in outcome.reason
    assert (await called(executor, tmp_path, "add", first=1, second=1)).output == {"sum": 2}


async def test_memory_can_be_asked_for_below_the_setting(executor: PythonExecutor, tmp_path: Path) -> None:
    outcome = await called(executor, tmp_path, "eat", memory=200)
    assert "out of memory: its limit is 200 MiB" in outcome.reason
    outcome = await called(executor, tmp_path, "eat", memory=100_000)
    assert "out of memory: its limit is 1024 MiB" in outcome.reason


@pytest.mark.parametrize("name", ["os:system", "subprocess:getoutput", "acmes:f", "acme_other.x:f"])
async def test_only_functions_of_listed_packages_are_called(
    executor: PythonExecutor, tmp_path: Path, name: str
) -> None:
    made = launch("python", {"function": name})
    outcome = await executor.execute(made, folders(tmp_path), None)
    assert outcome.reason == f"the cluster's setting packages does not list {name.partition(':')[0]}"


@pytest.mark.parametrize(
    "name", ["acme", "acme.tasks:__import__", "acme._x:f", "acme.tasks:a.b", ":f", "acme:f\n"]
)
async def test_a_name_that_is_no_function_is_refused(
    executor: PythonExecutor, tmp_path: Path, name: str
) -> None:
    outcome = await executor.execute(launch("python", {"function": name}), folders(tmp_path), None)
    assert outcome.reason.startswith("run: ")


async def test_a_worker_process_is_warm_and_serves_one_tenant(
    executor: PythonExecutor, tmp_path: Path
) -> None:
    """What one tenant has left in a process, another does not find."""
    first = (await called(executor, tmp_path, "remember", word="a")).output
    second = (await called(executor, tmp_path, "remember", word="b")).output
    other = (await called(executor, tmp_path, "remember", tenant="bob", word="c")).output
    assert second == {"pid": first["pid"], "seen": ["a", "b"]}
    assert other["pid"] != first["pid"]
    assert other["seen"] == ["c"]


async def test_an_idle_process_gives_way_to_another_tenant(program: str, tmp_path: Path) -> None:
    """The number of processes is bounded, and nobody waits for an idle one."""
    async with python(tmp_path, interpreter=program, workers=1) as executor:
        first = (await called(executor, tmp_path, "remember", word="a")).output
        other = (await called(executor, tmp_path, "remember", tenant="bob", word="b")).output
        assert other["seen"] == ["b"]
        assert not running(first["pid"])


async def test_a_process_is_replaced_after_so_many_calls_or_idle_seconds(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "CHECK_SECONDS", 0.05)
    async with python(tmp_path, interpreter=program, calls=2, idle_seconds=0.1) as executor:
        pids = [(await called(executor, tmp_path, "remember", word="a")).output["pid"] for _ in range(3)]
        assert pids[0] == pids[1] != pids[2]
        async with asyncio.timeout(20):
            while running(pids[2]):
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("function", ["child", "daemon", "forked"])
async def test_what_a_function_has_started_ends_with_its_call(
    executor: PythonExecutor, tmp_path: Path, function: str
) -> None:
    """Also what has left the process group of the worker."""
    assert (await called(executor, tmp_path, function)).succeeded
    assert TestPython().alive(tmp_path) == 0


async def test_a_worker_process_that_is_killed_is_a_failed_try(
    executor: PythonExecutor, tmp_path: Path
) -> None:
    """By somebody, or by the kernel for lack of memory."""
    trying = asyncio.create_task(called(executor, tmp_path, "endless"))
    async with asyncio.timeout(20):
        while not (found := [pid for pid in _workers() if _works_in(Path(f"/proc/{pid}"), tmp_path)]):
            await asyncio.sleep(0.02)
    os.kill(found[0], signal.SIGKILL)
    outcome = await trying
    assert outcome.reason == "acme.tasks:endless: its worker process was killed by SIGKILL"
    assert TestPython().alive(tmp_path) == 0


def _workers() -> list[int]:
    own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in own if b"worker.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_a_log_is_bounded(executor: PythonExecutor, tmp_path: Path) -> None:
    assert (await called(executor, tmp_path, "flood")).succeeded
    log = folders(tmp_path).log
    assert log.stat().st_size <= LOG_BYTES
    assert log.read_bytes().endswith(b"last\n")


async def test_streams_that_a_function_closes_are_missing_to_no_later_call(
    executor: PythonExecutor, tmp_path: Path
) -> None:
    assert (await called(executor, tmp_path, "closes")).succeeded
    assert (await called(executor, tmp_path, "add", first=1, second=1)).succeeded
    assert "adding 1 1" in folders(tmp_path).log.read_text()


def test_a_cluster_that_permits_no_package_runs_no_such_tasks(tmp_path: Path) -> None:
    context = ExecutorContext(region="beijing", workspaces=tmp_path)
    assert "lists no package" in unavailable(context, PythonSettings())
    missing = PythonSettings(packages=("acme",), interpreter="/nowhere/python")
    assert "there is no program /nowhere/python" in unavailable(context, missing)
    assert unavailable(context, PythonSettings(packages=("acme",))) == ""
