"""The protocol by which the controller uses the I/O of a region."""

from typing import Protocol

from clusters.protocol import Batch
from gateway.reconciler.links.reports import Report
from gateway.store.interface import Cursor


class Link(Protocol):
    """The protocol of a region's I/O. Every method returns at once; the outcome comes later, as a report."""

    name: str

    @property
    def idle(self) -> bool:
        """Whether no batch is under way: one that is sent now goes out at once."""
        ...

    def drain(self) -> list[Report]:
        """Empties the inbox and returns the reports that were in it, oldest first."""
        ...

    def probe(self) -> None:
        """Asks the cluster for its status; a `ProbeResult` follows, whether it answers or not."""
        ...

    def send(self, batch: Batch) -> None:
        """Sends one batch to the cluster; a `BatchResult` follows, whether it is answered or not."""
        ...

    def list_attempts(self) -> None:
        """Asks the cluster for the attempts that it holds; an `AttemptListing` follows if it answers."""
        ...

    def reopen_stream(self, cursor: Cursor) -> None:
        """Opens the event stream again, to read what comes after `cursor`."""
        ...
