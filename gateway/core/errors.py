"""The refusals that a caller of the API can get, as a tree of exception classes.

Each has an HTTP status, a stable CamelCase reason, and says whether the same request may succeed later.

On the wire they are RFC 9457 problem+json (`gateway/api/http/problems.py`).
"""

from collections.abc import Sequence
from typing import ClassVar

from gateway.core.decision import Decision, Reason
from waypost.json_pointer import FieldError


class GatewayError(Exception):
    """The base of all errors that API callers see. `detail` has no token, secret or local path in it."""

    status: ClassVar[int] = 500
    reason: ClassVar[str] = "Internal"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        decision: Decision | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.decision = decision
        self.retry_after_seconds = retry_after_seconds

    @property
    def decision_id(self) -> str | None:
        """The id of the policy decision behind the error; None if there is none."""
        return None if self.decision is None else self.decision.id


class Malformed(GatewayError):
    """The request is not well-formed HTTP, JSON or YAML, or has parameters that this call does not take."""

    status, reason = 400, "Malformed"


class Unauthenticated(GatewayError):
    """The request has no valid token (RFC 6750 `invalid_token`). `detail` hides which check failed."""

    status, reason = 401, "InvalidToken"


class Denied(GatewayError):
    """Policy was asked about the action, and refused it."""

    status, reason = 403, "Denied"

    def __init__(
        self, detail: str, *, reasons: Sequence[Reason] = (), decision: Decision | None = None
    ) -> None:
        super().__init__(detail, decision=decision)
        self.reasons = tuple(reasons)


class NotFound(GatewayError):
    """The resource does not exist, or the caller may not know that it does."""

    status, reason = 404, "NotFound"


class MethodNotAllowed(GatewayError):
    """The path exists, but does not take this HTTP method."""

    status, reason = 405, "MethodNotAllowed"


class Conflict(GatewayError):
    """The state of the run or region does not allow the action now."""

    status, reason = 409, "Conflict"


class PreconditionFailed(GatewayError):
    """The `If-Match` of the request is not the present ETag: somebody else has changed it since."""

    status, reason = 412, "PreconditionFailed"


class TooLarge(GatewayError):
    """The body has more bytes, or a deeper nesting, than the limits allow."""

    status, reason = 413, "TooLarge"


class UnsupportedMediaType(GatewayError):
    """The body's media type is neither JSON nor YAML."""

    status, reason = 415, "UnsupportedMediaType"


class Invalid(GatewayError):
    """The document is not valid (see `errors`), or its Idempotency-Key belongs to another document."""

    status, reason = 422, "Invalid"


class PreconditionRequired(GatewayError):
    """The request must say in `If-Match` which state it is about."""

    status, reason = 428, "PreconditionRequired"


class TooManyRequests(GatewayError):
    """The tenant has reached a limit for the moment, such as the number of its open event streams."""

    status, reason, retryable = 429, "TooManyRequests", True


class HeadersTooLarge(GatewayError):
    """A header field of the request is larger than the server accepts."""

    status, reason = 431, "HeadersTooLarge"


class Unavailable(GatewayError):
    """Policy, store or key set could not answer, so nothing was decided or stored."""

    status, reason, retryable = 503, "Unavailable", True
