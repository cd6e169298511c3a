"""Tests W3C trace context by its section on `traceparent`."""

import pytest
from msgspec import structs

from waypost.tracing.context import TraceContext
from waypost.tracing.headers import caller_span, request_span, trace_id_of, traceparent_header

TRACE, PARENT = "ab" * 16, "cd" * 8


@pytest.mark.parametrize(
    "value",
    [f"00-{TRACE}-{PARENT}-01", f"01-{TRACE}-{PARENT}-00", f"cc-{TRACE}-{PARENT}-01-what-comes-later"],
)
def test_a_good_traceparent_is_kept(value: str) -> None:
    """The caller finds our log by its own trace, also when it speaks a later version."""
    assert trace_id_of([(b"traceparent", value.encode())]) == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{TRACE}",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-0",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01\n",
        f"01-{TRACE}-{PARENT}-01x",
        f"ff-{TRACE}-{PARENT}-01",
        f"0x-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{'x' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00x{TRACE}x{PARENT}x01",
        "\xff" * 55,
    ],
)
def test_a_broken_traceparent_starts_a_new_trace(value: str) -> None:
    """What does not parse is as if it were not there."""
    trace_id = trace_id_of([(b"traceparent", value.encode("latin-1"))])

    assert len(trace_id) == 32
    assert trace_id not in value.lower()


def test_two_of_them_are_none() -> None:
    """Nobody can say which one is meant."""
    assert trace_id_of([(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())] * 2) != TRACE


def test_what_is_answered_is_a_traceparent_itself() -> None:
    """Of the same trace, with a span of its own."""
    name, value = traceparent_header(TRACE)

    assert trace_id_of([(name, value)]) == TRACE
    assert traceparent_header(TRACE)[1] != value


def test_a_request_is_a_span_of_its_own_in_the_callers_trace() -> None:
    """What is done for the caller is done in its trace, and is its to record or not."""
    caller = caller_span(
        [(b"traceparent", f"00-{TRACE}-{PARENT}-ff".encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b")]
    )

    assert caller == TraceContext(trace_id=TRACE, span_id=PARENT, flags=3)
    span = request_span(structs.replace(caller, state="a=1"), fresh_flags=0)
    assert (span.trace_id, span.flags, span.state) == (TRACE, 3, "a=1")
    assert span.span_id != PARENT


def test_without_a_traceparent_the_trace_is_new() -> None:
    """And the `tracestate` of a malformed one counts for nothing."""
    headers = [(b"traceparent", b"broken"), (b"tracestate", b"a=1")]

    assert caller_span(headers) is None
    span = request_span(caller_span(headers), fresh_flags=1)
    assert trace_id_of([(b"traceparent", span.traceparent.encode())]) == span.trace_id
    assert (span.flags, span.state, len(span.environment)) == (1, "", 1)
