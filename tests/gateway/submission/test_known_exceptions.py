"""Tests when exceptions that are kept in memory end."""

from msgspec import structs

from gateway.submission.known_exceptions import KnownExceptions
from tests.gateway.policy.test_enforcement import NOW, QUESTION, SOFT, exception


def test_an_exception_ends_by_the_wall_clock_as_it_is_set_now() -> None:
    """Its end is a time that a person has set. The gateway's clock stays as it was when the wall clock is set
    forward by an hour: by that one it would last an hour longer."""
    wall = NOW
    known = KnownExceptions(wall_clock=lambda: wall)
    known.put([exception(expires_at=NOW + 60.0)], now=NOW)
    question = structs.replace(QUESTION, at=NOW - 3_600.0)

    assert known.enforced(SOFT, question).allow is True
    wall = NOW + 60.0
    assert known.enforced(SOFT, question).allow is False
