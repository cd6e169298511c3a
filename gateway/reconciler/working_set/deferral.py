"""The runs that let others be placed first, since they could not be placed: until when, or for what."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gateway.core.instant import Instant
from gateway.settings import PlacingSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Deferral:
    """The deferral of a run that could not be placed: shards of other runs are placed first.

    It lasts until `until`, or until a region of `regions` takes work again.
    """

    regions: frozenset[str]
    until: float
    """The end of the deferral, in monotonic seconds."""


@dataclass(kw_only=True, slots=True)
class Deferrals:
    """The deferrals of runs, by the run's id. A pass of placing neither reads nor places deferred runs."""

    settings: PlacingSettings
    rng: random.Random
    _of_runs: dict[str, Deferral] = field(default_factory=dict)

    def drop_past(self, now: Instant) -> None:
        """Ends the deferrals whose time is over."""
        self._of_runs = {run: one for run, one in self._of_runs.items() if one.until > now.monotonic}

    def defer(self, run_id: str, now: Instant, *, regions: Iterable[str] = ()) -> None:
        """Defers a run for about `defer_seconds`, or until a region of `regions` takes work."""
        # +-20 %, so that runs deferred together do not all come back in one pass
        seconds = self.settings.defer_seconds * (0.8 + 0.4 * self.rng.random())
        self._of_runs[run_id] = Deferral(regions=frozenset(regions), until=now.monotonic + seconds)

    def defer_briefly(self, run_id: str, now: Instant) -> None:
        """Defers a run until the next look for waiting shards that comes by time alone."""
        until = now.monotonic + self.settings.look_seconds
        self._of_runs[run_id] = Deferral(regions=frozenset(), until=until)

    def includes(self, run_id: str, take_work: Callable[[Iterable[str]], bool]) -> bool:
        """Returns whether a run is deferred; `take_work` says whether one of some regions takes work now."""
        deferral = self._of_runs.get(run_id)
        return deferral is not None and not take_work(deferral.regions)

    def runs(self, take_work: Callable[[Iterable[str]], bool]) -> list[str]:
        """Returns the ids of all runs that are deferred; see `includes`."""
        return [run for run in self._of_runs if self.includes(run, take_work)]
