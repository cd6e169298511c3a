"""A circuit breaker: stops calls, for a while, to a policy engine that does not answer.

Performs no I/O.
"""

from typing import Final

FAILURES_MAXIMUM: Final = 5
"""The number of questions in a row that may fail before the breaker opens."""


class CircuitBreaker:
    """Opens (stops calls to a policy engine) after too many failed policy queries in a row.

    While it is open, no question is asked until the engine has passed a health check. So a document that
    always fails, sent again and again, keeps nobody else out: the breaker that it opens is closed after one
    round trip.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.cause = ""
        self._failures = 0

    def __repr__(self) -> str:
        state = f"open: {self.cause}" if self.is_open else "closed"
        return f"<CircuitBreaker {state}, {self._failures} failures in a row>"

    def after_answer(self) -> None:
        """Closes the breaker (allows calls again), after an answered policy query or a good health check."""
        self.is_open, self.cause, self._failures = False, "", 0

    def after_failure(self, cause: str) -> bool:
        """Counts a failed policy query; returns whether this failure opens the breaker (stops calls)."""
        self._failures += 1
        self.cause = cause
        opens = not self.is_open and self._failures >= FAILURES_MAXIMUM
        self.is_open = self.is_open or opens
        return opens
