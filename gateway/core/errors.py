"""The errors that a caller of the API can get, as exception classes, one for each HTTP status.

Each has an HTTP status, a stable CamelCase reason, and says whether the same request may succeed later.

On the wire they are RFC 9457 problem+json (`gateway/api/http/problems.py`).
"""

from collections.abc import Sequence
from typing import ClassVar

from gateway.core.decision import Decision, Reason
from waypost.json_pointer import FieldError


class GatewayError(Exception):
    """The base class of all errors that API callers see. `detail` holds no token, secret or local path."""

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
    """HTTP 400: the request is not well-formed HTTP, JSON or YAML, or has parameters that it may not have.

    What to do: mend what `detail` names; the API's page and `/openapi.json` have what each call takes.
    """

    status, reason = 400, "Malformed"


class Unauthenticated(GatewayError):
    """HTTP 401: the request has no valid token (RFC 6750). `detail` does not say which check failed.

    What to do: check the token's issuer, audience and expiry, then ask for a new one; the gateway's log has
    the reason under the trace id.
    """

    status, reason = 401, "InvalidToken"


class Denied(GatewayError):
    """HTTP 403: policy refused the action; `reasons` name the rules.

    What to do: `waypost decisions get` with the decision id shows the rules; ask who owns them, or ask
    for an exception.
    """

    status, reason = 403, "Denied"

    def __init__(
        self, detail: str, *, reasons: Sequence[Reason] = (), decision: Decision | None = None
    ) -> None:
        super().__init__(detail, decision=decision)
        self.reasons = tuple(reasons)


class NotFound(GatewayError):
    """HTTP 404: the resource does not exist, or the caller may not know that it exists.

    What to do: check the name or id, and whether the token is of the tenant whose it is.
    """

    status, reason = 404, "NotFound"


class MethodNotAllowed(GatewayError):
    """HTTP 405: the path exists, but does not take this HTTP method.

    What to do: use one of the methods in the answer's `Allow`.
    """

    status, reason = 405, "MethodNotAllowed"


class Conflict(GatewayError):
    """HTTP 409: the present state of the run, region or other resource does not allow the action.

    What to do: read the resource again: `detail` says which state is in the way.
    """

    status, reason = 409, "Conflict"


class Archived(GatewayError):
    """HTTP 410: the run has ended and was archived; `detail` names the archive's file with its record.

    What to do: read the record in the archive's file; submit the workflow again if it is to run again.
    """

    status, reason = 410, "Archived"


class PreconditionFailed(GatewayError):
    """HTTP 412: the ETag in `If-Match` is out of date, since somebody else changed the resource.

    What to do: read the resource again, decide again, and send its new ETag.
    """

    status, reason = 412, "PreconditionFailed"


class TooLarge(GatewayError):
    """HTTP 413: the request body has more bytes, or is nested deeper, than the limits allow.

    What to do: split the document, or hand large data to tasks through `source`; operators set the limits.
    """

    status, reason = 413, "TooLarge"


class UnsupportedMediaType(GatewayError):
    """HTTP 415: the media type of the request body is neither JSON nor YAML.

    What to do: send `Content-Type: application/json` or `application/yaml`.
    """

    status, reason = 415, "UnsupportedMediaType"


class Invalid(GatewayError):
    """HTTP 422: the document is invalid (see `errors`), or its Idempotency-Key was used for another one.

    What to do: mend each entry of `errors` at its JSON pointer; take another key for another document.
    """

    status, reason = 422, "Invalid"


class PreconditionRequired(GatewayError):
    """HTTP 428: the request lacks the header `If-Match`, which names the ETag of the state to change.

    What to do: read the resource, and send its `ETag` as `If-Match`.
    """

    status, reason = 428, "PreconditionRequired"


class TooManyRequests(GatewayError):
    """HTTP 429: the tenant or the client's address is at a limit, such as that of open event streams.

    What to do: wait for the seconds in `Retry-After`, then repeat the call with the same Idempotency-Key.
    """

    status, reason, retryable = 429, "TooManyRequests", True


class HeadersTooLarge(GatewayError):
    """HTTP 431: a header field of the request is larger than the server accepts.

    What to do: send shorter headers; a token that is too long has too many claims.
    """

    status, reason = 431, "HeadersTooLarge"


class Unavailable(GatewayError):
    """HTTP 503: the gateway cannot handle the request now, though it may later.

    A part that it needs (policy engine, store, key set, region) did not answer, or the gateway has too much
    to do for all tenants together.

    What to do: wait for the seconds in `Retry-After`, then repeat the call with the same Idempotency-Key.
    If it lasts, `/readyz?verbose` on the internal port names the part that is missing.
    """

    status, reason, retryable = 503, "Unavailable", True
