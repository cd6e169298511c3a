"""W3C trace context: which trace a request belongs to, and what the answer says of it."""

import random
import re
from collections.abc import Iterable
from typing import Final

TRACEPARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.DOTALL
)


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The trace id of the one valid `traceparent` among `headers` (lower-case names), or a new one.

    Version 00 ends after its flags; a later one may go on after a dash.
    """
    values = [value for name, value in headers if name == b"traceparent"]
    found = TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found[1] == b"00" and found[3] is not None):
        return new_trace()
    return found[2].decode()


def new_trace() -> str:
    """A trace id that nobody has yet."""
    return f"{random.getrandbits(128) or 1:032x}"


def traceparent(trace_id: str) -> tuple[bytes, bytes]:
    """The header by which an answer names its trace. The flags are 0: nothing is recorded here."""
    return (b"traceparent", b"00-%b-%016x-00" % (trace_id.encode(), random.getrandbits(64) or 1))
