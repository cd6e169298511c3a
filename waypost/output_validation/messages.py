"""The types of messages to and from the child processes that check outputs against schemas."""

from msgspec import Raw, Struct


class CheckRequest(Struct, frozen=True, kw_only=True, gc=False):
    """A request to check one output, on the processor for at most `budget_seconds`."""

    schema: bytes
    """The JSON Schema, as JSON: a process keeps what it has prepared for each text."""
    output: Raw
    budget_seconds: float


class CheckReply(Struct, frozen=True, kw_only=True, gc=False):
    """The result of a check: where and why the output does not fit; no reason where it fits."""

    pointer: str = ""
    reason: str = ""
