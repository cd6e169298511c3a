"""Refusals on the wire: RFC 9457 problem documents with a stable `reason`, and the headers that belong to them."""

import math
import random
from http import HTTPStatus
from typing import Final

from loguru import logger
from starlette.responses import Response

from gateway.core.errors import Denied, GatewayError, Unauthenticated, Unavailable
from gateway.core.principal import Reason
from observability.logs import LogRateLimiter
from waypost.problems import ProblemDocument, problem_type, response

REALM: Final = 'Bearer realm="waypost"'


class Problem(ProblemDocument, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document of the API: which decision stands behind a refusal, and `reasons`, the rules that denied it."""

    decision_id: str | None = None
    reasons: tuple[Reason, ...] = ()


def problem(error: GatewayError, trace_id: str, *, bearer: bool, retry_after_seconds: float) -> Response:
    """The answer that tells of `error`. `bearer`: the request came with a token (RFC 6750 says how to answer either)."""
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
    if (challenge := _challenge(error, bearer)) is not None:
        headers["www-authenticate"] = challenge
    if error.retryable:
        seconds = error.retry_after_seconds or retry_after_seconds
        headers["retry-after"] = str(math.ceil(seconds * (0.5 + random.random())))  # noqa: S311 - spreads clients, keeps no secret
    return response(document, headers)


def unexpected(trace_id: str) -> Response:
    """The answer to a bug of ours: nothing but where to look in the log."""
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


def tell(error: GatewayError, call: str, trace_id: str, refusals: LogRateLimiter) -> None:
    """What the log says of a refusal: why a token was rejected, which its sender does not hear, and decisions, which are stored nowhere."""
    match error:
        case Unauthenticated():
            reason = str(error.__cause__ or "none was sent")
            if (more := refusals.take_turn(reason)) is not None:
                logger.warning("token refused: {}; {}, trace {}{}", reason, call, trace_id, more)
        case Denied():
            reasons = (
                "; ".join(f"{reason.rule}: {reason.message}" for reason in error.reasons) or error.detail
            )
            logger.info(
                "{} refused by policy: {}; decision {}, trace {}", call, reasons, error.decision_id, trace_id
            )
        case Unavailable() if error.decision_id is not None:
            fault = error.__cause__ or error.detail
            logger.warning(
                "policy could not answer {}: {}; decision {}, trace {}",
                call,
                fault,
                error.decision_id,
                trace_id,
            )


def _challenge(error: GatewayError, bearer: bool) -> str | None:
    if error.status == HTTPStatus.UNAUTHORIZED:
        return f'{REALM}, error="invalid_token"' if bearer else REALM
    if isinstance(error, Denied) and any(reason.rule.startswith("scope") for reason in error.reasons):
        return f'{REALM}, error="insufficient_scope"'
    return None
