"""The executor of `process` tasks: runs a command in its own process group with its own environment."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from loguru import logger
from msgspec import structs

from clusters.cluster_status import Isolation
from clusters.embedded.executors.interface import Lease, run_of
from clusters.embedded.executors.log_limits import LogLimits, is_too_long, shorten_log
from clusters.embedded.executors.output import read_output, remove, write_input
from clusters.embedded.executors.process.child_exit import wait_for_exit
from clusters.embedded.executors.process.lease_guard import LeaseGuard
from clusters.embedded.executors.process.leftovers import ADOPTED, find_leftovers
from clusters.embedded.executors.process.memory_limit import log_size
from clusters.embedded.executors.process.outcome import outcome_of_failure
from clusters.embedded.executors.process.process_spec import (
    MACHINE_FAULTS,
    ProcessSpec,
    process_spec,
)
from clusters.embedded.executors.process.process_start import start_process
from clusters.embedded.executors.process.sandbox.command_line import Sandbox
from clusters.embedded.executors.process.sandbox.confinement import Confinement
from clusters.embedded.executors.process.sandbox.init_process import SandboxStatus, is_gone
from clusters.embedded.executors.process.sandbox.probe import make_sandbox
from clusters.embedded.executors.process.sandbox.shared_memory import shared_memory_fault
from clusters.embedded.executors.process.sandbox.start_script import Limits
from clusters.embedded.executors.process.sandbox.task_user import give_to, user_of
from clusters.embedded.executors.process.settings import ProcessSettings
from clusters.embedded.executors.process.termination import finish_despite_cancellation, kill_try, terminate
from clusters.embedded.executors.process.watchdog_client import WatchdogClient
from clusters.embedded.executors.process.workspace_bounds import WorkspaceBounds
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.secrets.masked_log import MaskedLog
from clusters.embedded.secrets.secret_files import remove_secrets, write_secrets
from clusters.embedded.storage.state_folder import TaskFolders
from waypost.workflow.run_types import ProcessRun

MACHINE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
"""The memory of this machine."""


class ProcessExecutor:
    """Executes `process` tasks by running their commands. Implements `Executor`.

    A watchdog process kills the commands that still run when this process is killed. `workspaces` is the
    folder that contains the workspaces of all tasks. Each try runs in a sandbox, where this machine can make
    one and the settings do not say otherwise.
    """

    def __init__(
        self, region: str, workspaces: Path, settings: ProcessSettings, hidden: Sequence[Path] = ()
    ) -> None:
        self._region, self._workspaces, self._settings = region, workspaces, settings
        self._hidden = (*map(str, hidden), *settings.hidden)
        self._sandbox: Sandbox | None = None
        self._watchdog = WatchdogClient(workspaces)
        self._log_limits = LogLimits()
        self._bounds = WorkspaceBounds(settings.workspace_mib << 20)

    def __repr__(self) -> str:
        return f"ProcessExecutor({self._region}, {self._watchdog!r})"

    @property
    def isolation(self) -> Isolation:
        """Returns whether each try runs in a sandbox of its own, known once the executor is entered."""
        return Isolation.NONE if self._sandbox is None else Isolation.SANDBOX

    async def __aenter__(self) -> Self:
        if self._settings.isolation != "none":
            found = await asyncio.to_thread(make_sandbox, self._settings, self._workspaces, self._hidden)
            if isinstance(found, str) and self._settings.isolation == "sandbox":
                # It could be made a moment ago (`why_unavailable`): nothing runs without it.
                raise OSError(f"tasks must run in sandboxes, and {found}")
            if isinstance(found, str):
                logger.warning("tasks of this cluster run without a sandbox: {}", found)
            else:
                self._sandbox = found
        await self._watchdog.__aenter__()
        await self._log_limits.__aenter__()
        await self._bounds.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._bounds.__aexit__()
        await self._log_limits.__aexit__()
        await self._watchdog.__aexit__()

    async def execute(self, launch: Launch, folders: TaskFolders, lease: Lease | None) -> Outcome:
        stem = folders.scratch / f"{launch.task.name}.{launch.tries}"
        input_file, output_file = (stem.with_name(f"{stem.name}.{kind}.json") for kind in ("in", "out"))
        if isinstance(run := run_of(launch, ProcessRun), Outcome):
            return run
        failing, spec = "run", None
        try:
            spec = process_spec(
                launch,
                run,
                folders,
                region=self._region,
                input_file=input_file,
                output_file=output_file,
                make_directory=self._sandbox is None,
            )
            failing = f"cannot run {spec.command[0]}"
            await write_input(input_file, launch)
            if launch.secrets:
                write_secrets(folders.secrets, launch.secrets)
                spec = structs.replace(spec, masked_log=MaskedLog(spec.log, launch.secrets.mask))
            if self._sandbox is None:
                return await self._run(spec, output_file, lease, None)
            with SandboxStatus() as status:
                confinement = self._confinement(self._sandbox, status, launch, spec, folders)
                if confinement.user is not None:
                    own = (folders.workspace, folders.scratch, *confinement.secrets)
                    await asyncio.to_thread(give_to, confinement.user, own, input_file)
                return await self._run(spec, output_file, lease, confinement)
        # ValueError: the run holds what no process can be given, such as a variable with `=` in its name.
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
            if launch.secrets:
                remove_secrets(folders.secrets, launch.secrets)
            if spec is not None and spec.masked_log is not None:
                await spec.masked_log.close()

    def _confinement(
        self, sandbox: Sandbox, status: SandboxStatus, launch: Launch, spec: ProcessSpec, folders: TaskFolders
    ) -> Confinement:
        settings = self._settings
        return Confinement(
            sandbox=sandbox,
            status=status,
            workspace=folders.workspace,
            scratch=folders.scratch,
            secrets=(folders.secrets,) if launch.secrets.files else (),
            user=user_of(launch.fairness_key) if sandbox.setpriv else None,
            limits=Limits(
                processes=settings.processes,
                memory_bytes=spec.memory_bytes or (settings.memory_mib << 20) or MACHINE_BYTES // 2,
                file_bytes=settings.workspace_mib << 20,
                cpu_seconds=settings.cpu_seconds,
                temporary_bytes=settings.tmp_mib << 20,
            ),
        )

    async def _run(
        self, spec: ProcessSpec, output_file: Path, lease: Lease | None, confinement: Confinement | None
    ) -> Outcome:
        """Starts a task's process, waits until it and its descendants have ended, and returns the outcome.

        Raises `OSError` where the process cannot be started or watched, and `ValueError` where its command or
        environment holds what no process can be given, such as a NUL character.
        """
        status = None if confinement is None else confinement.status
        with contextlib.ExitStack() as stack:
            guard = None if lease is None else stack.enter_context(LeaseGuard(lease, self._watchdog.watch))
            log_begin = log_size(spec.log)
            child = start_process(spec, guard, confinement)
            self._log_limits.add(spec.log)
            watched = self._bounds.watched(
                spec.workspace, lambda: kill_try(child, guard), partial(_growth_fault, confinement, spec)
            )
            try:
                # A guard is not on the watchdog's list: it kills its command by itself when this process ends
                # and its socket closes, and has to live to do so.
                if guard is None:
                    self._watchdog.watch(child.pid)
                with watched as bounded:
                    exit_code = await wait_for_exit(child)
            finally:
                await self._end(child, guard, spec, status)
            if bounded.reason:
                return Outcome(succeeded=False, reason=bounded.reason)
            # A command that failed may have written half of its output: that is not read.
            failed = outcome_of_failure(exit_code, guard, confinement, spec, log_begin)
            return failed or read_output(output_file)

    async def _end(
        self,
        child: "subprocess.Popen[Any]",
        guard: LeaseGuard | None,
        spec: ProcessSpec,
        status: SandboxStatus | None,
    ) -> None:
        """Ends what is left of a try, also where it was cancelled, and shortens its log."""
        # Most commands leave no process behind: looking is cheaper than a task that kills them.
        if child.returncode is None or guard is not None or not _is_gone(child, spec, status):
            grace_seconds = self._settings.grace_seconds
            await finish_despite_cancellation(
                terminate(child, guard, spec.identity, status, grace_seconds=grace_seconds)
            )
        if (group := child.pid if guard is None else guard.group) is not None:
            self._watchdog.unwatch(group)
        self._log_limits.discard(spec.log)
        if spec.masked_log is not None:
            await finish_despite_cancellation(spec.masked_log.close())
        # What it wrote since the last check may be as much as the disk holds.
        if is_too_long(spec.log):
            await finish_despite_cancellation(shorten_log(spec.log))


def _growth_fault(confinement: Confinement | None, spec: ProcessSpec) -> str:
    """Returns why a try is to be ended: for the memory that its processes share; empty: it is not. Blocks."""
    if confinement is None:
        return ""
    setting = "resources.memoryMiB" if spec.memory_bytes else "executor.process.memory_mib"
    return shared_memory_fault(confinement.status.init, confinement.limits.memory_bytes, setting)


def _is_gone(child: "subprocess.Popen[Any]", spec: ProcessSpec, status: SandboxStatus | None) -> bool:
    """Returns whether no process is left of a command that has ended."""
    if status is not None:
        return status.init is not None and is_gone(status.init)
    ADOPTED.refresh()
    return not find_leftovers([child.pid], spec.identity)
