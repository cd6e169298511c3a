"""All routes of the API: each path with its operations, and the ASGI application that serves them."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response
from starlette.routing import Route, Router

from gateway.api.events import events
from gateway.api.explanations.explain import explain
from gateway.api.explanations.task_waits import waits
from gateway.api.http.call import Call
from gateway.api.http.resource import Operation, Resource, UnknownPath
from gateway.api.http.responses import encode_json
from gateway.api.http.services import Services
from gateway.api.logs.task_log import logs
from gateway.api.openapi import openapi_document, workflow_schema
from gateway.api.policy.bundles import (
    activate,
    approve,
    bundle,
    bundles,
    canary,
    promote,
    rollback,
    shadow,
    upload,
)
from gateway.api.policy.exceptions import (
    approve_exception,
    ask_exception,
    exception,
    exceptions,
    revoke_exception,
)
from gateway.api.records.audit import audit
from gateway.api.records.decisions import decision, decisions
from gateway.api.records.retention import begin_retention, retention
from gateway.api.records.trail import trail
from gateway.api.regions import cordon, drain, forget, regions, replace, uncordon
from gateway.api.rollbacks.alerts import receive_alerts
from gateway.api.rollbacks.rollbacks import describe_rollback, rollbacks
from gateway.api.routing.revisions import apply_routing, rollback_routing, routing
from gateway.api.runs import cancel, describe, listing, retry
from gateway.api.submit import submit
from gateway.api.workflows.releases import (
    abort_workflow,
    apply_workflow,
    canary_workflow,
    promote_workflow,
    rollback_workflow,
    workflow,
    workflows,
)

LISTING_QUERY: Final = frozenset({"id", "tenant", "phase", "label", "limit", "continue"})
AUDIT_QUERY: Final = frozenset({"kind", "actor", "region", "run", "since", "limit", "continue"})
DECISIONS_QUERY: Final = frozenset(
    {"action", "inputs", "refused", "rule", "run", "since", "subject", "tenant", "limit", "continue"}
)
EXCEPTIONS_QUERY: Final = frozenset({"ended", "tenant", "limit", "continue"})
LOGS_QUERY: Final = frozenset({"task", "shard", "attempt", "follow", "offset", "since", "tail", "timestamps"})


async def openapi(_: Call) -> Response:
    """Get the OpenAPI description of the API."""
    return Response(OPENAPI, media_type="application/json")


OPERATIONS: Final[Mapping[str, Mapping[str, Operation]]] = {
    "/v1/runs": {
        "POST": Operation(handler=submit, query_parameters=frozenset({"dryRun"}), takes_turn=False),
        "GET": Operation(handler=listing, query_parameters=LISTING_QUERY),
    },
    "/v1/runs/{id}": {"GET": Operation(handler=describe, query_parameters=frozenset({"shard", "outputs"}))},
    "/v1/runs/{id}/events": {"GET": Operation(handler=events)},
    "/v1/runs/{id}/waits": {
        "GET": Operation(handler=waits, query_parameters=frozenset({"shard"}), takes_turn=False)
    },
    "/v1/runs/{id}/logs": {"GET": Operation(handler=logs, query_parameters=LOGS_QUERY, takes_turn=False)},
    "/v1/runs/{id}/explain": {"GET": Operation(handler=explain)},
    "/v1/runs/{id}/cancel": {"POST": Operation(handler=cancel, sheds=False)},
    "/v1/runs/{id}/retry": {"POST": Operation(handler=retry)},
    "/v1/workflows": {
        "POST": Operation(handler=apply_workflow, query_parameters=frozenset({"source"}), takes_turn=False),
        "GET": Operation(handler=workflows, query_parameters=frozenset({"tenant", "limit", "continue"})),
    },
    "/v1/workflows/{workflow}": {"GET": Operation(handler=workflow, query_parameters=frozenset({"tenant"}))},
    "/v1/workflows/{workflow}/versions/{version}/canary": {
        "POST": Operation(handler=canary_workflow, query_parameters=frozenset({"tenant"}))
    },
    "/v1/workflows/{workflow}/versions/{version}/promote": {
        "POST": Operation(handler=promote_workflow, query_parameters=frozenset({"tenant"}))
    },
    "/v1/workflows/{workflow}/versions/{version}/abort": {
        "POST": Operation(handler=abort_workflow, query_parameters=frozenset({"tenant"}), sheds=False)
    },
    "/v1/workflows/{workflow}/versions/{version}/rollback": {
        "POST": Operation(handler=rollback_workflow, query_parameters=frozenset({"tenant"}), sheds=False)
    },
    "/v1/regions": {"GET": Operation(handler=regions)},
    "/v1/regions/{region}/cordon": {"POST": Operation(handler=cordon)},
    "/v1/regions/{region}/drain": {"POST": Operation(handler=drain)},
    "/v1/regions/{region}/uncordon": {"POST": Operation(handler=uncordon)},
    "/v1/regions/{region}/forget": {"POST": Operation(handler=forget)},
    "/v1/regions/{region}/replace": {"POST": Operation(handler=replace)},
    "/v1/routing": {
        "POST": Operation(handler=apply_routing, sheds=False),
        "GET": Operation(handler=routing),
    },
    "/v1/routing/{revision}/rollback": {"POST": Operation(handler=rollback_routing, sheds=False)},
    "/v1/audit": {"GET": Operation(handler=audit, query_parameters=AUDIT_QUERY)},
    "/v1/audit/trail": {"GET": Operation(handler=trail, query_parameters=frozenset({"entry", "seal"}))},
    "/v1/retention": {
        "GET": Operation(handler=retention),
        "POST": Operation(handler=begin_retention, query_parameters=frozenset({"dryRun"})),
    },
    "/v1/decisions": {"GET": Operation(handler=decisions, query_parameters=DECISIONS_QUERY)},
    "/v1/decisions/{id}": {"GET": Operation(handler=decision)},
    "/v1/policy/bundles": {
        "GET": Operation(handler=bundles),
        "POST": Operation(handler=upload, takes_turn=False),
    },
    "/v1/policy/bundles/{sequence}": {"GET": Operation(handler=bundle)},
    "/v1/policy/bundles/{sequence}/shadow": {"POST": Operation(handler=shadow)},
    "/v1/policy/bundles/{sequence}/canary": {"POST": Operation(handler=canary, takes_turn=False)},
    "/v1/policy/bundles/{sequence}/approve": {"POST": Operation(handler=approve)},
    "/v1/policy/bundles/{sequence}/activate": {"POST": Operation(handler=activate, sheds=False)},
    "/v1/policy/bundles/{sequence}/promote": {"POST": Operation(handler=promote, sheds=False)},
    "/v1/policy/bundles/{sequence}/rollback": {"POST": Operation(handler=rollback, sheds=False)},
    "/v1/policy/exceptions": {
        "POST": Operation(handler=ask_exception),
        "GET": Operation(handler=exceptions, query_parameters=EXCEPTIONS_QUERY),
    },
    "/v1/policy/exceptions/{exception}": {"GET": Operation(handler=exception)},
    "/v1/policy/exceptions/{exception}/approve": {"POST": Operation(handler=approve_exception)},
    "/v1/policy/exceptions/{exception}/revoke": {"POST": Operation(handler=revoke_exception, sheds=False)},
    "/v1/alerts": {"POST": Operation(handler=receive_alerts, public=True)},
    "/v1/rollbacks": {"GET": Operation(handler=rollbacks, query_parameters=frozenset({"limit", "continue"}))},
    "/v1/rollbacks/{rollback}": {"GET": Operation(handler=describe_rollback)},
    "/v1/schema/workflow.json": {"GET": Operation(handler=workflow_schema, public=True)},
    "/openapi.json": {"GET": Operation(handler=openapi, public=True)},
}
"""The operations of the API, by path, then method."""

OPENAPI: Final = encode_json(openapi_document(OPERATIONS))


def api(services: Services) -> Router:
    """Builds the ASGI application of the gateway's public port, with all operations of the API."""
    routes = [
        Route(path, Resource(services=services, operations=operations))
        for path, operations in OPERATIONS.items()
    ]
    return Router(routes, redirect_slashes=False, default=UnknownPath(services))
