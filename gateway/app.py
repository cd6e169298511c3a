"""Builds a gateway from its settings: creates store, policy engine, clusters and loops, and connects them.

It names concrete classes, as `composition/policy.py` does for policy engines. Each kind of plug-in has one
dict: `STORES` here, `POLICY_ENGINES` there, `CLUSTER_KINDS` in `clusters/registry.py`, `RELEASES` in
`gateway/rollback/registry.py`.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from starlette.types import ASGIApp

from clusters.checked_cluster import CheckedCluster
from clusters.interface import ClusterAdapter
from gateway.api.http.rate_limits import RateLimiter
from gateway.api.http.services import Services, request_turns
from gateway.api.internal.health import internal_api
from gateway.api.routes import api
from gateway.clock_at_start import correct_clocks
from gateway.composition.clusters import clusters_of, declared_executors, engines_of, mutual_tls_of
from gateway.composition.issuers import issuers_authenticator
from gateway.composition.policy import Loops, policy_composition
from gateway.composition.rollback import rollback_loops
from gateway.core.errors import Unavailable
from gateway.core.instant import Instant
from gateway.ended_run_settings import RetentionSettings
from gateway.gauges import show_policy_and_keys, show_pools
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.notifications.delivery import Delivery
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.readiness import readiness_checks
from gateway.reconciler.controller import Controller
from gateway.reconciler.links.region_link import RegionLink
from gateway.retention.retention import Retention
from gateway.settings import AuditSettings, GatewaySettings, Secret
from gateway.start_error import StartError
from gateway.steady_clock import steady_time
from gateway.store.backups import Backups
from gateway.store.interface import Store, StoreUnusable
from gateway.store.sqlite.backups.sqlite_backups import SqliteBackups
from gateway.store.sqlite.store import SqliteStore
from gateway.submission.audit_sealing import AuditKeyError, audit_sealer
from gateway.submission.reading.document_reader import DocumentReader, reader_greeting, reader_pool
from observability.disk_room import show_disk
from observability.loop_lag import measure_loop_lag
from observability.metrics import Metrics
from observability.spans.exporter import SpanExporter, SpansUnusable, span_exporter
from waypost.sqlite_group_commit import Database
from waypost.tls_reloading import ReloadedContext
from waypost.turns import Turns


class StoreKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of store that the settings can choose: the form of its URL, and a factory of such stores."""

    form: str
    """The form of the store's URL, for error messages: `sqlite:PATH`."""
    make: Callable[[str], Store]
    """The factory, of the text after `scheme:`. Raises `ValueError` for one that it cannot use.

    Nobody is shown the error's text: a password may be in it.
    """
    backups: Callable[[str], Backups] | None = None
    """The factory of the backup and restore of such a store; None: that is done by the database's tools."""
    folder: Callable[[str], Path] | None = None
    """The folder whose disk the store is on; None: it is on no disk of this machine."""


STORES: Final[Mapping[str, StoreKind]] = {
    "sqlite": StoreKind(
        form="sqlite:PATH",
        make=lambda path: SqliteStore(Database(path)),
        backups=SqliteBackups,
        folder=lambda path: Path(path).parent,
    ),
}
"""The kinds of store, by the scheme of the setting `store`."""


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a gateway that is not listening yet: two ASGI applications, loops and metrics.

    `mutual_tls` is the TLS context of its connections to clusters, if it has any.
    """

    api: ASGIApp
    internal_api: ASGIApp
    loops: Loops
    metrics: Metrics
    mutual_tls: ReloadedContext | None


@asynccontextmanager
async def compose(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """Builds the gateway that `settings` describe, as an async context that opens and closes its parts.

    If a part cannot start, raises `StartError`, `StoreUnusable`, `PkiError`, `BundleError` or `ArchiveError`.
    """
    async with AsyncExitStack() as exits:
        metrics, wake, enter = Metrics(), asyncio.Event(), exits.enter_async_context
        store, spans = await enter(_store(settings.store, metrics)), await enter(_spans(settings, metrics))
        parts = await enter(policy_composition(settings, store, metrics))
        policy, feed = parts.engine, parts.feed
        authenticator, mutual_tls = await enter(issuers_authenticator(settings)), mutual_tls_of(settings)
        clusters = await _clusters(exits, clusters_of(settings, store, mutual_tls), metrics)
        links = [await enter(_link(name, cluster, settings, wake)) for name, cluster in clusters.items()]
        controller = _controller(settings, store, policy, links, metrics=metrics, spans=spans)
        services = Services(
            settings=settings,
            authenticator=authenticator,
            unknown_callers=authenticator.unknown_callers,
            policy=policy,
            rollout=parts.rollout,
            store=store,
            retention=_retention(settings.retention, settings.audit, store, metrics),
            exceptions=policy.exceptions,
            metrics=metrics,
            spans=spans,
            executors=declared_executors(settings),
            engines=engines_of(settings),
            reader=await enter(_reader(settings)),
            regions=lambda: controller.views(_instant()),
            clusters=clusters,
            cut_off=lambda: controller.cut_off,
            turns=request_turns(settings.tenants.requests_at_once),
            large_documents=Turns.leaving_one(settings.tenants.large_documents_at_once),
            rates=RateLimiter(settings.tenants.requests_per_second, time.monotonic),
        )
        checks = readiness_checks(settings, store, policy, authenticator, controller, feed)
        gauges = partial(_set_gauges, services, feed, authenticator, controller)
        yield Gateway(
            api=api(services),
            internal_api=internal_api(services, checks, *parts.routes, set_gauges=gauges),
            metrics=metrics,
            mutual_tls=mutual_tls,
            loops={
                **parts.loops,
                "controller": lambda: controller.run(wake),
                **await enter(rollback_loops(services)),
                **_record_loops(services),
                "measurement of the loop's lag": lambda: measure_loop_lag(metrics.loop_lag),
            },
        )


def store_kind(url: Secret) -> tuple[StoreKind, str]:
    """Returns the kind of the store that `url` names, and the text after `scheme:`. Raises `StartError`."""
    scheme, _, address = url.reveal().partition(":")
    kind = STORES.get(scheme)
    # The URL is not shown: a password may be in it.
    if kind is None or not address:
        forms = ", ".join(known.form for known in STORES.values())
        raise StartError(f"the setting store names no store; there are: {forms}")
    return kind, address


@asynccontextmanager
async def _store(url: Secret, metrics: Metrics) -> AsyncIterator[Store]:
    """Opens the store that `url` names, and tells it the time."""
    kind, address = store_kind(url)
    try:
        opened = kind.make(address)
    except ValueError:
        # Nor is the error: its text, or a traceback, could show the URL.
        raise StartError(f"the setting store cannot be used; it has the form {kind.form}") from None
    async with opened as store:
        if kind.folder is not None:
            show_disk(metrics.disk_free, kind.folder(address))
        try:
            await correct_clocks(store)
        except Unavailable as error:
            # Without it deadlines would be wrong by as much as the clock was set.
            raise StoreUnusable(f"the store cannot be told the time: {error}") from error
        yield store


async def _clusters(
    exits: AsyncExitStack, adapters: Mapping[str, CheckedCluster], metrics: Metrics
) -> Mapping[str, CheckedCluster]:
    """Opens the adapters of the regions' clusters, and shows their connections in the metrics."""
    clusters = {name: await exits.enter_async_context(one) for name, one in adapters.items()}
    show_pools(metrics, clusters)
    return clusters


def _spans(settings: GatewaySettings, metrics: Metrics) -> AbstractAsyncContextManager[SpanExporter | None]:
    try:
        return span_exporter(
            settings.tracing.endpoint,
            process={"service.name": "waypost-gateway"},
            count=metrics.spans,
            share=settings.tracing.share,
        )
    except SpansUnusable as error:
        raise StartError(f"the setting tracing.endpoint: {error}") from error


@asynccontextmanager
async def _reader(settings: GatewaySettings) -> AsyncIterator[DocumentReader]:
    greeting = reader_greeting(settings.documents, declared_executors(settings), engines_of(settings))
    async with reader_pool(greeting, size=settings.tenants.large_documents_at_once) as pool:
        pool.start()
        yield DocumentReader(settings.documents, pool)


def _link(name: str, cluster: ClusterAdapter, settings: GatewaySettings, wake: asyncio.Event) -> RegionLink:
    return RegionLink(name, cluster, settings=settings.health, wake=wake.set)


def _controller(
    settings: GatewaySettings,
    store: Store,
    policy: PolicyEngine,
    links: Sequence[RegionLink],
    *,
    metrics: Metrics,
    spans: SpanExporter | None,
) -> Controller:
    return Controller(
        store=store,
        policy=policy,
        links=links,
        weights={target.name: target.weight for target in settings.regions},
        engines=engines_of(settings),
        health=settings.health,
        failover=settings.failover,
        placing=settings.placing,
        metrics=metrics,
        spans=spans,
        rng=random.Random(),  # noqa: S311 - spreads work, keeps no secret
        store_restored=settings.store_restored,
    )


def _set_gauges(
    services: Services, feed: BundleFeed, authenticator: JwtAuthenticator, controller: Controller
) -> None:
    show_policy_and_keys(services.metrics, services.settings, services.policy, feed, authenticator)
    controller.set_gauges(_instant())


def _instant() -> Instant:
    return Instant(monotonic=time.monotonic(), wall=steady_time())


def _record_loops(services: Services) -> Loops:
    """Builds the background loops on what is recorded: sealing, archiving, notifications."""
    sealing = _sealing_loop(services.settings.audit, services.store, services.metrics)
    if services.retention is not None:
        sealing = {**sealing, "retention": services.retention.run}
    if services.settings.notifications.egress:
        delivery = Delivery(
            services.settings.notifications, services.store, services.metrics, clock=steady_time
        )
        sealing = {**sealing, "notifications": delivery.run}
    return sealing


def _sealing_loop(audit: AuditSettings, store: Store, metrics: Metrics) -> Loops:
    """Builds the background loop that seals the audit trail; none without a key in the settings."""
    try:
        sealer = audit_sealer(audit, store, on_alarm=metrics.audit_alarms.inc)
    except AuditKeyError as error:
        raise StartError(str(error)) from error
    return {} if sealer is None else {"sealing of the audit trail": sealer.run}


def _retention(
    settings: RetentionSettings, audit: AuditSettings, store: Store, metrics: Metrics
) -> Retention | None:
    """Builds what archives and deletes ended runs and the trail; None where no setting asks for it."""
    if not settings.deletes_runs and not settings.deletes_trail:
        return None
    if settings.archive is None:
        raise StartError("the setting retention.archive names no folder: nothing is deleted without a record")
    if settings.deletes_trail and audit.key is None:
        raise StartError("the setting audit.key names no key: a trail without seals is not archived")
    return Retention(store, settings, metrics, clock=steady_time)
