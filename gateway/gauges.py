"""Gauges that are read from the present state of a gateway: at each scrape, or once at its start."""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

from clusters.interface import ClusterAdapter, CountsConnections
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.settings import GatewaySettings
from observability.metrics import Metrics
from waypost.certificates import read_certificate
from waypost.tls import gateway_credentials


def show_process(metrics: Metrics, settings: GatewaySettings) -> None:
    """Shows the version, and when each certificate that this process loads expires.

    Raises `PkiError` where one cannot be read.
    """
    metrics.build.labels(version("waypost")).set(1)
    for name, path in _certificates(settings):
        expiry = read_certificate(path).not_valid_after_utc.timestamp()
        metrics.certificate_expiry.labels(name).set(expiry)


def _certificates(settings: GatewaySettings) -> Iterator[tuple[str, Path]]:
    if settings.tls is not None:
        yield "api", Path(settings.tls.certificate)
    if settings.pki is not None and settings.regions:
        credentials = gateway_credentials(Path(settings.pki))
        yield "ca", credentials.root
        yield "gateway", credentials.certificate


def show_pools(metrics: Metrics, clusters: Mapping[str, ClusterAdapter]) -> None:
    """Shows the connections to each region whose adapter counts them."""
    for region, cluster in clusters.items():
        if isinstance(cluster, CountsConnections):
            # Bound now: at a scrape the loop's variable would be the last one.
            count = partial(lambda pool: pool.connections, cluster)
            metrics.show_connections(region, cluster.connections_maximum, count)


def show_policy_and_keys(
    metrics: Metrics,
    settings: GatewaySettings,
    policy: PolicyEngine,
    bundles: BundleFeed,
    authenticator: JwtAuthenticator,
) -> None:
    """Shows which rules decide, whether they are those of the newest bundle, and how long key sets count."""
    engine = settings.policy.engine.partition(":")[0].partition("+")[0]
    metrics.show_revision(engine, policy.revision)
    newest = bundles.current
    metrics.policy_stale.set(newest is not None and newest.manifest.revision != policy.revision)
    for issuer, seconds in authenticator.key_sets_end_in().items():
        metrics.key_set_expiry.labels(issuer).set(time.time() + seconds)
