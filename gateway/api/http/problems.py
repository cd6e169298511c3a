"""Error responses of the API: problem documents (RFC 9457), their headers and their log lines."""

import math
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from loguru import logger
from msgspec import Struct
from starlette.responses import Response

from gateway.core.decision import Decision, Reason
from gateway.core.errors import Denied, GatewayError, Unauthenticated, Unavailable
from observability.logs import LogRateLimiter
from waypost.problem_documents import ProblemDocument, problem_type, response

REASONS_MAXIMUM: Final = 2_000
"""The maximum number of characters in a log line for all reasons of a denial together."""
REALM: Final = 'Bearer realm="waypost"'


class _Named(Struct, frozen=True):
    name: str = ""


class _Document(Struct, frozen=True):
    metadata: _Named = _Named()


_decode_name = msgspec.json.Decoder(_Document).decode


class Problem(ProblemDocument, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457) with the id of the policy decision and the reasons of a denial."""

    decision_id: str | None = None
    reasons: tuple[Reason, ...] = ()


def refusal(error: GatewayError, trace_id: str, *, has_token: bool, retry_after_seconds: float) -> Response:
    """Converts `error` to the HTTP response that refuses the request: a problem document with its headers.

    `has_token` says whether the request had a token, for the header of a 401. A retryable error carries a
    `Retry-After` of its own number of seconds, else of `retry_after_seconds`, +-50 % at random.
    """
    document = Problem(
        type=problem_type(error.reason),
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail,
        reason=error.reason,
        retryable=error.retryable,
        trace_id=trace_id,
        decision_id=error.decision_id,
        errors=error.errors,
        reasons=error.reasons if isinstance(error, Denied) else (),
    )
    headers = {}
    if (challenge := _challenge(error, has_token=has_token)) is not None:
        headers["www-authenticate"] = challenge
    if error.retryable:
        seconds = error.retry_after_seconds or retry_after_seconds
        # at random, so that clients who were refused together do not come back together
        factor = 0.5 + random.random()  # noqa: S311 - keeps no secret
        headers["retry-after"] = str(math.ceil(seconds * factor))
    return response(document, headers)


def internal_error(trace_id: str) -> Response:
    """Returns the HTTP 500 response to an unexpected failure; `trace_id` leads to the details in the log."""
    document = Problem(
        type="about:blank",
        title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
        status=500,
        detail="the gateway failed; its log says more under this trace_id",
        reason="Internal",
        retryable=False,
        trace_id=trace_id,
    )
    return response(document)


def log_refusal(
    error: GatewayError,
    operation: str,
    trace_id: str,
    rejections: LogRateLimiter,
    fields: Mapping[str, str],
) -> None:
    """Logs a refused request if operators must see it: a rejected token, a denial, a failed policy engine.

    `rejections` limits the rate of lines about rejected tokens, which anybody can send. `fields` are the log
    fields of the request: who called, and what it was about.
    """
    about = {"operation": operation, "trace_id": trace_id, **fields}
    if error.decision is not None:
        about = _without_masked(about, error.decision) | decision_fields(error.decision)
    match error:
        case Unauthenticated():
            # The caller must not learn which check failed. Anybody can send bad tokens: one line a second of
            # each kind.
            reason = str(error.__cause__ or "none was sent")
            if (more := rejections.take_turn(reason)) is not None:
                logger.bind(**about).warning(
                    "token refused: {}; {}, trace {}{}", reason, operation, trace_id, more
                )
        case Denied():
            # The record of a refusal goes when there are too many; this line stays as long as logs do.
            reasons = (
                "; ".join(f"{reason.rule}: {reason.message}" for reason in error.reasons) or error.detail
            )
            rules = ",".join(reason.rule for reason in error.reasons)
            logger.bind(**about | {"rules": rules, "reasons": reasons[:REASONS_MAXIMUM]}).info(
                "{} refused by policy: {}; decision {}, trace {}",
                operation,
                reasons[:REASONS_MAXIMUM],
                error.decision_id,
                trace_id,
            )
        case Unavailable() if error.decision_id is not None:
            fault = error.__cause__ or error.detail
            logger.bind(**about).warning(
                "policy could not answer {}: {}; decision {}, trace {}",
                operation,
                fault,
                error.decision_id,
                trace_id,
            )


def decision_fields(decision: Decision) -> dict[str, str]:
    """Returns the log fields that describe a policy decision: action, revision, engine, duration and id."""
    return {
        "action": decision.action,
        "revision": decision.revision,
        "engine": decision.engine,
        "duration_seconds": f"{decision.duration_seconds:.6f}",
        "decision_id": decision.id,
    }


def _without_masked(fields: Mapping[str, str], decision: Decision) -> dict[str, str]:
    """Returns the log fields without the client and workflow name that the recorded decision does not show.

    The record lacks what policy masks. If policy gave no answer, it could not say what to mask: then the
    record has no workflow document, and the log fields lose the workflow's name.
    """
    recorded = decision.question
    if not recorded or not (decision.obligations.mask or decision.fault):
        return dict(fields)
    left_out = set() if recorded.principal.client else {"client"}
    if recorded.workflow is None or _decode_name(recorded.workflow).metadata.name != fields.get("name"):
        left_out.add("name")
    return {name: value for name, value in fields.items() if name not in left_out}


def _challenge(error: GatewayError, *, has_token: bool) -> str | None:
    """Returns the value of the `WWW-Authenticate` header (RFC 6750) for an error; None if it needs none.

    The header is for a 401, and for a denial by a policy rule about scopes.
    """
    if error.status == HTTPStatus.UNAUTHORIZED:
        return f'{REALM}, error="invalid_token"' if has_token else REALM
    if isinstance(error, Denied) and any(reason.rule.startswith("scope") for reason in error.reasons):
        return f'{REALM}, error="insufficient_scope"'
    return None
