"""The registry of cluster kinds (engines) that a gateway can work with, by the scheme of a region's URL.

To add a kind: write its adapter in a room (package) of its own, and add an entry to `CLUSTER_KINDS`; or, in
a package of one's own, name the entry as an entry point of the group `waypost.clusters`.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final, Generic

from msgspec import Struct

from clusters.checked_cluster import CheckedCluster
from clusters.embedded.executors.registry import declared_executors, third_party_executors
from clusters.embedded.http.client import EmbeddedCluster
from clusters.entry_points import PluginsFound, find_plugins
from clusters.interface import ClusterAdapter, RegionConnection
from clusters.plugin_settings import S, plugin_settings
from clusters.transport import Timeouts
from waypost.workflow.run_types import DeclaredExecutors


class ClusterKind(Struct, Generic[S], frozen=True, kw_only=True):
    """A registry entry: the executors of a kind of cluster, its settings, and the factory of its adapter."""

    executors: Callable[[], DeclaredExecutors]
    """Returns the executors of such a cluster; documents are checked against those of all kinds together.

    Which of them run exclusive tasks in a region, its cluster reports (`ClusterStatus.exclusive`).
    """
    settings: type[S]
    """The type of the settings that a region with such a cluster has in its table `cluster`."""
    adapter: Callable[[RegionConnection, S], ClusterAdapter]
    """Creates the adapter for one region's cluster. Raises `ValueError` for settings that it cannot use.

    The adapter sends nothing before it is entered.
    """
    bounds_checked: bool = False
    """Whether its adapters decode every answer by msgspec, which checks the types and bounds of fields.

    Otherwise the gateway encodes and decodes each answer to check them.
    """


def _embedded(connection: RegionConnection, timeouts: Timeouts) -> ClusterAdapter:
    return EmbeddedCluster(
        f"https://{connection.address}",
        region=connection.region,
        tls=connection.mutual_tls(),
        store=connection.store,
        timeouts=timeouts,
    )


CLUSTER_KINDS: Final[Mapping[str, ClusterKind[Any]]] = {
    "embedded+https": ClusterKind(
        executors=declared_executors, settings=Timeouts, adapter=_embedded, bounds_checked=True
    )
}
"""The kinds of cluster that ship with us, by the scheme of a region's URL: ENGINE or ENGINE+PROTOCOL.

A document may name the engine (`spec.engine`): it then runs in regions of that engine alone.
"""


@cache
def third_party_kinds() -> PluginsFound[ClusterKind[Any]]:
    """Returns the kinds of cluster that other packages bring by entry points of the group `waypost.clusters`.

    They are loaded by the first call, once for each process.
    """
    return find_plugins("waypost.clusters", ClusterKind, taken=CLUSTER_KINDS)


def cluster_kinds() -> Mapping[str, ClusterKind[Any]]:
    """Returns all kinds of cluster of this installation: `CLUSTER_KINDS`, and those of other packages."""
    return {**CLUSTER_KINDS, **third_party_kinds().entries}


def unusable_plugins() -> Mapping[str, str]:
    """Returns the executors and kinds of cluster of other packages that cannot be used, with the reasons."""
    return {
        **{f"executor {name}": why for name, why in third_party_executors().broken.items()},
        **{f"kind of cluster {name}": why for name, why in third_party_kinds().broken.items()},
    }


def cluster_adapter(connection: RegionConnection, settings: Mapping[str, Any]) -> CheckedCluster:
    """Builds the adapter for the cluster at `connection.url`, such as `embedded+https://10.1.0.5:7101`.

    What it returns is checked, whatever the kind of cluster. `settings` are those of its kind. Raises
    `ValueError` where they or the URL cannot be used.
    """
    kind = _kind_of(connection.url)
    adapter = kind.adapter(connection, plugin_settings(settings, kind.settings))
    return CheckedCluster(adapter, region=connection.region, bounds_checked=kind.bounds_checked)


def executors_at(urls: Iterable[str]) -> DeclaredExecutors:
    """Returns the executors that the clusters at these URLs have; without URLs, those of all kinds.

    Raises `ValueError` for a URL whose scheme names no kind of cluster.
    """
    kinds = [_kind_of(url) for url in urls] or list(cluster_kinds().values())
    return all_executors([kind.executors() for kind in kinds])


def engine_at(url: str) -> str:
    """Returns the engine of the cluster at this URL: `temporal` for one that begins `temporal+https:`.

    Documents name it in `spec.engine`. Raises `ValueError` for a URL whose scheme names no kind of cluster.
    """
    _kind_of(url)
    return url.partition(":")[0].partition("+")[0]


def all_executors(declared: Iterable[DeclaredExecutors]) -> DeclaredExecutors:
    """Returns the union of the executors that several kinds of cluster declare.

    Raises `ValueError` where two of them declare the same executor with different types of `run`: a document
    could then be right for one region and wrong for another.
    """
    run_types: dict[str, type[Struct]] = {}
    exclusive, secrets = frozenset[str](), frozenset[str]()
    for executors in declared:
        for name, run_type in executors.run_types.items():
            if run_types.setdefault(name, run_type) is not run_type:
                raise ValueError(
                    f"two kinds of cluster declare the executor {name} with different types of run"
                )
        exclusive |= executors.exclusive
        secrets |= executors.secrets
    return DeclaredExecutors(run_types=run_types, exclusive=exclusive, secrets=secrets)


def _kind_of(url: str) -> ClusterKind[Any]:
    scheme, separator, address = url.partition("://")
    if why := third_party_kinds().broken.get(scheme):
        raise ValueError(f"its kind of cluster cannot be used: {why}")
    kind = cluster_kinds().get(scheme)
    # The URL is not shown: somebody may have written a password into it.
    if kind is None or not separator or not address:
        raise ValueError(f"its URL names no kind of cluster; there are: {', '.join(sorted(cluster_kinds()))}")
    if "@" in address:
        raise ValueError(
            "its URL holds a user or a password, and URLs are logged: a secret belongs in a file"
        )
    return kind
