"""The readiness checks for the route `/readyz`: store, policy, token issuers and certificates."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from gateway.certificate_expiries import certificate_expiries
from gateway.core.errors import Unavailable
from gateway.identity.jwt_verification import JwtAuthenticator
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.reconciler.controller import Controller
from gateway.settings import GatewaySettings
from gateway.store.interface import Store
from waypost.tls import PkiError


def readiness_checks(
    settings: GatewaySettings,
    store: Store,
    policy: PolicyEngine,
    authenticator: JwtAuthenticator,
    controller: Controller,
    bundles: BundleFeed,
) -> Mapping[str, Callable[[], Awaitable[str]]]:
    """Returns the gateway's readiness checks, by the name of the part that each checks."""
    return {
        "store": lambda: _check_store(store, controller),
        "policy": lambda: _check_policy(policy, settings.policy.engine, bundles),
        "keys": lambda: _check_keys(authenticator),
        "certificates": lambda: _check_certificates(settings),
    }


async def _check_store(store: Store, controller: Controller) -> str:
    """Checks that the store accepts writes; returns, for people, the number of shards under way.

    Raises `Unavailable`, with the reason, if the store accepts no writes.
    """
    if controller.outage:
        raise Unavailable(f"it does not take what the controller writes: {controller.outage}")
    try:
        await store.check_writable()
    except Unavailable as error:
        # Callers of the API are not shown the cause, which names files; who asks here is to mend it.
        raise Unavailable(
            f"{error.detail}: {error.__cause__}" if error.__cause__ else error.detail
        ) from error
    counts = await store.shard_counts()
    return f"{sum(counts.values())} shards under way"


async def _check_policy(policy: PolicyEngine, engine: str, bundles: BundleFeed) -> str:
    """Checks that the policy engine answers; returns, for people, the revision of its rules.

    Also names the bundle that OPA is to load, where OPA has not loaded it yet. Raises `Unavailable` where the
    engine does not answer.
    """
    await policy.check()
    held = f"revision {policy.revision}, {engine}"
    if bundles.current is None or bundles.current.manifest.revision == policy.revision:
        return held
    trouble = f" ({bundles.trouble})" if bundles.trouble else ""
    return f"{held}; not taken yet: revision {bundles.current.manifest.revision}{trouble}"


async def _check_keys(authenticator: JwtAuthenticator) -> str:
    """Checks that the keys of every token issuer could be read.

    Otherwise raises `Unavailable`, which names the issuers whose keys could not.
    """
    if authenticator.issuers_without_keys:
        raise Unavailable(f"cannot be read: those of {', '.join(authenticator.issuers_without_keys)}")
    return "of every issuer"


async def _check_certificates(settings: GatewaySettings) -> str:
    """Returns, for people, when the gateway's certificates expire, and what is wrong with their files.

    It never fails. With an expired certificate of ours no new connection to a region can be made, but the
    gateway goes on to accept work, which would be refused if it were not ready.
    """
    try:
        expiries = await asyncio.to_thread(certificate_expiries, settings)
    except PkiError as error:
        return f"those read before are in use: {error}"
    now = datetime.now(UTC)
    told = [
        f"{name} {'EXPIRED' if expiry <= now else 'expires'} {expiry:%Y-%m-%d}"
        for name, expiry in expiries.items()
    ]
    return ", ".join(told) or "none are used"
