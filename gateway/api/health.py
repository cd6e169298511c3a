"""The inside port: is the process alive, can it keep its promises, and what it counts. No token: never exposed to callers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from loguru import logger
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from gateway.api.calls import Front
from gateway.core.errors import GatewayError
from gateway.core.shard_states import Phase
from gateway.regions.scores import score
from observability.metrics import CONTENT_TYPE

VERBOSE: Final = frozenset({b"verbose", b"verbose=true"})


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a promise needs."""

    name: str
    ok: bool
    detail: str


Probe = Callable[[], Awaitable[str]]
"""Says in words how it is; raises `GatewayError` where it is not well."""


def inside(front: Front, probes: Mapping[str, Probe]) -> Router:
    """The application of the inside port. `probes` are what `readyz` asks, by name."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        verbose = request.scope["query_string"] in VERBOSE
        if request.scope["query_string"] and not verbose:
            return PlainTextResponse("readyz takes no query but verbose\n", 400)
        checks = [await _asked(name, probe) for name, probe in probes.items()]
        checks.append(_regions(front))
        ready = all(check.ok for check in checks)
        lines = (
            [f"[{'+' if check.ok else '-'}] {check.name}: {check.detail}" for check in checks]
            if verbose
            else []
        )
        return PlainTextResponse(
            "\n".join([*lines, "ready" if ready else "not ready"]) + "\n", 200 if ready else 503
        )

    async def metrics(_: Request) -> Response:
        await _refresh(front)
        return Response(front.metrics.exposition(), media_type=CONTENT_TYPE)

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Router(routes, redirect_slashes=False)


async def _asked(name: str, probe: Probe) -> Check:
    try:
        return Check(name=name, ok=True, detail=await probe())
    except GatewayError as error:
        return Check(name=name, ok=False, detail=error.detail)


def _regions(front: Front) -> Check:
    """Told, but no reason not to be ready: what is accepted waits for a region."""
    views = front.regions()
    told = ", ".join(f"{view.name} {view.condition}" for view in views) or "none configured"
    return Check(
        name="regions",
        ok=True,
        detail=told + ("; this gateway takes itself to be cut off" if front.cut_off() else ""),
    )


async def _refresh(front: Front) -> None:
    """What is counted by looking, not by hearing."""
    floor = front.settings.placing.latency_floor_seconds
    for view in front.regions():
        front.metrics.region_score.labels(view.name).set(score(view, floor_seconds=floor))
    try:
        counts = await front.store.shard_counts()
    except GatewayError as error:
        logger.warning("the store does not tell its counts: {}", error.detail)
        return
    for phase in Phase:
        front.metrics.shards.labels(phase.value).set(counts.get(phase, 0))
