"""The one error that an adapter raises."""


class ClusterError(Exception):
    """A call to a cluster did not do what was asked.

    `reason` is CamelCase and stable: `Unreachable`, `Timeout`, `Unavailable`, `Forbidden`, `NotFound`, `BadAnswer`, `BadRequest`,
    `TooLarge`, `Restored`, and `Busy` where we ourselves have too many calls under way. `retryable` says whether the same call may
    succeed later. The stage decides what to do about it.
    """

    def __init__(self, reason: str, detail: str = "", *, retryable: bool = True) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retryable = retryable
