"""`UnreadAnswers`: limits the bytes of responses that clients have not read yet, per tenant and in all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.core.errors import TooManyRequests, Unavailable
from gateway.settings import RequestSettings


class UnreadAnswers:
    """Counts and limits the bytes of large responses that are being sent, per tenant and in all."""

    def __init__(self) -> None:
        self._bytes: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<UnreadAnswers {dict(self._bytes)}>"

    def check(self, tenant: str, limits: RequestSettings, size: int = 0) -> None:
        """Raises `TooManyRequests` or `Unavailable` if a response of `size` bytes would exceed a limit.

        A response that is over a limit by itself is allowed while no other is unread.
        """
        held, total = self._bytes[tenant], self._bytes.total()
        # The tenant's own bound first: its callers are to learn that it is they who do not read.
        if held and held + size >= limits.unread_bytes_per_tenant:
            raise TooManyRequests("your tenant has not read its earlier answers yet")
        # At most as much as is free: a few tenants that read slowly would leave nothing to all others.
        if total and held + size >= limits.unread_bytes_maximum - total:
            raise Unavailable("too many answers have not been read yet")

    @contextmanager
    def hold(self, tenant: str, size: int) -> Iterator[None]:
        """Counts `size` bytes of responses as unread by `tenant` until the `with` ends."""
        self._bytes[tenant] += size
        try:
            yield
        finally:
            self._bytes[tenant] -= size
            # a Counter keeps zeros: without this every tenant that ever came would stay in it
            if not self._bytes[tenant]:
                del self._bytes[tenant]
