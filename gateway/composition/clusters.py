"""Makes the adapters of the clusters behind the regions that a gateway's settings name.

The kinds of cluster are in `CLUSTER_KINDS` of `clusters/registry.py`.
"""

from collections.abc import Mapping
from pathlib import Path

from loguru import logger

from clusters.checked_cluster import CheckedCluster
from clusters.interface import RegionConnection
from clusters.registry import cluster_adapter, engine_at, executors_at, unusable_plugins
from gateway.settings import GatewaySettings
from gateway.start_error import StartError
from gateway.store.interface import Store
from waypost.tls import gateway_credentials
from waypost.tls_reloading import ReloadedContext, reloaded_client_context
from waypost.workflow.run_types import DeclaredExecutors


def declared_executors(settings: GatewaySettings) -> DeclaredExecutors:
    """Returns the executors that the regions' kinds of cluster declare; without regions those of all kinds.

    Raises `StartError` where a region's URL names no kind of cluster, or two kinds do not agree.
    """
    for plugin, why in unusable_plugins().items():
        logger.warning("this gateway has no {}: {}", plugin, why)
    try:
        return executors_at([target.url for target in settings.regions])
    except ValueError as error:
        raise StartError(f"the setting regions: {error}") from error


def engines_of(settings: GatewaySettings) -> Mapping[str, str]:
    """Returns the engine of each region's cluster, by the region's name.

    Raises `StartError` where a region's URL names no kind of cluster.
    """
    try:
        return {target.name: engine_at(target.url) for target in settings.regions}
    except ValueError as error:
        raise StartError(f"the setting regions: {error}") from error


def mutual_tls_of(settings: GatewaySettings) -> ReloadedContext | None:
    """Returns the TLS context of connections to clusters; None where the settings name no certificates.

    Raises `PkiError` where one of the PEM files cannot be used.
    """
    if settings.pki is None or not settings.regions:
        return None
    return reloaded_client_context(gateway_credentials(Path(settings.pki)))


def clusters_of(
    settings: GatewaySettings, store: Store, tls: ReloadedContext | None
) -> Mapping[str, CheckedCluster]:
    """Makes the adapter of each region's cluster, by the region's name; they connect when they are entered.

    `tls` is what `mutual_tls_of` returned.
    Raises `StartError` where two regions have the same name, or one has settings that cannot be used.
    """
    names = [target.name for target in settings.regions]
    if len(set(names)) < len(names):
        raise StartError("two regions have the same name")

    def mutual_tls() -> ReloadedContext:
        if tls is None:
            raise StartError("the setting pki is missing: regions are reached with certificates")
        return tls

    def store_name() -> str:
        # Asked at each call: the era rises while the gateway runs, when the store proves to be a restored
        # copy.
        return f"{store.identity}.{store.era}"

    adapters = {}
    for target in settings.regions:
        connection = RegionConnection(
            region=target.name, url=target.url, mutual_tls=mutual_tls, store=store_name
        )
        try:
            adapters[target.name] = cluster_adapter(connection, target.cluster)
        except ValueError as error:
            raise StartError(f"the setting regions: {target.name}: {error}") from error
    return adapters
