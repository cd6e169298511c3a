"""What the I/O of one region puts into the controller's inbox. Times are the gateway's monotonic seconds."""

from typing import TypeAlias

from msgspec import Struct

from clusters.protocol import Batch, BatchAnswers, ClusterEvent, ClusterStatus, Hello


class Heard(Struct, frozen=True, kw_only=True):
    """One event of the stream that was opened at `began`."""

    began: float
    at: float
    event: ClusterEvent


class StreamEnded(Struct, frozen=True, kw_only=True):
    """The event stream is gone; it is opened again beside."""

    at: float
    reason: str


class Probed(Struct, frozen=True, kw_only=True):
    """`failure`: a `ClusterError` reason, or None with the cluster's status; `detail` says more of it to people."""

    began: float
    ended: float
    failure: str | None = None
    detail: str = ""
    status: ClusterStatus | None = None


class Applied(Struct, frozen=True, kw_only=True):
    """What became of a batch. Without answers everything in it is UNKNOWN, not failed: it is asked again."""

    began: float
    ended: float
    batch: Batch
    answers: BatchAnswers | None = None
    failure: str | None = None


class Compared(Struct, frozen=True, kw_only=True):
    """What the cluster holds, asked for at `began`."""

    began: float
    at: float
    hello: Hello


Report: TypeAlias = Heard | StreamEnded | Probed | Applied | Compared
