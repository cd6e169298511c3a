"""Builds the loops of automatic rollbacks: the controller, and those of the kinds of release.

The kinds are in `RELEASES` of `gateway/rollback/registry.py`.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from gateway.api.http.services import Services
from gateway.composition.policy import Loops
from gateway.core.rollback import ReleaseKind
from gateway.rollback.controller import RollbackController
from gateway.rollback.prometheus import Prometheus
from gateway.rollback.registry import RELEASES, region_lost
from gateway.start_error import StartError


@asynccontextmanager
async def rollback_loops(services: Services) -> AsyncIterator[Loops]:
    """Builds the loops of automatic rollbacks, as an async context; none where no Prometheus is set.

    Raises `StartError` for settings with which a release could not be rolled back.
    """
    settings = services.settings.rollback
    off = all(settings.of(kind).mode == "off" for kind in ReleaseKind)
    if off and settings.prometheus_url is None:
        yield {}
        return
    if not (settings.prometheus_url or "").startswith(("http://", "https://")):
        raise StartError("the setting rollback.prometheus_url is no http(s) URL: nothing could be proven")
    for entry in RELEASES.values():
        for mistake in entry.mistakes(settings):
            raise StartError(mistake)
    async with AsyncExitStack() as exits:
        prometheus = await exits.enter_async_context(Prometheus(settings, clock=services.clock))
        # With the kind: a loop of the same name would silently take another one's place.
        loops = {
            f"{name} ({kind})": run
            for kind, entry in RELEASES.items()
            for name, run in entry.loops(services, prometheus).items()
        }
        if off:
            yield loops
            return
        releases = {
            kind: await exits.enter_async_context(entry.releases(services, prometheus))
            for kind, entry in RELEASES.items()
        }
        controller = RollbackController(
            services.store,
            releases,
            prometheus,
            settings,
            clock=services.clock,
            region_lost=partial(region_lost, services),
            on_phase=lambda phase: services.metrics.rollbacks.labels(phase).inc(),
        )
        yield {"rollbacks": controller.run, **loops}
