"""Reads the trace of a request from its headers, and writes the `traceparent` header of its answer."""

import os
import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

from waypost.tracing.context import FLAGS, TraceContext
from waypost.tracing.tracestate import read_tracestate

TRACEPARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)

Headers = Sequence[tuple[bytes, bytes]]


def caller_span(headers: Headers) -> TraceContext | None:
    """Returns the caller's span, which `traceparent` among `headers` (lower-case names) names; None if none.

    None also where the header is malformed or occurs twice: then `tracestate` counts for nothing either.
    Version 00 ends after its flags; a later one may go on after a dash, and is taken for a 00.
    """
    values = [value for name, value in headers if name == b"traceparent"]
    found = TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    states = [value for name, value in headers if name == b"tracestate"]
    return TraceContext(
        trace_id=found[2].decode(),
        span_id=found[3].decode(),
        flags=int(found[4], 16) & FLAGS,
        state=read_tracestate(states) if states else "",
    )


def request_span(caller: TraceContext | None, *, fresh_flags: int = 0) -> TraceContext:
    """Returns a new span for a request, in the caller's trace or, without one, in a new trace.

    `fresh_flags` are the flags of a new trace: sampled where this process records spans.
    """
    span_id = f"{random.getrandbits(64) or 1:016x}"
    if caller is None:
        return TraceContext(trace_id=new_trace_id(), span_id=span_id, flags=fresh_flags)
    return TraceContext(
        trace_id=caller.trace_id,
        span_id=span_id,
        parent_id=caller.span_id,
        flags=caller.flags,
        state=caller.state,
    )


def headers_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers by which a command's requests are in the trace that its environment names.

    None where `TRACEPARENT` is missing or malformed.
    """
    names = [name for name in ("TRACEPARENT", "TRACESTATE") if name in environment]
    span = caller_span([(name.lower().encode(), os.fsencode(environment[name])) for name in names])
    return {} if span is None else {name.lower(): value for name, value in span.environment.items()}


def trace_id_of(headers: Headers) -> str:
    """Returns the trace id from the `traceparent` among `headers` (lower-case names), or a new trace id."""
    caller = caller_span(headers)
    return new_trace_id() if caller is None else caller.trace_id


def new_trace_id() -> str:
    """Returns a random trace id: 32 hexadecimal digits, not all zero."""
    return f"{random.getrandbits(128) or 1:032x}"


def traceparent_header(trace_id: str) -> tuple[bytes, bytes]:
    """Returns the `traceparent` header of an answer for which nobody records a span."""
    return (b"traceparent", b"00-%b-%016x-00" % (trace_id.encode(), random.getrandbits(64) or 1))
