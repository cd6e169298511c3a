"""The interface by which a store corrects its deadlines and pauses after the wall clock was set."""

from typing import Final, Protocol

from gateway.steady_clock import MachineBoot

STEP_SECONDS: Final = 2.0
"""The difference between two clock readings above which the wall clock was set, in seconds."""


def clock_step(before: MachineBoot | None, now: MachineBoot) -> float:
    """Returns the seconds by which the wall clock was set forward (below 0: back) between two readings.

    A reading is the machine's latest boot with its time, which changes when the clock is set. Returns
    0 for at most `STEP_SECONDS`, and where it is unknown: after a reboot nobody can tell a step of the clock
    from the time that the machine was off.
    """
    if before is None or not now.id or before.id != now.id:
        return 0.0
    step = now.at - before.at
    return step if abs(step) > STEP_SECONDS else 0.0


class CorrectsTimes(Protocol):
    """The interface by which a store corrects its stored times after the wall clock was set."""

    async def correct_times(self, boot: MachineBoot) -> float:
        """Moves deadlines of open runs, and pauses of shards, if the wall clock was set since the last call.

        `boot` is the machine's latest boot, with its time by the present clock. To be called once, at the
        start of the gateway. Returns the seconds by which the clock was set forward (below 0: back); 0 if it
        was not. Raises `Unavailable` where the store cannot answer or commit.
        """
        ...
