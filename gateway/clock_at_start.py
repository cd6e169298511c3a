"""Corrects, at the start, for changes of the wall clock that were made while no gateway ran.

The clock of a gateway begins with the wall clock. Without this a wall clock that was set forward would end
runs before their deadlines, and one that was set back would make later runs older than earlier ones.
"""

from loguru import logger

from gateway.steady_clock import machine_boot, seconds_behind, set_forward
from gateway.store.interface import RunQuery, Store


async def bear_clock_steps(store: Store) -> None:
    """Sets this process's clock to at least the newest run's time; moves stored times by other clock changes.

    Raises `Unavailable` where the store does not take that.
    """
    newest = await store.runs(RunQuery(tenants=None, limit=1))
    behind = max((seconds_behind(run.created_at) for run in newest.runs), default=0.0)
    if behind > 0:
        set_forward(behind)
        logger.warning(
            "the wall clock was set back to {:.1f} s before the newest run:"
            " deadlines and the order of runs go on from there",
            behind,
        )
    step = await store.bear_clock_step(machine_boot())
    if step:
        logger.warning(
            "the wall clock was set by {:+.1f} s since a gateway was started on this boot of the machine:"
            " deadlines of open runs are moved by as much, so that none is nearer or farther for that",
            step,
        )
