"""`FinishedSpan`, an operation that has ended, as tracing systems show it."""

from collections.abc import Mapping

from msgspec import Struct

from waypost.tracing.context import TraceContext


class FinishedSpan(Struct, frozen=True, kw_only=True):
    """An operation that has ended: its name, place in a trace, times, attributes and whether it failed."""

    name: str
    """What the operation is, from a closed list; which run or shard it is about is an attribute."""
    context: TraceContext
    began: float
    """The time of its beginning, in seconds since 1970; so is `ended`."""
    ended: float
    attributes: Mapping[str, str | int]
    failed: bool = False
    of_a_caller: bool = False
    """Whether it is a request that came from outside, so that its parent is a span of the caller."""
