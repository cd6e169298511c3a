"""The policy engine that routes each policy query to the active bundle's engine or to the canary's.

The tenant decides which.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Self

from loguru import logger

from gateway.core.decision import TOO_OLD, Action, Decision, Question
from gateway.policy.decisions import DecisionFactory
from gateway.policy.interface import PolicyEngine
from gateway.policy.rollout.shadow import Shadow
from gateway.policy.rollout.tenant_share import TenantShare

BY_THE_ACTIVE: Final = frozenset({Action.POLICY_READ, Action.POLICY_OPERATE})
"""The actions that a canary never decides: it must not promote itself."""


RENEWED_RULES: Final = frozenset({Action.RUNS_SUBMIT, Action.RUNS_RETRY})
"""The actions that are refused once the policy in force is too old; all others are not."""


class _Held:
    """A policy engine in use, with the number of policy queries that it is answering now."""

    __slots__ = ("engine", "retired", "under_way")

    def __init__(self, engine: PolicyEngine) -> None:
        self.engine, self.under_way, self.retired = engine, 0, False


class ChosenEngine:
    """Routes policy queries to the engine of the active bundle, or by tenant to the canary's.

    Implements `PolicyEngine`; the engines can be replaced. `base` is the first active one; `others` are for
    use later. These are entered and closed with this one; every further engine is closed when it is replaced
    and has answered its queries.

    Once the active engine has been in force for more than `maximum_age_seconds`, it is not asked about
    submissions and retries any more: they are refused, since its rules may be out of date. `since` is the
    time, in seconds since 1970, from which `base` is in force; `on_in_force` is called with it, and with that
    of each later engine.
    """

    def __init__(
        self,
        base: PolicyEngine,
        others: Sequence[PolicyEngine] = (),
        *,
        since: float = 0.0,
        maximum_age_seconds: float = math.inf,
        on_in_force: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._kept = (base, *others)
        self._exits = AsyncExitStack()
        self._maximum_age_seconds = maximum_age_seconds
        self._on_in_force = on_in_force
        self._decisions = DecisionFactory("gateway")
        self._active = _Held(base)
        self._canary: _Held | None = None
        self._share: TenantShare | None = None
        self._shadow: Shadow | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._note_in_force(since)

    def __repr__(self) -> str:
        return f"<ChosenEngine: {self._active.engine!r}, canary {self._canary and self._canary.engine!r}>"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            for engine in self._kept:
                await exits.enter_async_context(engine)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.end_trial()
        self.activate(self._kept[0])
        await asyncio.gather(*self._closing)
        await self._exits.aclose()

    @property
    def revision(self) -> str:
        return self._active.engine.revision

    async def check(self) -> None:
        await self._active.engine.check()

    async def decide(self, question: Question) -> Decision:
        held = self._active
        if self._share is not None and self._canary is not None and self._is_tried_out_on(question):
            held = self._canary
        elif question.at > self._outlived_at and question.action in RENEWED_RULES:
            revision = held.engine.revision
            return self._decisions.faulty(question, TOO_OLD, revision=revision, duration_seconds=0.0)
        held.under_way += 1
        try:
            decision = await held.engine.decide(question)
        finally:
            held.under_way -= 1
            if held.retired and not held.under_way:
                self._close(held.engine)
        if self._shadow is not None:
            self._shadow.offer(question, decision)
        return decision

    def _is_tried_out_on(self, question: Question) -> bool:
        # The caller's tenant, of the verified token: at a placement that of who submitted the run.
        return (
            self._share is not None
            and question.action not in BY_THE_ACTIVE
            and self._share.has(question.principal.tenant)
        )

    def activate(self, engine: PolicyEngine, *, at: float | None = None) -> None:
        """Replaces the active policy engine by `engine`, which is started and in force since `at`.

        `at` None: the time that is known for the former engine stays.
        """
        before, self._active = self._active, _Held(engine)
        if at is not None:
            self._note_in_force(at)
        self._retire(before)

    def _note_in_force(self, since: float) -> None:
        self._outlived_at = since + self._maximum_age_seconds
        self._on_in_force(since)

    def put_in_canary(self, engine: PolicyEngine, share: TenantShare) -> None:
        """Makes the started `engine` answer for the tenants of `share`; ends any earlier canary or shadow."""
        self.end_trial()
        self._canary, self._share = _Held(engine), share

    def put_in_shadow(self, shadow: Shadow) -> None:
        """Offers all further decisions to `shadow` for comparison; ends any earlier canary or shadow."""
        self.end_trial()
        self._shadow = shadow

    def end_trial(self) -> None:
        """Ends the canary or shadow, if there is one; all policy queries go to the active engine."""
        canary, self._canary, self._share = self._canary, None, None
        shadow, self._shadow = self._shadow, None
        if canary is not None:
            self._retire(canary)
        if shadow is not None:
            self._in_background(self._closed_shadow(shadow))

    def discard(self, engine: PolicyEngine) -> None:
        """Closes a policy engine that was made for a rollout change which was not committed."""
        self._retire(_Held(engine))

    def _retire(self, held: _Held) -> None:
        if held.engine in self._kept or held.engine is self._active.engine:
            return
        held.retired = True
        if not held.under_way:
            self._close(held.engine)

    def _close(self, engine: PolicyEngine) -> None:
        self._in_background(_closed(engine))

    async def _closed_shadow(self, shadow: Shadow) -> None:
        await shadow.close()
        if shadow.engine not in self._kept:
            await _closed(shadow.engine)

    def _in_background(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _closed(engine: PolicyEngine) -> None:
    try:
        await engine.__aexit__(None, None, None)
    except Exception as error:  # nobody waits for it
        logger.warning("a policy engine did not close in order: {}", error)
