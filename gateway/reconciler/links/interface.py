"""The interface through which the controller uses the I/O of a region."""

from typing import Protocol

from clusters.protocol import Batch
from gateway.reconciler.links.reports import Report
from gateway.store.interface import Cursor


class Link(Protocol):
    """The I/O of one region. Every method returns at once; the result comes later, as a report."""

    name: str

    @property
    def idle(self) -> bool:
        """Whether no batch is being sent, so that the next one goes out at once."""
        ...

    def drain(self) -> list[Report]:
        """Empties the inbox and returns its reports, oldest first."""
        ...

    def probe(self) -> None:
        """Requests the cluster's status; a `ProbeResult` follows, whether the cluster answers or not."""
        ...

    def send(self, batch: Batch) -> None:
        """Sends one batch to the cluster; a `BatchResult` follows, whether the cluster answers or not."""
        ...

    def list_attempts(self) -> None:
        """Requests the attempts that the cluster has; an `AttemptListing` follows if it answers."""
        ...

    def reopen_stream(self, cursor: Cursor) -> None:
        """Opens the event stream again, to read the events after `cursor`."""
        ...
