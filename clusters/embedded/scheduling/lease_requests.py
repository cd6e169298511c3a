"""Requests run-leases for exclusive attempts from the gateway, and applies its grants.

The cluster counts a lease from its request, the gateway from its grant, which is later. So by the time that a
lease has ended for the gateway, the cluster has stopped its tasks, however long the grant was on its way.
"""

import hashlib
import itertools
from collections.abc import Iterable

from clusters.embedded.scheduling.attempt import Attempt
from clusters.protocol import LeaseAsked

LEASE_SECONDS = 15.0
"""The duration of a lease in seconds, from its request."""
REQUEST_SECONDS = 5.0
"""The seconds between two lease requests of one attempt."""
MARGIN_SECONDS = 1.0
"""The seconds before a lease's end at which its tasks are killed, so that no process outlives it."""


class LeaseRequests:
    """Makes a cluster's run-lease requests, and extends leases by the gateway's grants.

    The numbers of requests differ between boots, so that a grant for an earlier boot fits none.
    """

    def __init__(self, boot: str) -> None:
        first = int.from_bytes(hashlib.blake2b(boot.encode(), digest_size=6).digest())
        self._numbers = itertools.count(first)

    def request(self, attempt: Attempt, now: float) -> LeaseAsked:
        """Makes the next run-lease request of `attempt`, and sets the timer for the one after it."""
        number = next(self._numbers)
        attempt.next_lease_request_at = now + REQUEST_SECONDS
        # A grant of an older request would give a lease that has ended: it need not be remembered.
        attempt.lease_requests = {
            earlier: at for earlier, at in attempt.lease_requests.items() if at + LEASE_SECONDS > now
        }
        attempt.lease_requests[number] = now
        return LeaseAsked(attempt=attempt.id, ask=number)

    def grant(self, attempt: Attempt, number: int) -> None:
        """Extends a run-lease for which the gateway has granted the request `number`.

        The lease counts from the time of that request. That request and earlier ones are dropped.
        """
        requested_at = attempt.lease_requests[number]
        attempt.lease_until = max(attempt.lease_until, requested_at + LEASE_SECONDS)
        attempt.lease_requests = {later: at for later, at in attempt.lease_requests.items() if later > number}


def lease_is_ending(attempt: Attempt, now: float) -> bool:
    """Returns whether an attempt's run-lease ends within `MARGIN_SECONDS`, has ended, or was never granted.

    No task may run under such a lease.
    """
    return attempt.lease_until - MARGIN_SECONDS <= now


def pending_requests(attempts: Iterable[Attempt]) -> list[LeaseAsked]:
    """Returns the newest run-lease request of each attempt that waits for a grant."""
    return [
        LeaseAsked(attempt=attempt.id, ask=max(attempt.lease_requests))
        for attempt in attempts
        if attempt.lease_requests and not attempt.over
    ]
