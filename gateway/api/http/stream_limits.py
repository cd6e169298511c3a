"""`StreamLimiter`: limits how many event and log streams are open at once, per tenant and in all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.core.errors import TooManyRequests, Unavailable
from gateway.settings import RequestSettings


class StreamLimiter:
    """Limits how many streams are open at once on this gateway, per tenant and in all.

    Each stream costs memory and a share of the work of every change.
    """

    def __init__(self) -> None:
        self._open: Counter[tuple[str, str]] = Counter()
        """The number of open streams by kind and tenant."""

    def __repr__(self) -> str:
        return f"<StreamLimiter {dict(self._open)}>"

    @contextmanager
    def slot(self, tenant: str, limits: RequestSettings, *, among: str = "") -> Iterator[None]:
        """Counts one more stream of `tenant` as open until the `with` ends; `among` names the kind of stream.

        The streams of each kind are limited apart. Raises `TooManyRequests` if the tenant already has
        `streams_per_tenant` open. Raises `Unavailable` if the tenant already has at least as many open as
        there are free places left of `streams_maximum`, so that other tenants still find a place.
        """
        key, total = (among, tenant), sum(n for (kind, _), n in self._open.items() if kind == among)
        # The tenant's own limit first: its callers are to learn that they have too many streams open.
        if self._open[key] >= limits.streams_per_tenant:
            raise TooManyRequests(
                f"your tenant has {limits.streams_per_tenant} streams open, which is all it may"
            )
        if self._open[key] >= limits.streams_maximum - total:
            raise Unavailable("too many streams are open")
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            # a Counter keeps zeros: without this every tenant that ever came would stay in it
            if not self._open[key]:
                del self._open[key]
