"""Which kind of cluster a URL names: the scheme picks the factory. A new kind is a line here."""

import ssl
from collections.abc import Callable, Mapping
from typing import Final

from clusters.embedded.http.client import EmbeddedCluster
from clusters.interface import ClusterAdapter

Store = Callable[[], str]
Factory = Callable[[str, str, ssl.SSLContext, Store], ClusterAdapter]


def connect(url: str, *, region: str, tls: ssl.SSLContext, store: Store) -> ClusterAdapter:
    """The adapter for `region`'s cluster at `url` (`embedded+https://10.1.0.5:7101`); nothing is sent before it is entered.

    `store` gives IDENTITY.ERA of the gateway's store: a cluster works for one alone.

    Raises `ValueError` for a kind that there is not.
    """
    scheme, separator, address = url.partition("://")
    factory = KINDS.get(scheme)
    if factory is None or not separator or not address:
        raise ValueError(f"{url!r} names no kind of cluster; there are: {', '.join(sorted(KINDS))}")
    return factory(address, region, tls, store)


def _embedded(address: str, region: str, tls: ssl.SSLContext, store: Store) -> ClusterAdapter:
    return EmbeddedCluster(f"https://{address}", region=region, tls=tls, store=store)


KINDS: Final[Mapping[str, Factory]] = {"embedded+https": _embedded}
