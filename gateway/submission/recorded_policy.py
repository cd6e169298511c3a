"""`RecordedPolicy`, a policy engine that asks another engine and records the decisions in the store.

A permission to change something is stored before it is returned; if it cannot be stored, it becomes a
refusal. Refusals, and permitted reads if the settings ask for them, are stored soon after, and of each tenant
only the newest are kept. The decision to admit, retry or place a run is stored with the run, in the same
commit, by the code that does so.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol, Self

from loguru import logger
from msgspec import structs

from gateway.core.decision import ActionKind, Decision, Question, kind_of
from gateway.core.errors import Unavailable
from gateway.policy.interface import PolicyEngine
from gateway.settings import PolicySettings
from gateway.store.decisions import KeepsDecisions
from gateway.store.exceptions import KeepsExceptions
from gateway.submission.known_exceptions import KnownExceptions

FLUSH_SECONDS: Final = 0.2
WAITING_OF_TENANT: Final = 100
"""The maximum number of one tenant's decisions that wait for the next write; more are dropped and counted."""
WAITING_IN_ALL: Final = 1_000
DOCUMENT_MAXIMUM: Final = 8_192
"""The maximum size in bytes of a document that is kept with a refusal."""

OnDecision = Callable[[Decision], None]
OnUnrecorded = Callable[[int], None]


class KeepsRecords(KeepsDecisions, KeepsExceptions, Protocol):
    """The store interface for keeping policy decisions and policy exceptions."""


class RecordedPolicy:
    """A `PolicyEngine` that passes queries on to another engine and records the decisions in the store."""

    def __init__(
        self,
        engine: PolicyEngine,
        store: KeepsRecords,
        settings: PolicySettings,
        *,
        on_decision: OnDecision,
        on_unrecorded: OnUnrecorded,
        exceptions: KnownExceptions | None = None,
    ) -> None:
        self._engine, self._store, self._settings = engine, store, settings
        self._on_decision, self._on_unrecorded = on_decision, on_unrecorded
        self.exceptions = exceptions or KnownExceptions()
        self._waiting: list[Decision] = []
        self._waiting_by_tenant: Counter[str] = Counter()
        self._offered = asyncio.Event()

    def __repr__(self) -> str:
        return f"<RecordedPolicy of {self._engine!r}, {len(self._waiting)} decisions to record>"

    async def __aenter__(self) -> Self:
        await self.exceptions.load(self._store, now=time.time())
        await self._engine.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            await self.flush()
        finally:
            await self._engine.__aexit__(*error)

    @property
    def revision(self) -> str:
        return self._engine.revision

    async def check(self) -> None:
        await self._engine.check()

    async def decide(self, question: Question) -> Decision:
        decision = await self._engine.decide(question)
        if decision.reasons:
            decision = self.exceptions.enforced(decision, question)
        self._on_decision(decision)
        if decision.allow is not True:
            self._offer(decision, question)
            return decision
        match kind_of(question.action):
            case ActionKind.WORK:
                pass  # what admits, retries or places the run stores it
            case ActionKind.CHANGE:
                return await self._record_first(decision)
            case ActionKind.READ:
                if self._settings.record_permitted_reads:
                    self._offer(decision, question)
        return decision

    async def run(self) -> None:
        """Writes the queued policy decisions to the store periodically, until it is cancelled."""
        while True:
            await self._offered.wait()
            # Many refusals share a commit.
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def _record_first(self, decision: Decision) -> Decision:
        """Stores a policy decision, then returns it; returns a refusal instead if it cannot be stored."""
        try:
            await self._store.record_decision(decision)
        except Unavailable as error:
            self._on_unrecorded(1)
            return structs.replace(decision, allow=False, fault=f"the decision cannot be recorded: {error}")
        return decision

    def _offer(self, decision: Decision, question: Question) -> None:
        tenant = question.principal.tenant
        if len(self._waiting) >= WAITING_IN_ALL or self._waiting_by_tenant[tenant] >= WAITING_OF_TENANT:
            self._on_unrecorded(1)
            return
        self._waiting.append(_without_large_document(decision))
        self._waiting_by_tenant[tenant] += 1
        self._offered.set()

    async def flush(self) -> None:
        """Writes the queued policy decisions to the store now; counts those that the store does not take."""
        decisions, self._waiting = self._waiting, []
        self._waiting_by_tenant.clear()
        self._offered.clear()
        if not decisions:
            return
        try:
            await self._store.record_passing(
                decisions,
                of_tenant=self._settings.recorded_refusals_of_tenant,
                in_all=self._settings.recorded_refusals,
            )
        except Unavailable as error:
            # The refusals themselves were answered: only their record is lost.
            self._on_unrecorded(len(decisions))
            logger.warning("{} refusals are not recorded: {}", len(decisions), error)


def _without_large_document(decision: Decision) -> Decision:
    question = decision.question
    if question and question.workflow is not None and len(question.workflow) > DOCUMENT_MAXIMUM:
        return structs.replace(decision, question=structs.replace(question, workflow=None))
    return decision
