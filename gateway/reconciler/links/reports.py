"""The types of the reports that the I/O of one region puts into the controller's inbox.

All times are monotonic seconds of the gateway.
"""

from typing import TypeAlias

from msgspec import Struct

from clusters.protocol import Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello


class StreamEvent(Struct, frozen=True, kw_only=True):
    """The report of one event of a cluster: its stream was opened at `began`, the event came at `at`."""

    began: float
    at: float
    event: ClusterEvent


class StreamEnded(Struct, frozen=True, kw_only=True):
    """The report that a region's event stream ended at `at`. The link opens the next stream by itself."""

    at: float
    reason: str
    """The reason of the end: `Ended`, `Silent`, or the reason of a `ClusterError`."""


class BadAnswer(Struct, frozen=True, kw_only=True):
    """The report that a cluster sent an answer or event that breaks the protocol, as `detail` says."""

    at: float
    detail: str


class ProbeResult(Struct, frozen=True, kw_only=True):
    """The report of a probe sent at `began` and over at `ended`: the cluster's status, or the failure."""

    began: float
    ended: float
    failure: str | None = None
    """The reason of the `ClusterError`; None if the cluster answered with its status."""
    detail: str = ""
    """The details of the failure beyond its reason, for people."""
    status: ClusterStatus | None = None


class BatchResult(Struct, frozen=True, kw_only=True):
    """The report of a batch sent at `began` and over at `ended`: the cluster's answers, or the failure."""

    began: float
    ended: float
    batch: Batch
    answers: BatchAnswers | None = None
    """The cluster's answers; None if it is unknown whether the batch arrived, so that it is sent again."""
    failure: str | None = None
    """The reason of the `ClusterError`; None if the batch was answered."""


class AttemptListing(Struct, frozen=True, kw_only=True):
    """The report of a cluster's list of its attempts (`hello`), requested at `began`, received at `at`."""

    began: float
    at: float
    hello: Hello


Report: TypeAlias = StreamEvent | StreamEnded | BadAnswer | ProbeResult | BatchResult | AttemptListing
