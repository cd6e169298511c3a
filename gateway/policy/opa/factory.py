"""Makes the policy engine that asks an OPA, from the settings of a gateway."""

from gateway.policy.opa.address import parse_address
from gateway.policy.opa.engine import OpaPolicyEngine
from gateway.settings import PolicySettings


def opa_engine(policies: PolicySettings) -> OpaPolicyEngine:
    """Makes the engine that asks the OPA at `policies.engine`. Raises `ValueError` with the reason."""
    if policies.folder is not None or policies.data is not None:
        raise ValueError("policy.folder and policy.data are for the embedded one: OPA holds its own rules")
    return OpaPolicyEngine(
        parse_address(policies.engine),
        ca=policies.ca,
        token=None if policies.token is None else policies.token.reveal(),
        deadline_seconds=policies.deadline_seconds,
        large_deadline_seconds=policies.large_deadline_seconds,
    )
