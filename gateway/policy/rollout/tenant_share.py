"""Chooses the tenants of a canary: those that are named, and a percentage of all others. Pure."""

import hashlib
from typing import Final

from gateway.policy.rollout.bundle_states import Share

PLACES: Final = 2**64


class TenantShare:
    """The set of tenants that a canary's `share` selects: always the same, after a restart too.

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
