"""Measures the lag of the event loop: how late it runs a callback that is due."""

import asyncio
from typing import Final

from prometheus_client import Histogram

LAG_SECONDS: Final = 0.5
"""The seconds between two measurements."""


async def measure_loop_lag(lag: Histogram) -> None:
    """Measures the event loop's lag periodically until cancelled, and observes it in the histogram `lag`."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(LAG_SECONDS)
        lag.observe(max(0.0, loop.time() - began - LAG_SECONDS))
