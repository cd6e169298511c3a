"""The process of one cluster (`waypost cluster --region beijing`): a node behind an HTTP server."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec
from loguru import logger
from msgspec import UNSET, Struct, UnsetType

from clusters.embedded.http.internal import internal_application
from clusters.embedded.http.server import application
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from observability.cluster_metrics import ClusterMetrics
from observability.logs import configure
from observability.loop_lag import measure_loop_lag
from observability.spans.exporter import SpanExporter, SpansUnusable, span_exporter
from waypost.cancellation import cancel_and_wait
from waypost.connections.descriptors import raise_descriptor_limit
from waypost.http_protocol import ConnectionLimits
from waypost.pki.certificates import read_certificate
from waypost.serving import Server, run, stop_signals
from waypost.sqlite_files.errors import StorageError
from waypost.tls import Credentials, PkiError, cluster_credentials
from waypost.tls_reloading import followed, reloaded_server_context

METRICS_CONNECTIONS = 16
CONNECTIONS = 1_000
"""The most open connections, if a quarter of the file descriptors permits so many.

Each try takes two or three descriptors.
"""


class ClusterSettings(ClusterNodeSettings, frozen=True, kw_only=True):
    """The settings of a cluster's process: those of the node in it, its certificates, its addresses."""

    pki: str
    """The folder with the root's certificate and this region's certificate and key."""
    host: str = "127.0.0.1"
    port: int = 7101
    """The TCP port to listen on; 0 for any free one, which the ready line names."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    """The TCP port of `/metrics`; 0 for any free one, None for no metrics.

    It asks for no certificate, so only the inside may reach it.
    """
    tracing_endpoint: str | None = None
    """The URL that OpenTelemetry spans are sent to over OTLP/HTTP; None: none are."""

    @property
    def own_folders(self) -> tuple[Path, ...]:
        return (*super().own_folders, Path(self.pki).resolve())


class Ready(Struct, frozen=True, kw_only=True):
    """The line of JSON that a cluster prints on standard output once it accepts calls: region and ports."""

    ready: bool = True
    region: str
    port: int
    metrics_port: int | UnsetType = UNSET


def run_cluster(settings: ClusterSettings) -> int:
    """Runs a cluster's process until SIGTERM or SIGINT; returns the exit code: 0, or 1 if it cannot run.

    It runs on asyncio's own loop, which starts processes four times as fast as uvloop.
    """
    configure(fields={"process": "cluster", "region": settings.region})
    connections = min(CONNECTIONS, raise_descriptor_limit() // 4)
    limits = ConnectionLimits(keep_alive_seconds=75, connections=connections, grace_seconds=3)
    try:
        run(_serve(settings, limits), loop="asyncio")
    except (PkiError, StorageError, SpansUnusable, OSError) as error:
        logger.error("the cluster of {} cannot run: {}", settings.region, error)
        return 1
    return 0


async def _serve(settings: ClusterSettings, limits: ConnectionLimits) -> None:
    """Runs the node and its HTTP server until a stop signal comes or the commit loop fails.

    The server ends first, so that no call comes while the node kills its running tasks.
    """
    credentials = cluster_credentials(Path(settings.pki), settings.region)
    tls = reloaded_server_context(credentials)
    with stop_signals() as stop:
        async with (
            ClusterNode(settings) as node,
            _spans(settings, node.metrics) as node.spans,
            Server(
                application(node, claim=node.claim),
                host=settings.host,
                port=settings.port,
                tls=tls,
                limits=limits,
            ) as server,
        ):
            node.start_evaluator()
            async with _metrics_server(settings, node) as metrics_port:
                # What is loaded by now lives as long as the process: garbage collection need not look at it
                # again.
                gc.freeze()
                ready = Ready(region=settings.region, port=server.port, metrics_port=metrics_port)
                # It is read by the process that started this one.
                print(msgspec.json.encode(ready).decode(), flush=True)  # noqa: T201
                logger.info("the cluster of {} listens on {}:{}", settings.region, settings.host, server.port)
                async with followed(tls, on_change=partial(_show_process, node.metrics, credentials)):
                    await _wait_until_stopped(stop, node.committer)
                logger.info("the cluster of {} stops", settings.region)


def _spans(
    settings: ClusterSettings, metrics: ClusterMetrics
) -> AbstractAsyncContextManager[SpanExporter | None]:
    process = {"service.name": "waypost-cluster", "region": settings.region}
    try:
        return span_exporter(settings.tracing_endpoint, process=process, count=metrics.spans)
    except SpansUnusable as error:
        raise SpansUnusable(f"the tracing endpoint: {error}") from error


@asynccontextmanager
async def _metrics_server(settings: ClusterSettings, node: ClusterNode) -> AsyncIterator[int | UnsetType]:
    """Serves the node's metrics and measures event loop lag, while the context is open.

    Yields the port, or UNSET if metrics are off.
    """
    if settings.metrics_port is None:
        yield UNSET
        return
    _show_process(node.metrics, cluster_credentials(Path(settings.pki), settings.region))
    application = internal_application(node.metrics, node.set_gauges, node.probe)
    limits = ConnectionLimits(connections=METRICS_CONNECTIONS, grace_seconds=1)
    measuring = asyncio.create_task(measure_loop_lag(node.metrics.loop_lag), name="measure loop lag")
    try:
        async with Server(
            application, host=settings.metrics_host, port=settings.metrics_port, limits=limits
        ) as server:
            yield server.port
    finally:
        await cancel_and_wait((measuring,))


def _show_process(metrics: ClusterMetrics, credentials: Credentials) -> None:
    metrics.build.labels(version("waypost")).set(1)
    for name, path in (("ca", credentials.root), ("cluster", credentials.certificate)):
        expiry = read_certificate(path).not_valid_after_utc.timestamp()
        metrics.certificate_expiry.labels(name).set(expiry)


async def _wait_until_stopped(stop: asyncio.Event, committer: asyncio.Task[None]) -> None:
    """Waits until the event `stop` is set or the commit loop's task has ended.

    Raises the task's error, which would otherwise go unnoticed.
    """
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({stopping, committer}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if committer.done():
        await committer
