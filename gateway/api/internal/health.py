"""The routes `/livez`, `/readyz` and `/metrics` of the gateway's internal port, without tokens.

The port must not be exposed to callers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from loguru import logger
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from gateway.api.http.services import Services
from gateway.core.errors import GatewayError
from gateway.core.shard_states import Phase
from gateway.regions.region_view import RegionView
from gateway.regions.scores import score

VERBOSE: Final = frozenset({b"verbose", b"verbose=true"})


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a readiness check of one part of the gateway: whether it works, and a sentence on why."""

    name: str
    ok: bool
    detail: str


ReadinessCheck = Callable[[], Awaitable[str]]
"""A function that checks one part of the gateway: returns a sentence if it works, else raises an error."""


def internal_api(
    services: Services,
    checks: Mapping[str, ReadinessCheck],
    *more: Route,
    set_gauges: Callable[[], None] = lambda: None,
) -> Router:
    """Builds the ASGI application of the internal port: health and metrics, and the further routes `more`.

    A gateway is ready when all `checks` (by name) pass. `set_gauges` is called at each scrape of the metrics.
    """

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        verbose = request.scope["query_string"] in VERBOSE
        if request.scope["query_string"] and not verbose:
            return PlainTextResponse("readyz takes no query but verbose\n", 400)
        results = [await _run_check(name, check) for name, check in checks.items()]
        results.append(_regions_check(services))
        return _readiness(results, verbose=verbose)

    async def metrics(request: Request) -> Response:
        set_gauges()
        await _update_gauges(services)
        accept = request.headers.get("accept", "")
        # It takes some milliseconds, for which callers would wait: it is made beside the event loop.
        text, media_type = await asyncio.to_thread(services.metrics.registry.exposition, accept)
        # Not `media_type`: Starlette would add a second charset to it.
        return Response(text, headers={"content-type": media_type})

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics), *more]
    return Router(routes, redirect_slashes=False)


def _readiness(results: list[CheckResult], *, verbose: bool) -> Response:
    ready = all(result.ok for result in results)
    lines = [f"[{'+' if result.ok else '-'}] {result.name}: {result.detail}" for result in results]
    text = "\n".join([*(lines if verbose else ()), "ready" if ready else "not ready"])
    return PlainTextResponse(text + "\n", 200 if ready else 503)


async def _run_check(name: str, check: ReadinessCheck) -> CheckResult:
    try:
        return CheckResult(name=name, ok=True, detail=await check())
    except GatewayError as error:
        return CheckResult(name=name, ok=False, detail=error.detail)


def _regions_check(services: Services) -> CheckResult:
    """Builds the readiness check of the regions, whose text lists the condition of each with the reason.

    The check always passes: a gateway without regions accepts runs, which wait for a region.
    """
    conditions = ", ".join(map(_condition, services.regions()))
    cut_off = "; this gateway takes itself to be cut off" if services.cut_off() else ""
    return CheckResult(name="regions", ok=True, detail=(conditions or "none configured") + cut_off)


def _condition(view: RegionView) -> str:
    why = f" ({view.reason})" if view.reason and not view.condition.ready else ""
    return f"{view.name} {view.condition}{why}"


async def _update_gauges(services: Services) -> None:
    """Sets the metrics' gauges from the present state: region scores, shards by phase, age of the queue."""
    floor = services.settings.placing.latency_floor_seconds
    for view in services.regions():
        services.metrics.region_score.labels(view.name).set(score(view, floor_seconds=floor))
    try:
        counts = await services.store.shard_counts()
        oldest = await services.store.oldest_pending()
    except GatewayError as error:
        # The other metrics are served all the same: they are needed most when the store is out of order.
        logger.warning("the store does not tell its counts: {}", error.detail)
        return
    for phase in Phase:
        services.metrics.shards.labels(phase.value).set(counts.get(phase, 0))
    services.metrics.queue_age.set(0 if oldest is None else max(0.0, services.clock() - oldest))
