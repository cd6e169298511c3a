"""The part of a store that corrects stored deadlines and pauses when the wall clock was set."""

from typing import Final, Protocol

from gateway.steady_clock import MachineBoot

STEP_SECONDS: Final = 2.0
"""The difference between two clock readings above which the wall clock was set, in seconds."""


def clock_step(before: MachineBoot | None, now: MachineBoot) -> float:
    """Returns the seconds by which the wall clock was set between two readings; 0 if that cannot be known.

    After another boot nobody can tell a step from the time that the machine was off.
    """
    if before is None or not now.id or before.id != now.id:
        return 0.0
    step = now.at - before.at
    return step if abs(step) > STEP_SECONDS else 0.0


class BearsClockSteps(Protocol):
    """The part of a store that corrects stored times, once at the start, when the wall clock was set."""

    async def bear_clock_step(self, boot: MachineBoot) -> float:
        """Corrects deadlines of open runs and pauses for changes of the wall clock since the last call.

        Returns these seconds, 0 if the clock was not set. Raises `Unavailable`.

        Returns the step in seconds, 0 where there is none. Raises `Unavailable`.
        """
        ...
