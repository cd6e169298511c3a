"""Chooses the tenants of a canary: those that are named, and a percentage of all others.

Performs no I/O.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from gateway.policy.bundle import Bundle
from gateway.policy.rollout.bundle_states import Share

PLACES: Final = 2**64


class TenantShare:
    """The set of tenants that a canary's `share` selects: always the same, even after a restart.

    A larger share has all tenants of a smaller one.
    """

    def __init__(self, share: Share) -> None:
        self._named = frozenset(share.tenants)
        self._below = share.percent / 100 * PLACES

    def has(self, tenant: str) -> bool:
        if tenant in self._named:
            return True
        return self._below > 0 and _place(tenant) < self._below


def _place(tenant: str) -> int:
    return int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big")


def unknown_tenants(named: Iterable[str], bundles: Sequence[Bundle]) -> tuple[str, ...]:
    """Returns those of the tenants `named` that are in no bundle's data.

    Returns none where the data list no tenants at all: the data of a bundle with rules of its own need not,
    and then no name can be known to be wrong.
    """
    data = (msgspec.json.decode(bundle.source.data, type=dict[str, Any]) for bundle in bundles)
    lists = [tenants for one in data if isinstance(tenants := one.get("tenants"), dict)]
    return tuple(name for name in named if lists and not any(name in tenants for tenants in lists))
