"""`UnfinishedBodies`: limits the bytes of request bodies that are being received, per tenant and in all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from gateway.core.errors import TooManyRequests, Unavailable
from gateway.settings import RequestSettings


class UnfinishedBodies:
    """Counts and limits the bytes of request bodies that are being received, per tenant and in all."""

    def __init__(self) -> None:
        self._bytes: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<UnfinishedBodies {dict(self._bytes)}>"

    def size(self, tenant: str) -> int:
        """Returns how many bytes have been received of the tenant's unfinished request bodies."""
        return self._bytes[tenant]

    @contextmanager
    def receive(self, tenant: str, limits: RequestSettings) -> "Iterator[ReceivedBytes]":
        """Opens a context with a counter of the bytes received of one request body of `tenant`."""
        received = ReceivedBytes(self._bytes, tenant, limits)
        try:
            yield received
        finally:
            self._bytes[tenant] -= received.size
            # a Counter keeps zeros: without this every tenant that ever came would stay in it
            if not self._bytes[tenant]:
                del self._bytes[tenant]


class ReceivedBytes:
    """The counter of the bytes received so far of one request body."""

    def __init__(self, counts: Counter[str], tenant: str, limits: RequestSettings) -> None:
        self._counts, self._tenant, self._limits = counts, tenant, limits
        self.size = 0

    def add(self, size: int) -> Self:
        """Adds `size` received bytes to the count. Raises `TooManyRequests` or `Unavailable` over a limit."""
        self.size += size
        self._counts[self._tenant] += size
        # The tenant's own bound first: its callers are to learn that it is they who send too much at once.
        if self._counts[self._tenant] > self._limits.unfinished_bytes_per_tenant:
            raise TooManyRequests("your tenant has too many documents on their way at once")
        if self._counts.total() > self._limits.unfinished_bytes_maximum:
            raise Unavailable("too many documents are on their way at once")
        return self
