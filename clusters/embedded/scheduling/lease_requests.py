"""Run-leases of exclusive attempts: the cluster requests them, the gateway grants them.

A lease counts from the request, not from the grant. The gateway counts from the grant, which is later: so it
never takes a lease for ended under which the cluster still runs a task, however long the grant is on its way.
"""

import hashlib
import itertools
from collections.abc import Iterable

from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import LeaseAsked

LEASE_SECONDS = 15.0
"""Seconds that a lease lasts, from its request."""
REQUEST_SECONDS = 5.0
"""Seconds between two requests of one attempt."""
MARGIN_SECONDS = 1.0
"""Seconds before the lease's end at which tasks are killed: none of their processes may outlive it."""


class LeaseRequests:
    """The lease requests of a cluster: makes them, and applies the grants.

    The numbers of requests differ between boots, so that a late grant fits none.
    """

    def __init__(self, boot: str) -> None:
        first = int.from_bytes(hashlib.blake2b(boot.encode(), digest_size=6).digest())
        self._numbers = itertools.count(first)

    def request(self, attempt: Attempt, now: float) -> LeaseAsked:
        """Makes the next request of `attempt`, and sets when the one after it is due."""
        number = next(self._numbers)
        attempt.next_lease_request_at = now + REQUEST_SECONDS
        # A grant of an older request would give a lease that has ended: it need not be remembered.
        attempt.lease_requests = {
            earlier: at for earlier, at in attempt.lease_requests.items() if at + LEASE_SECONDS > now
        }
        attempt.lease_requests[number] = now
        return LeaseAsked(attempt=attempt.id, ask=number)

    def grant(self, attempt: Attempt, number: int) -> None:
        """Extends the lease, counted from the request of this number. Drops that request and earlier ones."""
        requested_at = attempt.lease_requests[number]
        attempt.lease_until = max(attempt.lease_until, requested_at + LEASE_SECONDS)
        attempt.lease_requests = {later: at for later, at in attempt.lease_requests.items() if later > number}


def lease_is_ending(attempt: Attempt, now: float) -> bool:
    """Whether the lease ends within the margin, has ended, or was never granted: nothing may run under it."""
    return attempt.lease_until - MARGIN_SECONDS <= now


def pending_requests(attempts: Iterable[Attempt]) -> list[LeaseAsked]:
    """The newest request of each attempt that waits for a grant."""
    return [
        LeaseAsked(attempt=attempt.id, ask=max(attempt.lease_requests))
        for attempt in attempts
        if attempt.lease_requests and not attempt.over
    ]
