"""The run-lease of one exclusive attempt: the time until which its tasks may run."""

import asyncio


class RunLease:
    """The run-lease of one exclusive attempt: the time of its expiry, which renewals make later.

    Implements `executors.interface.Lease`. The cluster renews it when the gateway has granted more time;
    executors see only the interface.
    """

    def __init__(self) -> None:
        self._expires_at = float("-inf")
        self._renewal = asyncio.Event()

    def __repr__(self) -> str:
        return f"RunLease(expires_at={self._expires_at:.3f})"

    @property
    def expires_at(self) -> float:
        """Returns the end of the attempt's run-lease, in seconds of the machine's monotonic clock.

        It is minus infinity before the first renewal.
        """
        return self._expires_at

    def renew(self, expires_at: float) -> None:
        """Extends the run-lease to `expires_at`, in seconds of the machine's monotonic clock.

        A renewal never makes the lease end earlier.
        """
        self._expires_at = max(self._expires_at, expires_at)
        # Each renewal has an event: those that wait on the old one wake, later ones wait for the next.
        self._renewal.set()
        self._renewal = asyncio.Event()

    async def wait_for_renewal(self) -> None:
        """Waits until the run-lease is renewed the next time."""
        await self._renewal.wait()
