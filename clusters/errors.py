"""The one error that an adapter raises."""

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
"""The reasons that a cluster gives itself, each with the HTTP status that carries it: so the same error comes out at the other end."""


class ClusterError(Exception):
    """A call to a cluster did not do what was asked.

    `reason` is CamelCase and stable: `Unreachable`, `Timeout`, `Unavailable`, `Forbidden`, `NotFound`, `BadAnswer`, `BadRequest`,
    `TooLarge`, `OtherGateway` and `OldEra` (the cluster works for another store, or for a newer era of ours), `OtherJournal` (the call is
    for a journal that is not there any more), `Restored` (our store is behind what it has acknowledged), and `Busy` where we ourselves
    have too many calls under way. `retryable` says whether the same call may succeed later. The stage decides what to do about it.
    """

    def __init__(self, reason: str, detail: str = "", *, retryable: bool = True) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retryable = retryable
