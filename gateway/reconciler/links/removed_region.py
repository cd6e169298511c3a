"""The link of a region that was removed from the settings while shards were still in it."""

from clusters.protocol import Batch
from gateway.reconciler.links.reports import Report
from gateway.store.interface import Cursor


class RemovedRegionLink:
    """The `Link` of a region removed from the settings: it sends and receives nothing, having no cluster."""

    can_send = False

    def __init__(self, name: str) -> None:
        self.name = name

    def drain(self) -> list[Report]:
        return []

    def probe(self) -> None: ...

    def send(self, batch: Batch) -> None: ...

    def list_attempts(self) -> None: ...

    def reopen_stream(self, cursor: Cursor) -> None: ...
