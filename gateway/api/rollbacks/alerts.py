"""The API handler that receives alerts from Alertmanager and Grafana as a webhook, and stores them."""

from typing import Final

from msgspec import Struct
from starlette.responses import Response

from gateway.api.http.call import Call
from gateway.api.http.responses import JsonResponse
from gateway.rollback.webhook import BODY_MAXIMUM_BYTES, SentBy, check_bearer, check_signature, read_alerts

SIGNATURE: Final = b"x-grafana-alerting-signature"
TIMESTAMP: Final = b"x-grafana-alerting-timestamp"


class AlertsTaken(Struct, frozen=True, kw_only=True):
    """The webhook's response: how many alerts were received, and how many of them were new."""

    received: int
    new: int


async def receive_alerts(call: Call) -> Response:
    """Receive alerts: the webhook of Alertmanager (version 4) or of Grafana, with a token or a signature.

    The token is that of the setting `rollback.alerts_token`. The alerts are stored before the response is
    sent; the same alert again changes nothing.
    """
    services, settings = call.services, call.services.settings.rollback
    sent = SentBy(
        authorization=call.header(b"authorization"),
        signature=call.header(SIGNATURE),
        timestamp=call.header(TIMESTAMP),
    )
    proven = check_bearer(sent, settings)
    body = await call.body(BODY_MAXIMUM_BYTES)
    if not proven:
        check_signature(sent, body, settings, now=services.wall_clock())
    alerts = read_alerts(body, now=call.at)
    new = await services.store.take_alerts(alerts)
    services.metrics.alerts.labels("New").inc(new)
    services.metrics.alerts.labels("Repeated").inc(len(alerts) - new)
    return JsonResponse(AlertsTaken(received=len(alerts), new=new))
