"""Tests W3C trace context by its section on `traceparent`."""

import pytest

from waypost.trace_context import trace_id_of, traceparent_header

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
