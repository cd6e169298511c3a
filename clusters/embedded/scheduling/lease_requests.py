"""Run-leases of exclusive attempts: requested by the cluster, granted by the gateway, counted from the request.

Counting from the request keeps the lease safe however long the grant is on its way: the gateway counts from a later moment, so it
never believes that a lease has ended while the cluster still runs under it.
"""

import hashlib
import itertools
from collections.abc import Iterable

from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import LeaseAsked

LEASE_SECONDS = 15.0
REQUEST_SECONDS = 5.0
"""Between two requests of one attempt."""
MARGIN_SECONDS = 1.0
"""Tasks are killed so long before the lease ends: none of their processes may outlive it."""


class LeaseRequests:
    """Makes requests and takes grants. A grant that was made for another boot has a number that this one does not use."""

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
        """Extends the lease by the request of this number. A request is granted once, and those before it need no grant any more."""
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
