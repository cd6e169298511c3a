"""The internal HTTP port of a cluster's process: metrics and health, without client certificates."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clusters.errors import ClusterError
from observability.cluster_metrics import ClusterMetrics


def internal_application(
    metrics: ClusterMetrics, set_gauges: Callable[[], None], probe: Callable[[], Awaitable[object]]
) -> Starlette:
    """Returns the ASGI application of a cluster's internal port: `/metrics`, `/livez` and `/readyz`.

    `set_gauges` is called at each scrape of `/metrics`. `probe` raises `ClusterError` where the cluster could
    take no work, since its journal takes no writes.
    """

    async def scrape(request: Request) -> Response:
        set_gauges()
        text, media_type = metrics.registry.exposition(request.headers.get("accept", ""))
        # Not `media_type`: Starlette would add a second charset to it.
        return Response(text, headers={"content-type": media_type})

    async def livez(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readyz(_: Request) -> Response:
        try:
            await probe()
        except ClusterError as error:
            return Response(f"not ready: {error.detail}\n", status_code=503, media_type="text/plain")
        return Response("ok\n", media_type="text/plain")

    return Starlette(routes=[Route("/metrics", scrape), Route("/livez", livez), Route("/readyz", readyz)])
