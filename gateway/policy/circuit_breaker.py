"""A circuit breaker: stops calls, for a while, to a policy engine that does not answer.

Performs no I/O.
"""

from typing import Final

FAILURES_MAXIMUM: Final = 5
"""The number of questions in a row that may fail before the breaker opens."""


class CircuitBreaker:
    """A switch that opens (stops calls to a policy engine) when `FAILURES_MAXIMUM` queries in a row fail.

    While it is open, no policy query is sent; it closes as soon as the engine has passed a health check. So
    somebody who sends a document that always fails stops the queries of others for one round trip only.
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
