"""The reports that the I/O of one region puts into the controller's inbox.

All times are monotonic seconds of the gateway.
"""

from typing import TypeAlias

from msgspec import Struct

from clusters.protocol import Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello


class StreamEvent(Struct, frozen=True, kw_only=True):
    """One event of the cluster's event stream: the stream was opened at `began`, the event came at `at`."""

    began: float
    at: float
    event: ClusterEvent


class StreamEnded(Struct, frozen=True, kw_only=True):
    """The report that the event stream ended at `at`. The link opens the next one by itself."""

    at: float
    reason: str
    """`Ended`, `Silent`, or the reason of a `ClusterError`."""


class BadAnswer(Struct, frozen=True, kw_only=True):
    """The report of an answer or stream event that cannot be true."""

    at: float
    detail: str


class ProbeResult(Struct, frozen=True, kw_only=True):
    """The outcome of a probe sent at `began` and over at `ended`: the cluster's status, or the failure."""

    began: float
    ended: float
    failure: str | None = None
    """The reason of a `ClusterError`; None: the cluster answered with its status."""
    detail: str = ""
    """The details of the failure beyond its reason, for people."""
    status: ClusterStatus | None = None


class BatchResult(Struct, frozen=True, kw_only=True):
    """The outcome of a batch sent at `began` and over at `ended`: the cluster's answers, or the failure."""

    began: float
    ended: float
    batch: Batch
    answers: BatchAnswers | None = None
    """The cluster's answers; None: whether any of the batch arrived is unknown, so it is sent again."""
    failure: str | None = None
    """The reason of a `ClusterError`; None: the batch was answered."""


class AttemptListing(Struct, frozen=True, kw_only=True):
    """The attempts that a cluster holds, in its `hello`: asked for at `began`, received at `at`."""

    began: float
    at: float
    hello: Hello


Report: TypeAlias = StreamEvent | StreamEnded | BadAnswer | ProbeResult | BatchResult | AttemptListing
