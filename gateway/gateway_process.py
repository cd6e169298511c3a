"""Runs a gateway as an operating-system process, from its settings to its exit code."""

import asyncio
import gc
import os
import sys
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from loguru import logger
from msgspec import structs

from clusters.transport import CONNECTIONS
from gateway.app import compose
from gateway.composition.policy import Loops
from gateway.gauges import show_process, start_counters
from gateway.policy.opa.bundle_archive import ArchiveError
from gateway.policy.source import BundleError
from gateway.settings import GatewaySettings
from gateway.start_error import StartError
from gateway.store.interface import StoreUnusable
from observability import logs
from waypost.cancellation import cancel_and_wait
from waypost.connections.descriptors import raise_descriptor_limit
from waypost.http_protocol import ConnectionLimits
from waypost.serving import Server, run, stop_signals
from waypost.tls import PkiError
from waypost.tls_reloading import reload_certificates, reloaded_api_context

HEALTH_CONNECTIONS: Final = 64
"""The maximum number of open connections to the internal port."""
OWN_DESCRIPTORS: Final = 192
"""The number of file descriptors reserved for the gateway's own files: database, policy, keys, logs."""
API_CONNECTIONS: Final = 10_000
API_CONNECTIONS_MINIMUM: Final = 16


SWITCH_SECONDS: Final = 0.0005
"""The seconds for which a thread may keep the interpreter's lock while the event loop waits for it.

Python's own 5 ms delay each of the dozen steps from a submission to its end.
"""


def serve(settings: GatewaySettings) -> int:
    """Runs a gateway until SIGTERM or SIGINT; returns exit code 0, or 1 if it cannot start or a loop fails.

    Prints one line of JSON with the gateway's ports once the gateway answers.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    logs.configure(level=settings.logging.level, style=settings.logging.style, fields={"process": "gateway"})
    try:
        return run(_serve(settings), loop="uvloop")
    except (StartError, StoreUnusable, BundleError, ArchiveError, PkiError, OSError) as error:
        logger.error("the gateway does not start: {}", error)
        return 1


async def _serve(settings: GatewaySettings) -> int:
    limits = ConnectionLimits(
        grace_seconds=round(settings.requests.drain_seconds),
        send_seconds=settings.requests.send_seconds,
        connections=_api_connections(raise_descriptor_limit(), len(settings.regions)),
    )
    health_limits = structs.replace(limits, connections=HEALTH_CONNECTIONS)
    tls = (
        None
        if settings.tls is None
        else reloaded_api_context(Path(settings.tls.certificate), Path(settings.tls.key))
    )
    outside, inside = settings.listen, settings.metrics
    with stop_signals() as stop:
        async with (
            compose(settings) as gateway,
            Server(gateway.internal_api, host=inside.host, port=inside.port, limits=health_limits) as inner,
            Server(gateway.api, host=outside.host, port=outside.port, tls=tls, limits=limits) as outer,
        ):
            show_process(gateway.metrics, settings)
            reloading = partial(
                reload_certificates,
                [context for context in (tls, gateway.mutual_tls) if context is not None],
                on_change=partial(show_process, gateway.metrics, settings),
            )
            start_counters(gateway.metrics, settings)
            gateway.metrics.show_connections("api", limits.connections, lambda: outer.connections)
            gateway.metrics.show_connections("internal", HEALTH_CONNECTIONS, lambda: inner.connections)
            # What exists now lives as long as the process: no collection needs to look at it again.
            gc.collect()
            gc.freeze()
            # Requests leave next to no cycles, and submissions pay 2 % for a search after every 700 objects.
            gc.set_threshold(2_000, 10, 10)
            _print_ready({"port": outer.port, "metrics_port": inner.port, "pid": os.getpid()})
            return await run_loops({**gateway.loops, "certificates": reloading}, stop)


def _api_connections(descriptors: int, regions: int) -> int:
    """Returns the maximum number of API connections for a process that may open `descriptors` files.

    It leaves file descriptors for the gateway's own files, health checks and the clusters of the regions
    (`regions` is their number). Logs a warning if the maximum is less than `API_CONNECTIONS`.
    """
    kept = OWN_DESCRIPTORS + HEALTH_CONNECTIONS + regions * sum(CONNECTIONS.values())
    connections = max(API_CONNECTIONS_MINIMUM, min(API_CONNECTIONS, descriptors - kept))
    if connections < API_CONNECTIONS:
        logger.warning(
            "this process may have {} files open, so the API takes {} connections, not {}: raise the limit"
            " (ulimit -n, LimitNOFILE)",
            descriptors,
            connections,
            API_CONNECTIONS,
        )
    return connections


async def run_loops(loops: Loops, stop: asyncio.Event) -> int:
    """Runs all loops side by side until `stop` is set or one of the loops ends, then cancels the others.

    Returns 0 for `stop`, 1 where a loop has ended.
    """
    running = {asyncio.create_task(loop()): name for name, loop in loops.items()}
    stopped = asyncio.create_task(stop.wait())
    # A gateway whose controller has failed would accept runs and never place them, so it stops.
    await asyncio.wait([*running, stopped], return_when=asyncio.FIRST_COMPLETED)
    failures = [(name, task.exception()) for task, name in running.items() if task.done()]
    await cancel_and_wait((*running, stopped))
    for name, failure in failures:
        logger.opt(exception=failure).error("the {} has failed", name)
    return 1 if failures else 0


def _print_ready(ready: dict[str, int]) -> None:
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
