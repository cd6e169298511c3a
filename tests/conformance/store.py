"""The conformance suite of stores: a store is right if a class that inherits `StoreConformance` passes."""

from tests.conformance.store_acceptance import AcceptanceConformance
from tests.conformance.store_acts import ActsConformance
from tests.conformance.store_operations import OperationsConformance
from tests.conformance.store_shards import ShardsConformance
from tests.conformance.store_tenants import TenantsConformance


class StoreConformance(
    AcceptanceConformance, ActsConformance, OperationsConformance, ShardsConformance, TenantsConformance
):
    """Inherit it, and give the fixtures `store` (open) and `open_store` (opens the same store again)."""
