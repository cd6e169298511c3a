"""The internal HTTP port of a cluster's process: `/metrics` and `/livez`, without client certificates."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from observability.cluster_metrics import ClusterMetrics


def internal_application(metrics: ClusterMetrics, set_gauges: Callable[[], None]) -> Starlette:
    """Returns the ASGI application that serves `/metrics` and `/livez`, for a cluster's internal port.

    `set_gauges` is called at each scrape of `/metrics`.
    """

    async def scrape(request: Request) -> Response:
        set_gauges()
        text, media_type = metrics.registry.exposition(request.headers.get("accept", ""))
        # Not `media_type`: Starlette would add a second charset to it.
        return Response(text, headers={"content-type": media_type})

    async def livez(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    return Starlette(routes=[Route("/metrics", scrape), Route("/livez", livez)])
