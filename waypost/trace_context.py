"""W3C trace context: reads the trace id of a request and writes the `traceparent` header of its answer."""

import random
import re
from collections.abc import Iterable
from typing import Final

TRACEPARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.DOTALL
)


def trace_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Returns the trace id from the `traceparent` among `headers` (lower-case names), or a new trace id.

    The id is new too where the header is invalid or occurs twice. Version 00 ends after its flags; a later
    one may go on after a dash.
    """
    values = [value for name, value in headers if name == b"traceparent"]
    found = TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found[1] == b"00" and found[3] is not None):
        return new_trace_id()
    return found[2].decode()


def new_trace_id() -> str:
    """Returns a random trace id: 32 hexadecimal digits, not all zero."""
    return f"{random.getrandbits(128) or 1:032x}"


def traceparent_header(trace_id: str) -> tuple[bytes, bytes]:
    """Returns the `traceparent` header of an answer. Its flags are 0: this process records no spans."""
    return (b"traceparent", b"00-%b-%016x-00" % (trace_id.encode(), random.getrandbits(64) or 1))
