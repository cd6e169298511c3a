"""Tests the limits on the bytes of responses that clients have not read yet."""

from contextlib import ExitStack, suppress

import pytest

from gateway.api.http.unread_answers import UnreadAnswers
from gateway.core.errors import TooManyRequests, Unavailable
from gateway.settings import RequestSettings

LIMITS = RequestSettings(unread_bytes_per_tenant=64, unread_bytes_maximum=256)


def test_tenants_that_do_not_read_leave_room_to_one_that_comes() -> None:
    """Four of them held all that there is, for hours at a few hundred bytes a second: others got a 503."""
    answers = UnreadAnswers()
    with ExitStack() as exits:
        for tenant in ("a", "b", "c", "d", "e"):
            with suppress(TooManyRequests, Unavailable):
                for _ in range(100):
                    answers.check(tenant, LIMITS, 3)
                    exits.enter_context(answers.hold(tenant, 3))
        assert repr(answers) == "<UnreadAnswers {'a': 63, 'b': 63, 'c': 63, 'd': 33, 'e': 18}>"
        answers.check("f", LIMITS, 15)
        with pytest.raises(Unavailable):
            answers.check("f", LIMITS, 60)
    answers.check("f", LIMITS, 1_000)
