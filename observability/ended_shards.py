"""Counts ended shards by the routing revision that placed them, with a bound on the number of revisions."""

from typing import Final

from prometheus_client import Counter

from observability.metric_declaration import ROUTING

SETTINGS: Final = "settings"
"""The label of work that was placed without a routing revision, by the settings alone."""
PHASES: Final = ("Succeeded", "Failed", "Quarantined", "Cancelled")
"""The phases in which shards end."""


class EndedShards:
    """The counts of ended shards by routing revision and phase, for a bounded number of revisions.

    A new revision takes the place of the one that has been unused for longest.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._revisions: dict[int, dict[str, Counter]] = {}
        """The counted revisions by number, the one longest unused first."""

    def __repr__(self) -> str:
        return f"<EndedShards of {len(self._revisions)} routing revisions>"

    def begin(self, revision: int) -> None:
        """Creates the metric series of the routing revision `revision` (0: none), at zero.

        Prometheus would not see the growth of a series that appears with its first counts.
        """
        self._phases(revision)

    def count(self, revision: int, phase: str) -> None:
        """Counts a shard that ended in `phase`, placed by the routing revision `revision` (0: none)."""
        self._phases(revision)[phase].inc()

    def _phases(self, revision: int) -> dict[str, Counter]:
        phases = self._revisions.pop(revision, None)
        if phases is None:
            if len(self._revisions) == ROUTING.most:
                unused = next(iter(self._revisions))
                for phase in self._revisions.pop(unused):
                    self._counter.remove(routing_label(unused), phase)
            label = routing_label(revision)
            phases = {phase: self._counter.labels(label, phase) for phase in PHASES}
        self._revisions[revision] = phases
        return phases


def routing_label(revision: int) -> str:
    """Returns the label of a routing revision in metrics: its number; `settings` for 0, which is none."""
    return str(revision) if revision else SETTINGS
