"""The error that cluster adapters raise, `ClusterError`."""

from collections.abc import Mapping
from typing import Final

STATUS: Final[Mapping[str, int]] = {
    "BadRequest": 400,
    "Forbidden": 403,
    "NotFound": 404,
    "OldEra": 409,
    "OtherGateway": 409,
    "OtherJournal": 409,
    "Restored": 409,
    "TooLarge": 413,
    "BadAnswer": 502,
    "Unreachable": 502,
    "Unavailable": 503,
    "Timeout": 504,
}
"""The HTTP status of each reason of a `ClusterError` that a cluster sends to the gateway."""


class ClusterError(Exception):
    """The error of a failed call to a cluster. The caller decides what follows; adapters retry nothing.

    `reason` is CamelCase and stable:

    - `Unreachable`, `Timeout`: no connection, or no answer in time. What was sent may have been done.
    - `Unavailable`: the cluster cannot answer now. `Busy`: all of our own connections to it are in use.
    - `Forbidden`: one side does not accept the other's certificate.
    - `BadRequest`, `TooLarge`: the cluster does not take the request. `BadAnswer`: we cannot read its answer.
    - `NotFound`: no such log.
    - `OtherGateway`, `OldEra`: the cluster works for another store, or for a newer era of ours.
    - `OtherJournal`: the call was meant for a journal that the cluster no longer has.
    - `Restored`: our store is older than the events that it has acknowledged; it was restored from a copy.

    `retryable` says whether the same call may succeed later.
    """

    def __init__(self, reason: str, detail: str = "", *, retryable: bool = True) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retryable = retryable
