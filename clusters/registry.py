"""The registry of the kinds of cluster that a gateway can work with, by the scheme of a region's URL.

To add a kind: write its adapter in a room of its own, and add an entry to `CLUSTER_KINDS`.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from clusters.embedded.executors.registry import DECLARED
from clusters.embedded.http.client import EmbeddedCluster
from clusters.interface import ClusterAdapter
from waypost.workflow.run_types import DeclaredExecutors

StoreName: TypeAlias = Callable[[], str]
"""A function that returns IDENTITY.ERA of the gateway's store, which may change meanwhile."""


class AdapterFactory(Protocol):
    """The factory of the adapter to one region's cluster; the adapter sends nothing before it is entered."""

    def __call__(self, address: str, *, region: str, tls: ssl.SSLContext, store: StoreName) -> ClusterAdapter:
        """Creates the adapter; `address` is the part of the region's URL after `://`."""
        ...


class ClusterKind(Struct, frozen=True, kw_only=True):
    """A kind of cluster: the executors that it has, and the factory of its adapter."""

    executors: DeclaredExecutors
    """The executors of such a cluster; documents are checked against them."""
    adapter: AdapterFactory


def _embedded(address: str, *, region: str, tls: ssl.SSLContext, store: StoreName) -> ClusterAdapter:
    return EmbeddedCluster(f"https://{address}", region=region, tls=tls, store=store)


CLUSTER_KINDS: Final[Mapping[str, ClusterKind]] = {
    "embedded+https": ClusterKind(executors=DECLARED, adapter=_embedded)
}
"""The kinds of cluster, by the scheme of a region's URL."""


def cluster_adapter(url: str, *, region: str, tls: ssl.SSLContext, store: StoreName) -> ClusterAdapter:
    """Returns the adapter for `region`'s cluster at `url`, such as `embedded+https://10.1.0.5:7101`.

    `store` names the store that the gateway works for: a cluster works for one alone.
    Raises `ValueError` for a URL whose scheme names no kind of cluster.
    """
    kind, address = _kind_of(url)
    return kind.adapter(address, region=region, tls=tls, store=store)


def executors_at(urls: Iterable[str]) -> DeclaredExecutors:
    """Returns the executors of all clusters at these URLs; without any URL, those of all kinds.

    Raises `ValueError` for a URL whose scheme names no kind of cluster.
    """
    kinds = [_kind_of(url)[0] for url in urls] or list(CLUSTER_KINDS.values())
    return all_executors([kind.executors for kind in kinds])


def all_executors(declared: Iterable[DeclaredExecutors]) -> DeclaredExecutors:
    """Returns the union of the executors that several kinds of cluster declare.

    Raises `ValueError` where two of them declare the same executor with different types of `run`: a document
    could then be right for one region and wrong for another.
    """
    run_types: dict[str, type[Struct]] = {}
    exclusive: frozenset[str] = frozenset()
    for executors in declared:
        for name, run_type in executors.run_types.items():
            if run_types.setdefault(name, run_type) is not run_type:
                raise ValueError(
                    f"two kinds of cluster declare the executor {name} with different types of run"
                )
        exclusive |= executors.exclusive
    return DeclaredExecutors(run_types=run_types, exclusive=exclusive)


def _kind_of(url: str) -> tuple[ClusterKind, str]:
    scheme, separator, address = url.partition("://")
    kind = CLUSTER_KINDS.get(scheme)
    if kind is None or not separator or not address:
        raise ValueError(f"{url!r} names no kind of cluster; there are: {', '.join(sorted(CLUSTER_KINDS))}")
    return kind, address
