"""The conformance suite of executors: what each of them promises, whatever it runs."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clusters.embedded.executors.interface import Executor
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders
from clusters.protocol import AttemptId
from waypost.workflow.task import TaskSpec

ROOT = Path(__file__).parents[2]
CLUSTER = """
import asyncio, json, sys
from pathlib import Path
from clusters.embedded.executors.interface import ExecutorContext
from clusters.embedded.executors.registry import executor_settings, registered_executors
from tests.conformance.executor import folders, launch

async def main(name, root, run, settings):
    context = ExecutorContext(region="beijing", workspaces=root)
    entry, known = registered_executors()[name], executor_settings({name: settings})
    async with entry.build(context, known[name]) as executor:
        await executor.execute(launch(name, run), folders(root), None)

asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *map(json.loads, sys.argv[3:])))
"""
"""The program of a process that runs one try of the named executor, as a cluster does."""
SHARD = AttemptId(run="run", shard=0, epoch=1)


def folders(root: Path, name: str = "a") -> TaskFolders:
    """Creates the folders of a try, as the cluster creates them."""
    made = TaskFolders(
        workspace=root / "workspace",
        scratch=root / "scratch",
        log=root / "logs" / f"{name}.log",
        secrets=root / "secrets" / name,
    )
    for folder in (made.workspace, made.scratch, made.log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    return made


def launch(type_: str, run: dict[str, Any], name: str = "a") -> Launch:
    return Launch(
        attempt=SHARD, task=TaskSpec(name=name, type=type_, run=run), tries=1, input={}, exclusive=False
    )


class ExecutorConformance:
    """The conformance tests of an executor; a subclass provides the executor and its runs.

    That is a fixture `executor`, its `type`, a run that succeeds at once, an endless one, and how to look for
    what a try has started (`alive`).
    """

    type: str
    quick: dict[str, Any]
    endless: dict[str, Any]

    settings: dict[str, Any] = {}  # noqa: RUF012  # never changed
    """The settings of the executor."""
    starts: int
    """The number of processes (or containers) that the endless run has started when it is under way."""

    def alive(self, root: Path) -> int:
        """Counts the living processes (or containers) of tries, whose workspace lies below `root`."""
        raise NotImplementedError

    async def try_(self, executor: Executor, root: Path, run: dict[str, Any], name: str = "a") -> Outcome:
        return await executor.execute(launch(self.type, run, name), folders(root, name), None)

    async def test_a_try_that_ends_well_succeeds(self, executor: Executor, tmp_path: Path) -> None:
        """Its outcome is a success without output."""
        assert await self.try_(executor, tmp_path, self.quick) == Outcome(succeeded=True)

    @pytest.mark.parametrize(
        "run", [{}, {"nonsense": True}, {"command": "not a list", "seconds": "not a number"}], ids=str
    )
    async def test_a_run_of_another_form_is_a_failed_outcome(
        self, executor: Executor, tmp_path: Path, run: dict[str, Any]
    ) -> None:
        """Placeholders are filled in only now, so a run may be wrong; an exception would end the cluster."""
        outcome = await self.try_(executor, tmp_path, run)
        assert outcome.succeeded is False
        assert outcome.reason.startswith("run: ")

    @pytest.mark.parametrize("turns", [0, 1, 50])
    async def test_a_cancelled_try_ends_and_leaves_nothing(
        self, executor: Executor, tmp_path: Path, turns: int
    ) -> None:
        """However early: it raises `CancelledError`, and only when none of its processes is left."""
        trying = asyncio.create_task(self.try_(executor, tmp_path, self.endless))
        for _ in range(turns):
            await asyncio.sleep(0)
        trying.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await trying
        assert self.alive(tmp_path) == 0
        assert (await self.try_(executor, tmp_path, self.quick)).succeeded

    async def test_a_killed_cluster_leaves_no_task_running(self, tmp_path: Path) -> None:
        """It cannot end them any more, and the gateway runs the shard elsewhere."""
        values = [json.dumps(value) for value in (self.endless, self.settings)]
        program = [sys.executable, "-c", CLUSTER, self.type, str(tmp_path), *values]
        with subprocess.Popen(program, cwd=ROOT) as process:
            try:
                async with asyncio.timeout(30):
                    while self.alive(tmp_path) < self.starts:
                        await asyncio.sleep(0.01)
            finally:
                process.kill()
        async with asyncio.timeout(30):
            while self.alive(tmp_path):
                await asyncio.sleep(0.01)

    async def test_many_tries_go_on_at_once(self, executor: Executor, tmp_path: Path) -> None:
        """One that takes long does not delay the others."""
        slow = asyncio.create_task(self.try_(executor, tmp_path, self.endless, "slow"))
        async with asyncio.timeout(20):
            outcomes = await asyncio.gather(
                *(self.try_(executor, tmp_path, self.quick, f"t{n}") for n in range(20))
            )
        assert all(outcome.succeeded for outcome in outcomes)
        assert not slow.done()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        assert self.alive(tmp_path) == 0
