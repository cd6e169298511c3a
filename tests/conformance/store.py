"""The conformance suite of stores: a store is right if a class that inherits `StoreConformance` passes."""

from tests.conformance.store_acceptance import AcceptanceConformance
from tests.conformance.store_acts import ActsConformance
from tests.conformance.store_archived_trail import ArchivedTrailConformance
from tests.conformance.store_decisions import DecisionsConformance
from tests.conformance.store_exceptions import ExceptionsConformance
from tests.conformance.store_notifications import NotificationsConformance
from tests.conformance.store_operations import OperationsConformance
from tests.conformance.store_retention import RetentionConformance
from tests.conformance.store_retries import RetriesConformance
from tests.conformance.store_rollbacks import RollbacksConformance
from tests.conformance.store_rollout import RolloutConformance
from tests.conformance.store_routing import RoutingConformance
from tests.conformance.store_shards import ShardsConformance
from tests.conformance.store_stage_inputs import StageInputsConformance
from tests.conformance.store_stages import StagesConformance
from tests.conformance.store_tenants import TenantsConformance
from tests.conformance.store_trail import TrailConformance
from tests.conformance.store_workflows import WorkflowsConformance


class StoreConformance(
    AcceptanceConformance,
    ActsConformance,
    ArchivedTrailConformance,
    DecisionsConformance,
    ExceptionsConformance,
    NotificationsConformance,
    OperationsConformance,
    RetentionConformance,
    RetriesConformance,
    RollbacksConformance,
    RolloutConformance,
    RoutingConformance,
    ShardsConformance,
    StageInputsConformance,
    StagesConformance,
    TenantsConformance,
    TrailConformance,
    WorkflowsConformance,
):
    """The conformance tests of a store; a subclass provides the fixtures `store` and `open_store`.

    `store` is open; `open_store` opens the same store again.
    """
