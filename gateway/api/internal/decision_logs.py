"""The route of the gateway's internal port that receives OPA's decision logs and stores them."""

import asyncio
from typing import Final

from loguru import logger
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.core.errors import Unavailable
from gateway.policy.opa.decision_logs import BODY_MAXIMUM, DecisionLogError, DecisionLogTooLarge, read_events
from gateway.store.decisions import KeepsDecisions

PATH: Final = "/logs"
"""The path to which OPA sends decision logs, if its configuration names no other."""


def decision_log_route(store: KeepsDecisions, *, kept: int) -> Route:
    """Builds the route that receives OPA's decision logs and stores the newest `kept` entries."""
    # One upload at a time: its text may have many times the bytes that were sent.
    turn = asyncio.Lock()

    async def logs(request: Request) -> Response:
        async with turn:
            try:
                body = await _body(request)
                compressed = request.headers.get("content-encoding") == "gzip"
                records = await asyncio.to_thread(read_events, body, compressed=compressed)
                await store.record_of_opa(records, kept=kept)
            except DecisionLogTooLarge as error:
                logger.warning("a decision log of OPA is refused: {}", error)
                return PlainTextResponse(f"{error}\n", 413)
            except DecisionLogError as error:
                logger.warning("a decision log of OPA is refused: {}", error)
                return PlainTextResponse(f"{error}\n", 400)
            except Unavailable as error:
                # OPA sends it again.
                return PlainTextResponse(f"{error.detail}\n", 503)
            except ClientDisconnect:
                return Response(status_code=400)
        return Response(status_code=200)

    return Route(PATH, logs, methods=["POST"])


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAXIMUM:
            raise DecisionLogTooLarge(f"more than {BODY_MAXIMUM} bytes are sent")
    return bytes(body)
