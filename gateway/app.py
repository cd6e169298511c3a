"""The composition root: the one place that names concrete classes, and the life of a gateway process."""

import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from loguru import logger
from starlette.types import ASGIApp

from clusters.interface import ClusterAdapter
from clusters.registry import cluster_adapter, executors_at
from gateway.api.health import internal_api
from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.errors import Unavailable
from gateway.core.instant import Instant
from gateway.identity.development_issuer import DEVELOPMENT_ISSUER, development_issuer
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.identity.key_set_cache import is_trusted_source
from gateway.policy.bundle import SHIPPED_POLICIES, BundleError
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.interface import PolicyEngine
from gateway.reconciler.controller import Controller
from gateway.reconciler.links.region_link import RegionLink
from gateway.settings import GatewaySettings, PolicySettings, Secret
from gateway.store.interface import Store
from gateway.store.sqlite.store import SqliteStore
from observability import logs
from observability.metrics import Metrics
from waypost.cancellation import cancel_and_wait
from waypost.http_protocol import ConnectionLimits
from waypost.serving import Server, run, stop_signals
from waypost.sqlite_database import Database, StorageError
from waypost.tls import PkiError, api_context, client_context, gateway_credentials
from waypost.workflow.run_types import DeclaredExecutors

LAG_SECONDS: Final = 0.5


class StoreKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of store: the form of its URL, and how one is made from what follows the scheme."""

    form: str
    make: Callable[[str], Store]


def _embedded_policy(policies: PolicySettings) -> PolicyEngine:
    folder = SHIPPED_POLICIES if policies.folder is None else Path(policies.folder)
    return EmbeddedPolicyEngine(folder, None if policies.data is None else Path(policies.data))


STORES: Final[Mapping[str, StoreKind]] = {
    "sqlite": StoreKind(form="sqlite:PATH", make=lambda path: SqliteStore(Database(path))),
}
"""By the scheme of the setting `store`."""

POLICY_ENGINES: Final[Mapping[str, Callable[[PolicySettings], PolicyEngine]]] = {"embedded": _embedded_policy}
"""By scheme, such as `opa+http` for an engine that is asked over the network. Kinds of cluster: `clusters/registry.py`."""


class StartError(Exception):
    """The gateway cannot start as it is set up. The text says why."""


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that stands but does not listen yet. `wake` has the controller look at once."""

    api: ASGIApp
    inside: ASGIApp
    controller: Controller
    wake: asyncio.Event
    metrics: Metrics


@asynccontextmanager
async def compose(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """Everything that `settings` ask for, entered in order and left in the reverse. Raises `StartError`."""
    async with AsyncExitStack() as exits:
        metrics, wake = Metrics(), asyncio.Event()
        store = await exits.enter_async_context(_store(settings.store))
        policy = await exits.enter_async_context(_policy(settings.policy))
        authenticator = await exits.enter_async_context(_authenticator(settings))
        clusters = {
            name: await exits.enter_async_context(cluster)
            for name, cluster in _clusters(settings, store).items()
        }
        links = [
            await exits.enter_async_context(
                RegionLink(name, cluster, settings=settings.health, wake=wake.set)
            )
            for name, cluster in clusters.items()
        ]
        controller = Controller(
            store=store,
            policy=policy,
            links=links,
            weights={target.name: target.weight for target in settings.regions},
            health=settings.health,
            failover=settings.failover,
            placing=settings.placing,
            metrics=metrics,
            rng=random.Random(),  # noqa: S311 - spreads work, keeps no secret
        )
        services = Services(
            settings=settings,
            authenticator=authenticator,
            policy=policy,
            store=store,
            metrics=metrics,
            executors=_executors(settings),
            regions=lambda: controller.views(_instant()),
            clusters=clusters,
            cut_off=lambda: controller.cut_off,
        )
        checks = {
            "store": lambda: _ask_store(store, controller),
            "policy": lambda: _ask_policy(policy),
            "keys": lambda: _ask_keys(authenticator),
        }
        yield Gateway(
            api=api(services),
            inside=internal_api(services, checks),
            controller=controller,
            wake=wake,
            metrics=metrics,
        )


def serve(settings: GatewaySettings) -> int:
    """Runs a gateway until SIGTERM or SIGINT; prints one line of JSON with its ports once it answers. Returns the exit code."""
    logs.configure(level=settings.logging.level, style=settings.logging.style)
    try:
        return run(_serve(settings), loop="uvloop")
    except (StartError, StorageError, BundleError, PkiError, OSError) as error:
        logger.error("the gateway does not start: {}", error)
        return 1


async def _serve(settings: GatewaySettings) -> int:
    limits = ConnectionLimits(grace_seconds=round(settings.requests.drain_seconds))
    tls = (
        None if settings.tls is None else api_context(Path(settings.tls.certificate), Path(settings.tls.key))
    )
    listen, within = settings.listen, settings.metrics
    with stop_signals() as stop:
        async with (
            compose(settings) as gateway,
            Server(gateway.inside, host=within.host, port=within.port, limits=limits) as inner,
            Server(gateway.api, host=listen.host, port=listen.port, tls=tls, limits=limits) as outer,
        ):
            gc.collect()
            gc.freeze()  # what stands now stays: not to be looked at by every collection
            _tell({"port": outer.port, "metrics_port": inner.port, "pid": os.getpid()})
            return await _work(gateway, stop)


async def _work(gateway: Gateway, stop: asyncio.Event) -> int:
    """Until it is told to stop (0), or until the controller fails (1): a gateway that only accepts is worse than none."""
    working = [
        asyncio.create_task(gateway.controller.run(gateway.wake)),
        asyncio.create_task(_watch_lag(gateway.metrics)),
    ]
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([*working, stopped], return_when=asyncio.FIRST_COMPLETED)
    failures = [task.exception() for task in working if task.done()]
    await cancel_and_wait((*working, stopped))
    for failure in failures:
        logger.opt(exception=failure).error("the controller has failed")
    return 1 if failures else 0


async def _watch_lag(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(LAG_SECONDS)
        metrics.loop_lag.observe(max(0.0, loop.time() - began - LAG_SECONDS))


def _store(url: Secret) -> Store:
    scheme, _, address = url.reveal().partition(":")
    kind = STORES.get(scheme)
    # The URL is not shown: a password may be in it.
    if kind is None or not address:
        forms = ", ".join(known.form for known in STORES.values())
        raise StartError(f"the setting store names no store; there are: {forms}")
    return kind.make(address)


def _policy(policies: PolicySettings) -> PolicyEngine:
    # There is one engine, so no setting picks it: the second one brings that setting, whose scheme goes here.
    return POLICY_ENGINES["embedded"](policies)


def _executors(settings: GatewaySettings) -> DeclaredExecutors:
    try:
        return executors_at([target.url for target in settings.regions])
    except ValueError as error:
        raise StartError(str(error)) from error


def _authenticator(settings: GatewaySettings) -> JwtAuthenticator:
    issuers = settings.issuers
    if any(issuer.url == DEVELOPMENT_ISSUER for issuer in issuers):
        raise StartError(
            "the development issuer is no ordinary one: start the gateway with --dev, or take it off the list"
        )
    if settings.development is not None:
        logger.warning(
            "development tokens are accepted: whoever can read {} can be anybody", settings.development
        )
        issuers = (*issuers, development_issuer(Path(settings.development)))
    if not issuers:
        logger.warning("no issuer is set: nobody can call")
    if len({issuer.url for issuer in issuers}) < len(issuers):
        raise StartError("two issuers have the same url")
    for issuer in issuers:
        if not is_trusted_source(issuer.keys):
            raise StartError(
                f"issuer {issuer.url}: its keys must come by https, without a name or password in the address, or from a file"
            )
    return JwtAuthenticator(issuers)


def _clusters(settings: GatewaySettings, store: Store) -> Mapping[str, ClusterAdapter]:
    if not settings.regions:
        return {}
    if settings.pki is None:
        raise StartError("the setting pki is missing: regions are reached with certificates")
    names = [target.name for target in settings.regions]
    if len(set(names)) < len(names):
        raise StartError("two regions have the same name")
    tls = client_context(gateway_credentials(Path(settings.pki)))

    def owner() -> str:
        return f"{store.identity}.{store.era}"

    try:
        return {
            target.name: cluster_adapter(target.url, region=target.name, tls=tls, store=owner)
            for target in settings.regions
        }
    except ValueError as error:
        raise StartError(str(error)) from error


async def _ask_store(store: Store, controller: Controller) -> str:
    """A store that can be read but not written keeps no promise: so something is written."""
    if controller.stuck:
        raise Unavailable("it does not take what the controller writes")
    await store.check_writable()
    counts = await store.shard_counts()
    return f"{sum(counts.values())} shards under way"


async def _ask_policy(policy: PolicyEngine) -> str:
    return f"revision {policy.revision}"


async def _ask_keys(authenticator: JwtAuthenticator) -> str:
    if authenticator.issuers_without_keys:
        raise Unavailable(f"cannot be read: those of {', '.join(authenticator.issuers_without_keys)}")
    return "of every issuer"


def _instant() -> Instant:
    return Instant(monotonic=time.monotonic(), wall=time.time())


def _tell(ready: dict[str, int]) -> None:
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
