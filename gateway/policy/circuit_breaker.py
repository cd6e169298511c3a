"""A circuit breaker: stops calls, for a while, to a policy engine that does not answer.

Performs no I/O.
"""

from typing import Final

FAILURES_MAXIMUM: Final = 5
"""The number of questions in a row that may fail before the breaker opens."""


class CircuitBreaker:
    """Counts the policy queries in a row that an engine failed to answer; opens (stops calls) after too many.

    Once it is open, no question is asked until the engine has said that it is well. So a document that always
    fails, sent again and again, keeps nobody else out: what it opens is closed after one round trip.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.cause = ""
        self._failures = 0

    def __repr__(self) -> str:
        state = f"open: {self.cause}" if self.is_open else "closed"
        return f"<CircuitBreaker {state}, {self._failures} failures in a row>"

    def after_answer(self) -> None:
        """Closes the breaker (allows calls again) after an answered policy query or a good health check."""
        self.is_open, self.cause, self._failures = False, "", 0

    def after_failure(self, cause: str) -> bool:
        """Counts a policy query without an answer; returns whether the breaker opens (stops calls) by it."""
        self._failures += 1
        self.cause = cause
        opens = not self.is_open and self._failures >= FAILURES_MAXIMUM
        self.is_open = self.is_open or opens
        return opens
