"""Run-leases of exclusive attempts: asked for by the cluster, counted from the asking, granted by the gateway."""

import hashlib
import itertools
from collections.abc import Iterable

from clusters.embedded.scheduling.attempt import Attempt
from clusters.embedded.scheduling.attempts import MARGIN_SECONDS
from clusters.embedded.scheduling.step import Step
from clusters.protocol import LeaseAsked

LEASE_SECONDS = 15.0
"""A run-lease, counted from the asking."""
ASK_SECONDS = 5.0


class Leasing:
    """The asks of one boot: a late answer to one of another boot must not be taken for one of this."""

    def __init__(self, boot: str) -> None:
        self._asks = itertools.count(int.from_bytes(hashlib.blake2b(boot.encode(), digest_size=6).digest()))

    def look_after(self, attempt: Attempt, step: Step) -> float | None:
        """Kills what runs when the lease is about to end, and asks for another in time. When to come again to ask, if it asks."""
        if attempt.lease_until - MARGIN_SECONDS <= step.now:
            step.kills += [(attempt.id, task) for task in attempt.running]
        if step.now < attempt.next_lease_request_at:
            return None
        ask = next(self._asks)
        attempt.next_lease_request_at = step.now + ASK_SECONDS
        attempt.lease_requests = {
            earlier: at for earlier, at in attempt.lease_requests.items() if at + LEASE_SECONDS > step.now
        }
        attempt.lease_requests[ask] = step.now
        step.lease_requests.append(LeaseAsked(attempt=attempt.id, ask=ask))
        return attempt.next_lease_request_at

    def granted(self, attempt: Attempt, ask: int, step: Step) -> bool:
        """Whether that gives it a lease. An ask is answered once, and those before it then need no answer."""
        asked_at = attempt.lease_requests.pop(ask, None)
        if asked_at is None or attempt.over:
            return False
        attempt.lease_requests = {later: at for later, at in attempt.lease_requests.items() if later > ask}
        attempt.lease_until = max(attempt.lease_until, asked_at + LEASE_SECONDS)
        step.leases.append((attempt.id, attempt.lease_until))
        return True

    def waiting(self, attempts: Iterable[Attempt]) -> list[LeaseAsked]:
        """The newest ask of each attempt that waits for its answer."""
        return [
            LeaseAsked(attempt=attempt.id, ask=max(attempt.lease_requests))
            for attempt in attempts
            if attempt.lease_requests and not attempt.over
        ]
