"""Runs the tasks of a cluster: starts each in its executor, kills it on request, reports its outcome."""

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from loguru import logger
from msgspec import structs

from clusters.embedded.artifacts.execution import Artifacts
from clusters.embedded.executors.interface import Executor
from clusters.embedded.executors.run_lease import RunLease
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.secrets.execution import execute_with_secrets
from clusters.embedded.secrets.providers import SecretProvider
from clusters.embedded.storage.log_recorder import LogRecorder
from clusters.embedded.storage.state_folder import StateFolder, TaskFolders
from clusters.protocol import AttemptId
from observability.spans.builders import try_span
from observability.spans.finished_span import FinishedSpan
from waypost.files.permissions import make_private_folder
from waypost.output_validation.validator import OutputValidator
from waypost.tracing.context import trace_fields
from waypost.worker_pool import WorkerError

VALIDATION_PAUSE_SECONDS = 1.0
"""The pause before an output is checked again, when no process is there to do it."""


def span_of_try(
    launch: Launch, outcome: Outcome, region: str, *, seconds: float, ended: float
) -> Sequence[FinishedSpan]:
    """Returns the span of a try that ended at `ended` (in seconds since 1970), if its run is in a trace."""
    if launch.span is None:
        return ()
    attempt = launch.attempt
    return (
        try_span(
            launch.span,
            run=attempt.run,
            shard=attempt.shard,
            epoch=attempt.epoch,
            region=region,
            task=launch.task.name,
            tries=launch.tries,
            executor=launch.task.type,
            outcome=outcome.word,
            began=ended - seconds,
            ended=ended,
        ),
    )


class TaskRunner:
    """Starts and kills the task executions (tries) of a cluster, and keeps their attempts' run-leases.

    `report` is called once for each try, when none of its processes is left, with the seconds that it took.
    Tasks of the types in `waiting` write no log whose times would be recorded.
    """

    def __init__(
        self,
        state_folder: StateFolder,
        executors: Mapping[str, Executor],
        report: Callable[[Launch, Outcome, float], None],
        validator: OutputValidator,
        secrets: SecretProvider,
        *,
        artifacts: Artifacts,
        recorder: LogRecorder,
        waiting: Container[str] = (),
    ) -> None:
        self._state_folder, self._executors, self._report = state_folder, executors, report
        self._validator, self._secrets, self._artifacts = validator, secrets, artifacts
        self._recorder, self._waiting = recorder, waiting
        self._running: dict[tuple[AttemptId, str], asyncio.Task[Outcome]] = {}
        self._leases: dict[AttemptId, RunLease] = {}
        self._evicted: dict[AttemptId, str] = {}
        """The attempts whose files were removed, and the reason."""

    def __len__(self) -> int:
        """Returns the number of task executions under way."""
        return len(self._running)

    def __repr__(self) -> str:
        return f"TaskRunner({[f'{attempt}, {task}' for attempt, task in self._running]})"

    def start(self, launch: Launch) -> None:
        task = asyncio.create_task(self._execute(launch), name=f"{launch.attempt.run}/{launch.task.name}")
        self._running[(launch.attempt, launch.task.name)] = task
        began = time.monotonic()
        # In a callback: a try that is cancelled before it began never runs a line of its own.
        task.add_done_callback(lambda done: self._finish(launch, done, began))

    def kill(self, attempt: AttemptId, task: str) -> None:
        """Kills a task's running execution, without waiting for its end; does nothing if there is none."""
        running = self._running.get((attempt, task))
        # Once only: a second cancellation would interrupt the executor while it waits for the last process to
        # end.
        if running is not None and not running.cancelling():
            running.cancel()

    async def kill_all(self) -> None:
        """Kills all task executions, and returns when none is left and every outcome has been reported."""
        running = dict(self._running)
        for attempt, task in running:
            self.kill(attempt, task)
        await asyncio.gather(*running.values(), return_exceptions=True)

    def evict(self, attempts: Iterable[AttemptId], reason: str) -> "asyncio.Future[list[Any]]":
        """Kills the running tasks of `attempts`, and fails any task of theirs that is started later.

        `reason` becomes the reason of these failures. The returned future is done when no task of theirs is
        running any more. Later tasks fail since the files that the earlier ones left to them are removed.
        """
        evicted = set(attempts)
        self._evicted |= dict.fromkeys(evicted, reason)
        ending = []
        for (attempt, task), running in self._running.items():
            if attempt in evicted:
                self.kill(attempt, task)
                ending.append(running)
        return asyncio.gather(*ending, return_exceptions=True)

    def renew_lease(self, attempt: AttemptId, expires_at: float) -> None:
        """Extends an exclusive attempt's run-lease to `expires_at`, on the machine's monotonic clock."""
        self._leases.setdefault(attempt, RunLease()).renew(expires_at)

    def forget_shards_except(self, shards: Container[tuple[str, int]]) -> None:
        """Drops the stored run-leases and evictions (for disk space) of all shards except `shards`."""
        self._evicted = {
            attempt: reason
            for attempt, reason in self._evicted.items()
            if (attempt.run, attempt.shard) in shards
        }
        self._leases = {
            attempt: lease
            for attempt, lease in self._leases.items()
            if (attempt.run, attempt.shard) in shards
        }

    def _finish(self, launch: Launch, done: asyncio.Task[Outcome], began: float) -> None:
        del self._running[(launch.attempt, launch.task.name)]
        if (reason := self._evicted.get(launch.attempt)) is not None:
            outcome = Outcome(succeeded=False, reason=reason)
        elif done.cancelled():
            outcome = Outcome(succeeded=False, killed=True, reason="killed")
        elif (error := done.exception()) is not None:
            # An executor may be a third party's: its mistake must not hold the shard for ever.
            fields = trace_fields(launch.span)
            logger.bind(run=launch.attempt.run, shard=launch.attempt.shard, **fields).opt(
                exception=error
            ).error("the executor {} failed at task {}", launch.task.type, launch.task.name)
            outcome = Outcome(succeeded=False, reason=f"the executor failed: {type(error).__name__}")
        else:
            outcome = done.result()
        self._report(launch, outcome, time.monotonic() - began)

    async def _execute(self, launch: Launch) -> Outcome:
        if launch.attempt in self._evicted:
            return Outcome(succeeded=False, reason=self._evicted[launch.attempt])
        folders = self._state_folder.task_folders(launch.attempt, launch.task.name)
        try:
            for folder in (folders.workspace, folders.scratch, folders.log.parent):
                make_private_folder(folder)
        except OSError as error:
            return Outcome(
                succeeded=False, lost=True, reason=f"this cluster has no place for it: {error.strerror}"
            )
        executor = self._executors.get(launch.task.type)
        if executor is None:
            # It was taken before a restart, which found the host without the executor.
            return Outcome(
                succeeded=False, lost=True, reason=f"this cluster runs no {launch.task.type} tasks now"
            )
        return await self._artifacts.around(
            launch, folders.workspace, lambda: self._run(executor, launch, folders)
        )

    async def _run(self, executor: Executor, launch: Launch, folders: TaskFolders) -> Outcome:
        """Runs a try in its executor, within its time, and checks its output."""
        lease = self._leases.setdefault(launch.attempt, RunLease()) if launch.exclusive else None
        # It may have ended while the step waited to be journalled, or while a source was fetched.
        if lease is not None and lease.expires_at <= time.monotonic():
            return Outcome(succeeded=False, killed=True, reason="its lease has ended")
        waits = launch.task.type in self._waiting
        try:
            with nullcontext() if waits else self._recorder.watched(folders.log):
                async with asyncio.timeout(launch.task.timeout_seconds):
                    outcome = await execute_with_secrets(executor, launch, folders, lease, self._secrets)
        except TimeoutError:
            reason = f"timed out after {launch.task.timeout_seconds:g} s"
            return Outcome(succeeded=False, timed_out=True, reason=reason)
        if outcome.succeeded and launch.task.outputs is not None:
            return await self._check_output(launch, outcome)
        if outcome.succeeded or outcome.killed or outcome.lost or not self._state_folder.short_of_room:
            return outcome
        # Programs that find no room on the disk end as they like: "exit code 1" does not say it.
        return structs.replace(outcome, reason=f"{outcome.reason}; the disk of this cluster is nearly full")

    async def _check_output(self, launch: Launch, outcome: Outcome) -> Outcome:
        """Returns the outcome of a try that succeeded: a failure if its output does not fit its schema."""
        schema = launch.task.outputs or {}
        while True:
            try:
                fault = await self._validator.fault(schema, outcome.output, caller=launch.fairness_key)
            except WorkerError as error:
                # No fault of the task: memory or processes are short on this machine.
                logger.error("the output of task {} cannot be checked: {}", launch.task.name, error)
                await asyncio.sleep(VALIDATION_PAUSE_SECONDS)
                continue
            return outcome if fault is None else Outcome(succeeded=False, reason=f"the output {fault}")
