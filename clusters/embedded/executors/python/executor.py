"""The executor of `python` tasks: calls a function of an installed package in a worker process."""

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from clusters.embedded.executors.interface import ExecutorContext, Lease, run_of
from clusters.embedded.executors.log_limits import LogLimits, is_too_long, shorten_log
from clusters.embedded.executors.output import checked_output, remove, write_input
from clusters.embedded.executors.process.process_spec import MACHINE_FAULTS
from clusters.embedded.executors.process.termination import finish_despite_cancellation
from clusters.embedded.executors.process.watchdog_client import WatchdogClient
from clusters.embedded.executors.python.run_type import PythonRun
from clusters.embedded.executors.python.settings import PythonSettings
from clusters.embedded.executors.python.worker_pool import WorkerPool
from clusters.embedded.executors.python.worker_process import Answer, Worker, WorkerEnded
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders


class PythonExecutor:
    """Executes `python` tasks by calls of functions in worker processes. Implements `Executor`.

    A try that is cancelled kills its worker process; the watchdog kills all of them when this process is
    killed.
    """

    def __init__(self, context: ExecutorContext, settings: PythonSettings) -> None:
        self._region, self._settings = context.region, settings
        self._watchdog = WatchdogClient(context.workspaces)
        self._pool = WorkerPool(settings, self._watchdog)
        self._log_limits = LogLimits()
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"PythonExecutor({self._region}, {self._pool})"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for part in (self._watchdog, self._log_limits, self._pool):
                await stack.enter_async_context(part)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def execute(
        self,
        launch: Launch,
        folders: TaskFolders,
        lease: Lease | None,  # noqa: ARG002
    ) -> Outcome:
        if isinstance(run := run_of(launch, PythonRun), Outcome):
            return run
        if not self._settings.permits(run.module):
            return _failure(f"the cluster's setting packages does not list {run.module}")
        input_file = folders.scratch / f"{launch.task.name}.{launch.tries}.in.json"
        environment = _environment(launch, folders, region=self._region, input_file=input_file)
        request = {
            "function": run.function,
            "arguments": run.arguments,
            "packages": self._settings.packages,
            "log": str(folders.log),
            "directory": str(folders.workspace),
            "environment": environment,
            "memory_bytes": self._memory_mib(launch) << 20,
        }
        try:
            await write_input(input_file, launch)
            answer = await self._call(request, launch, folders.log)
        except WorkerEnded as error:
            return _failure(f"{run.function}: {error}")
        except OSError as error:
            lost = error.errno in MACHINE_FAULTS
            return Outcome(succeeded=False, lost=lost, reason=f"cannot call {run.function}: {error.strerror}")
        finally:
            remove(input_file)
        if answer.memory:
            return _failure(f"{run.function}: out of memory: its limit is {self._memory_mib(launch)} MiB")
        if answer.failure:
            return _failure(f"{run.function}: {answer.failure}")
        return checked_output(answer.output.encode())

    async def _call(self, request: dict[str, Any], launch: Launch, log: Path) -> Answer:
        """Sends a call to a worker process of its tenant; returns when nothing that it started is left.

        Raises `WorkerEnded` and `OSError`.
        """
        worker = await self._pool.acquire(launch.fairness_key)
        self._log_limits.add(log)
        try:
            return await worker.call(request)
        finally:
            await finish_despite_cancellation(self._finish(worker, log))

    async def _finish(self, worker: Worker, log: Path) -> None:
        await self._pool.release(worker)
        self._log_limits.discard(log)
        if is_too_long(log):
            await shorten_log(log)

    def _memory_mib(self, launch: Launch) -> int:
        return min(launch.task.resources.memory_mib or self._settings.memory_mib, self._settings.memory_mib)


def _environment(launch: Launch, folders: TaskFolders, *, region: str, input_file: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(folders.workspace),
        "TMPDIR": str(folders.scratch),
        **(launch.span.environment if launch.span is not None else {}),
        "WAYPOST_INPUT": str(input_file),
        "WAYPOST_WORKSPACE": str(folders.workspace),
        "WAYPOST_REGION": region,
        "WAYPOST_RUN": launch.attempt.run,
        "WAYPOST_SHARD": str(launch.attempt.shard),
        "WAYPOST_EPOCH": str(launch.attempt.epoch),
        "WAYPOST_TASK": launch.task.name,
        "WAYPOST_TRY": str(launch.tries),
    }


def _failure(reason: str) -> Outcome:
    return Outcome(succeeded=False, reason=reason)
