"""Runs a command as a process group of its own, without a shell and with an environment that holds nothing of the cluster's."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import msgspec

from clusters.embedded import watchdog
from clusters.embedded.executors.interface import Folders, Lease
from clusters.embedded.executors.output import discard, read_output
from clusters.embedded.executors.runs import ProcessRun, text_of
from clusters.embedded.logs import cut
from clusters.embedded.state import Launch, Outcome

GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL."""
GONE_SECONDS = 1.0
CUT_SECONDS = 1.0
WATCHDOG = (sys.executable, "-I", "-S", watchdog.__file__)


class ProcessExecutor:
    """Satisfies `Executor`. A watchdog process kills every group that is still there when this process is killed."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._logs: set[Path] = set()

    async def __aenter__(self) -> Self:
        self._watchdog = subprocess.Popen([*WATCHDOG, "groups"], stdin=subprocess.PIPE, start_new_session=True, text=True, bufsize=1)
        self._cutter = asyncio.create_task(self._cut_logs(), name="cut logs")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._cutter.cancel()
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        await asyncio.get_running_loop().run_in_executor(None, self._watchdog.wait)

    async def execute(self, launch: Launch, folders: Folders, lease: Lease | None) -> Outcome:
        try:
            run = msgspec.convert(launch.task.run, ProcessRun)
            directory = _directory(folders.workspace, run.working_directory)
        except (msgspec.ValidationError, ValueError) as error:
            return Outcome(succeeded=False, reason=f"run: {error}")
        stem = folders.scratch / f"{launch.task.name}.{launch.tries}"
        given, output = stem.with_name(stem.name + ".in.json"), stem.with_name(stem.name + ".out.json")
        try:
            given.write_bytes(msgspec.json.encode(launch.input))
            environment = self._environment(launch, run, folders, given, output)
            return await self._run(launch, [text_of(word) for word in run.command], environment, directory, folders.log, output, lease)
        except (OSError, ValueError) as error:  # the latter for what no process can be given: a name of a variable with `=` in it
            why = error.strerror if isinstance(error, OSError) else error
            return Outcome(succeeded=False, reason=f"cannot run {run.command[0]}: {why}")
        finally:
            discard(given)
            discard(output)

    def _environment(self, launch: Launch, run: ProcessRun, folders: Folders, given: Path, output: Path) -> dict[str, str]:
        return {
            "PATH": os.defpath + ":/usr/local/bin",
            "LANG": "C.UTF-8",
            "HOME": str(folders.workspace),
            "TMPDIR": str(folders.scratch),
            **{name: text_of(value) for name, value in run.env.items()},
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

    async def _run(
        self, launch: Launch, command: list[str], env: dict[str, str], cwd: Path, log: Path, output: Path, lease: Lease | None
    ) -> Outcome:
        if lease is not None:
            command = [*WATCHDOG, "lease", repr(lease.until), *command]
        with log.open("ab") as sink:
            stdin = subprocess.DEVNULL if lease is None else subprocess.PIPE
            child = subprocess.Popen(command, stdin=stdin, stdout=sink, stderr=sink, cwd=cwd, env=env, start_new_session=True)
        self._logs.add(log)
        if lease is None:  # a guard ends its own command when its pipe closes, and must live to do so
            self._tell(f"+{child.pid}")
        try:
            if launch.task.resources.memory_mib is not None and lease is None:
                limit = launch.task.resources.memory_mib * 1024 * 1024
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(child.pid, resource.RLIMIT_DATA, (limit, limit))
            code = await self._wait(child, lease)
        finally:
            await _clear(child.pid)
            self._logs.discard(log)
            if lease is None:
                self._tell(f"-{child.pid}")
        return _outcome(code, output)

    async def _cut_logs(self) -> None:
        """One talkative task must not take the disk from all others."""
        while True:
            await asyncio.sleep(CUT_SECONDS)
            for log in list(self._logs):
                with contextlib.suppress(OSError):
                    await asyncio.get_running_loop().run_in_executor(None, cut, log)

    def _tell(self, line: str) -> None:
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.write(line + "\n")

    async def _wait(self, child: "subprocess.Popen[Any]", lease: Lease | None) -> int:
        """The exit code. Cancelled: ends the group before it goes on."""
        renewals = asyncio.create_task(_pass_on(lease, child)) if lease is not None else None
        try:
            return await _exit(child)
        except asyncio.CancelledError:
            await _end(child)
            raise
        finally:
            if renewals is not None:
                renewals.cancel()
            if child.stdin is not None:
                child.stdin.close()


async def _pass_on(lease: Lease, child: "subprocess.Popen[bytes]") -> None:
    """Tells the guard of each renewal."""
    while child.stdin is not None:
        await lease.renewed()
        with contextlib.suppress(BrokenPipeError, ValueError):
            child.stdin.write(f"{lease.until!r}\n".encode())
            child.stdin.flush()


async def _exit(child: "subprocess.Popen[Any]") -> int:
    """The exit code, without a thread that waits for it."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.pidfd_open(child.pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return child.wait()


async def _end(child: "subprocess.Popen[Any]") -> None:
    """SIGTERM to the group, then SIGKILL. A guard closes its command's group when its pipe ends."""
    if child.stdin is not None:
        child.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            await _exit(child)
            return
    watchdog.kill_group(child.pid)
    await _exit(child)


async def _clear(group: int) -> None:
    """Kills what is left of the group, and waits until it is gone: a killed process still ends in its own time.

    Not for ever: where nobody collects orphans they stay as zombies, which run nothing.
    """
    until = time.monotonic() + GONE_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < until:
            os.killpg(group, signal.SIGKILL)
            await asyncio.sleep(0.002)


def _directory(workspace: Path, relative: str | None) -> Path:
    """Raises `ValueError` for a folder outside the workspace."""
    directory = (workspace / (relative or ".")).resolve()
    if not directory.is_relative_to(workspace.resolve()):
        raise ValueError("workingDirectory leads out of the workspace")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _outcome(code: int, output: Path) -> Outcome:
    if code:
        why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return Outcome(succeeded=False, reason=why)
    return read_output(output)
