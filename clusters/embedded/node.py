"""The node: an embedded cluster in one process, composed of scheduler, journal, executors and files.

`ClusterNode` satisfies `clusters.interface.ClusterAdapter`: the HTTP server serves it, and the conformance
suite tests it, like any adapter.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Self

from loguru import logger

from clusters.cluster_status import Isolation
from clusters.embedded.artifacts.execution import Artifacts
from clusters.embedded.capabilities import Capabilities, Tenants
from clusters.embedded.commit_loop import CommitLoop
from clusters.embedded.condition_runner import ConditionRunner
from clusters.embedded.disk_pressure import DiskPressure
from clusters.embedded.event_streams import EventStreams
from clusters.embedded.executors.host import start_executors
from clusters.embedded.executors.interface import ExecutorContext, isolation_of
from clusters.embedded.executors.registry import declare, executor_settings
from clusters.embedded.garbage_collection import GarbageCollector
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.ownership import Owner, after_claim
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.scheduling.scheduler import Scheduler
from clusters.embedded.scheduling.scheduler_step import RecoveredState, Step
from clusters.embedded.secrets.providers import SecretProvider
from clusters.embedded.secrets.secret_files import remove_all_secrets
from clusters.embedded.storage.journal import open_journal
from clusters.embedded.storage.log_recorder import LogRecorder
from clusters.embedded.storage.log_times import LogTimes
from clusters.embedded.storage.state_folder import KINDS, StateFolder
from clusters.embedded.storage.task_logs import read_log
from clusters.embedded.task_runner import TaskRunner, span_of_try
from clusters.errors import ClusterError
from clusters.protocol import AttemptId, Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello, LogChunk
from clusters.task_waits import TaskWaits
from observability.cluster_metrics import ClusterMetrics
from observability.disk_room import show_disk
from observability.spans.exporter import SpanRecorder
from waypost.condition_evaluation.evaluator import ConditionEvaluator
from waypost.files.permissions import make_private_folder, narrow
from waypost.output_validation.validator import OutputValidator
from waypost.sqlite_group_commit import Database
from waypost.workflow.run_types import DeclaredExecutors

WAITING = 4_096
"""The most runs whose conditions may wait for an evaluator process: more than a cluster holds."""


class ClusterNode:
    """One embedded cluster (scheduler, journal, executors), which runs within `async with`.

    Only one process can use its state folder. Implements `clusters.interface.ClusterAdapter`.
    """

    def __init__(self, settings: ClusterNodeSettings) -> None:
        self._settings = settings
        self.spans: SpanRecorder | None = None
        """Takes the spans of tries; None where none are exported."""
        self._root = Path(settings.state)
        self._state_folder = StateFolder(self._root)
        self._stack = AsyncExitStack()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.metrics = ClusterMetrics()
        self.committer: asyncio.Task[None]
        """The asyncio task that runs the commit loop. If it ends, by an error, the process must end too."""
        self.garbage_collector: GarbageCollector

    def __repr__(self) -> str:
        return f"ClusterNode({self._settings.region}, {self._root})"

    async def __aenter__(self) -> Self:
        self._booted = time.monotonic()
        make_private_folder(self._root)
        for kind in KINDS:
            narrow(self._root / kind)
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(Database(self._root / "journal.db"))
            self._database = database
            recovered = await database.write(open_journal)
            await database.mark_incomplete()
            if self._settings.adopt:
                recovered.owner = Owner()
            context = ExecutorContext(
                region=self._settings.region,
                workspaces=self._state_folder.workspaces,
                hidden=self._settings.own_folders,
            )
            settings = executor_settings(self._settings.executors)
            await asyncio.to_thread(remove_all_secrets, self._state_folder.secrets)
            executors, registered = await start_executors(stack, context, settings)
            validator = await stack.enter_async_context(OutputValidator())
            secrets, declared = SecretProvider(self._settings.secrets), declare(registered)
            self._task_runner = TaskRunner(
                *(self._state_folder, executors, self._record_outcome, validator, secrets),
                artifacts=Artifacts(self._settings.artifacts, secrets, self.metrics.count_artifact),
                recorder=await stack.enter_async_context(LogRecorder()),
                waiting=declared.waiting,
            )
            evaluator = await stack.enter_async_context(
                ConditionEvaluator(budget_seconds=self._settings.condition_seconds, maximum_waiting=WAITING)
            )
            self._build(recovered, evaluator, declared, isolation_of(executors))
            self._evaluator = evaluator
            self.committer = asyncio.create_task(self._commits.run(), name="commit")
            self._collecting = asyncio.create_task(self.garbage_collector.run(), name="collect garbage")
            self._keeping_room = asyncio.create_task(self._disk_pressure.run(), name="keep room")
            self._stack = stack.pop_all()
        return self

    def _build(
        self,
        recovered: RecoveredState,
        evaluator: ConditionEvaluator,
        executors: DeclaredExecutors,
        isolation: Mapping[str, Isolation],
    ) -> None:
        settings, uptime = self._settings, self._uptime
        weakest = Isolation.NONE if Isolation.NONE in isolation.values() else Isolation.SANDBOX
        one_tenant = weakest is Isolation.NONE and not settings.trusted_tenants
        self._scheduler = Scheduler(
            recovered,
            region=settings.region,
            boot=uuid.uuid4().hex,
            slots=settings.slots,
            capabilities=Capabilities(
                cpu=settings.cpu,
                memory_mib=settings.memory_mib,
                executors=executors.run_types,
                exclusive=executors.exclusive,
                waiting=executors.waiting,
                tenants=Tenants(recovered.tenants, sharing=isolation.keys(), one=one_tenant),
                isolation=weakest if isolation else None,
                trusted_tenants=settings.trusted_tenants,
                secrets=settings.has_secrets,
            ),
            queue=settings.queue,
        )
        journal_seconds = self.metrics.journal_seconds.observe
        self._commits = CommitLoop(
            self._database, self._scheduler, uptime=uptime, act=self._act, observe=journal_seconds
        )
        self._conditions = ConditionRunner(
            self._scheduler, evaluator, uptime=uptime, report=self._commits.carry_out
        )
        self._streams = EventStreams(self._database, self._scheduler, self._commits, uptime=uptime)
        self.garbage_collector = GarbageCollector(
            self._scheduler, self._commits, self._state_folder, self._task_runner, uptime=uptime
        )
        self._disk_pressure = DiskPressure(
            self._state_folder,
            self._task_runner,
            self.garbage_collector,
            attempts=lambda: (attempt for attempt, _ in self._scheduler.hello(uptime()).attempts),
            count=self.metrics.evictions.inc,
        )
        show_disk(self.metrics.disk_free, self._state_folder.root)

    def start_evaluator(self) -> None:
        """Starts the child processes that evaluate conditions, so that the first condition need not wait."""
        self._evaluator.start()

    async def __aexit__(self, *_: object) -> None:
        """Kills all running tasks and closes the journal.

        A gateway could neither see nor end these tasks without the node.
        """
        # First: each try that is killed frees a processor, on which the next would start.
        self._scheduler.queue.close()
        self._closing = True
        await self._conditions.close()
        await self._task_runner.kill_all()
        self.committer.cancel()
        self._collecting.cancel()
        self._keeping_room.cancel()
        if self._timer is not None:
            self._timer.cancel()
        await self._stack.aclose()

    def set_gauges(self) -> None:
        """Sets the gauges of `metrics` to the node's present state; called at each scrape."""
        status, metrics, queue = self._scheduler.status(self._uptime()), self.metrics, self._scheduler.queue
        metrics.queued.set(status.queued)
        metrics.queue_age.set(queue.oldest_seconds(self._uptime()))
        metrics.attempts.set(status.held)
        metrics.slots.set(self._settings.slots)
        metrics.processors.set(self._settings.cpu)
        metrics.processors_busy.set(queue.processors_busy)
        metrics.memory.set(self._settings.memory_mib << 20)
        metrics.memory_asked.set(queue.memory_busy << 20)
        metrics.leases.set(self._scheduler.leases(self._uptime()))

    def _uptime(self) -> float:
        """Returns the seconds since this start (boot) of the node, by the monotonic clock."""
        return time.monotonic() - self._booted

    async def claim(self, claim: Owner) -> None:
        """Accepts the calling gateway's store as the cluster's owner, unless another store is the owner.

        Called before each call is handled. Raises `ClusterError` where the cluster works for another store,
        or for a newer era of this one.
        """
        owner = after_claim(self._scheduler.owner, claim)
        if owner is None:
            return
        logger.info(
            "the cluster of {} works for the store {}, era {}", self._settings.region, owner.store, owner.era
        )
        await self._commits.commit(self._scheduler.change_owner(owner, self._uptime(), time.time()))

    # ClusterAdapter

    async def apply(self, batch: Batch) -> BatchAnswers:
        if batch.incarnation not in ("", self._scheduler.incarnation):
            raise ClusterError("OtherJournal", f"this is {self._scheduler.incarnation:.8}", retryable=False)
        answers, step = self._scheduler.apply(batch, self._uptime(), time.time())
        await self._commits.commit(step)
        return self._scheduler.after_commit(answers)

    async def attempts(self) -> Hello:
        return self._scheduler.hello(self._uptime())

    async def probe(self) -> ClusterStatus:
        return (await self.apply(Batch())).status

    def watch(self, cursor: int, incarnation: str) -> AsyncIterator[ClusterEvent]:
        return self._streams.watch(cursor, incarnation)

    async def waits(self, attempt: AttemptId) -> TaskWaits:
        return self._scheduler.waiting.of(attempt, self._uptime())

    def logs(self, attempt: AttemptId, task: str, *, offset: int, follow: bool) -> AsyncIterator[LogChunk]:
        return self._read_log(attempt, task, offset, follow=follow, timed=False)

    def timed_logs(
        self, attempt: AttemptId, task: str, *, offset: int, follow: bool
    ) -> AsyncIterator[LogChunk]:
        return self._read_log(attempt, task, offset, follow=follow, timed=True)

    def _read_log(
        self, attempt: AttemptId, task: str, offset: int, *, follow: bool, timed: bool
    ) -> AsyncIterator[LogChunk]:
        path = self._state_folder.task_folders(attempt, task).log
        times = LogTimes(path) if timed else None
        unfinished = partial(self._scheduler.waiting.is_unfinished, attempt, task)
        return read_log(path, offset=offset, follow=follow, is_unfinished=unfinished, times=times)

    # Actions

    def _act(self, step: Step) -> None:
        """Carries out the actions of a scheduler decision (step) whose records are in the journal."""
        # While the node closes, steps from before may still be journalled. Their tries would not be killed.
        for launch in () if self._closing else step.launches:
            self._task_runner.start(launch)
            self.metrics.count_start(launch.task.type, launch.waited_seconds)
        self._conditions.ask(() if self._closing else step.evaluations)
        for identity, task in step.kills:
            self._task_runner.kill(identity, task)
        for identity, until in step.leases:
            self._task_runner.renew_lease(identity, self._booted + until)
        self._streams.notify(step)
        self._set_timer()

    def _set_timer(self) -> None:
        """Schedules a call of the scheduler's `tick` for the time at which its next timer fires.

        To be called after each decision, which may have changed that time.
        """
        at = self._scheduler.next_timer
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        due = None if at is None else self._booted + max(at, 0.0)
        self._timer = None if due is None else loop.call_at(due, self._tick, due)

    def _tick(self, due: float) -> None:
        self._timer = None
        self.metrics.timer_late_seconds.observe(max(0.0, time.monotonic() - due))
        self._commits.carry_out(self._scheduler.tick(self._uptime(), time.time()))

    def _record_outcome(self, launch: Launch, outcome: Outcome, seconds: float) -> None:
        self.metrics.count_end(launch.task.type, outcome.word, seconds)
        if self.spans is not None:
            region, ended = self._settings.region, time.time()
            self.spans.record(*span_of_try(launch, outcome, region, seconds=seconds, ended=ended))
        step = self._scheduler.record_outcome(
            launch.attempt, launch.task.name, outcome, self._uptime(), time.time()
        )
        self._commits.carry_out(step)
