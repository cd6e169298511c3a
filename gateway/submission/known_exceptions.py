"""`KnownExceptions`, an in-memory cache of policy exceptions, so that no decision waits for the store."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import structs

from gateway.core.decision import Decision, Question
from gateway.core.errors import Unavailable
from gateway.core.policy_exception import ExceptionState, PolicyException
from gateway.policy.enforcement import can_be_excepted, enforce, granted_to, scope_of
from gateway.store.exceptions import ExceptionQuery, KeepsExceptions
from gateway.store.interface import StoreUnusable

PAGE: Final = 200
ENDED: Final = (ExceptionState.EXPIRED, ExceptionState.REVOKED)


class KnownExceptions:
    """A cache of pending and active policy exceptions, filled from the store at start and after changes.

    `wall_clock` gives seconds since 1970, in which the ends of exceptions are stored.
    """

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._known: dict[str, PolicyException] = {}
        self._wall_clock = wall_clock

    def __repr__(self) -> str:
        return f"<KnownExceptions: {len(self._known)}>"

    async def load(self, store: KeepsExceptions, *, now: float) -> None:
        """Loads the policy exceptions that have not ended at `now` from the store.

        Raises `StoreUnusable` if they cannot be read.
        """
        query = ExceptionQuery(open_at=now, limit=PAGE)
        while True:
            try:
                found = await store.exceptions(query)
            except Unavailable as error:
                raise StoreUnusable(f"the policy exceptions cannot be read: {error}") from error
            self.put(found.exceptions, now=now)
            if found.next is None:
                return
            query = structs.replace(query, before=found.next)

    def count(self, tenant: str, *, now: float) -> int:
        """Returns the number of the tenant's policy exceptions that have not ended at `now`."""
        return sum(one.tenant == tenant and one.state_at(now) not in ENDED for one in self._known.values())

    def put(self, exceptions: Iterable[PolicyException], *, now: float) -> None:
        """Puts policy exceptions into the cache; an older revision does not replace a newer one."""
        for one in exceptions:
            known = self._known.get(one.id)
            if known is None or known.rev < one.rev:
                self._known[one.id] = one
        self._known = {one.id: one for one in self._known.values() if one.state_at(now) not in ENDED}

    def enforced(self, decision: Decision, question: Question) -> Decision:
        """Returns a policy engine's decision as enforcement levels and active exceptions change it."""
        if decision.allow is True or not can_be_excepted(decision):
            return enforce(decision, {})
        scope = scope_of(question)
        decision = enforce(decision, granted_to(scope, self._known.values(), now=self._wall_clock()))
        if decision.allow is not True and scope is not None and decision.question:
            # An exception for this one document names it by its digest.
            recorded = structs.replace(decision.question, digest=scope.document)
            return structs.replace(decision, question=recorded)
        return decision
