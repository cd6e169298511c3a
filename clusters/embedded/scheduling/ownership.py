"""Whose cluster is this? It works for the store of one gateway: to any other its attempts would be nobody's, and be ended.

A store that was restored from a copy raises its era. From then on nobody who still stands on the older one is listened to.
"""

from msgspec import Struct

from clusters.errors import ClusterError


class Owner(Struct, frozen=True, kw_only=True):
    """A store by its identity, in the newest era that it has shown. Empty: of nobody yet."""

    store: str = ""
    era: int = 0


def taken(owner: Owner, claim: Owner) -> Owner | None:
    """The owner after a call on behalf of `claim`; None where that changes nothing. Raises `ClusterError` where the call is not heard."""
    if owner.store not in ("", claim.store):
        detail = f"this cluster works for the store {owner.store:.8}, not {claim.store:.8}; started with --adopt it takes the next that comes"
        raise ClusterError("OtherGateway", detail, retryable=False)
    if claim.era < owner.era:
        raise ClusterError(
            "OldEra",
            f"the store was restored: era {owner.era} has begun, this call is of era {claim.era}",
            retryable=False,
        )
    return claim if claim != owner else None
