"""The executor of `process` tasks: runs a command in its own process group with its own environment."""

import contextlib
import os
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct

from clusters.embedded.executors.interface import Lease
from clusters.embedded.executors.log_limits import LogLimits, is_too_long, shorten_log
from clusters.embedded.executors.output import read_output, remove, write_new
from clusters.embedded.executors.process.child_exit import signal_name, wait_for_exit
from clusters.embedded.executors.process.lease_guard import LeaseGuard
from clusters.embedded.executors.process.leftovers import ADOPTED, find_leftovers
from clusters.embedded.executors.process.memory_limit import log_size, memory_reason
from clusters.embedded.executors.process.process_spec import (
    MACHINE_FAULTS,
    ProcessSpec,
    process_spec,
)
from clusters.embedded.executors.process.process_start import start_process
from clusters.embedded.executors.process.termination import finish_despite_cancellation, terminate
from clusters.embedded.executors.process.watchdog_client import WatchdogClient
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders
from waypost.workflow.run_types import ProcessRun


class ProcessSettings(Struct, frozen=True, kw_only=True):
    """The settings of the executor of `process` tasks: the time between SIGTERM and SIGKILL."""

    grace_seconds: Annotated[float, Meta(ge=0, le=600)] = 2.0
    """The seconds that a command gets to end after SIGTERM, before SIGKILL.

    A lease that expires kills at once all the same. A cluster that stops waits as long.
    """


class ProcessExecutor:
    """Executes `process` tasks by running their commands. Implements `Executor`.

    A watchdog process kills the commands that still run when this process is killed. `workspaces` is the
    folder that contains the workspaces of all tasks.
    """

    def __init__(self, region: str, workspaces: Path, settings: ProcessSettings) -> None:
        self._region, self._settings = region, settings
        self._watchdog = WatchdogClient(workspaces)
        self._log_limits = LogLimits()

    def __repr__(self) -> str:
        return f"ProcessExecutor({self._region}, {self._watchdog!r})"

    async def __aenter__(self) -> Self:
        await self._watchdog.__aenter__()
        await self._log_limits.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._log_limits.__aexit__()
        await self._watchdog.__aexit__()

    async def execute(self, launch: Launch, folders: TaskFolders, lease: Lease | None) -> Outcome:
        stem = folders.scratch / f"{launch.task.name}.{launch.tries}"
        input_file, output_file = (stem.with_name(f"{stem.name}.{kind}.json") for kind in ("in", "out"))
        failing = "run"
        try:
            run = msgspec.convert(launch.task.run, ProcessRun)
            spec = process_spec(
                launch, run, folders, region=self._region, input_file=input_file, output_file=output_file
            )
            failing = f"cannot run {spec.command[0]}"
            write_new(input_file, msgspec.json.encode(launch.input))
            return await self._run(spec, output_file, lease)
        # ValueError: the run has another form, or holds what no process can be given, such as a variable with
        # `=` in its name (msgspec.ValidationError is one too).
        except (ValueError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            return Outcome(
                succeeded=False,
                lost=isinstance(error, OSError) and error.errno in MACHINE_FAULTS,
                reason=f"{failing}: {why}",
            )
        finally:
            remove(input_file)
            remove(output_file)

    async def _run(self, spec: ProcessSpec, output_file: Path, lease: Lease | None) -> Outcome:
        """Starts a task's process, waits until it and its descendants have ended, and returns the outcome.

        Raises `OSError` where the process cannot be started or watched, and `ValueError` where its command or
        environment holds what no process can be given, such as a NUL character.
        """
        with contextlib.ExitStack() as stack:
            guard = None if lease is None else stack.enter_context(LeaseGuard(lease, self._watchdog.watch))
            log_begin = log_size(spec.log)
            child = start_process(spec, guard)
            self._log_limits.add(spec.log)
            try:
                # A guard is not on the watchdog's list: it kills its command by itself when this process ends
                # and its socket closes, and has to live to do so.
                if guard is None:
                    self._watchdog.watch(child.pid)
                exit_code = await wait_for_exit(child)
            finally:
                nothing_left = False
                if child.returncode is not None and guard is None:
                    # Most commands leave no process behind: looking is cheaper than a task that kills them.
                    ADOPTED.refresh()
                    nothing_left = not find_leftovers([child.pid], spec.identity)
                if not nothing_left:
                    await finish_despite_cancellation(self._terminate(child, guard, spec))
                if (group := child.pid if guard is None else guard.group) is not None:
                    self._watchdog.unwatch(group)
                self._log_limits.discard(spec.log)
                # What it wrote since the last check may be as much as the disk holds.
                if is_too_long(spec.log):
                    await finish_despite_cancellation(shorten_log(spec.log))
            if guard is not None and guard.start_error is not None:
                raise OSError(guard.start_error, os.strerror(guard.start_error))
            # No failure of the task: another attempt may run it.
            if guard is not None and guard.lease_expired:
                return Outcome(succeeded=False, killed=True, reason="its lease has ended")
            # A guard that was killed itself has not reported: then its own exit code says what happened.
            if guard is not None and guard.exit_code is not None:
                exit_code = guard.exit_code
            # A command that failed may have written half of its output: that is not read.
            return read_output(output_file) if exit_code == 0 else _failure(exit_code, spec, log_begin)

    def _terminate(
        self, child: "subprocess.Popen[Any]", guard: LeaseGuard | None, spec: ProcessSpec
    ) -> Coroutine[Any, Any, None]:
        return terminate(child, guard, spec.identity, grace_seconds=self._settings.grace_seconds)


def _failure(exit_code: int, spec: ProcessSpec, log_begin: int) -> Outcome:
    """Builds the outcome of a command that failed; `log_begin` is where its log began, in bytes."""
    killed_by = signal_name(-exit_code) if exit_code < 0 else ""
    reason = f"killed by {killed_by}" if killed_by else f"exit code {exit_code}"
    # An exit code alone does not say that memory ran out.
    if spec.memory_bytes:
        reason = memory_reason(spec, reason, log_begin)
    return Outcome(succeeded=False, reason=reason, exit_code=exit_code if exit_code >= 0 else 128 - exit_code)
