"""The run-lease of one exclusive attempt, as its tries see it."""

import asyncio


class HeldLease:
    """Satisfies `clusters.embedded.executors.interface.Lease`."""

    def __init__(self) -> None:
        self._until = float("-inf")
        self._changed = asyncio.Event()

    @property
    def until(self) -> float:
        return self._until

    def renew(self, until: float) -> None:
        """`until`: on the machine's monotonic clock."""
        self._until = max(self._until, until)
        self._changed.set()
        self._changed = asyncio.Event()

    async def renewed(self) -> None:
        await self._changed.wait()
