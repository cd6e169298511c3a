"""Runs a command as a process group of its own, without a shell and with an environment that holds nothing of the cluster's."""

import asyncio
import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from clusters.embedded.executors.interface import Lease
from clusters.embedded.executors.process.guard import Guard
from clusters.embedded.executors.process.output import discard, read_output
from clusters.embedded.executors.process.termination import (
    clear,
    exit_of,
    exits_within,
    left,
    name_of,
    terminate,
    uninterrupted,
)
from clusters.embedded.executors.process.watchdog import kill_group
from clusters.embedded.executors.process.watchdog_client import STARTED, WatchedGroups
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders
from clusters.embedded.storage.task_logs import LOG_BYTES, cut, open_regular
from waypost.workflow.run_types import ProcessRun, argument_text

GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL."""
CUT_SECONDS = 1.0
MARKS: Final = (
    "WAYPOST_WORKSPACE",
    "WAYPOST_RUN",
    "WAYPOST_SHARD",
    "WAYPOST_EPOCH",
    "WAYPOST_TASK",
    "WAYPOST_TRY",
)
"""What tells a try's processes from all others."""
FAULTS: Final = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
    }
)
"""Errors that are this machine's, and no word about the task."""


class Start(Struct, frozen=True, kw_only=True):
    """What a process is started with."""

    command: Sequence[str]
    directory: Path
    environment: dict[str, str]
    log: Path
    memory_bytes: int = 0
    """0: any."""

    @property
    def marks(self) -> frozenset[bytes]:
        return frozenset(os.fsencode(f"{name}={self.environment[name]}") for name in MARKS)


class ProcessExecutor:
    """Satisfies `Executor`. A watchdog process kills what is still there when this process is killed.

    `workspaces`: the folder that all tries have theirs below.
    """

    def __init__(self, region: str, workspaces: Path) -> None:
        self._region = region
        self._watched = WatchedGroups(workspaces)
        self._logs: set[Path] = set()

    async def __aenter__(self) -> Self:
        await self._watched.__aenter__()
        self._cutter = asyncio.create_task(self._cut_logs(), name="cut logs")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._cutter.cancel()
        await self._watched.__aexit__()

    async def execute(self, launch: Launch, folders: TaskFolders, lease: Lease | None) -> Outcome:
        stem = folders.scratch / f"{launch.task.name}.{launch.tries}"
        given, output = stem.with_name(stem.name + ".in.json"), stem.with_name(stem.name + ".out.json")
        what = "run"
        try:
            run = msgspec.convert(launch.task.run, ProcessRun)
            start = Start(
                command=[argument_text(word) for word in run.command],
                directory=_directory(folders.workspace, run.working_directory),
                environment=self._environment(launch, run, folders, given, output),
                log=folders.log,
                memory_bytes=(launch.task.resources.memory_mib or 0) << 20,
            )
            what = f"cannot run {start.command[0]}"
            _write_new(given, msgspec.json.encode(launch.input))
            return await self._run(start, output, lease)
        except (
            ValueError,
            OSError,
        ) as error:  # the former also for what no process can be given: a name of a variable with `=` in it
            why = error.strerror if isinstance(error, OSError) else error
            return Outcome(
                succeeded=False,
                lost=isinstance(error, OSError) and error.errno in FAULTS,
                reason=f"{what}: {why}",
            )
        finally:
            discard(given)
            discard(output)

    def _environment(
        self, launch: Launch, run: ProcessRun, folders: TaskFolders, given: Path, output: Path
    ) -> dict[str, str]:
        return {
            "PATH": os.defpath + ":/usr/local/bin",
            "LANG": "C.UTF-8",
            "HOME": str(folders.workspace),
            "TMPDIR": str(folders.scratch),
            **{name: argument_text(value) for name, value in run.env.items()},
            "WAYPOST_INPUT": str(given),
            "WAYPOST_OUTPUT": str(output),
            "WAYPOST_WORKSPACE": str(folders.workspace),
            "WAYPOST_REGION": self._region,
            "WAYPOST_RUN": launch.attempt.run,
            "WAYPOST_SHARD": str(launch.attempt.shard),
            "WAYPOST_EPOCH": str(launch.attempt.epoch),
            "WAYPOST_TASK": launch.task.name,
            "WAYPOST_TRY": str(launch.tries),
        }

    async def _run(self, start: Start, output: Path, lease: Lease | None) -> Outcome:
        with contextlib.ExitStack() as stack:
            guard = None if lease is None else stack.enter_context(Guard(lease, self._watched.add))
            child = _started(start, guard)
            self._logs.add(start.log)
            try:
                if (
                    guard is None
                ):  # a guard ends its own command when its socket closes, and must live to do so
                    self._watched.add(child.pid)
                    _limit(child.pid, start.memory_bytes)
                code = await exit_of(child)
            finally:
                if child.returncode is None or guard is not None or left([child.pid], start.marks):
                    await uninterrupted(self._end(child, guard, start))
                if guard is None:
                    self._watched.discard(child.pid)
                self._logs.discard(start.log)
                if _too_long(start.log):
                    await uninterrupted(asyncio.to_thread(_cut, start.log))
            if guard is not None and guard.over:
                return Outcome(succeeded=False, killed=True, reason="its lease has ended")
            return _outcome(code if guard is None or guard.code is None else guard.code, output)

    async def _end(self, child: "subprocess.Popen[Any]", guard: Guard | None, start: Start) -> None:
        """SIGTERM to a command that goes on, then SIGKILL. A guard comes after what it guards."""
        if child.returncode is None:
            terminate([child.pid] if guard is None else [] if guard.group is None else [guard.group])
            if guard is not None and guard.group is None:
                guard.let_go()
            if not await exits_within(child, GRACE_SECONDS) and guard is not None:
                guard.let_go()
                await exits_within(child, GRACE_SECONDS)
        if child.returncode is None:
            kill_group(child.pid)
            await exit_of(child)
        groups = [child.pid]
        if guard is not None:
            guard.hear()
            groups += [guard.group] if guard.group is not None else []
        await clear(groups, start.marks)
        if guard is not None and guard.group is not None:
            self._watched.discard(guard.group)

    async def _cut_logs(self) -> None:
        """One talkative task must not take the disk from all others."""
        while True:
            await asyncio.sleep(CUT_SECONDS)
            for log in list(self._logs):
                await asyncio.to_thread(_cut, log)


def _started(start: Start, guard: Guard | None) -> "subprocess.Popen[Any]":
    """Raises `OSError` and `ValueError`."""
    sink = open_regular(start.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        child = subprocess.Popen(
            start.command if guard is None else guard.command(start.memory_bytes, start.command),
            stdin=subprocess.DEVNULL if guard is None else guard.far.fileno(),
            stdout=sink,
            stderr=sink,
            cwd=start.directory,
            env=start.environment,
            start_new_session=True,
        )
    finally:
        os.close(sink)
        if guard is not None:
            guard.far.close()
    STARTED.add(child.pid)
    return child


def _limit(pid: int, memory_bytes: int) -> None:
    """Each process has as much for itself: its children inherit the limit, not what is left of it."""
    if memory_bytes:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def _write_new(path: Path, content: bytes) -> None:
    """An earlier task may have put something there: a pipe, a link."""
    discard(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb") as file:
        file.write(content)


def _too_long(log: Path) -> bool:
    with contextlib.suppress(OSError):
        return log.lstat().st_size > LOG_BYTES
    return False


def _cut(log: Path) -> None:
    with contextlib.suppress(OSError):
        cut(log)


def _directory(workspace: Path, relative: str | None) -> Path:
    """Raises `ValueError` where it cannot be one in the workspace, and `OSError` for this machine's own faults."""
    try:
        directory = (workspace / (relative or ".")).resolve()
        if not directory.is_relative_to(workspace.resolve()):
            raise ValueError("workingDirectory leads out of the workspace")
        directory.mkdir(parents=True, exist_ok=True)
    except RuntimeError:
        raise ValueError("workingDirectory is a link that leads to itself") from None
    except OSError as error:
        if error.errno in FAULTS:
            raise
        raise ValueError(
            f"workingDirectory: {'it is no folder' if error.errno == errno.EEXIST else error.strerror}"
        ) from None
    return directory


def _outcome(code: int, output: Path) -> Outcome:
    if code:
        return Outcome(
            succeeded=False, reason=f"killed by {name_of(-code)}" if code < 0 else f"exit code {code}"
        )
    return read_output(output)
