"""A region that shards still name and the settings do not any more: nobody is there to ask, so what was there is lost.

It is one like the others, only that it never answers: its shards move, its orphans stay listed until an operator forgets it.
"""

from clusters.protocol import Batch
from gateway.core.instant import Instant
from gateway.reconciler.links.reports import Report
from gateway.reconciler.working_set import Region
from gateway.regions.health import removed
from gateway.store.interface import Cursor


class NoLink:
    """Satisfies `Link`: nothing goes out and nothing comes in."""

    idle = False

    def __init__(self, name: str) -> None:
        self.name = name

    def drain(self) -> list[Report]:
        return []

    def probe(self) -> None: ...

    def send(self, batch: Batch) -> None: ...

    def compare(self) -> None: ...

    def reopen(self, cursor: Cursor) -> None: ...


def absent(name: str, now: Instant) -> Region:
    """The region `name`, lost since now."""
    health = removed(name, now.monotonic, "not among the settings any more")
    return Region(name=name, link=NoLink(name), health=health, absent=True)
