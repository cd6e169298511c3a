"""Makes the engine that asks an OPA, and the feed of its bundle, from the settings of a gateway."""

from collections.abc import Callable
from pathlib import Path

from gateway.policy.opa.address import parse_address
from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.policy.opa.bundle_signature import read_verification_key
from gateway.policy.opa.engine import OpaPolicyEngine
from gateway.settings import PolicySettings


def opa_engine(policies: PolicySettings) -> OpaPolicyEngine:
    """The engine for the OPA at the address `policies.engine`. Raises `ValueError`, which says why not."""
    if policies.folder is not None or policies.data is not None:
        raise ValueError("policy.folder and policy.data are for the embedded one: OPA holds its own rules")
    return OpaPolicyEngine(
        parse_address(policies.engine),
        ca=policies.ca,
        token=None if policies.token is None else policies.token.reveal(),
        deadline_seconds=policies.deadline_seconds,
        large_deadline_seconds=policies.large_deadline_seconds,
    )


def bundle_feed(
    policies: PolicySettings, *, development: bool, on_outcome: Callable[[str], None]
) -> BundleFeed:
    """The feed of the bundle that `policies` name, which may be none. Raises `ValueError`, with the cause.

    Raises `BundleKeyError` for a key that is none, or `OSError`.
    """
    place = None if policies.bundle is None else Path(policies.bundle)
    key = policies.bundle_key
    if place is not None and not policies.engine.startswith("opa+"):
        raise ValueError("policy.bundle is for an OPA, which fetches it: policy.engine names none")
    if place is not None and key is None and not development:
        raise ValueError("policy.bundle_key is missing: without --dev a bundle must be signed")
    return BundleFeed(
        place,
        key=None if key is None else read_verification_key(Path(key), policies.bundle_key_id),
        kept=Path(policies.bundle_kept),
        on_outcome=on_outcome,
    )
