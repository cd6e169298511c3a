"""Measures how late the event loop is."""

import asyncio
from typing import Final

from observability.metrics import Metrics

LAG_SECONDS: Final = 0.5
"""The pause between two measurements."""


async def measure_loop_lag(metrics: Metrics) -> None:
    """Measures for as long as it runs."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(LAG_SECONDS)
        metrics.loop_lag.observe(max(0.0, loop.time() - began - LAG_SECONDS))
