"""The executor of `docker` tasks: runs one try in a container, and removes the container whatever happens."""

import asyncio
import contextlib
import os
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

import httpx
import msgspec

from clusters.embedded.executors.docker.container import (
    BOOT_LABEL,
    CLUSTER_LABEL,
    DockerSettings,
    describe_container,
    memory_mib,
    user_of,
)
from clusters.embedded.executors.docker.container_log import copy_log
from clusters.embedded.executors.docker.engine import Engine, EngineError, ping
from clusters.embedded.executors.docker.reaper import Reaper
from clusters.embedded.executors.docker.run_type import DockerRun
from clusters.embedded.executors.docker.watchdog_client import ContainerWatchdog
from clusters.embedded.executors.interface import ExecutorContext, Lease, run_of
from clusters.embedded.executors.output import read_output, remove, write_new
from clusters.embedded.executors.process.process_spec import MACHINE_FAULTS
from clusters.embedded.executors.process.sandbox.task_user import give_to
from clusters.embedded.executors.process.termination import finish_despite_cancellation
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.secrets.secret_files import remove_secrets, write_secrets
from clusters.embedded.storage.state_folder import TaskFolders
from waypost.cancellation import cancel_and_wait
from waypost.files.permissions import make_private_folder

CHECK_SECONDS: Final = 3.0
"""The seconds after which the engine of a running container is asked whether it is still there."""
DRAIN_SECONDS: Final = 5.0
"""The seconds for which the rest of an ended container's output is waited for."""
KILLED: Final = 137
"""The exit code of a container that was ended by SIGKILL."""


class DockerExecutor:
    """Executes `docker` tasks by running containers. Implements `Executor`.

    No container outlives its try: the try removes it, a sweep finds what that missed, and a watchdog process
    removes all of them when this process is killed.
    """

    def __init__(self, context: ExecutorContext, settings: DockerSettings) -> None:
        self._region, self._settings = context.region, settings
        self._labels = {CLUSTER_LABEL: str(context.workspaces.resolve()), BOOT_LABEL: uuid.uuid4().hex}
        self.engine = Engine(settings.socket)
        self._watchdog = ContainerWatchdog(settings.socket, f"{BOOT_LABEL}={self._labels[BOOT_LABEL]}")
        self.reaper = Reaper(self.engine, f"{CLUSTER_LABEL}={self._labels[CLUSTER_LABEL]}", self._watchdog)
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"DockerExecutor({self.engine}, {self.reaper})"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.engine)
            self._watchdog.ensure()
            stack.push_async_callback(self._close)
            await self.reaper.sweep()
            sweeping = asyncio.create_task(self.reaper.run(), name="remove containers")
            stack.push_async_callback(cancel_and_wait, (sweeping,))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _close(self) -> None:
        # Where the engine does not answer now, the watchdog goes on asking after the end of this process.
        self._watchdog.close(at_once=await self.reaper.sweep())

    async def execute(
        self,
        launch: Launch,
        folders: TaskFolders,
        lease: Lease | None,  # noqa: ARG002
    ) -> Outcome:
        if isinstance(run := run_of(launch, DockerRun), Outcome):
            return run
        if run.network != "none" and run.network not in self._settings.networks:
            return _failure(f"the cluster's setting networks does not permit the network {run.network}")
        if launch.secrets.environment:
            # It keeps a container's environment on its own disk, and shows it to all who may ask.
            return _failure("an engine would store secrets that are variables: take them `as: file`")
        exchange = folders.scratch / f"{launch.task.name}.{launch.tries}.io"
        try:
            await asyncio.to_thread(self._prepare, launch, folders, exchange)
            return await self._run(launch, run, folders, exchange)
        except OSError as error:
            lost = error.errno in MACHINE_FAULTS
            return Outcome(succeeded=False, lost=lost, reason=f"cannot run {run.image}: {error.strerror}")
        finally:
            # The rest of its folder goes with the attempt's scratch folder.
            remove(exchange / "input.json")
            remove(exchange / "output.json")
            remove_secrets(folders.secrets, launch.secrets)

    def _prepare(self, launch: Launch, folders: TaskFolders, exchange: Path) -> None:
        """Makes the folder of the try's input and output, and gives it its user; blocks, raises `OSError`."""
        make_private_folder(exchange)
        write_new(exchange / "input.json", msgspec.json.encode(launch.input))
        write_secrets(folders.secrets, launch.secrets)
        own = [folders.workspace, exchange, *([folders.secrets] if launch.secrets.files else [])]
        uid, gid = user_of(launch, self._settings)
        if os.geteuid() != 0:
            return
        if self._settings.user:
            for path in (
                *own,
                exchange / "input.json",
                *(folders.secrets / name for name in launch.secrets.files),
            ):
                os.chown(path, uid, gid, follow_symlinks=False)
        else:
            give_to(uid, own, exchange / "input.json")

    async def _run(self, launch: Launch, run: DockerRun, folders: TaskFolders, exchange: Path) -> Outcome:
        """Runs the container of a try, and returns the outcome when the container is gone."""
        name = f"waypost-{uuid.uuid4().hex}"
        self.reaper.live.add(name)
        stopping = False
        try:
            description = describe_container(
                launch,
                run,
                self._settings,
                region=self._region,
                workspace=folders.workspace,
                exchange=exchange,
                secrets=folders.secrets if launch.secrets.files else None,
                labels=self._labels,
            )
            await self._create(name, run, description)
            state = await self._run_to_end(name, folders.log, launch)
            outcome = self._outcome(state, launch, exchange)
        except EngineError as error:
            outcome = Outcome(succeeded=False, lost=error.lost, reason=f"cannot run {run.image}: {error}")
        except asyncio.CancelledError:
            stopping = True
            raise
        finally:
            gone: list[bool] = []
            await finish_despite_cancellation(self._end(name, gone, stop=stopping))
        # An engine that stops kills its containers: that is not the task's failure.
        if not outcome.succeeded and not gone[0]:
            return Outcome(
                succeeded=False, lost=True, reason=f"the container engine went away: {outcome.reason}"
            )
        return outcome

    async def _create(self, name: str, run: DockerRun, description: dict[str, Any]) -> None:
        """Creates the container, and downloads its image first if it is missing and may be downloaded."""
        try:
            await self._create_to_end(name, description)
        except EngineError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            if run.registry not in self._settings.registries:
                where = f"from {run.registry}" if run.registry else "by its id"
                raise EngineError(
                    f"the image is not here, and the setting registries permits no download {where}",
                    error.status,
                ) from error
            await self.engine.pull(run.image)
            await self._create_to_end(name, description)

    async def _create_to_end(self, name: str, description: dict[str, Any]) -> None:
        """Creates the container; is cancelled only when the engine has answered.

        A container that is made after its try was given up would be left.
        """
        creating = asyncio.create_task(self.engine.create(name, description), name=f"create {name}")
        try:
            await asyncio.shield(creating)
        except asyncio.CancelledError:
            with contextlib.suppress(EngineError):
                await finish_despite_cancellation(asyncio.wait_for(creating, None))
            raise

    async def _run_to_end(self, name: str, log: Path, launch: Launch) -> dict[str, Any]:
        """Starts a container, copies its output and waits for its end; returns its state then."""
        # Attached before it starts, or what it prints first would be lost.
        async with self.engine.attached(name) as frames:
            copying = asyncio.create_task(copy_log(frames, log, launch.secrets.mask), name=f"log of {name}")
            try:
                await self.engine.start(name)
                await self._wait(name)
                await asyncio.wait({copying}, timeout=DRAIN_SECONDS)
            finally:
                await cancel_and_wait((copying,))
        return await self.engine.state(name)

    async def _wait(self, name: str) -> None:
        """Waits until a container has ended; raises `EngineError` where the engine does not answer."""
        waiting = asyncio.create_task(self.engine.wait(name), name=f"end of {name}")
        try:
            while not (await asyncio.wait({waiting}, timeout=CHECK_SECONDS))[0]:
                # One that hangs keeps the connection, and would be waited for in vain.
                await self.engine.state(name)
            await waiting
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _end(self, name: str, gone: list[bool], *, stop: bool) -> None:
        if stop and self._settings.grace_seconds:
            # Not there, or not running: then it only has to be removed.
            with contextlib.suppress(EngineError):
                await self.engine.stop(name, self._settings.grace_seconds)
        gone.append(await self.reaper.remove(name))
        self.reaper.live.discard(name)

    def _outcome(self, state: dict[str, Any], launch: Launch, exchange: Path) -> Outcome:
        """Returns the outcome of a container that has ended."""
        code = state.get("ExitCode")
        if state.get("Status") not in ("exited", "stopped", "dead") or not isinstance(code, int):
            return Outcome(
                succeeded=False, lost=True, reason=f"its container is {state.get('Status')} after its end"
            )
        if code == 0 and not state.get("OOMKilled"):
            return read_output(exchange / "output.json")
        limit = f"its limit of {memory_mib(launch, self._settings)} MiB"
        if state.get("OOMKilled"):
            return _failure(f"out of memory: it passed {limit} (exit code {code})", code)
        if code == KILLED:
            # podman 4.3 does not say that memory ran out.
            return _failure(
                f"killed by SIGKILL, as what passes {limit} of memory is (exit code {code})", code
            )
        return _failure(f"exit code {code}", code)


def unavailable(_: ExecutorContext, settings: DockerSettings) -> str:
    """Returns why this host runs no `docker` tasks; empty if it does. Blocks for some seconds at most."""
    return ping(settings.socket)


def _failure(reason: str, exit_code: int | None = None) -> Outcome:
    return Outcome(succeeded=False, reason=reason, exit_code=exit_code)
