"""The interface of a link, through which the controller uses the I/O of a region."""

from typing import Protocol

from clusters.protocol import Batch
from gateway.reconciler.links.reports import Report
from gateway.store.interface import Cursor


class Link(Protocol):
    """The interface of the I/O of one region: methods return at once, results come later as reports."""

    name: str

    @property
    def can_send(self) -> bool:
        """Returns whether a batch goes out at once, since few enough of them are under way."""
        ...

    def drain(self) -> list[Report]:
        """Removes all reports from the link's inbox and returns them, oldest first."""
        ...

    def probe(self) -> None:
        """Requests the cluster's status; a report `ProbeResult` follows, with the answer or the failure."""
        ...

    def send(self, batch: Batch) -> None:
        """Sends one batch to the cluster; a report `BatchResult` follows, with the answers or the failure.

        No report follows for a batch that only acknowledges events.
        """
        ...

    def list_attempts(self) -> None:
        """Requests the list of the cluster's attempts; a report `AttemptListing` follows if it answers."""
        ...

    def reopen_stream(self, cursor: Cursor) -> None:
        """Closes the event stream and opens it again, to read the events after `cursor`."""
        ...
