"""Makes the policy engine that asks an OPA, from the settings of a gateway."""

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from gateway.policy.opa.address import parse_address
from gateway.settings import PolicySettings
from waypost.tls import PkiError, roots_context

if TYPE_CHECKING:
    from gateway.policy.opa.engine import OpaPolicyEngine


def opa_engine(policies: PolicySettings) -> "OpaPolicyEngine":
    """Makes the engine that asks the OPA at `policies.engine`.

    Raises `ValueError` for an invalid address, root certificates that cannot be used, and for settings of the
    embedded engine (folder or data), which an OPA would ignore.
    """
    if policies.folder is not None or policies.data is not None:
        raise ValueError("policy.folder and policy.data are for the embedded one: OPA holds its own rules")
    try:
        if policies.ca is not None:
            roots_context(policies.ca)
    except PkiError as error:
        raise ValueError(f"policy.ca: {error}") from error
    # Its HTTP client takes a fifth of a gateway's start: it is loaded only where an OPA is asked.
    engine: type[OpaPolicyEngine] = resolve_name("gateway.policy.opa.engine:OpaPolicyEngine")
    return engine(
        parse_address(policies.engine),
        ca=policies.ca,
        token=None if policies.token is None else policies.token.reveal(),
        deadline_seconds=policies.deadline_seconds,
        large_deadline_seconds=policies.large_deadline_seconds,
    )
