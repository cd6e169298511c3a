"""The API handler that receives alerts from Alertmanager and Grafana as a webhook, and stores them."""

from typing import Final

from loguru import logger
from msgspec import Struct
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.core.errors import GatewayError
from gateway.rollback.webhook import (
    BODY_MAXIMUM_BYTES,
    ReadAlerts,
    SentBy,
    check_bearer,
    check_signature,
    read_alerts,
)

SIGNATURE: Final = b"x-grafana-alerting-signature"
TIMESTAMP: Final = b"x-grafana-alerting-timestamp"


class AlertsTaken(Struct, frozen=True, kw_only=True):
    """The webhook's response: how many alerts were received, how many were new, and how many missing."""

    received: int
    new: int
    left_out: int
    """The number of alerts that the sender has left out of the notification; the gateway lacks them."""


async def _read(call: Call) -> ReadAlerts:
    """Authenticates the sender of alerts, and parses them."""
    settings = call.services.settings.rollback
    sent = SentBy(
        authorization=call.header(b"authorization"),
        signature=call.header(SIGNATURE),
        timestamp=call.header(TIMESTAMP),
    )
    proven = check_bearer(sent, settings)
    body = await call.body(BODY_MAXIMUM_BYTES)
    if not proven:
        check_signature(sent, body, settings, now=call.services.wall_clock())
    return read_alerts(body, now=call.at)


async def receive_alerts(call: Call) -> Response:
    """Receive alerts: the webhook of Alertmanager (version 4) or of Grafana, with a token or a signature.

    The token is that of the setting `rollback.alerts_token`. The alerts are stored before the response is
    sent; the same alert again changes nothing.
    """
    services = call.services
    try:
        read = await _read(call)
    except GatewayError as error:
        # No sender repeats what was refused for good: without this line nobody knew that an alert is missing.
        if not error.retryable:
            logger.warning("alerts are refused, and will not be sent again: {}", error.detail)
        raise
    new = await services.store.take_alerts(read.alerts)
    services.metrics.alerts.labels("New").inc(new)
    services.metrics.alerts.labels("Repeated").inc(len(read.alerts) - new)
    if read.left_out:
        services.metrics.alerts.labels("LeftOut").inc(read.left_out)
        logger.error("the sender has left {} alerts of the group {} out", read.left_out, read.group)
    return JsonResponse(AlertsTaken(received=len(read.alerts), new=new, left_out=read.left_out))
