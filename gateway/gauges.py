"""Sets metrics from the present state of a gateway: at its start, and at each scrape."""

import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from itertools import product

from clusters.checked_cluster import CheckedCluster
from clusters.interface import CountsConnections
from gateway.api.routes import OPERATIONS
from gateway.certificate_expiries import certificate_expiries
from gateway.core.decision import Action
from gateway.core.errors import GatewayError
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.settings import GatewaySettings
from observability.metric_declaration import CAUSES, NOTIFICATION_OUTCOMES
from observability.metrics import ANSWERS, Metrics


def show_process(metrics: Metrics, settings: GatewaySettings) -> None:
    """Sets the metrics of this program's version, and of the expiry of each certificate that it loads.

    Raises `PkiError` where a certificate cannot be read.
    """
    metrics.build.labels(version("waypost")).set(1)
    for name, expiry in certificate_expiries(settings).items():
        metrics.certificate_expiry.labels(name).set(expiry.timestamp())


def start_counters(metrics: Metrics, settings: GatewaySettings) -> None:
    """Initializes to 0 the metrics' counters that alerts and automatic rollbacks watch.

    Prometheus sees a counter grow only between two scrapes: an increase from nothing to 1 would not be seen.
    """
    calls = {operation.name for path in OPERATIONS.values() for operation in path.values()}
    kinds: list[type[GatewayError]] = [GatewayError, *GatewayError.__subclasses__()]
    errors = {kind.reason for kind in kinds if kind.status >= 500}
    for call, reason in product(sorted(calls), sorted(errors)):
        metrics.requests.labels(call, reason)
    # Alerts that are refused are not sent again.
    for reason in {kind.reason for kind in kinds if 400 <= kind.status < 500}:
        metrics.requests.labels("receive_alerts", reason)
    metrics.alerts.labels("LeftOut")
    for action, answer in product(Action, ANSWERS):
        metrics.decisions.labels(engine_kind(settings.policy.engine), action, answer)
    metrics.ends.begin(0)
    for outcome in ("Activated", "Refused"):
        metrics.policy_bundles.labels(outcome)
    for receiver, outcome in product(settings.notifications.egress, NOTIFICATION_OUTCOMES):
        metrics.notifications.labels(receiver, outcome)
    for region, cause in product(settings.regions, CAUSES):
        metrics.failovers.labels(region.name, cause)


def engine_kind(engine: str) -> str:
    """Returns the kind of policy engine that the setting `policy.engine` names: embedded, or opa."""
    return engine.partition(":")[0].partition("+")[0]


def show_pools(metrics: Metrics, clusters: Mapping[str, CheckedCluster]) -> None:
    """Sets the metrics of the open connections to each region whose adapter counts connections."""
    for region, cluster in clusters.items():
        if isinstance(cluster.adapter, CountsConnections):
            # Bound now: at a scrape the loop's variable would be the last one.
            count = partial(lambda pool: pool.connections, cluster.adapter)
            metrics.show_connections(region, cluster.adapter.connections_maximum, count)


def show_policy_and_keys(
    metrics: Metrics,
    settings: GatewaySettings,
    policy: PolicyEngine,
    bundles: BundleFeed,
    authenticator: JwtAuthenticator,
) -> None:
    """Sets the metrics of the policy revision, of whether it is the newest, and of the expiry of key sets."""
    metrics.show_revision(engine_kind(settings.policy.engine), policy.revision)
    newest = bundles.current
    metrics.policy_stale.set(newest is not None and newest.manifest.revision != policy.revision)
    for issuer, seconds in authenticator.key_sets_end_in().items():
        metrics.key_set_expiry.labels(issuer).set(time.time() + seconds)
