"""Tests `tracestate` by its section of W3C trace context."""

import pytest

from waypost.tracing.tracestate import read_tracestate


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([b"congo=t61rcWkgMzE"], "congo=t61rcWkgMzE"),
        ([b"rojo=00f067aa0ba902b7 , \tcongo=t61"], "rojo=00f067aa0ba902b7,congo=t61"),
        ([b"a=1", b"b=2"], "a=1,b=2"),
        ([b"a=1,,b=2,"], "a=1,b=2"),
        ([b"0tenant@system=x", b"a_-*/=!x y~"], "0tenant@system=x,a_-*/=!x y~"),
        ([b""], ""),
    ],
)
def test_what_is_well_formed_is_kept(sent: list[bytes], kept: str) -> None:
    """In its order, over several headers; empty members count for nothing."""
    assert read_tracestate(sent) == kept


@pytest.mark.parametrize(
    "sent",
    [
        b"a",
        b"a=",
        b"=1",
        b"A=1",
        b"a=1=2",
        b"a=1,a=2",
        b"a=\x00",
        b"a=\xff",
        b"a=1\nb",
        b"a = 1",
        b"a" * 257 + b"=1",
        b"a=" + b"x" * 257,
        b",".join(b"k%d=1" % number for number in range(33)),
    ],
)
def test_what_is_malformed_is_dropped_whole(sent: bytes) -> None:
    """As W3C says: the trace goes on without it."""
    assert read_tracestate([b"good=1", sent]) == ""


def test_what_is_too_long_loses_its_long_members_first() -> None:
    """W3C asks for 512 characters; a task's environment gets no more."""
    short = ",".join(f"k{number}={'x' * 40}" for number in range(12))

    assert read_tracestate([b"long=" + b"x" * 200, short.encode()]) == ",".join(short.split(",")[:11])
