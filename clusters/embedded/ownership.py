"""Decides which gateway's store owns a cluster; calls on behalf of any other store are refused.

Only the owner knows the cluster's attempts; a gateway on another store would end them as unknown. A store
that was restored from a copy raises its era; after that, calls on behalf of an older era are refused too.
"""

from msgspec import Struct

from clusters.errors import ClusterError


class Owner(Struct, frozen=True, kw_only=True):
    """The gateway's store that owns a cluster: its identity, and the newest era (generation) it has shown.

    The identity is empty while the cluster has no owner.
    """

    store: str = ""
    era: int = 0


def after_claim(owner: Owner, claim: Owner) -> Owner | None:
    """Returns a cluster's owner after a call on behalf of the store `claim`; None if that changes nothing.

    Raises `ClusterError`: `OtherGateway` where another store is the owner, `OldEra` where the owner has shown
    a newer era than that of the call.
    """
    if owner.store not in ("", claim.store):
        raise ClusterError(
            "OtherGateway",
            f"this cluster works for the store {owner.store:.8}, not {claim.store:.8}; "
            "started with --adopt it takes the next that comes",
            retryable=False,
        )
    if claim.era < owner.era:
        raise ClusterError(
            "OldEra",
            f"the store was restored: era {owner.era} has begun, this call is of era {claim.era}",
            retryable=False,
        )
    return claim if claim != owner else None
