"""Corrects stored times and this process's clock if the wall clock was changed while no gateway ran.

The gateway's clock begins with the wall clock. Without the correction a wall clock that was set forward would
end runs before their deadlines, and one that was set back would make later runs older than earlier ones.
"""

from loguru import logger

from gateway.steady_clock import machine_boot, seconds_behind, set_forward
from gateway.store.interface import RunQuery, Store


async def correct_clocks(store: Store) -> None:
    """Corrects this process's clock and the stored times after changes of the machine's wall clock.

    If the clock is behind the newest run's time, it is set forward to that. Stored deadlines and pauses move
    by as much as the wall clock was set since the last start. Raises `Unavailable` if the store fails.
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
    step = await store.correct_times(machine_boot())
    if step:
        logger.warning(
            "the wall clock was set by {:+.1f} s since a gateway was started on this boot of the machine:"
            " deadlines of open runs are moved by as much, so that none is nearer or farther for that",
            step,
        )
